"""The released students in ONNX Runtime, in floats and in int8: error, time and size.

    python benchmarks/students_onnx.py --data "$KD_LANDMARKS_DATA"

Scores all faces of 300W common and the 106 WFLW faces (ground-truth box), times one face on one
core, all in turns, and records `results/students_onnx.json`. The package's student is measured in
the files that the package brings; the others are exported as `kd-landmarks export` does it.
"""

import tempfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from onnx_time import milliseconds_a_face
from record import print_table, record

from kd_landmarks import default_checkpoint, load_rows
from kd_landmarks.cli.export import export
from kd_landmarks.data.columns import box_array, point_array
from kd_landmarks.data.photos import Photos
from kd_landmarks.evaluation.metrics import nme
from kd_landmarks.inference.checkpoints import INT8_FILE, ONNX_FILE
from kd_landmarks.inference.pipeline import FaceLandmarkPipeline
from kd_landmarks.schemes import get_scheme

CHECKPOINTS = Path(__file__).parent.parent / "checkpoints"
STUDENTS = {
    "student": Path(default_checkpoint()),
    "160 pixels": CHECKPOINTS / "mobilenetv2-300w-160",
    "nano student": CHECKPOINTS / "mobilenetv2-300w-nano",
}
SCHEME = get_scheme("ibug68")
TESTS = {"300W common": ("300w", "common"), "106 WFLW faces": ("wflw/faces.jsonl", None)}
SEED = 0


def main(data: Annotated[Path, typer.Option(help="Folder with 300w/ and wflw/.")]) -> None:
    """Export, score, time, print and record."""
    tests = {
        name: load_rows(data / path, split, scheme=SCHEME) for name, (path, split) in TESTS.items()
    }
    measured: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        files: dict[str, Path] = {}
        for name, checkpoint in STUDENTS.items():
            exact, small = checkpoint / ONNX_FILE, checkpoint / INT8_FILE
            if not small.is_file():
                exact, small = Path(folder, f"{name}.onnx"), Path(folder, f"{name}.int8.onnx")
                export(exact, str(checkpoint))
                faces = str(data / "300w")
                export(small, str(checkpoint), int8=True, calibration=faces, split="train")
            files |= {name: exact, f"{name}, int8": small}
        times = milliseconds_a_face(list(files.values()))
        for (name, file), milliseconds in zip(files.items(), times, strict=True):
            detector = FaceLandmarkPipeline(file)
            measured[name] = {
                "nme": {test: mean_error(detector, rows) for test, rows in tests.items()},
                "milliseconds": milliseconds,
                "bytes": file.stat().st_size,
            }
    header = ("ONNX Runtime", *(f"{test}: NME %" for test in TESTS), "ms a face", "MB")
    rows = [
        (
            name,
            *(f"{error:.2f}" for error in told["nme"].values()),
            f"{told['milliseconds']:.2f}",
            f"{told['bytes'] / 1e6:.1f}",
        )
        for name, told in measured.items()
    ]
    print_table(header, rows)
    print(record("students_onnx", measured, SEED))


def mean_error(detector: FaceLandmarkPipeline, rows: Any) -> float:
    """NME in percent over faces, each in its ground-truth box."""
    photos, boxes, truth = Photos(rows), box_array(rows), point_array(rows, "landmarks")
    found = [
        detector(photos.open(index), boxes=box)[0].keypoints for index, box in enumerate(boxes)
    ]
    return float(np.mean(nme(np.stack(found), truth, SCHEME)))


if __name__ == "__main__":
    typer.run(main)
