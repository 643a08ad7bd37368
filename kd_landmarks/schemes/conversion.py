"""From 98 points to 68."""

from typing import TypeVar

from ..errors import KDLandmarksError

ArrayT = TypeVar("ArrayT")

# iBUG's 68 points as means of two WFLW points each. 60 of them are one WFLW point twice: every
# second jaw point, the upper edge of each brow, nose, eye corners and lips. WFLW has three points
# on each eyelid where iBUG has two: these lie midway between the corner and the lid's middle.
_BEFORE_EYES = [*range(0, 33, 2), *range(33, 38), *range(42, 47), *range(51, 60)]
_AFTER_EYES = [*range(76, 96)]
_FIRST_OF_98 = [*_BEFORE_EYES, 60, 60, 62, 64, 64, 66, 68, 68, 70, 72, 72, 74, *_AFTER_EYES]
_SECOND_OF_98 = [*_BEFORE_EYES, 60, 62, 64, 64, 66, 60, 68, 70, 72, 72, 74, 68, *_AFTER_EYES]


def convert_98_to_68(points: ArrayT) -> ArrayT:
    """iBUG's 68 points from WFLW's 98.

    60 points are copies; the eight eyelid points are midpoints, an interpolation: the two data
    sets' annotators did not follow one guide, so a remainder of style stays (jaw above all).

    Args:
        points: array or tensor (..., 98, 2), any unit.

    Returns:
        (..., 68, 2), the same kind.

    Raises:
        KDLandmarksError: another shape.
    """
    shape = tuple(getattr(points, "shape", ()))
    if shape[-2:] != (98, 2):
        raise KDLandmarksError(
            f"points have the shape {shape}: give an array or tensor (..., 98, 2)"
        )
    first = points[..., _FIRST_OF_98, :]  # type: ignore[index]
    second = points[..., _SECOND_OF_98, :]  # type: ignore[index]
    return (first + second) / 2
