"""What teachers say of faces that they have not seen: two folds, as a data set for the study.

    python benchmarks/distillation/folds.py --data "$KD_LANDMARKS_DATA" --runs runs/distillation \
        --weights DIR

The training faces without the 300 validation faces are halved, by whole photos. For each half a
Tough-Teacher and a Tolerant-Teacher are trained on the other one, by the recipes of the study's own
teachers with fewer epochs (`EPOCHS`), and asked. Writes `RUNS/folds/data`: Parquet whose training
faces have the columns `tough_landmarks` and `tolerant_landmarks`, for `teachers.targets stored`.
The validation faces among them, which no student trains on, have the truth there.
"""

from pathlib import Path
from typing import Annotated, Any

import typer
from accelerate import Accelerator
from datasets import Dataset, Image, concatenate_datasets
from study import SCHEME, finish, labeled_faces, plan
from transformers.utils import logging as transformers_logging

from kd_landmarks import load_rows, nme
from kd_landmarks.data.columns import point_array
from kd_landmarks.data.rows import TEACHER_COLUMNS
from kd_landmarks.data.splits import split_by_photo
from kd_landmarks.models.loading import load_detector
from kd_landmarks.training.pseudo_labels import precompute_targets
from kd_landmarks.training.teachers import FrozenTeacher, add_point_column
from kd_landmarks.utils.environment import on_cpus

RECIPES = Path(__file__).parents[1] / "recipes"
FOLD_SEED = 1
BACKBONE = "tf_efficientnet_lite2.safetensors"
# Instead of the recipes' 60, 30 and 8, of which four networks would take hours on a CPU.
EPOCHS = {"first": 30, "tough": 10, "tolerant": 4}
COMMON = {"data.validation_faces": 0, "data.test_split": "test", "data.generated_extra": 0}


def main(
    data: Annotated[Path, typer.Option(help="Folder with 300w/.")],
    runs: Annotated[Path, typer.Option(help="Folder for the runs.")],
    weights: Annotated[Path, typer.Option(help=f"Folder with {BACKBONE}.")],
) -> None:
    """Halve, train what is missing, ask, and write."""
    transformers_logging.disable_progress_bar()
    train, validation = labeled_faces(data)
    halves = split_by_photo(train, len(train) // 2, FOLD_SEED)
    accelerator = Accelerator(cpu=on_cpus(), mixed_precision="no")
    told = []
    for fold, (asked, learned) in enumerate((halves, halves[::-1])):
        folder = runs / f"folds/{fold}"
        store(learned, folder / "data/train.parquet")
        store(validation, folder / "data/test.parquet")
        places = train_teachers(folder, weights)
        teachers = {
            name: [FrozenTeacher(*load_detector(place), accelerator)]
            for name, place in places.items()
        }
        told.append(precompute_targets(asked, teachers, SCHEME))
    answers = concatenate_datasets(told)
    truth = point_array(answers, "landmarks")
    for name, column in TEACHER_COLUMNS.items():
        errors = nme(point_array(answers, column), truth, SCHEME)
        print(f"{name} teachers on faces that they have not seen: {errors.mean():.2f} % NME")
        validation = add_point_column(validation, column, point_array(validation, "landmarks"))
    store(concatenate_datasets([answers, validation]), runs / "folds/data/train.parquet")
    common = load_rows(data / "300w", "common", scheme=SCHEME)
    store(common, runs / "folds/data/test.parquet")


def store(rows: Dataset, file: Path) -> None:
    """Write rows with their pictures, unless that was done."""
    if file.exists():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    plain = rows.cast_column("image", Image(decode=False))
    filled = plain.map(with_bytes).cast_column("image", Image())
    partial = file.with_suffix(".partial")
    filled.to_parquet(partial)
    partial.rename(file)


def with_bytes(row: dict[str, Any]) -> dict[str, Any]:
    """The picture itself instead of its path."""
    image = row["image"]
    content = image["bytes"] or Path(image["path"]).read_bytes()
    return {"image": {"bytes": content, "path": None}}


def train_teachers(folder: Path, weights: Path) -> dict[str, Path]:
    """Both teachers of a fold, from wherever their training is: KD-Loss's names to checkpoints."""
    first, tough, tolerant = (folder / name for name in ("tough_128", "tough", "tolerant"))
    start = {"data": folder / "data", **COMMON}
    alone = {**start, "stages": "tough_teacher"}
    settings = {
        "recipe": RECIPES / "300w_teacher_128.yaml",
        "tough_teacher.backbone_weights": weights / BACKBONE,
        "tough_teacher.epochs": EPOCHS["first"],
    }
    finish(first, {**alone, **settings})
    settings = {
        "recipe": RECIPES / "300w_teacher_192.yaml",
        "tough_teacher.init": first / "tough_teacher",
        "tough_teacher.epochs": EPOCHS["tough"],
    }
    finish(tough, {**alone, **settings})
    settings = {
        key: value for key, value in plan()["shared"].items() if key.startswith("tolerant_teacher.")
    }
    settings["tolerant_teacher.init"] = tough / "tough_teacher"
    settings["tolerant_teacher.epochs"] = EPOCHS["tolerant"]
    settings["tolerant_teacher.refinement"] = False
    finish(tolerant, {"recipe": "300w", **start, "stages": "tolerant_teacher", **settings})
    return {"tough": tough / "tough_teacher", "tolerant": tolerant / "tolerant_teacher"}


if __name__ == "__main__":
    typer.run(main)
