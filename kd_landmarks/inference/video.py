"""Video files in, annotated video files and tables out."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import KDLandmarksError
from ..imaging.drawing import draw_landmarks
from ..imaging.formats import LIMIT_VARIABLE, max_megapixels
from ..schemes import LandmarkScheme
from ..utils.values import CODECS, ending
from .results import Face
from .tracking import FaceTracker

# How files of the containers that are read begin: (at this byte, with this). FFmpeg would also take
# texts that list other files (HLS, ffconcat, SDP), and open those.
_CONTAINERS = (
    *((4, kind) for kind in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")),  # MP4, MOV
    (0, b"\x1aE\xdf\xa3"),  # WebM, Matroska
    (8, b"AVI "),
    (0, b"OggS"),
    (0, b"FLV\x01"),
    (0, b"\x30\x26\xb2\x75"),  # ASF, WMV
    (0, b"\x00\x00\x01\xba"),  # MPEG program stream
    (188, b"\x47"),  # MPEG transport stream
)
_USUAL_RATE = 30.0


@dataclass(frozen=True)
class VideoInfo:
    """A video's frames per second, size in pixels, and number of frames (0: not known)."""

    rate: float
    width: int
    height: int
    frames: int


class VideoReader:
    """The frames of a video file, RGB.

    Args:
        path: of the file.

    Raises:
        KDLandmarksError: if there is none, or OpenCV cannot read it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(os.path.expanduser(path))
        if not self.path.is_file():
            raise KDLandmarksError(f"there is no video {path}")
        if not _is_container(self.path):
            raise KDLandmarksError(
                f"{path} is not a video of a known kind: give MP4, MOV, WebM, Matroska, AVI, Ogg, "
                "FLV, WMV or MPEG"
            )
        self._capture = cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG)
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        width, height, frames = (
            int(self._capture.get(key))
            for key in (
                cv2.CAP_PROP_FRAME_WIDTH,
                cv2.CAP_PROP_FRAME_HEIGHT,
                cv2.CAP_PROP_FRAME_COUNT,
            )
        )
        if not self._capture.isOpened() or width < 1 or height < 1:
            raise KDLandmarksError(f"{path} is not a video that OpenCV can read")
        if width * height > 1e6 * max_megapixels():
            raise KDLandmarksError(
                f"{path} has frames of {width} x {height} pixels: at most {max_megapixels():g} "
                f"megapixels are read, or what {LIMIT_VARIABLE} says"
            )
        rate = rate if np.isfinite(rate) and rate > 0 else _USUAL_RATE
        self.info = VideoInfo(rate, width, height, max(0, frames))

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Each frame as (height, width, 3) uint8."""
        while True:
            there, frame = self._capture.read()
            if not there:
                return
            yield np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8)

    def close(self) -> None:
        """Let go of the file."""
        self._capture.release()


def _is_container(path: Path) -> bool:
    """Whether a file begins as a container of video does."""
    try:
        with path.open("rb") as file:
            begin = file.read(192)
    except OSError as error:
        raise KDLandmarksError(f"cannot read {path}: {error.strerror or error}") from error
    return any(begin[place : place + len(word)] == word for place, word in _CONTAINERS)


class VideoWriter:
    """Writes RGB frames to a video file, without sound.

    Args:
        path: ends with .mp4, .avi, or .webm, which browsers play.
        info: rate and size.

    OpenCV says nothing of frames that do not get to the disk: `check_frames` does, once the file is
    closed.

    Raises:
        KDLandmarksError: for another ending.
        OSError: where the file cannot be written.
    """

    def __init__(self, path: str | Path, info: VideoInfo) -> None:
        path = Path(os.path.expanduser(path))
        codec = cv2.VideoWriter.fourcc(*CODECS[ending("video", path, CODECS)])
        path.parent.mkdir(parents=True, exist_ok=True)
        with _without_stderr():
            self._writer = cv2.VideoWriter(str(path), codec, info.rate, (info.width, info.height))
        if not self._writer.isOpened():
            raise OSError(f"OpenCV cannot begin {path.suffix} files of such frames there")

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Append a frame (height, width, 3)."""
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        """Finish the file."""
        self._writer.release()


def check_frames(path: Path, frames: int) -> None:
    """See that all frames of a closed video got to the disk.

    The packets of frames are counted, which takes no decoding, and compared with the number in the
    file itself, which is written last.

    Args:
        path: of the file.
        frames: that were written.

    Raises:
        OSError: if some are missing.
    """
    with _without_stderr():
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        told = round(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
        capture.set(cv2.CAP_PROP_FORMAT, -1)  # packets as they are
        there = 0
        while capture.grab():
            there += 1
        capture.release()
    # Of some rates and formats the number is that of seconds times frames per second, rounded.
    if there != frames or abs(told - frames) > 1:
        raise OSError(
            f"of {frames} frames {min(there, frames)} can be read, and the file has no proper end"
        )


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Without what OpenCV's parts print: of .webm, that its codec has no tag there, which is right;
    of a file that was cut short, more than its name."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def track_video(
    video: VideoReader, tracker: FaceTracker
) -> Iterator[tuple[int, NDArray[np.uint8], list[Face]]]:
    """Each frame of a video with its number, from 0, and its faces."""
    for number, frame in enumerate(video):
        yield number, frame, tracker(frame, number / video.info.rate)


def draw_frame(
    frame: NDArray[np.uint8], faces: list[Face], scheme: LandmarkScheme
) -> NDArray[np.uint8]:
    """A frame with its faces drawn, of the same size."""
    if not faces:
        return frame
    points = [face["keypoints"] for face in faces]
    return np.asarray(draw_landmarks(frame, points, scheme, min_size=1))


def frame_line(number: int, rate: float, faces: list[Face], with_measures: bool = False) -> str:
    """A frame as a JSON line: `frame`, `time` in seconds, `faces` with their `track`."""
    told = [face.to_dict(with_measures) for face in faces]
    return json.dumps({"frame": number, "time": round(number / rate, 4), "faces": told}) + "\n"
