"""Photos in any form that people have them, as upright 8-bit PIL pictures."""

import io
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from ..errors import KDLandmarksError, reason
from ..utils.values import number
from .downloads import MOST_BYTES, download
from .formats import open_picture
from .orientation import turned_upright
from .pixels import in_8_bits, tiles

URL_TIMEOUT = 30.0
"""Seconds that a server may stay silent."""

_CHANNELS = (1, 3, 4)
_ROUNDING = 1e-3  # what resizing and color conversion in floats may go beyond 0 and 1
_SHOWN = 200  # characters of a path in a message: somebody will pass a whole file as base64


def load_photo(photo: Any, timeout: float | None = URL_TIMEOUT) -> Image.Image:
    """A photo as people see it: upright, with 8 bits per channel.

    Args:
        photo: a path; a URL (`http://` or `https://`); the bytes of a picture's file, or a binary
            file that is open (read from where it is; it stays open); the mapping of `bytes` and
            `path` that datasets stores; a PIL picture; an array, (height, width) or with 1 (gray),
            3 (RGB) or 4 (RGBA) channels, last in numpy and first in torch; where that axis cannot
            hold channels, the other one is taken. uint8 and uint16 use their whole range, floats 0
            to 1.
        timeout: seconds that a URL's server may stay silent, and a quarter of what it may take in
            all; None waits forever.

    Returns:
        A loaded picture of any 8-bit mode. Paths, URLs and PIL pictures with an EXIF orientation
        are turned by it, as `PIL.ImageOps.exif_transpose` does. 16 bits are scaled, not clipped;
        a picture's floats (mode F) are taken as 0 to 1 where none is larger, else as 0 to 255.

    Raises:
        KDLandmarksError: if there is no photo there, it is broken, of another format or of more
            pixels than `kd_landmarks.imaging.formats` allows, or its values cannot be understood.
            Pictures and arrays are in memory already, or were opened by the caller: for these there
            is no limit.
    """
    if isinstance(photo, str | os.PathLike):
        return _from_file(os.fspath(photo), timeout)
    if is_stored_image(photo):
        photo = photo["path"] if photo["bytes"] is None else photo["bytes"]
        if isinstance(photo, str):
            return _from_file(photo, timeout)
    if isinstance(photo, bytes | bytearray | memoryview):
        return _decoded(io.BytesIO(photo), f"the photo of {len(photo)} bytes")
    if isinstance(photo, Image.Image):
        try:
            return upright_in_8_bits(photo)
        except KDLandmarksError:
            raise
        except Exception as error:  # Pillow may decode as late as now
            raise KDLandmarksError(f"cannot decode the PIL picture: {error}") from error
    if isinstance(photo, np.ndarray):
        return _from_array(photo)
    if is_tensor(photo):
        tensor = photo.detach().cpu()
        array = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
        return _from_array(array, channels_first=True)
    if hasattr(photo, "read"):
        return _from_open_file(photo)
    raise KDLandmarksError(
        "a photo is a path, a URL, bytes, an open file, a PIL picture, a numpy array or a torch "
        "tensor, not "
        f"{_shortened(repr(photo))} ({type(photo).__name__})"
    )


def is_stored_image(photo: Any) -> bool:
    """Whether it is a picture as datasets stores one: a mapping of `bytes` and `path`."""
    return isinstance(photo, Mapping) and set(photo) == {"bytes", "path"}


def is_tensor(photo: Any) -> bool:
    """Whether it is a torch tensor, in a file that does without torch."""
    return hasattr(photo, "is_floating_point")


def _from_file(source: Any, timeout: float | None) -> Image.Image:
    shown = _shortened(str(source))
    file: Any
    if str(source).startswith(("http://", "https://")):
        file = io.BytesIO(_download(str(source), timeout))
    else:
        file = os.path.expanduser(source)
        if not os.path.isfile(file):
            raise KDLandmarksError(
                f"there is no photo {shown}: give the path of a picture, or a URL that starts with "
                "http:// or https://"
            )
    return _decoded(file, shown)


def _from_open_file(file: Any) -> Image.Image:
    """A picture from a file that somebody has opened, and closes."""
    name = _shortened(str(getattr(file, "name", "the open file")))
    try:
        data = file.read(MOST_BYTES + 1)
        if not isinstance(data, bytes):
            raise KDLandmarksError("it is open as text: open it in binary mode ('rb')")
        if len(data) > MOST_BYTES:
            raise KDLandmarksError(f"it has more than {MOST_BYTES} bytes")
    except KDLandmarksError as error:
        raise KDLandmarksError(f"{name}: {error}") from error
    except Exception as error:  # of whatever kind of file it is
        raise KDLandmarksError(f"cannot read {name}: {error}") from error
    return _decoded(io.BytesIO(data), name)


