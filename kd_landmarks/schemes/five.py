"""From 68 points to the five that face recognition wants."""

import numpy as np
from numpy.typing import NDArray

from ..errors import KDLandmarksError

# Left eye, right eye (mean of an eye's six points), nose tip, left and right corner of the mouth,
# left and right as in the picture.
_FIVE: tuple[tuple[int, ...], ...] = (
    (36, 37, 38, 39, 40, 41),
    (42, 43, 44, 45, 46, 47),
    (30,),
    (48,),
    (54,),
)


def convert_68_to_5(points: NDArray[np.floating]) -> NDArray[np.float64]:
    """The five points of face recognition.

    Args:
        points: (…, 68, 2) of the scheme ibug68, in any units.

    Returns:
        (…, 5, 2): left eye, right eye, nose tip, left and right corner of the mouth, left and right
        as in the picture.

    Raises:
        KDLandmarksError: for another shape.
    """
    points = np.asarray(points, dtype=np.float64)
    if points.shape[-2:] != (68, 2):
        raise KDLandmarksError(f"points are of shape {points.shape}, not (…, 68, 2)")
    return np.stack([points[..., group, :].mean(-2) for group in _FIVE], axis=-2)
