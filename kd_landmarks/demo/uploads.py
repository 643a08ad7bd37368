"""What people upload: looked at with care, and not kept."""

import io
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock, Timer
from typing import Any

from PIL import Image

from ..errors import KDLandmarksError
from ..inference.photos import load_photo
from ..inference.video import VideoInfo, VideoReader

LARGEST_UPLOAD = 50
"""Megabytes: the server takes no more in one file."""
MOST_MEGAPIXELS = 50
LONGEST_CLIP = 20
"""Seconds."""
LARGEST_FRAME = 1920


def uploaded_path(payload: Any) -> str | None:
    """The file of an upload, as it is.

    It stands in for `preprocess` of Gradio's pictures and videos, whose own decodes the file, with
    other libraries and other messages than ours.
    """
    return None if payload is None else payload.path


class Uploads:
    """Takes uploaded files off the disk, into memory.

    The page shows what is sent until the answer is there: the file is deleted a little later than
    it is read. Gradio names a file by its content: the same photo, sent twice at a time, is one
    file. So what was taken is remembered for as long as the other one may wait for its turn.

    Args:
        kept: seconds for which the file is there after it was read.
        seconds: to remember for.
        megabytes: to remember at most.
    """

    def __init__(self, kept: float = 2.0, seconds: float = 60.0, megabytes: float = 100.0) -> None:
        self._kept = kept
        self._seconds, self._bytes = seconds, megabytes * 1e6
        self._taken: dict[str, tuple[float, bytes]] = {}
        self._lock = Lock()

    def take(self, path: str | Path) -> bytes:
        """The content of an upload, whose file is soon gone.

        Raises:
            KDLandmarksError: if it is gone already.
        """
        path = Path(path)
        with self._lock:
            now = time.monotonic()
            try:
                content = path.read_bytes()
            except OSError:
                if str(path) not in self._taken:
                    raise KDLandmarksError(
                        "The upload is not there any more: please send it again."
                    ) from None
                content = self._taken.pop(str(path))[1]
            self._taken[str(path)] = now, content
            self._forget(now)
        later = Timer(self._kept, _delete, [path])
        later.daemon = True
        later.start()
        return content

    def _forget(self, now: float) -> None:
        """Drop what is old, and the oldest of what is too much; dicts keep their order."""
        total = sum(len(content) for _, content in self._taken.values())
        for name, (taken, content) in list(self._taken.items()):
            if now - taken > self._seconds or total > self._bytes:
                del self._taken[name]
                total -= len(content)


def _delete(path: Path) -> None:
    """Gradio gives each content a folder of its own."""
    with suppress(OSError):
        path.unlink(missing_ok=True)
        path.parent.rmdir()


def read_photo(content: bytes) -> Image.Image:
    """An uploaded photo, upright.

    Raises:
        KDLandmarksError: in words for who uploaded it, where it is no photo, broken or too large.
    """
    try:
        photo = Image.open(io.BytesIO(content))
    except Image.DecompressionBombError:
        raise KDLandmarksError(_too_large("more than 178")) from None
    except Exception:  # Pillow's readers raise whatever their format's code raises
        raise KDLandmarksError(
            "This file is no photo that can be read: try a JPEG, PNG or WebP file."
        ) from None
    if photo.width * photo.height > MOST_MEGAPIXELS * 1e6:
        raise KDLandmarksError(_too_large(f"{photo.width * photo.height / 1e6:.0f}"))
    try:
        return load_photo(photo)
    except KDLandmarksError:
        raise KDLandmarksError(
            "This photo is broken: a part of the file is missing or damaged. Try another copy."
        ) from None


@contextmanager
def open_clip(content: bytes) -> Iterator[VideoReader]:
    """An uploaded clip; OpenCV reads files, so it is one again for so long.

    Raises:
        KDLandmarksError: in words for who uploaded it, where it is no video, too long or too large.
    """
    with TemporaryDirectory() as folder:
        file = Path(folder) / "clip"
        file.write_bytes(content)
        try:
            reader = VideoReader(file)
        except KDLandmarksError:
            raise KDLandmarksError(
                "This file is no video that can be read: try an MP4, WebM or AVI file."
            ) from None
        with closing(reader):
            _check_clip(reader.info)
            yield reader


def _check_clip(info: VideoInfo) -> None:
    seconds = info.frames / info.rate
    if seconds > LONGEST_CLIP + 0.5:
        raise KDLandmarksError(
            f"This clip is {seconds:.0f} seconds long: at most {LONGEST_CLIP} can be done here."
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


def _too_large(megapixels: str) -> str:
    return (
        f"This photo has {megapixels} megapixels: at most {MOST_MEGAPIXELS} can be done here. Make "
        "it smaller, or use the package on your own machine."
    )
