"""Training to its end, wherever it is: what the scripts of the study have in common."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kd_landmarks.distillation.runs import METRICS

REPOSITORY = Path(__file__).parents[2]


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
    if not (run / "run.json").exists():
        told = {"output": run, **start}
        words = [word for key, value in told.items() for word in (f"--{key}", str(value))]
    launcher = ["accelerate", "launch", *(["--dynamo_backend", "inductor"] if compiled else [])]
    print(f"{run}: {' '.join(words)}", flush=True)
    subprocess.run([*launcher, str(REPOSITORY / "train_accelerate.py"), *words], check=True)
