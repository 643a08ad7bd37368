"""The one way to open a picture: known formats, and no more pixels than memory is meant for."""

import os
import warnings
from typing import Any

from PIL import Image, UnidentifiedImageError

from .errors import KDLandmarksError

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM")
"""Pillow's names of the formats that are read, of its more than forty.

Some of the others run programs on a file's content (EPS: Ghostscript), fetch several gigabytes for
a small file, or have readers that hardly anybody looks after.
"""
LIMIT_VARIABLE = "KD_LANDMARKS_MAX_MEGAPIXELS"
MAX_MEGAPIXELS = 50.0
"""Of a picture, unless the environment variable `KD_LANDMARKS_MAX_MEGAPIXELS` says otherwise.

A photo of so many takes less than 1 GB of memory on its way to its points
(`benchmarks/photo_memory.py`).
"""


def max_megapixels() -> float:
    """The limit in force.

    Raises:
        KDLandmarksError: where the environment variable is no positive number.
    """
    told = os.environ.get(LIMIT_VARIABLE)
    try:
        limit = MAX_MEGAPIXELS if told is None else float(told)
        if not limit > 0:
            raise ValueError
    except ValueError:
        raise KDLandmarksError(
            f"{LIMIT_VARIABLE}={told} is no positive number of megapixels"
        ) from None
    return limit


def open_picture(file: Any) -> Image.Image:
    """A picture of a known format and of a bearable size, its pixels not decoded yet.

    Args:
        file: a path or a binary stream.

    Raises:
        KDLandmarksError: for another format, and for too many pixels; names no file.
        Exception: whatever Pillow's readers raise for a file that is damaged.
    """
    try:
        # Pillow's own limits are on pixels alone, and higher than ours.
        with warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning):
            picture = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        raise KDLandmarksError(
            f"this is no picture of a known format ({', '.join(FORMATS)})"
        ) from None
    except Image.DecompressionBombError:
        raise KDLandmarksError(_too_large("more than 178")) from None
    megapixels = picture.width * picture.height / 1e6
    if megapixels > max_megapixels():
        picture.close()
        raise KDLandmarksError(_too_large(f"{megapixels:.0f}"))
    return picture


def _too_large(megapixels: str) -> str:
    return (
        f"the picture has {megapixels} megapixels, more than {max_megapixels():g}: make it smaller,"
        f" or set {LIMIT_VARIABLE}"
    )
