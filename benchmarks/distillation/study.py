"""What the scripts of the study have in common: its plan, its faces, training to the end."""

import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from datasets import Dataset

from kd_landmarks import load_rows
from kd_landmarks.data.splits import split_by_photo
from kd_landmarks.inference.checkpoints import METRICS, RECIPE
from kd_landmarks.schemes import get_scheme

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
RESULTS = HERE / "results"
SCHEME = get_scheme("ibug68")
# Of the runs whose validation faces no teacher has seen.
SEED = 0


@cache
def plan() -> dict[str, Any]:
    """What arms.yaml says."""
    return yaml.safe_load((HERE / "arms.yaml").read_text(encoding="utf-8"))


@cache
def labeled_faces(data: Path) -> tuple[Dataset, Dataset]:
    """Training and validation faces of seed 0.

    Args:
        data: folder with 300w/.
    """
    rows = load_rows(data / "300w", "train", scheme=SCHEME)
    return split_by_photo(rows, plan()["shared"]["data.validation_faces"], SEED)


def finish(run: Path, start: Mapping[str, Any], compiled: bool = True) -> None:
    """Train a run: from its beginning, from where it was stopped, or not at all.

    Args:
        run: its folder.
        start: words of train_accelerate.py by their names, beside --output.
        compiled: compile the network first, which pays in long trainings.
    """
    if (run / METRICS).exists():
        return
    words = ["--resume", str(run)]
    if not (run / RECIPE).exists():
        told = {"output": run, **start}
        words = [word for key, value in told.items() for word in (f"--{key}", str(value))]
    launcher = ["accelerate", "launch", *(["--dynamo_backend", "inductor"] if compiled else [])]
    print(f"{run}: {' '.join(words)}", flush=True)
    done = subprocess.run([*launcher, str(REPOSITORY / "train_accelerate.py"), *words])
    if done.returncode:
        sys.exit(
            f"{run}: its training ended with exit status {done.returncode}; why stands above. The "
            "same command goes on from its latest checkpoint"
        )
