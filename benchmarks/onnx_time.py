"""How long exported detectors take for a face."""

import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kd_landmarks.inference.backends.onnx import OnnxBackend

ROUNDS, WARM_UP = 1000, 50


def milliseconds_a_face(files: Sequence[Path]) -> list[float]:
    """Median milliseconds of one face on one core in ONNX Runtime, all detectors in turns."""
    detectors = [OnnxBackend(file, threads=1) for file in files]
    sides = [detector.description.image_size for detector in detectors]
    faces = [np.zeros((1, 3, side, side), np.float32) for side in sides]
    times: list[list[float]] = [[] for _ in files]
    for _ in range(ROUNDS):
        for detector, face, found in zip(detectors, faces, times, strict=True):
            start = time.perf_counter()
            detector.run(face)
            found.append(1000 * (time.perf_counter() - start))
    return [statistics.median(found[WARM_UP:]) for found in times]
