"""Put a trained network where released ones live: float16 on disk, its confidence calibrated.

    python benchmarks/pack.py runs/fast/student mobilenetv2-300w --data "$KD_LANDMARKS_DATA"
    python benchmarks/pack.py runs/tough/tough_teacher tough-teacher-300w --float8-from 100000 \
        --data "$KD_LANDMARKS_DATA"
    python benchmarks/pack.py runs/linear/student mobilenetv2-300w-linear --float8-from 50000 \
        --data "$KD_LANDMARKS_DATA"

The student goes into the package, with its ONNX files in floats and in 8 bits; every other network
into `checkpoints/NAME/`. Confidence and 8 bits are fitted to 300W's training faces. All tracked
files stay under 40 MB, so the wide layers of those others are float8, but for the small nano
student: the matrices of 100,000 weights and more, and of the two students to compare with those of
50,000. Cards are written by `model_cards/render.py`, once `benchmarks/released.py` has measured.
"""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Annotated

import typer
from record import TRAINING, without_paths, write_json

from kd_landmarks.cli.calibrate import calibrate
from kd_landmarks.cli.export import export
from kd_landmarks.inference.checkpoints import DEFAULT_FOLDER, INT8_FILE, ONNX_FILE
from kd_landmarks.models.compact import save_compact
from kd_landmarks.models.loading import load_detector

CHECKPOINTS = Path(__file__).parent.parent / "checkpoints"


def main(
    source: Annotated[Path, typer.Argument(help="A stage's folder in a finished run.")],
    name: Annotated[str, typer.Argument(help="Of the released network.")],
    data: Annotated[Path, typer.Option(help="Folder with 300w/.")],
    float8_from: Annotated[
        int | None, typer.Option(help="Matrices of so many weights and more are float8.")
    ] = None,
) -> None:
    """Copy a network in half the room, and keep how it was trained among the results."""
    folder = DEFAULT_FOLDER if name == DEFAULT_FOLDER.name else CHECKPOINTS / name
    model, processor = load_detector(source)
    model.config.derived_from = [name]  # for all that comes from it
    shutil.rmtree(folder, ignore_errors=True)
    save_compact(model, processor, folder, float8_from=float8_from)
    faces = str(data / "300w")
    if model.config.head == "integral":
        calibrate(folder, faces, "train")
    if folder == DEFAULT_FOLDER:
        (folder / ONNX_FILE).parent.mkdir()
        export(folder / ONNX_FILE, str(folder))
        export(folder / INT8_FILE, str(folder), int8=True, calibration=faces, split="train")
    training = without_paths(json.loads((source / "training.json").read_text(encoding="utf-8")))
    TRAINING.mkdir(parents=True, exist_ok=True)
    write_json(TRAINING / f"{name}.json", training)
    weights = (folder / "model.safetensors").read_bytes()
    print(f"{folder}: {len(weights) / 1e6:.2f} MB, SHA-256 {hashlib.sha256(weights).hexdigest()}")


if __name__ == "__main__":
    typer.run(main)
