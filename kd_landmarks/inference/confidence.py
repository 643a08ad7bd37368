"""How likely a point is right: the spread of its map, calibrated on faces with ground truth.

Needs numpy alone; the calibration is part of a checkpoint's configuration and of exported files.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import KDLandmarksError, shown

MIN_CONFIDENCE = 0.65
"""Found faces of less are left out, and points of less are drawn as unsure.

With the package's student that leaves out nearly all crops without a face and, of those with one,
the hardest (benchmarks/confidence.py; docs/models.md has the shares)."""

_LEAST_SPREAD = 1e-3
_LARGEST = 1e6
_MEND = (
    "it needs a positive tolerance, a negative slope and finite intercepts, as `kd-landmarks "
    "calibrate` writes them"
)


@dataclass(frozen=True)
class Calibration:
    """Turns scores of the integral head into probabilities.

    A point with the score s is right with the probability
    1 / (1 + exp(-(intercept + slope · log(1 - s)))), each landmark with its own intercept.

    Attributes:
        tolerance: how near the truth a right point is, in longer sides of the face box.
        slope: of the logarithm of the spread 1 - s, < 0.
        intercepts: one per landmark.
    """

    tolerance: float
    slope: float
    intercepts: tuple[float, ...]

    @classmethod
    def from_dict(cls, values: Any, landmarks: int | None = None) -> "Calibration":
        """As `to_dict` writes it.

        Args:
            values: of any kind.
            landmarks: how many it must be for; None for any number.

        Raises:
            KDLandmarksError: for what is not a calibration, or one of another number of landmarks.
        """
        given: Any = values if isinstance(values, Mapping) else {}
        tolerance, slope = given.get("tolerance"), given.get("slope")
        intercepts = given.get("intercepts")
        listed = isinstance(intercepts, list | tuple) and len(intercepts) > 0
        if not listed or not all(map(_is_moderate, [tolerance, slope, *intercepts])):
            raise KDLandmarksError(f"confidence {shown(values)} is not a calibration: {_MEND}")
        if not (tolerance > 0 and slope < 0):
            raise KDLandmarksError(
                f"confidence has tolerance {tolerance} and slope {slope}: {_MEND}"
            )
        if landmarks not in (None, len(intercepts)):
            raise KDLandmarksError(
                f"confidence has {len(intercepts)} intercepts for {landmarks} landmarks: {_MEND}"
            )
        return cls(float(tolerance), float(slope), tuple(map(float, intercepts)))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**asdict(self), "intercepts": list(self.intercepts)}

    def __call__(self, scores: ArrayLike) -> NDArray[np.float32]:
        """Each point's probability of being right.

        Args:
            scores: (…, N) of the integral head, 0 to 1.

        Returns:
            (…, N), 0 to 1. Their mean over a face is the share of its points that is expected to be
            right.

        Raises:
            KDLandmarksError: for another number of landmarks.
        """
        array = np.asarray(scores, dtype=np.float64)
        if array.shape[-1:] != (len(self.intercepts),):
            raise KDLandmarksError(
                f"scores are of shape {array.shape}, the calibration is for "
                f"{len(self.intercepts)} landmarks"
            )
        return sigmoid(np.array(self.intercepts) + self.slope * log_spread(array)).astype("f4")


def _is_moderate(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and -_LARGEST <= value <= _LARGEST


def log_spread(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """log(1 - s) of scores from 0 to 1, bounded below."""
    return np.log(np.clip(1 - scores, _LEAST_SPREAD, 1))


def sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-x)), without overflow."""
    return 1 / (1 + np.exp(-np.clip(values, -50, 50)))
