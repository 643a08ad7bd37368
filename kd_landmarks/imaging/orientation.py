"""The EXIF orientation of a picture: what viewers turn it by, and how to have it unturned."""

import io
import struct

from PIL import ExifTags, Image

from .formats import open_picture

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Of what Pillow knows of a picture, what it reads the orientation from.
_SAYS_ORIENTATION = ("exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp")
SWAPPED = (5, 6, 7, 8)
"""Orientations at which width and height change places."""


def orientation_of(photo: Image.Image) -> int:
    """1 to 8 as EXIF counts them; 1, upright, where a picture does not say."""
    try:
        found = photo.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a good photo whose EXIF block is broken
        return 1
    return found if found in range(1, 9) else 1


def turned_upright(photo: Image.Image) -> Image.Image:
    """The photo as viewers show it."""
    if orientation_of(photo) == 1:
        return photo
    photo.load()  # which turns a TIFF file by itself
    orientation = orientation_of(photo)
    if orientation == 1:
        return photo
    # Pillow's `exif_transpose` writes the EXIF block anew, which fails where any value of it has
    # another type than the standard's. Without its block the photo is not turned twice.
    turned = photo.transpose(_TURNS[orientation])
    turned.info = {key: told for key, told in photo.info.items() if key not in _SAYS_ORIENTATION}
    turned.format = photo.format
    return turned


def without_orientation(data: bytes) -> bytes:
    """The bytes of a picture's file that viewers show as it is stored.

    In JPEG and WebP files the orientation is set to 1; other pictures are written anew, as PNG.
    What is upright or no picture stays as it is, and so do TIFF files, which readers turn by
    themselves.
    """
    try:
        with open_picture(io.BytesIO(data)) as photo:
            if orientation_of(photo) == 1 or photo.format == "TIFF":
                return data
            if photo.format in ("JPEG", "MPO", "WEBP"):
                return _with_orientation_1(data, photo.info["exif"].removeprefix(b"Exif\0\0"))
            file = io.BytesIO()
            photo.save(file, "PNG", exif=Image.Exif())
            return file.getvalue()
    except Exception:  # no picture: whoever decodes it says so
        return data


def _with_orientation_1(data: bytes, tiff: bytes) -> bytes:
    """The bytes with the orientation of their EXIF block, which begins as a TIFF file does."""
    start = data.find(tiff) if tiff else -1
    if start < 0:
        return data
    order = "<" if tiff.startswith(b"II") else ">"
    (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
    (entries,) = struct.unpack_from(f"{order}H", tiff, directory)
    for number in range(entries):
        place = directory + 2 + 12 * number
        (tag,) = struct.unpack_from(f"{order}H", tiff, place)
        if tag == ExifTags.Base.Orientation:
            value = start + place + 8
            return data[:value] + struct.pack(f"{order}H", 1) + data[value + 2 :]
    return data
