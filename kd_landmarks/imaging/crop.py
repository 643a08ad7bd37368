"""The one square crop that training, evaluation, pipelines and exported models share.

A face box becomes a square of whole photo pixels, `margin` times the longer side of the box, around
the box's center. Whole pixels make the crop exact: what the network sees and what its points are
mapped back with is the same square, to the last digit.

Crop units: 0 to 1 spans the square, coordinate = (x + 0.5) / side for the center x of a pixel.
Points may lie outside 0 to 1. This file imports numpy alone: repositories on the Hub carry it too.
"""

from typing import Any

import numpy as np

Square = tuple[int, int, int]
"""left, top, side in whole photo pixels."""

# A box this many times longer than the photo is a mistake (swapped units, a stray zero), and its
# crop would only cost memory.
MAX_CROP_TO_PHOTO = 16


def check_box(box: Any, where: str = "") -> np.ndarray:
    """A face box as float64 (4,): x0, y0, x1, y1 in photo pixels.

    Raises:
        ValueError: if it is not four finite numbers with x1 > x0 and y1 > y0; `where` starts the
            message.
    """
    try:
        array = np.asarray(box, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.shape != (4,) or not np.isfinite(array).all():
        raise ValueError(f"{where}a face box is four finite numbers x0, y0, x1, y1, not {box!r}")
    if array[2] <= array[0] or array[3] <= array[1]:
        raise ValueError(
            f"{where}the face box {array.tolist()} is degenerate: x1 must exceed x0 and y1 exceed "
            "y0 (corners, not x, y, width, height)"
        )
    return array


def square_crop(box: Any, margin: float) -> Square:
    """The square crop around a face box.

    Args:
        box: x0, y0, x1, y1 in photo pixels, pixel centers at whole numbers.
        margin: side of the crop divided by the longer side of the box, > 0.

    Returns:
        (left, top, side) in whole photo pixels: the crop covers the pixels left … left + side − 1.

    Raises:
        ValueError: for a degenerate box (see `check_box`).
    """
    x0, y0, x1, y1 = check_box(box)
    side = max(1, round(margin * max(x1 - x0, y1 - y0)))
    # The crop's own center, in pixel centers, is left + (side - 1) / 2.
    left = round((x0 + x1) / 2 - (side - 1) / 2)
    top = round((y0 + y1) / 2 - (side - 1) / 2)
    return left, top, side


def to_crop_units(points: Any, crop: Square) -> Any:
    """Photo pixels to crop units; (…, 2) numpy arrays or torch tensors, same type out."""
    left, top, side = crop
    return (points - _like(points, (left, top)) + 0.5) / side


def to_photo_pixels(points: Any, crop: Square) -> Any:
    """Crop units to photo pixels: the inverse of `to_crop_units`."""
    left, top, side = crop
    return points * side - 0.5 + _like(points, (left, top))


def _like(points: Any, offset: tuple[int, int]) -> Any:
    if isinstance(points, np.ndarray):
        return np.asarray(offset, dtype=points.dtype)
    return points.new_tensor(offset)


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
    if crop[2] > MAX_CROP_TO_PHOTO * max(width, height):
        raise ValueError(
            f"the crop of {crop[2]} pixels is more than {MAX_CROP_TO_PHOTO} times the photo of "
            f"{width} x {height}: are the box and the photo in the same units?"
        )
