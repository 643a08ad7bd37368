"""A whole run in seconds: four tiny networks on a few generated faces."""

import os
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from kd_landmarks.cli import app

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = REPOSITORY / "train_accelerate.py"
TINY = {
    "data.generated_train": 40,
    "data.generated_test": 12,
    "data.validation_faces": 8,
    "unlabeled.source": "null",
    "tough_teacher.init": "null",
    "tough_teacher.backbone": "test_efficientnet",
    "tough_teacher.head_strides": "[8, 16, 32]",
    "tough_teacher.image_size": 32,
    "tough_teacher.batch_size": 8,
    "tough_teacher.epochs": 2,
    "tolerant_teacher.init": "null",
    "tolerant_teacher.epochs": 2,
    "tolerant_teacher.learning_rate": 0.001,
    "student.backbone": "test_efficientnet",
    "student.image_size": 32,
    "student.batch_size": 8,
    "student.epochs": 2,
    "student.learning_rate": 0.002,
    "run.workers": 0,
    "run.threads": 1,
    "run.checkpoint_every": 0.25,
}


def tiny_arguments(*options: object, **values: object) -> list[str]:
    """Command-line words of a tiny run; `values` are recipe keys with __ for the dot."""
    settings = TINY | {key.replace("__", "."): value for key, value in values.items()}
    words = [word for key, value in settings.items() for word in (f"--{key}", str(value))]
    return [*map(str, options), *words]


def train_here(*words: object) -> tuple[int, str]:
    """Run `kd-landmarks train` within this process: exit status and everything it printed."""
    result = CliRunner().invoke(app, ["train", *map(str, words)])
    return result.exit_code, result.output


def start_training(*words: object, launcher: tuple[str, ...] = ()) -> subprocess.Popen:
    """Start train_accelerate.py in a process of its own, output captured."""
    command = [sys.executable, *launcher, str(SCRIPT), *map(str, words)]
    environment = os.environ | {
        "HF_HUB_OFFLINE": "1",
        "ACCELERATE_USE_CPU": "true",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def run_training(*words: object, launcher: tuple[str, ...] = ()) -> tuple[int, str]:
    """Run train_accelerate.py to its end: exit status and everything it printed."""
    process = start_training(*words, launcher=launcher)
    output, _ = process.communicate(timeout=300)
    return process.returncode, output
