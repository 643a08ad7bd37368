"""How likely a point is right: the spread of its map, calibrated on faces with ground truth.

Needs numpy alone; the calibration is part of a checkpoint's configuration and of exported files.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import KDLandmarksError, shown

# A point counts as right within this share of the face box's longer side of the truth: about 6 % of
# the distance between the eyes' outer corners, twice a good detector's mean error.
TOLERANCE = 0.03
# Pulls each landmark's intercept towards the mean of all, as this many faces would.
_PRIOR_FACES = 10.0
_LEAST_SPREAD = 1e-3
_ROUNDS = 50
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
            KDLandmarksError: for what is no calibration, or one of another number of landmarks.
        """
        told: Any = values if isinstance(values, Mapping) else {}
        tolerance, slope = told.get("tolerance"), told.get("slope")
        intercepts = told.get("intercepts")
        listed = isinstance(intercepts, list | tuple) and len(intercepts) > 0
        if not listed or not all(map(_is_moderate, [tolerance, slope, *intercepts])):
            raise KDLandmarksError(f"confidence {shown(values)} is no calibration: {_MEND}")
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
        return _sigmoid(np.array(self.intercepts) + self.slope * _log_spread(array)).astype("f4")


def fit_calibration(
    scores: ArrayLike, errors: ArrayLike, tolerance: float = TOLERANCE
) -> Calibration:
    """The most likely calibration, by Newton's method.

    Args:
        scores: (faces, N) of the integral head, on faces that it was not trained on.
        errors: (faces, N) distances from the ground truth, in longer sides of the face box.
        tolerance: how near a right point is.

    Raises:
        KDLandmarksError: for arrays that do not fit one another; where all points are right, all
            wrong, or more spread does not mean more error, so that there is nothing to learn.
    """
    spread = _log_spread(np.asarray(scores, dtype=np.float64))
    right = np.asarray(errors, dtype=np.float64) <= tolerance
    if spread.ndim != 2 or spread.shape != right.shape:
        raise KDLandmarksError(f"scores {spread.shape} and errors {right.shape} do not fit")
    if right.all() or not right.any():
        raise KDLandmarksError(
            f"{'all' if right.all() else 'none'} of the points are within {tolerance} box sides of "
            "the truth: choose another tolerance"
        )
    center, width = spread.mean(), max(spread.std(), 1e-9)
    z = (spread - center) / width
    count = z.shape[1]
    prior = _PRIOR_FACES * right.mean() * (1 - right.mean())
    common = np.log(right.mean() / (1 - right.mean()))
    # Parameters: an intercept for each landmark, then the slope.
    theta = np.append(np.full(count, common), -1.0)
    for _ in range(_ROUNDS):
        chance = _sigmoid(theta[:count] + theta[count] * z)
        weight = chance * (1 - chance)
        gradient = np.append(
            (chance - right).sum(0) + prior * (theta[:count] - common), ((chance - right) * z).sum()
        )
        curvature = np.diag(np.append(weight.sum(0) + prior, (weight * z**2).sum()))
        curvature[:count, count] = curvature[count, :count] = (weight * z).sum(0)
        step = np.linalg.solve(curvature, gradient)
        theta -= step
        if np.abs(step).max() < 1e-8:
            break
    slope = theta[count] / width
    if not slope < 0:
        raise KDLandmarksError("on these faces, points of more spread are not further off")
    intercepts = theta[:count] - slope * center
    # More digits than the faces could have taught would only fill configurations.
    return Calibration(tolerance, round(float(slope), 4), tuple(intercepts.round(4).tolist()))


def _is_moderate(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and -_LARGEST <= value <= _LARGEST


def _log_spread(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log(np.clip(1 - scores, _LEAST_SPREAD, 1))


def _sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-np.clip(values, -50, 50)))
