"""What a training step costs: without teachers, with precomputed and with online teachers.

    python benchmarks/step_cost.py [--data 300W_FOLDER]

Times the whole step as the trainer takes it (waiting for the loader, forward, backward, optimizer),
and the loader alone. The student is recipe 300w's (MobileNetV2, integral head, 128 pixels, batch
32), the online teachers are EfficientNet-lite2 at 128 pixels, all with random weights: time does
not depend on them. Rounds of the three kinds alternate, so that a busy machine slows all alike.
"""

import os
import statistics
import time
from itertools import islice
from pathlib import Path
from typing import Annotated

os.environ["GOMP_SPINCOUNT"] = "5000"  # as `kd-landmarks train` does, before torch loads

import numpy as np
import torch
import typer
from accelerate import Accelerator
from datasets import Dataset
from record import print_table, record
from torch.utils.data import DataLoader

from kd_landmarks.data.augmentation import AugmentationSettings
from kd_landmarks.data.columns import point_array
from kd_landmarks.data.crops import FaceCrops, TrainingOrder
from kd_landmarks.data.loading import load_rows
from kd_landmarks.data.rows import TEACHER_COLUMNS
from kd_landmarks.evaluation.predictions import to_pixel_values
from kd_landmarks.models import KDLandmarksForKeypointDetection, KDLandmarksImageProcessor
from kd_landmarks.schemes import get_scheme
from kd_landmarks.synthetic import generated_dataset
from kd_landmarks.training.networks import build_network
from kd_landmarks.training.objectives import StepLoss, plain_step, student_step
from kd_landmarks.training.recipe import load_recipe
from kd_landmarks.training.recipe_settings import NetworkSettings
from kd_landmarks.training.teachers import FrozenTeacher, add_point_column

# As `accelerate launch --dynamo_backend inductor` does.
COMPILED = "precomputed, compiled"
SEED = 0
ROUNDS, STEPS, WARM_UP = 5, 12, 3


def main(
    data: Annotated[Path | None, typer.Option(help="300W; generated faces without it.")] = None,
) -> None:
    """Measure, print and record."""
    torch.manual_seed(SEED)
    torch.set_num_threads(os.cpu_count() or 1)
    scheme = get_scheme("ibug68")
    recipe = load_recipe("300w")
    student = recipe.student
    rows = (
        generated_dataset(512, SEED, num_proc=os.cpu_count())
        if data is None
        else load_rows(data, "train", scheme=scheme).select(range(512))
    )
    began = time.perf_counter()
    crops = {"no teachers": _crops(rows, student)}
    cutting = len(rows) / (time.perf_counter() - began)
    rng = np.random.default_rng(SEED)
    for column in TEACHER_COLUMNS.values():
        points = point_array(rows, column="landmarks")
        rows = add_point_column(rows, column, points + rng.normal(0, 2, points.shape))
    crops["precomputed"] = _crops(rows, student)
    crops[COMPILED] = crops["precomputed"]
    crops["online"] = crops["no teachers"]

    accelerator = Accelerator(cpu=True)
    teacher_settings = student.model_copy(update={"backbone": "tf_efficientnet_lite2"})
    teachers = {
        name: [FrozenTeacher(*_network(teacher_settings), accelerator)] for name in TEACHER_COLUMNS
    }
    steps = {
        "no teachers": plain_step(student),
        "precomputed": student_step(student, None),
        COMPILED: student_step(student, None),
        "online": student_step(student, teachers),
    }
    loader_rate = _loader_rate(crops["precomputed"], student.batch_size)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step_loss in steps.items():
            times[name] += _step_times(crops[name], step_loss, student, name == COMPILED)
    medians = {name: statistics.median(values) for name, values in times.items()}
    base = medians["no teachers"]
    print_table(
        ("student step, batch 32", "ms", "images/s", "ratio"),
        [
            (name, f"{1e3 * value:.0f}", f"{student.batch_size / value:.0f}", f"{value / base:.2f}")
            for name, value in medians.items()
        ],
    )
    print(f"\nloader alone, one worker: {loader_rate:.0f} images/s, augmented")
    print(f"decoding and cutting, once per run: {cutting:.0f} images/s")
    measured = {
        "faces": "generated" if data is None else "300W train",
        "milliseconds_per_step": {name: 1e3 * value for name, value in medians.items()},
        "ratio_to_no_teachers": {name: value / base for name, value in medians.items()},
        "loader_images_per_second": loader_rate,
        "cutting_images_per_second": cutting,
        "batch_size": student.batch_size,
    }
    print(record("step_cost", measured, SEED))


def _crops(rows: Dataset, settings: NetworkSettings) -> FaceCrops:
    return FaceCrops(
        rows,
        settings.image_size,
        augmentation=AugmentationSettings(),
        flip_permutation=get_scheme("ibug68").flip_permutation,
        seed=SEED,
    )


def _network(
    settings: NetworkSettings,
) -> tuple[KDLandmarksForKeypointDetection, KDLandmarksImageProcessor]:
    settings = settings.model_copy(update={"backbone_weights": "none"})
    return build_network(settings, get_scheme("ibug68"), "student", 1.25)


def _loader(crops: FaceCrops, batch_size: int) -> DataLoader:
    order = TrainingOrder(len(crops), 100 * len(crops), SEED)
    return DataLoader(crops, batch_size, sampler=order, num_workers=1, prefetch_factor=4)


def _loader_rate(crops: FaceCrops, batch_size: int, batches: int = 60) -> float:
    loader = iter(_loader(crops, batch_size))
    for _ in islice(loader, 8):
        pass
    began = time.perf_counter()
    for _ in islice(loader, batches):
        pass
    return batches * batch_size / (time.perf_counter() - began)


def _step_times(
    crops: FaceCrops, step_loss: StepLoss, settings: NetworkSettings, compiled: bool
) -> list[float]:
    model, processor = _network(settings)
    model.train().to(memory_format=torch.channels_last)
    network = torch.compile(model) if compiled else model
    maps = settings.loss.map_weight > 0
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate)
    times = []
    began = time.perf_counter()
    for batch in islice(_loader(crops, settings.batch_size), WARM_UP + STEPS):
        pixels = to_pixel_values(batch["image"], processor)
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        step_loss(network(pixel_values=pixels, output_maps=maps), batch)["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
        times.append(time.perf_counter() - began)
        began = time.perf_counter()
    return times[WARM_UP:]


if __name__ == "__main__":
    typer.run(main)
