"""Put a trained network where released ones live, float16 on disk.

    python benchmarks/pack.py runs/300w/student mobilenetv2-300w
    python benchmarks/pack.py runs/300w/tough_teacher tough-teacher-300w --float8-from 100000
    python benchmarks/pack.py runs/linear/student mobilenetv2-300w-linear --float8-from 50000

The student goes into the package, every other network into `checkpoints/NAME/`. All tracked files
stay under 30 MB, so the wide layers of those others are float8, but for the small nano student: the
matrices of 100,000 weights and more, and of the two students to compare with those of 50,000. Cards
are written by `model_cards/render.py`, once `benchmarks/released.py` has measured.
"""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Annotated

import typer
from record import TRAINING, without_paths, write_json

from kd_landmarks.inference.checkpoints import DEFAULT_FOLDER
from kd_landmarks.models.compact import save_compact
from kd_landmarks.models.loading import load_detector

CHECKPOINTS = Path(__file__).parent.parent / "checkpoints"


def main(
    source: Annotated[Path, typer.Argument(help="A stage's folder in a finished run.")],
    name: Annotated[str, typer.Argument(help="Of the released network.")],
    float8_from: Annotated[
        int | None, typer.Option(help="Matrices of so many weights and more are float8.")
    ] = None,
) -> None:
    """Copy a network in half the room, and keep how it was trained among the results."""
    folder = DEFAULT_FOLDER if name == DEFAULT_FOLDER.name else CHECKPOINTS / name
    model, processor = load_detector(source)
    shutil.rmtree(folder, ignore_errors=True)
    save_compact(model, processor, folder, float8_from=float8_from)
    training = without_paths(json.loads((source / "training.json").read_text(encoding="utf-8")))
    TRAINING.mkdir(parents=True, exist_ok=True)
    write_json(TRAINING / f"{name}.json", training)
    weights = (folder / "model.safetensors").read_bytes()
    print(f"{folder}: {len(weights) / 1e6:.2f} MB, SHA-256 {hashlib.sha256(weights).hexdigest()}")


if __name__ == "__main__":
    typer.run(main)
