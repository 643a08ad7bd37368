"""Values that callers give: told by name, with what there is, before any work."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import KDLandmarksError, shown

TABLES = (".jsonl", ".csv", ".json")
"""Endings of files for points: a photo a line, a face a row, or COCO keypoints."""
EXPORTS = (".onnx", ".xml")
"""Endings of exported detectors: ONNX, or OpenVINO."""
MAX_COUNT = 2**31 - 1
"""The largest whole number that is taken: libraries count in 32 bits."""
VIDEOS = (".mp4", ".webm")
"""Endings of videos that are written: what browsers play, and what keeps each frame's time."""


def whole(name: str, value: Any, least: int = 1) -> int:
    """A whole number that numpy and torch can count with.

    Raises:
        KDLandmarksError: naming it, where it is something else, less than `least` or beyond
            `MAX_COUNT`.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < least:
        raise KDLandmarksError(f"{name}={shown(value)}: give a whole number, {least} or more")
    if value > MAX_COUNT:
        raise KDLandmarksError(f"{name}={shown(value)}: give a whole number, {MAX_COUNT} at most")
    return int(value)


def number(name: str, value: Any, least: float = 0.0, most: float = math.inf) -> float:
    """A finite number.

    Raises:
        KDLandmarksError: naming it, where it is something else, or not from `least` to `most`.
    """
    try:
        sound = not isinstance(value, str | bytes | bool) and math.isfinite(value)
        sound = sound and least <= value <= most
    except (TypeError, ValueError, OverflowError):
        sound = False
    if not sound:
        wanted = f"{least:g} or more" if math.isinf(most) else f"from {least:g} to {most:g}"
        raise KDLandmarksError(f"{name}={shown(value)}: give a number, {wanted}")
    return float(value)


def one_of(name: str, value: Any, choices: Iterable[str]) -> str:
    """One of some words.

    Raises:
        KDLandmarksError: naming it and them.
    """
    choices = list(choices)
    if not isinstance(value, str) or value not in choices:
        raise KDLandmarksError(f"{name}={shown(value)}: give one of {', '.join(choices)}")
    return value


def ending(name: str, path: Path, endings: Iterable[str]) -> str:
    """The ending of a file's name, in lower case.

    Raises:
        KDLandmarksError: naming the file and the endings that there are.
    """
    endings = list(endings)
    if path.suffix.lower() not in endings:
        raise KDLandmarksError(f"{name} {path}: its name must end with {' or '.join(endings)}")
    return path.suffix.lower()
