"""What faces without labels are worth, by their number and by that of the labeled ones.

    python benchmarks/distillation/labels.py --data "$KD_LANDMARKS_DATA" --runs runs/labels \
        --weights DIR

For 100, 300, 1,000 and all training faces of 300W but the validation faces, a Tough-Teacher learns
from these labels alone. It then tells its points on faces without labels, and students learn from
the labels and from 0, 1,000, 3,000 or 10,000 of those faces, all in as many steps. With 10,000
faces the other choices are tried: which pseudo-labels to leave out, and KD-Loss or wing loss.
Records each network in results/; what has a record is skipped, what was stopped goes on.
labels_report.py draws and tells. Two queues (`--only`, each with taskset) take turns on two cores.
"""

import json
import sys
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import datasets
import numpy as np
import typer
from accelerate import Accelerator
from datasets import Dataset
from folds import store
from study import RESULTS, SCHEME, SEED, finish, labeled_faces, plan
from transformers.utils import logging as transformers_logging

sys.path.insert(0, str(Path(__file__).parents[1]))
from record import describe, write_json

from kd_landmarks import load_rows
from kd_landmarks.data.rows import TEACHER_COLUMNS
from kd_landmarks.data.unlabeled import load_unlabeled
from kd_landmarks.evaluation.evaluate import evaluate_detector
from kd_landmarks.models.loading import load_detector
from kd_landmarks.training.pseudo_labels import ask_in_views, fits_points5, trust, with_points
from kd_landmarks.training.teachers import FrozenTeacher, add_point_column
from kd_landmarks.utils.environment import on_cpus
from kd_landmarks.utils.files import new_folder

LABELED = (100, 300, 1000, 1712)
UNLABELED = (0, 1000, 3000, 10_000)
STEPS, BATCH = 1200, 32
CHOSEN, ALONE = "default", "teacher"
# What else is tried: pseudo-labels to keep, then the student's loss.
TRIED = {
    "spread": "weights by the views' spread, faces with much of it left out",
    "points5": "equal weights, faces that do not fit their five points left out",
    "all": "equal weights, no face left out",
    "distance": "KD-Loss with the spread for the teacher's distance",
    "wing": "wing loss to labels and points, no KD-Loss",
}
# At which places of the grid: one filter alone was better at the first, and is tried at another.
TRIED_AT = {(300, 10_000): tuple(TRIED), (100, 10_000): ("spread", "points5")}
STUDENT = "mobilenetv2_100.safetensors"
TEACHER = "tf_efficientnet_lite2"
TURNED = "AFLW, turned"


def main(
    data: Annotated[Path, typer.Option(help="Folder with 300w/, pool/, unlabelled/ and so on.")],
    runs: Annotated[Path, typer.Option(help="Folder for the runs.")],
    weights: Annotated[
        Path, typer.Option(help=f"Folder with {STUDENT} and {TEACHER}.safetensors.")
    ],
    only: Annotated[
        str | None, typer.Option(help="Comma-separated numbers of labeled faces.")
    ] = None,
) -> None:
    """Train and record what is missing."""
    transformers_logging.disable_progress_bar()
    chosen = list(map(int, only.split(","))) if only else LABELED
    for labeled in chosen:
        if labeled not in LABELED:
            sys.exit(f"--only {labeled}: choose from {', '.join(map(str, LABELED))}")
    students = [(labeled, *one) for labeled in chosen for one in planned(labeled)]
    # Labels alone come first, since the others are told by them, then what differs most from them.
    for labeled, unlabeled, form in sorted(students, key=lambda one: (one[1] > 0, -one[1])):
        name = f"labels-{labeled}-{unlabeled}-{form}"
        record = RESULTS / f"{name}.json"
        if record.exists():
            continue
        network = train(data, runs, weights, runs / name, labeled, unlabeled, form)
        known = {"arm": name, "labeled": labeled, "unlabeled": unlabeled, "form": form}
        write_json(record, known | measured(network, data))
        print(record, flush=True)


def planned(labeled: int) -> list[tuple[int, str]]:
    """The networks of a number of labeled faces: faces without labels, and in which form."""
    tried = [(0, ALONE), *((unlabeled, CHOSEN) for unlabeled in UNLABELED)]
    for (labels, unlabeled), forms in TRIED_AT.items():
        if labels == labeled:
            tried += [(unlabeled, form) for form in forms]
    return tried


def train(
    data: Path, runs: Path, weights: Path, run: Path, labeled: int, unlabeled: int, form: str
) -> Path:
    """Train a student, where it needs one after its teacher, or the teacher; its checkpoint."""
    folder = store_labeled(data, runs, labeled)
    if form == ALONE:
        return train_teacher(folder, runs, weights, labeled)
    stage = "student" if unlabeled else "baseline"
    start = {**common(folder, stage), "student.refinement": False}
    start[f"{stage}.backbone_weights"] = weights / STUDENT
    rows = labeled
    if unlabeled:
        teacher = train_teacher(folder, runs, weights, labeled)
        targets = runs / "targets" / run.name
        rows += store_targets(data, runs, teacher, labeled, unlabeled, form, targets)
        start |= {"teachers.tough": teacher, "unlabeled.targets": targets}
        start["student.loss.tolerant_weight"] = 0
        if form == "wing":
            start |= {"student.loss.name": "wing", "student.loss.map_weight": 0.6}
    start["student.epochs"] = STEPS * BATCH / rows
    finish(run, start)
    return run / stage


