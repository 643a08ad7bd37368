"""Aligned face chips: what face recognition networks want to see."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import KDLandmarksError
from ..imaging.pixels import shrunken

# Where ArcFace wants them in a picture of 112 x 112 pixels, pixel centers at whole numbers: Deng
# et al., "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", CVPR 2019, as their
# InsightFace and everybody after it states them.
ARCFACE_SIZE = 112
ARCFACE_POINTS = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655],
     [70.7299, 92.2041]]
)  # fmt: skip


def similarity(points: NDArray[np.floating], onto: NDArray[np.floating]) -> NDArray[np.float64]:
    """The rotation, scaling and shift that carries points nearest onto others (least squares).

    Umeyama, "Least-Squares Estimation of Transformation Parameters Between Two Point Patterns",
    PAMI 1991, in the complex plane, where no reflection can come out.

    Args:
        points: (N, 2), not all the same.
        onto: (N, 2).

    Returns:
        (2, 3): x, y, 1 to the new x, y.

    Raises:
        KDLandmarksError: for points that are all the same, or not finite.
    """
    source, target = (
        np.asarray(value, dtype=np.float64) @ np.array([1, 1j]) for value in (points, onto)
    )
    spread = np.abs(source - source.mean()) ** 2
    if not np.isfinite(spread.sum()) or not np.isfinite(target).all() or spread.sum() <= 0:
        raise KDLandmarksError("points must be finite, and not all the same, to be aligned")
    factor = np.vdot(source - source.mean(), target - target.mean()) / spread.sum()
    shift = target.mean() - factor * source.mean()
    return np.array(
        [[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]]
    )


def align_face(
    photo: Image.Image, points: NDArray[np.floating], size: int = ARCFACE_SIZE
) -> Image.Image:
    """A face chip for face recognition: the face upright, eyes and mouth where ArcFace wants them.

    Args:
        photo: the upright photo that `points` belong to.
        points: (5, 2) in its pixels: eyes, tip of the nose, corners of the mouth
            (`measures.five_points`).
        size: of the chip in pixels; ArcFace's is 112.

    Returns:
        An RGB picture of size x size, black outside the photo.

    Raises:
        KDLandmarksError: for points that are all the same.
    """
    five = np.asarray(points, dtype=np.float64)
    if not np.ptp(five, axis=0).any():
        raise KDLandmarksError(f"the five points are all the same, {five[0]}: no face to align")
    scale = size / ARCFACE_SIZE
    wanted = (ARCFACE_POINTS + 0.5) * scale - 0.5
    to_photo = similarity(wanted, five)
    # Pillow counts from the corner of a pixel, we from its center.
    to_photo[:, 2] += 0.5 - to_photo[:, :2].sum(1) / 2
    # Pillow looks at a few pixels around a place: a large face is shrunk first.
    shrink = max(1, int(np.hypot(*to_photo[:, 0])))
    # Of a large photo only what is near the chip is converted.
    corners = np.array([[0, 0, 1], [size, 0, 1], [0, size, 1], [size, size, 1]]) @ to_photo.T
    low = (np.floor((corners.min(0) / shrink - 4).clip(0)) * shrink).astype(int)
    high = np.minimum(np.ceil(corners.max(0)) + 4 * shrink, photo.size).astype(int)
    if (low >= high).any():
        return Image.new("RGB", (size, size))
    near = shrunken(photo.crop((*low.tolist(), *high.tolist())), shrink)
    to_photo[:, 2] -= low
    return near.transform(
        (size, size),
        Image.Transform.AFFINE,
        (to_photo / shrink).ravel().tolist(),
        Image.Resampling.BICUBIC,
    )
