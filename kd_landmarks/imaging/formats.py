"""The one way to open a picture: known formats, and no more pixels than fit in memory."""

import os
import warnings
from typing import Any

from PIL import Image, UnidentifiedImageError

from ..errors import KDLandmarksError
from .headers import check_header, check_tiles

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM")
"""Pillow's names of the formats that are read, of its more than forty.

JPEG is MPO, too: phones' files with a second picture behind the first, which alone is read. Some of
the others run programs on a file's content (EPS: Ghostscript), fetch several gigabytes for
a small file, or have readers that hardly anybody looks after.
"""
LIMIT_VARIABLE = "KD_LANDMARKS_MAX_MEGAPIXELS"
MAX_MEGAPIXELS = 50.0
"""Of a picture, unless the environment variable `KD_LANDMARKS_MAX_MEGAPIXELS` says otherwise.

A photo of so many takes less than 1 GB of memory on its way to its points
(`benchmarks/photo_memory.py`).
"""

LONGEST_SIDE = 65_535
"""Pixels: a JPEG has no more.

Pillow's readers count in rows, of which a few bytes of a file may skip hundreds at a time.
"""


class TooLarge(KDLandmarksError):
    """A picture of more pixels than the limit; `megapixels` says how many, in words."""

    def __init__(self, megapixels: str) -> None:
        self.megapixels = megapixels
        super().__init__(
            f"the picture has {megapixels} megapixels, more than {max_megapixels():g}: make it "
            f"smaller, or set {LIMIT_VARIABLE}"
        )


def max_megapixels() -> float:
    """The limit in force.

    Raises:
        KDLandmarksError: where the environment variable is not a positive number.
    """
    told = os.environ.get(LIMIT_VARIABLE)
    try:
        limit = MAX_MEGAPIXELS if told is None else float(told)
        if not limit > 0:
            raise ValueError
    except ValueError:
        raise KDLandmarksError(
            f"{LIMIT_VARIABLE}={told} is not a positive number of megapixels"
        ) from None
    return limit


def endings() -> set[str]:
    """The endings of the known formats' files, in small letters, with their dots."""
    known = (*FORMATS, "MPO")
    return {ending for ending, name in Image.registered_extensions().items() if name in known}


def open_picture(file: Any) -> Image.Image:
    """A picture of a known format and of a bearable size, its pixels not decoded yet.

    Args:
        file: a path or a binary stream.

    Raises:
        KDLandmarksError: for another format, (`TooLarge`) for too many pixels, and for too much
            around them (`kd_landmarks.imaging.headers`); names no file.
        Exception: whatever Pillow's readers raise for a file that is damaged.
    """
    if isinstance(file, str | os.PathLike):
        with open(file, "rb") as header:
            check_header(header)
    else:
        check_header(file)
    try:
        # Pillow's own limits are on pixels alone, and higher than ours.
        with warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning):
            picture = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        raise KDLandmarksError(
            f"it is not a picture of a format that is read ({', '.join(FORMATS)}): convert it"
        ) from None
    except Image.DecompressionBombError:
        raise TooLarge("more than 178") from None
    try:
        megapixels = picture.width * picture.height / 1e6
        if megapixels > max_megapixels():
            raise TooLarge(f"{megapixels:.0f}")
        if max(picture.size) > LONGEST_SIDE:
            raise KDLandmarksError(
                f"the picture has {picture.width} x {picture.height} pixels, more than "
                f"{LONGEST_SIDE} on a side: cut it"
            )
        check_tiles(picture)
    except KDLandmarksError:
        picture.close()
        raise
    return picture