def common(folder: Path, stage: str) -> dict[str, Any]:
    """What all trainings start with: faces, no choice in between."""
    return {
        "recipe": plan()["recipe"],
        "stages": stage,
        "data": folder,
        "data.test_split": "test",
        "data.validation_faces": 0,
    }


def store_labeled(data: Path, runs: Path, labeled: int) -> Path:
    """The first labeled faces of a shuffled order, the validation faces as test split."""
    train, validation = labeled_faces(data)
    order = np.random.default_rng(SEED).permutation(len(train))[:labeled]
    folder = runs / f"data/{labeled}"
    store(train.select(sorted(order)), folder / "train.parquet")
    store(validation, folder / "test.parquet")
    return folder


def train_teacher(folder: Path, runs: Path, weights: Path, labeled: int) -> Path:
    """The Tough-Teacher of so many labeled faces."""
    run = runs / f"teacher-{labeled}"
    settings = {
        **common(folder, "tough_teacher"),
        "tough_teacher.backbone": TEACHER,
        "tough_teacher.backbone_weights": weights / f"{TEACHER}.safetensors",
        "tough_teacher.refinement": False,
        "tough_teacher.image_size": 128,
        "tough_teacher.epochs": STEPS * BATCH / labeled,
    }
    finish(run, settings)
    return run / "tough_teacher"


@cache
def unlabeled_faces(data: Path) -> Dataset:
    """The faces without labels that are used, in a shuffled order."""
    sources = [data / name / "faces.jsonl" for name in ("unlabelled", "pool")]
    faces = datasets.concatenate_datasets([load_unlabeled(source) for source in sources])
    return faces.select(np.random.default_rng(SEED).permutation(len(faces))[: max(UNLABELED)])


def answers(data: Path, runs: Path, teacher: Path, labeled: int) -> np.ndarray:
    """A teacher's points on all faces without labels, (faces, views, N, 2): asked once."""
    file = runs / f"answers-{labeled}.npy"
    if not file.exists():
        accelerator = Accelerator(cpu=on_cpus(), mixed_precision="no")
        teachers = {"tough": [FrozenTeacher(*load_detector(teacher), accelerator)]}
        told = ask_in_views(unlabeled_faces(data), teachers, SCHEME)["tough"]
        partial = file.with_suffix(".partial.npy")
        np.save(partial, told.astype(np.float32))
        partial.rename(file)
    return np.load(file).astype(np.float64)


def store_targets(
    data: Path, runs: Path, teacher: Path, labeled: int, count: int, form: str, folder: Path
) -> int:
    """Pseudo-labels for a student in the wanted form, and how many faces have them."""
    if folder.exists():
        return len(Dataset.load_from_disk(str(folder)))
    faces = unlabeled_faces(data).select(range(count))
    told = answers(data, runs, teacher, labeled)[:count]
    mean = told.mean(1)
    weights, agreed = trust(told)
    fits = fits_points5(mean, faces, SCHEME)
    kept = agreed & fits
    if form in ("points5", "all"):
        weights = np.ones_like(weights)
        kept = fits if form == "points5" else np.ones_like(fits)
    elif form == "spread":
        kept = agreed
    chosen = np.flatnonzero(kept)
    rows = with_points(faces.select(chosen), {"tough": mean[chosen]}, weights[chosen])
    if form == "distance":
        # The mean is the target: what the teacher's column is away from it is its distance.
        away = mean[chosen] + told[chosen].std(1)
        rows = add_point_column(rows, TEACHER_COLUMNS["tough"], away)
    with new_folder(folder) as partial:
        rows.save_to_disk(str(partial))
    print(f"{folder.name}: {len(chosen)} of {count} faces have targets", flush=True)
    return len(chosen)


def measured(network: Path, data: Path) -> dict[str, Any]:
    """Errors of each face of the validation faces, of WFLW's and of AFLW's turned ones."""
    training = json.loads((network / "training.json").read_text(encoding="utf-8"))
    model, processor = load_detector(network)
    tests = {
        "300W validation": (labeled_faces(data)[1], "inter_ocular"),
        "106 WFLW faces": (load_rows(data / "wflw/faces.jsonl", scheme=SCHEME), "inter_ocular"),
        # In shares of the face box, since an eye may be hidden.
        TURNED: (load_rows(data / "aflw68/train_self_occluded.jsonl", scheme=SCHEME), "box"),
    }
    scores = {}
    for name, (rows, by) in tests.items():
        result = evaluate_detector(model, processor, rows, SCHEME, normalizer=by).result
        scores[name] = {"nme": result.nme, "errors": result.errors}
    return {
        "tests": scores,
        "steps": training["steps"],
        "minutes": training["seconds"] / 60,
        **describe(),
    }


if __name__ == "__main__":
    typer.run(main)
