"""`kd_landmarks.track`: the faces of a video or a camera, frame by frame."""

import logging
from collections.abc import Iterator
from contextlib import closing
from os import PathLike
from typing import TYPE_CHECKING, Any

from ...errors import KDLandmarksError, shown
from ...utils.environment import need_packages
from ..pipeline import FaceLandmarkPipeline
from ..results import Faces
from ..smoothing import Smoothing
from ..tracking import FaceTracker
from .camera import Camera
from .frames import VideoFrame

if TYPE_CHECKING:
    from .reader import VideoReader

logger = logging.getLogger(__name__)


def track(
    source: Any,
    detect: FaceLandmarkPipeline | None = None,
    smoothing: Smoothing | None = Smoothing(),  # noqa: B008 - it cannot be changed
    detect_every: int = 10,
) -> Iterator[tuple[VideoFrame, Faces]]:
    """Follow the faces of a video or a camera.

    Example:

    ```python
    >>> from kd_landmarks import track

    >>> for frame, faces in track("talk.mp4"):  # doctest: +SKIP
    ...     print(frame.time, [face["track"] for face in faces])
    ...     drawn = faces.plot(frame.pixels)

    ```

    Args:
        source: a video's path or the bytes of its file, or a camera's number: 0 is the first. Files
            need the package `av`, cameras do not.
        detect: the pipeline; None for the package's own detector.
        smoothing: how strongly points are smoothed over time; None for no smoothing.
        detect_every: frames from one search for faces to the next, >= 1.

    Returns:
        An iterator over `(frame, faces)`: `frame.pixels` is (height, width, 3) uint8 RGB, upright
        and with square pixels, `frame.time` in seconds, `frame.number` from 0; each face has its
        number, `track`. Of a file that is cut off or damaged the frames that can be read come, and
        a warning says how many are missing. A camera's frames come without end: `break` ends it.

    Raises:
        KDLandmarksError: for what is no video or camera, and without the package `av`.
    """
    tracker = FaceTracker(detect or FaceLandmarkPipeline(), smoothing, detect_every)
    frames: VideoReader | Camera
    if isinstance(source, str | bytes | PathLike):
        frames = open_video(source)
    elif hasattr(source, "__index__") and not isinstance(source, bool):
        frames = Camera(source)
    else:
        raise KDLandmarksError(
            f"{shown(source)} ({type(source).__name__}) is no video: give a file's path or bytes, "
            "or a camera's number"
        )
    return _follow(frames, tracker)


def open_video(source: Any, why: str = "a video") -> "VideoReader":
    """A `VideoReader`, where the package that it needs is installed.

    Raises:
        KDLandmarksError: where not, and as `VideoReader`.
    """
    need_packages("video", "av", why=why)
    from .reader import VideoReader

    return VideoReader(source)


def _follow(
    frames: "VideoReader | Camera", tracker: FaceTracker
) -> Iterator[tuple[VideoFrame, Faces]]:
    with closing(frames):
        for frame in frames:
            yield frame, tracker(frame.pixels, frame.time)
        if not isinstance(frames, Camera) and (unread := frames.unread()) is not None:
            logger.warning("%s: %s", frames.name, unread)
