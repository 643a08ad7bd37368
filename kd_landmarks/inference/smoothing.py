"""Steady points in video: the One-Euro filter, with settings that a person understands."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import KDLandmarksError
from ..utils.values import number


@dataclass(frozen=True)
class Smoothing:
    """How steady points are held, and how soon they follow.

    The filter is Casiez, Roussel and Vogel's (1€ Filter, CHI 2012): a low pass whose cutoff rises
    with the speed of the point. Speeds are in sides of the face per second, so that the settings
    hold for small and large faces alike.

    Attributes:
        steadiness: seconds over which a resting face is averaged, >= 0; 0 leaves points as they
            are. Longer is calmer.
        follow: how quickly the averaging gives way once the face moves, >= 0: at a speed of one
            side of the face per second the cutoff is higher by this many hertz. Higher lags less.
    """

    steadiness: float = 0.25
    follow: float = 12.0

    def __post_init__(self) -> None:
        for name in ("steadiness", "follow"):
            number(name, getattr(self, name))


# Of the speed's own low pass, in hertz: the paper's value.
SPEED_CUTOFF = 1.0


class PointSmoother:
    """Smooths the points of one face from frame to frame.

    Args:
        smoothing: how strongly.
    """

    def __init__(self, smoothing: Smoothing | None = None) -> None:
        self.smoothing = smoothing or Smoothing()
        self.reset()

    def reset(self) -> None:
        """Forget the past, as at a cut."""
        self._points: NDArray[np.float64] | None = None
        self._speed: NDArray[np.float64] | None = None
        self._time = 0.0

    def __call__(self, points: NDArray[np.floating], time: float) -> NDArray[np.float64]:
        """The smoothed points of the next frame.

        Args:
            points: (N, 2) in pixels.
            time: of the frame in seconds, later than the one before.

        Returns:
            (N, 2) in pixels; the first frame's as they are.

        Raises:
            KDLandmarksError: for another number of points, or a time that does not move on.
        """
        now: NDArray[np.float64] = np.array(points, dtype=np.float64)
        if self._points is None or self._speed is None:
            self._points, self._speed, self._time = now, np.zeros_like(now), time
            return now.copy()
        if now.shape != self._points.shape:
            raise KDLandmarksError(
                f"points are of shape {now.shape}, those before {self._points.shape}: reset() "
                "for another face"
            )
        step = time - self._time
        if not step > 0:
            raise KDLandmarksError(f"a frame at {time} s follows one at {self._time} s")
        if self.smoothing.steadiness == 0:
            self._points, self._time = now, time
            return now.copy()
        side = max(np.ptp(now, axis=0).max(), 1.0)
        speed = (now - self._points) / (side * step)
        self._speed = self._speed + _share(SPEED_CUTOFF, step) * (speed - self._speed)
        # One cutoff for both coordinates: a point that moves sideways must not lag in height.
        pace = np.linalg.norm(self._speed, axis=-1, keepdims=True)
        cutoff = 1 / (2 * np.pi * self.smoothing.steadiness) + self.smoothing.follow * pace
        self._points = self._points + _share(cutoff, step) * (now - self._points)
        self._time = time
        return self._points.copy()


def _share(cutoff: NDArray[np.float64] | float, step: float) -> NDArray[np.float64]:
    """How much of the new value a low pass of that cutoff (hertz) takes after a step (seconds)."""
    ratio = 2 * np.pi * np.asarray(cutoff) * step
    return ratio / (ratio + 1)
