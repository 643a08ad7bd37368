"""Similarity Procrustes analysis: shapes moved, turned and scaled onto one another."""

import numpy as np
from numpy.typing import NDArray

from ..errors import KDLandmarksError

Array = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

# What is smaller than this, relative to the whole, is rounding errors.
RANK_TOLERANCE = 1e-7


# Points of the plane as complex numbers: turning and scaling a shape is one multiplication.
def to_complex(points: Array) -> ComplexArray:
    """(..., N, 2) to (..., N)."""
    return np.ascontiguousarray(points).view(np.complex128)[..., 0]


def to_points(shapes: ComplexArray) -> Array:
    """(..., N) to (..., N, 2)."""
    return np.ascontiguousarray(shapes)[..., None].view(np.float64)


def centered_shapes(points: Array) -> tuple[ComplexArray, ComplexArray]:
    """(..., N) shapes about the origin, and their (..., 1) centroids."""
    shapes = to_complex(points)
    centroids = shapes.mean(-1, keepdims=True)
    return shapes - centroids, centroids


def alignment(shapes: ComplexArray, mean: ComplexArray) -> ComplexArray:
    """(..., 1) factors that turn and scale centered shapes onto the mean of size 1, least squares.

    Always a rotation: a reflection is not a complex factor.
    """
    size = np.linalg.norm(shapes, axis=-1, keepdims=True)
    unit = shapes / np.where(size > 0, size, 1)
    cosine = (unit.conj() @ (mean / np.linalg.norm(mean)))[..., None]
    hopeless = np.flatnonzero(np.abs(cosine) < RANK_TOLERANCE)
    if hopeless.size:
        raise KDLandmarksError(
            f"shape {hopeless[0]} cannot be aligned with the mean shape (all its points in one "
            "place?): leave such faces out"
        )
    return cosine / size


def procrustes_mean(shapes: ComplexArray) -> ComplexArray:
    """The full Procrustes mean of centered (M, N) shapes, of size 1 (Kent, JRSS B 56, 1994).

    It is the first eigenvector of the sum of u u^H over the shapes u of size 1: what alternating
    alignment and averaging converges to. Turned as the shapes are on average.
    """
    size = np.linalg.norm(shapes, axis=-1, keepdims=True)
    unit = shapes / np.where(size > 0, size, 1)
    mean: ComplexArray = np.linalg.eigh(unit.T @ unit.conj())[1][:, -1]
    turn = np.vdot(mean, unit.sum(0))
    return mean * (turn / abs(turn) if turn else 1.0)


def laid_on(points: Array, mean: Array) -> Array:
    """A mean shape (N, 2) moved, turned and scaled onto shapes (..., N, 2), least squares.

    Landmarks that are not there (NaN) are left out; two of a shape must be.
    """
    there = ~np.isnan(points).any(-1)
    shapes = np.where(there, to_complex(np.nan_to_num(points)), 0)
    count = there.sum(-1, keepdims=True)
    centroids = shapes.sum(-1, keepdims=True) / count
    model = to_complex(mean)
    own = (there * model).sum(-1, keepdims=True) / count  # the mean's center, of the same points
    partial = np.where(there, model - own, 0)
    turn = (partial.conj() * shapes).sum(-1, keepdims=True)
    turn /= (np.abs(partial) ** 2).sum(-1, keepdims=True)
    return to_points((model - own) * turn + centroids)
