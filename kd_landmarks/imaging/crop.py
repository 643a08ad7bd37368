"""The one square crop that training, evaluation, pipelines and exported models share.

A face box becomes a square of whole photo pixels, `margin` times the longer side of the box, around
the box's center. Whole pixels make the crop exact: what the network sees and what its points are
mapped back with is the same square, to the last digit. The square of a turned face is turned along:
a box may have a fifth number, the face's roll in degrees, clockwise as one sees the photo. Box and
square are then those of the face held upright, turned by the roll around their center.

Crop units: 0 to 1 spans the square, coordinate = (x + 0.5) / side for the center x of a pixel.
Points may lie outside 0 to 1. This file needs numpy alone: repositories on the Hub carry it too.
"""

import math
from typing import Any, NamedTuple

import numpy as np


class Square(NamedTuple):
    """A crop in whole photo pixels, turned by `roll` degrees clockwise around its center."""

    left: int
    top: int
    side: int
    roll: float = 0.0


# Around a turned square: the square of whole pixels with the same center that covers it.
_COVER = (math.sqrt(2) - 1) / 2

# A box this many times longer than the photo is a mistake (swapped units, a stray zero), and its
# crop would only cost memory.
MAX_CROP_TO_PHOTO = 16
# Numbers beyond it are no pixels of a photo, and sums of them have no whole pixels.
MAX_COORDINATE = 1e9


def check_box(box: Any, where: str = "") -> np.ndarray:
    """A face box as float64: x0, y0, x1, y1 in photo pixels (4,), with a roll in degrees (5,).

    Raises:
        ValueError: if it is not four finite numbers below `MAX_COORDINATE` with x1 > x0 and
            y1 > y0, or five; `where` starts the message.
    """
    try:
        array = np.asarray(box, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        array = np.empty(0)
    # NaN is not below it either.
    if array.shape not in ((4,), (5,)) or not (np.abs(array) < MAX_COORDINATE).all():
        raise ValueError(
            f"{where}a face box is four finite numbers x0, y0, x1, y1 below {MAX_COORDINATE:.0e}, "
            f"and a fifth, its roll in degrees, where the face is turned, not {str(box)[:200]}"
        )
    if array[2] <= array[0] or array[3] <= array[1]:
        raise ValueError(
            f"{where}the face box {array.tolist()} is degenerate: x1 must exceed x0 and y1 exceed "
            "y0 (corners, not x, y, width, height)"
        )
    return array


def stacked_boxes(boxes: Any) -> np.ndarray:
    """Checked boxes as one array (faces, 4), or (faces, 5) where any has a roll."""
    width = max((len(box) for box in boxes), default=4)
    rows = [np.pad(box, (0, width - len(box))) for box in boxes]
    return np.array(rows, dtype=np.float64).reshape(-1, width)


def upright_box(points: np.ndarray, roll: float) -> np.ndarray:
    """The box (5,) of a face that is turned by `roll` degrees, tight around its points (N, 2).

    Around points on one line it is a pixel wide or high.
    """
    held = _turned(points, -roll, (0.0, 0.0))
    low, high = held.min(axis=0), held.max(axis=0)
    center = _turned((low + high) / 2, roll, (0.0, 0.0))
    half = np.maximum((high - low) / 2, 0.5)
    return np.array([*(center - half), *(center + half), roll])


def square_crop(box: Any, margin: float) -> Square:
    """The square crop around a face box.

    Args:
        box: x0, y0, x1, y1 in photo pixels, pixel centers at whole numbers, and the face's roll in
            degrees where it is turned.
        margin: side of the crop divided by the longer side of the box, > 0.

    Returns:
        left, top, side in whole photo pixels: the crop covers the pixels left … left + side − 1,
        before it is turned by the box's roll.

    Raises:
        ValueError: for a degenerate box (see `check_box`).
    """
    x0, y0, x1, y1, *roll = check_box(box).tolist()
    side = max(1, round(margin * max(x1 - x0, y1 - y0)))
    # The crop's own center, in pixel centers, is left + (side - 1) / 2.
    left = round((x0 + x1) / 2 - (side - 1) / 2)
    top = round((y0 + y1) / 2 - (side - 1) / 2)
    return Square(left, top, side, *roll)


def covering(crop: Square) -> Square:
    """The upright square around a turned one, with the same center."""
    more = math.ceil(crop.side * _COVER) + 1
    return Square(crop.left - more, crop.top - more, crop.side + 2 * more)


def to_crop_units(points: Any, crop: Square) -> Any:
    """Photo pixels to crop units; (…, 2) numpy arrays or torch tensors, same type out."""
    if crop.roll:
        points = _turned(points, -crop.roll, _center(crop))
    return (points - _like(points, crop[:2]) + 0.5) / crop.side


def to_photo_pixels(points: Any, crop: Square) -> Any:
    """Crop units to photo pixels: the inverse of `to_crop_units`."""
    points = points * crop.side - 0.5 + _like(points, crop[:2])
    return _turned(points, crop.roll, _center(crop)) if crop.roll else points


def _center(crop: Square) -> tuple[float, float]:
    return crop.left + (crop.side - 1) / 2, crop.top + (crop.side - 1) / 2


def _turned(points: Any, degrees: float, center: tuple[float, float]) -> Any:
    """Points (…, 2) turned clockwise, as y points down, around a center."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    middle = _like(points, center)
    return (points - middle) @ _like(points, ((cosine, sine), (-sine, cosine))) + middle


def _like(points: Any, values: Any) -> Any:
    if isinstance(points, np.ndarray):
        return np.asarray(values, dtype=points.dtype)
    return points.new_tensor(values)


def check_finite(values: Any, what: str) -> None:
    """Refuse numbers that nothing can be made of.

    Args:
        values: an array, or a tensor on the CPU.
        what: they are, in the plural.

    Raises:
        ValueError: for NaN and infinite numbers.
    """
    if not np.isfinite(np.asarray(values)).all():
        raise ValueError(
            f"{what} are not finite: the detector's weights or its image processor are broken, or "
            "dtype has too small a range for them"
        )


def check_crop_size(crop: Square, width: int, height: int) -> None:
    """Refuse a crop that is absurdly larger than its photo of width x height pixels.

    Raises:
        ValueError: if the crop's side exceeds `MAX_CROP_TO_PHOTO` times the photo's longer side.
    """
    if crop.side > MAX_CROP_TO_PHOTO * max(width, height):
        raise ValueError(
            f"the crop of {crop.side} pixels is more than {MAX_CROP_TO_PHOTO} times the photo of "
            f"{width} x {height}: are the box and the photo in the same units?"
        )
