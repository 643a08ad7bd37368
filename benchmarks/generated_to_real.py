"""How far generated faces carry: students that saw no photo, scored on 300W common.

    accelerate launch train_accelerate.py --output runs/embedded
    python benchmarks/generated_to_real.py runs/embedded --data 300W_FOLDER

The one with teachers learned from such as have seen photos. Beside each network stands the mean
training shape, put into the same crops: whoever is not clearly better has learned nothing.
"""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from datasets import Dataset
from record import print_table, record
from transformers.utils import logging as transformers_logging

from kd_landmarks.data.columns import point_array
from kd_landmarks.data.crops import crop_points, crop_squares
from kd_landmarks.data.loading import load_rows
from kd_landmarks.evaluation.evaluate import evaluate_detector
from kd_landmarks.evaluation.metrics import nme
from kd_landmarks.imaging.crop import to_photo_pixels
from kd_landmarks.models.loading import load_detector
from kd_landmarks.schemes import LandmarkScheme, get_scheme
from kd_landmarks.synthetic import generated_dataset
from kd_landmarks.training.data import GENERATED_SEEDS, GENERATED_SIZE
from kd_landmarks.training.recipe import load_recipe


def main(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run of recipe embedded.")],
    data: Annotated[Path, typer.Option(help="300W.")],
) -> None:
    """Score a run's networks on both sets, print and record."""
    transformers_logging.disable_progress_bar()
    recipe = load_recipe(run / "recipe.yaml")
    margin, scheme = recipe.data.crop_margin, get_scheme(recipe.scheme)
    size = GENERATED_SIZE
    train, held_back = (
        generated_dataset(count, GENERATED_SEEDS[split], scheme.name, size)
        for split, count in (
            ("train", recipe.data.generated_train),
            ("test", recipe.data.generated_test),
        )
    )
    sets = {"generated": held_back, "300W common": load_rows(data, "common", scheme=scheme)}
    mean_shape = crop_points(train, "landmarks", margin).mean(0)
    scores = {
        "mean shape": {
            name: _mean_shape_nme(rows, mean_shape, margin, scheme) for name, rows in sets.items()
        }
    }
    for stage in ("student", "baseline"):
        model, processor = load_detector(run / stage)
        scores[stage] = {
            name: evaluate_detector(model, processor, rows, scheme).result.nme
            for name, rows in sets.items()
        }
    print_table(
        ("inter-ocular NME %", *sets),
        [(name, *(f"{value:.2f}" for value in entry.values())) for name, entry in scores.items()],
    )
    minutes = sum(
        json.loads((run / stage / "training.json").read_text())["seconds"] / 60
        for stage in scores
        if stage != "mean shape"
    )
    measured = {
        "nme": scores,
        "faces": {"train": len(train), **{name: len(rows) for name, rows in sets.items()}},
        "training_minutes": minutes,
        "box": "gt",
    }
    print(record("generated_to_real", measured, recipe.run.seed))


def _mean_shape_nme(
    rows: Dataset, mean_shape: np.ndarray, margin: float, scheme: LandmarkScheme
) -> float:
    points = np.stack([to_photo_pixels(mean_shape, crop) for crop in crop_squares(rows, margin)])
    return float(nme(points, point_array(rows, "landmarks"), scheme).mean())


if __name__ == "__main__":
    typer.run(main)
