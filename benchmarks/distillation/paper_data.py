"""What the released teachers say of every training face, asked once for all arms of the paper.

    python benchmarks/distillation/paper_data.py --data "$KD_LANDMARKS_DATA" --runs runs/paper

Writes `RUNS/paper-data`: Parquet with the training faces of 300W at hand, the teachers' points in
the columns `tough_landmarks` and `tolerant_landmarks` (`teachers.targets stored`), and 300W common
as the split `test`. Teachers see each face and its mirror image, as before any training.
"""

from pathlib import Path
from typing import Annotated

import typer
from accelerate import Accelerator
from folds import store
from study import REPOSITORY, SCHEME

from kd_landmarks import load_rows
from kd_landmarks.models.loading import load_detector
from kd_landmarks.training.data import joined
from kd_landmarks.training.pseudo_labels import precompute_targets
from kd_landmarks.training.teachers import FrozenTeacher
from kd_landmarks.utils.environment import on_cpus


def main(
    data: Annotated[Path, typer.Option(help="Folder with 300w/ and helen114/.")],
    runs: Annotated[Path, typer.Option(help="Folder for the runs.")],
) -> None:
    """Load, ask and write, once."""
    train, test = (runs / f"paper-data/{name}.parquet" for name in ("train", "test"))
    if train.exists() and test.exists():
        return
    faces = [
        load_rows(data / "300w", "train", scheme=SCHEME),
        load_rows(data / "helen114/train.jsonl", scheme=SCHEME),
    ]
    accelerator = Accelerator(cpu=on_cpus(), mixed_precision="no")
    teachers = {
        name: [
            FrozenTeacher(
                *load_detector(REPOSITORY / f"checkpoints/{name}-teacher-300w"), accelerator
            )
        ]
        for name in ("tough", "tolerant")
    }
    store(precompute_targets(joined(faces), teachers, SCHEME), train)
    common = load_rows(data / "300w", "common", scheme=SCHEME)
    store(common, test)


if __name__ == "__main__":
    typer.run(main)
