"""A window on the screen, where there is one and OpenCV can open it."""

import os
import sys

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import KDLandmarksError, reason

_ENDING_KEYS = (27, ord("q"))  # 27: Esc
_OTHERWISE = (
    "`kd-landmarks demo` shows a camera in a browser (its Webcam tab), and kd_landmarks.track(0) "
    "gives its faces in Python"
)


def check_windows() -> None:
    """See that there can be a window, before any work.

    Raises:
        KDLandmarksError: saying what is missing, and what there is instead.
    """
    # opencv-python-headless has every function, and fails once a window is asked for.
    build = cv2.getBuildInformation()
    if any(line.split() == ["GUI:", "NONE"] for line in build.splitlines()):
        raise KDLandmarksError(
            "a window needs another OpenCV than opencv-python-headless, which kd-landmarks brings: "
            "pip uninstall opencv-python-headless, then pip install opencv-python. Without: "
            f"{_OTHERWISE}"
        )
    # Qt and GTK end the whole process where they find no display.
    variables = ("DISPLAY", "WAYLAND_DISPLAY")
    if sys.platform == "linux" and not any(map(os.environ.get, variables)):
        raise KDLandmarksError(
            f"a window needs a display, and neither {' nor '.join(variables)} is set: {_OTHERWISE}"
        )


class Window:
    """A window for frames.

    Args:
        title: of the window.

    Raises:
        KDLandmarksError: where OpenCV cannot open it.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        try:
            cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        except cv2.error as error:
            raise KDLandmarksError(
                f"OpenCV cannot open a window here ({reason(error)}): {_OTHERWISE}"
            ) from error

    def show(self, pixels: NDArray[np.uint8]) -> bool:
        """Show a frame (height, width, 3) RGB; False once somebody has ended it."""
        cv2.imshow(self.title, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
        key = cv2.waitKey(1) & 0xFF
        open_still = cv2.getWindowProperty(self.title, cv2.WND_PROP_VISIBLE) >= 1
        return open_still and key not in _ENDING_KEYS

    def close(self) -> None:
        """Close it, unless that has been done."""
        cv2.destroyAllWindows()
