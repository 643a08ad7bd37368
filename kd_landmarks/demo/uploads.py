"""What people upload, as photos and clips: looked at with care."""

import base64
import io
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from PIL import Image

from ..errors import KDLandmarksError
from ..imaging.formats import TooLarge, max_megapixels, open_picture
from ..imaging.photos import load_photo
from ..inference.video.reader import VideoInfo, VideoReader
from .received import LARGEST_BYTES, LARGEST_UPLOAD

LONGEST_CLIP = 20
"""Seconds."""
MOST_FRAMES = 60 * LONGEST_CLIP
LARGEST_FRAME = 1920


def uploaded_path(payload: Any) -> str | None:
    """The file of an upload, as it is.

    It stands in for `preprocess` of Gradio's pictures and videos, whose own decodes the file, with
    other libraries and other messages than ours.
    """
    return None if payload is None else payload.path


def read_photo(content: bytes) -> Image.Image:
    """An uploaded photo, upright.

    Raises:
        KDLandmarksError: in words for who uploaded it, if it is not a photo, broken or too large.
    """
    try:
        photo = open_picture(io.BytesIO(content))
    except TooLarge as error:
        raise KDLandmarksError(
            f"This photo has {error.megapixels} megapixels: at most {max_megapixels():g} are "
            "allowed here. Make it smaller, or use the package on your own machine."
        ) from None
    except Exception:  # Pillow's readers raise whatever their format's code raises
        raise KDLandmarksError("This photo cannot be read: try a JPEG, PNG or WebP file.") from None
    try:
        return load_photo(photo)
    except KDLandmarksError:
        if photo.mode == "F":
            raise KDLandmarksError(
                "This picture has values that are neither 0 to 1 nor 0 to 255: scale it."
            ) from None
        raise KDLandmarksError(
            "This photo is broken: a part of the file is missing or damaged. Try another copy."
        ) from None


def data_of(url: str) -> bytes:
    """The content of a data URL, data:TYPE;base64,CONTENT.

    Raises:
        KDLandmarksError: for what is none, or more than a file may have.
    """
    if len(url) > LARGEST_BYTES * 4 / 3 + 100:
        raise KDLandmarksError(f"This picture has more than {LARGEST_UPLOAD} MB.")
    try:
        return base64.b64decode(url.partition(",")[2], validate=True)
    except ValueError:
        raise KDLandmarksError("This picture came damaged.") from None


@contextmanager
def open_clip(content: bytes) -> Iterator[VideoReader]:
    """An uploaded clip.

    Raises:
        KDLandmarksError: in words for who uploaded it, if it is not a video, too long or too large.
    """
    try:
        reader = VideoReader(content)
    except KDLandmarksError:
        raise KDLandmarksError(
            "This video cannot be read, or its frames are too large: try an MP4, WebM or AVI file."
        ) from None
    with closing(reader):
        _check_clip(reader.info)
        yield reader


def _check_clip(info: VideoInfo) -> None:
    seconds = info.seconds
    if seconds > LONGEST_CLIP + 0.5:
        raise KDLandmarksError(
            f"This clip is {seconds:.0f} seconds long: at most {LONGEST_CLIP} seconds are allowed."
        )
    if info.frames > MOST_FRAMES:
        raise KDLandmarksError(
            f"This clip has {info.frames} frames: at most {MOST_FRAMES} are allowed here."
        )
    if max(info.width, info.height) > LARGEST_FRAME:
        raise KDLandmarksError(
            f"This clip has {info.width} x {info.height} pixels: its longer side may have at most "
            f"{LARGEST_FRAME} here."
        )


def as_jpeg(photo: Image.Image, longest_side: int) -> bytes:
    """A photo to look at: RGB, no larger than needed."""
    small = photo.copy() if photo.mode == "RGB" else photo.convert("RGB")
    small.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS, reducing_gap=2)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=88)
    return file.getvalue()
