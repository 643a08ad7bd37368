"""The one way to open a picture: known formats, and no more pixels than fit in memory."""

import os
import warnings
from functools import cache
from importlib.util import find_spec
from typing import Any

from PIL import Image, UnidentifiedImageError

from ..errors import KDLandmarksError
from .headers import check_header, check_tiles, is_heif

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM")
"""Pillow's names of the formats that are read, of its more than forty.

JPEG is MPO, too: phones' files with a second picture behind the first, which alone is read. Some of
the others run programs on a file's content (EPS: Ghostscript), fetch several gigabytes for
a small file, or have readers that hardly anybody looks after.
"""
HEIF_ENDINGS = (".heic", ".heif", ".hif")
"""Of phones' photos, which Pillow reads with the package pillow-heif (the extra `heic`)."""
OTHER_PICTURES = (
    *(".arw", ".cr2", ".cr3", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2"),
    *(".srw", ".bpg", ".dcm", ".dds", ".eps", ".exr", ".fits", ".hdr", ".icns", ".ico", ".j2k"),
    *(".jp2", ".jpx", ".jxl", ".jxr", ".pcx", ".psd", ".qoi", ".sgi", ".svg", ".tga", ".xcf"),
)
"""Endings of pictures of formats that are not read: who has such a photo is to hear of it."""
LIMIT_VARIABLE = "KD_LANDMARKS_MAX_MEGAPIXELS"
MAX_MEGAPIXELS = 50.0
"""Of a picture, unless the environment variable `KD_LANDMARKS_MAX_MEGAPIXELS` says otherwise.

A photo of so many takes less than 1 GB of memory on its way to its points
(`benchmarks/photo_memory.py`).
"""
MOST_MEGAPIXELS = 178
"""Beyond that Pillow refuses a picture by itself."""

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
        KDLandmarksError: where the environment variable is no number above 0 and up to
            `MOST_MEGAPIXELS`.
    """
    told = os.environ.get(LIMIT_VARIABLE)
    try:
        limit = MAX_MEGAPIXELS if told is None else float(told)
        if not 0 < limit <= MOST_MEGAPIXELS:
            raise ValueError
    except ValueError:
        raise KDLandmarksError(
            f"{LIMIT_VARIABLE}={told} is not a number of megapixels, up to {MOST_MEGAPIXELS}"
        ) from None
    return limit


def endings() -> set[str]:
    """The endings of the known formats' files, in small letters, with their dots."""
    known = (*FORMATS, "MPO")
    own = {ending for ending, name in Image.registered_extensions().items() if name in known}
    return {*own, *HEIF_ENDINGS}


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
            heif = is_heif(header)
    else:
        check_header(file)
        heif = is_heif(file)
    formats = (*FORMATS, _heif_reader()) if heif else FORMATS
    try:
        # Pillow's own limits are on pixels alone, and higher than ours.
        with warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning):
            picture = Image.open(file, formats=formats)
    except UnidentifiedImageError:
        raise KDLandmarksError(
            f"it is not a picture in a supported format ({', '.join(FORMATS)}): convert it"
        ) from None
    except Image.DecompressionBombError:
        raise TooLarge(f"more than {MOST_MEGAPIXELS}") from None
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


@cache
def _heif_reader() -> str:
    """Pillow's name of the format of HEIC files, which it reads from now on: the picture alone.

    The library behind it has limits of its own, on the parts of a file among others.

    Raises:
        KDLandmarksError: where the package that reads them is not installed.
    """
    if find_spec("pillow_heif") is None:
        raise KDLandmarksError(
            "it is a HEIC picture, which needs the package pillow-heif: pip install pillow-heif, "
            "or convert it to JPEG"
        )
    from pillow_heif import register_heif_opener

    register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
    return "HEIF"