def _decoded(file: Any, shown: str) -> Image.Image:
    """The picture of a path or a binary stream; messages call it `shown`."""
    try:
        with open_picture(file) as photo:
            return upright_in_8_bits(photo)
    except KDLandmarksError as error:
        raise KDLandmarksError(f"{shown}: {error}") from error
    except Exception as error:  # decoders raise whatever broken bytes lead them to
        raise KDLandmarksError(f"cannot read the photo {shown}: {error}") from error


def _download(url: str, timeout: float | None) -> bytes:
    if timeout is not None:
        number("timeout", timeout)
    try:
        return download(url, timeout)
    except Exception as error:  # each HTTP library has a family of its own
        raise KDLandmarksError(
            f"cannot fetch the photo {_shortened(url)}: {reason(error)}"
        ) from error


def upright_in_8_bits(photo: Image.Image) -> Image.Image:
    """A picture as viewers show it, in an 8-bit mode: 16 bits and floats are scaled, not clipped.

    Raises:
        KDLandmarksError: for an empty picture, and for values of another range.
    """
    photo.load()
    if 0 in photo.size:
        raise KDLandmarksError(f"the photo is empty: {photo.width} x {photo.height} pixels")
    photo = turned_upright(photo)
    if photo.mode == "F":
        return _floats_in_8_bits(photo)
    # Pillow has 16-bit gray files in modes I;16… or I, and its conversion to 8 bits clips both.
    if photo.mode == "I":
        extrema: Any = photo.getextrema()
        low, high = extrema
        if low >= 0 and 255 < high <= 65535:
            return in_8_bits(photo, lambda values: (values >> 8).astype(np.uint8))
        _check_range(np.dtype(np.int32), low, high)
        return in_8_bits(photo, lambda values: values.astype(np.uint8))
    if photo.mode.startswith("I;16"):
        return in_8_bits(photo, lambda values: (values >> 8).astype(np.uint8))
    return photo


def _floats_in_8_bits(photo: Image.Image) -> Image.Image:
    """A gray picture of floats, as some TIFF files are, in mode L.

    Args:
        photo: of mode F, not empty; its values are 0 to 1, or else 0 to 255.

    Raises:
        KDLandmarksError: for values of another range, or that are not finite.
    """
    pieces = (np.asarray(photo.crop(box)) for box in tiles((0, 0, *photo.size)))
    bounds = np.array([(piece.min(), piece.max()) for piece in pieces])
    low, high = bounds[:, 0].min(), bounds[:, 1].max()
    if not (low >= -_ROUNDING and high <= 255 + _ROUNDING):  # NaN neither
        raise KDLandmarksError(
            "a picture of floats (mode F) has values from 0 to 1 or from 0 to 255, this one from "
            f"{low:g} to {high:g}: scale it"
        )
    factor = 255 if high <= 1 + _ROUNDING else 1
    return in_8_bits(photo, lambda values: np.rint(values * factor).astype(np.uint8))


def _from_array(array: np.ndarray, channels_first: bool = False) -> Image.Image:
    shape = array.shape
    if array.ndim == 3:
        axes = (0, 2) if channels_first else (2, 0)
        axis = next((axis for axis in axes if shape[axis] in _CHANNELS), None)
        array = array if axis is None else np.moveaxis(array, axis, 2)
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in _CHANNELS or array.size == 0:
        raise KDLandmarksError(
            f"an array of shape {shape} is not a photo: give (height, width), or 1, 3, 4 channels "
            "last (numpy) or first (torch); give several photos as a list"
        )
    if array.dtype.kind == "f":
        low, high = array.min(), array.max()
        if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):  # NaN neither
            mend = "divide it by 255" if low >= 0 and high > 2 else "scale or clip it to 0 to 1"
            raise KDLandmarksError(
                f"a float photo has values from 0 to 1, this one from {low:g} to {high:g}: "
                f"{mend}, or give uint8"
            )
        array = (array.clip(0, 1) * 255).round().astype(np.uint8)
    elif array.dtype.kind == "b":
        array = array * np.uint8(255)
    elif array.dtype.kind == "u" and array.itemsize == 2:
        array = (array >> 8).astype(np.uint8)
    elif array.dtype.kind in "iu":
        if array.dtype != np.uint8:
            _check_range(array.dtype, array.min(), array.max())
        array = array.astype(np.uint8, copy=False)
    else:
        raise KDLandmarksError(f"an array of {array.dtype} is not a photo: give uint8")
    array = array.reshape(array.shape[:2]) if channels == 1 else array
    return Image.fromarray(np.ascontiguousarray(array))


def _check_range(dtype: np.dtype, low: int, high: int) -> None:
    if not (low >= 0 and high <= 255):
        raise KDLandmarksError(
            f"a photo of {dtype} has values from 0 to 255, this one from {low} to {high}: give "
            "uint8, or uint16 for 16 bits"
        )


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
