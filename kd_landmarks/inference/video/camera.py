"""Cameras of this machine: their frames as they come."""

import time
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

from ...errors import KDLandmarksError
from ...utils.values import whole
from .frames import VideoFrame


class Camera:
    """The frames of a camera, without end. A frame's time is when it came.

    Args:
        number: of the camera, from 0, as OpenCV counts them.

    Raises:
        KDLandmarksError: if there is no such camera, or another program has it.
    """

    def __init__(self, number: int = 0) -> None:
        self.number = whole("camera", number, 0)
        log: Any = cv2.utils.logging
        level = log.getLogLevel()
        log.setLogLevel(log.LOG_LEVEL_SILENT)  # else a line for each way to cameras that it tries
        try:
            self._capture = cv2.VideoCapture(self.number)
        finally:
            log.setLogLevel(level)
        if not self._capture.isOpened():
            self.close()
            raise KDLandmarksError(
                f"camera {self.number} cannot be opened: there is no such camera, another program "
                "is using it, or access is denied. Give another number, or allow access"
            )

    def __iter__(self) -> Iterator[VideoFrame]:
        """Each frame as it comes.

        Raises:
            KDLandmarksError: once the camera gives no more.
        """
        start = last = time.monotonic()
        number = 0
        while True:
            there, frame = self._capture.read()
            if not there:
                raise KDLandmarksError(f"camera {self.number} gives no more frames")
            now = max(time.monotonic(), last + 1e-6)
            pixels = np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8)
            yield VideoFrame(number, now - start, pixels)
            number, last = number + 1, now

    def close(self) -> None:
        """Let go of the camera."""
        self._capture.release()
