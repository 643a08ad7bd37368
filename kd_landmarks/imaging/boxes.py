"""The boxes of the faces in a photo."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .crop import check_box, stacked_boxes

# A face of this few pixels shows nothing; boxes like that are shares of the photo's sides.
_LEAST_SIDE = 2.0


def face_boxes(boxes: Any, width: int, height: int) -> np.ndarray:
    """The given boxes, checked against their photo of width x height pixels.

    Args:
        boxes: one box (4,) or several (faces, 4): x0, y0, x1, y1 in pixels of the upright photo,
            tight around the face's points; with a fifth number the roll of a turned face in
            degrees (`crop.square_crop`). May be empty, and may reach out of the photo.
        width: of the upright photo.
        height: of the upright photo.

    Returns:
        (faces, 4) float64, or (faces, 5).

    Raises:
        ValueError: for boxes that are not four finite numbers, have no area, or miss the photo.
    """
    if hasattr(boxes, "tolist"):
        boxes = boxes.tolist()
    if not isinstance(boxes, list | tuple):
        raise ValueError(f"boxes is a list of face boxes x0, y0, x1, y1, not {boxes!r}")
    if boxes and not (isinstance(boxes[0], list | tuple) or getattr(boxes[0], "ndim", 0) > 0):
        boxes = [boxes]
    checked = stacked_boxes([check_box(box) for box in boxes])
    for x0, y0, x1, y1, *_ in checked.tolist():
        if x1 <= -0.5 or y1 <= -0.5 or x0 >= width - 0.5 or y0 >= height - 0.5:
            raise ValueError(
                f"the face box {[x0, y0, x1, y1]} lies outside the photo of {width} x {height} "
                "pixels: is it in pixels of the upright photo (turned by its EXIF orientation), "
                "corners and not x, y, width, height?"
            )
        if max(x1 - x0, y1 - y0) < _LEAST_SIDE:
            raise ValueError(
                f"the face box {[x0, y0, x1, y1]} is smaller than {_LEAST_SIDE:g} pixels: boxes "
                "are in pixels, not in shares of the photo"
            )
    return checked


def tight_box(landmarks: np.ndarray) -> np.ndarray:
    """The box x0, y0, x1, y1 (4,) around landmarks (N, 2), from point to point, no margin.

    Landmarks that are not there (NaN) are left out. Around landmarks on one level line, such as two
    eyes, it is a pixel high, and around those on an upright one a pixel wide.
    """
    low, high = np.nanmin(landmarks, axis=0), np.nanmax(landmarks, axis=0)
    flat = np.float32(high) <= np.float32(low)
    if not flat.all():  # which is no face
        low, high = low - 0.5 * flat, high + 0.5 * flat
    return np.concatenate([low, high])


def part_of_boxes(boxes: np.ndarray, part: Sequence[float]) -> np.ndarray:
    """The same part of each box, turned with it.

    Args:
        boxes: (faces, 4) or, with their rolls, (faces, 5).
        part: x0, y0, x1, y1 (4,) in the box held upright; 0, 0, 1, 1 is all of it.
    """
    start, end = np.asarray(part[:2]), np.asarray(part[2:])
    low, high = boxes[:, :2], boxes[:, 2:4]
    half = (high - low) * (end - start) / 2
    across, down = ((high - low) * (start + end - 1) / 2).T
    roll = np.radians(boxes[:, 4]) if boxes.shape[1] > 4 else np.zeros(len(boxes))
    cosine, sine = np.cos(roll), np.sin(roll)
    moved = np.column_stack([across * cosine - down * sine, across * sine + down * cosine])
    middle = (low + high) / 2 + moved
    return np.column_stack([middle - half, middle + half, boxes[:, 4:]])


def overlaps(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Of each of the boxes (faces, 4) with one box (4,): shared area over joint area, 0 to 1.

    Rolls are left out.
    """
    shared, areas, area = shared_areas(boxes, box)
    return shared / (areas + area - shared)


def shared_areas(boxes: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """What each of the boxes (faces, 4 or more) shares with one box, its area, and the one's."""
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:4], box[2:4])
    areas = (boxes[:, 2:4] - boxes[:, :2]).prod(1)
    return (high - low).clip(0).prod(1), areas, (box[2:4] - box[:2]).prod()
