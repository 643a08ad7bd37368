"""Active shape model (Cootes et al., CVIU 61, 1995): what a face's outline can look like.

Softening a shape means expressing it by the few main components of the training shapes; the result,
the Soft-landmarks of Fard and Mahoor (CVIU 215, 2022), is what the Tolerant-Teacher learns.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from ..errors import KDLandmarksError, shown
from ..inference.checkpoints import disk_errors
from ..utils.files import new_file
from .procrustes import (
    RANK_TOLERANCE,
    alignment,
    centered_shapes,
    laid_on,
    procrustes_mean,
    to_complex,
    to_points,
)

Array = NDArray[np.float64]

WEIGHTS_NAME = "shape_model.safetensors"
_FORMAT = "kd-landmarks shape model 1"
# Coefficients beyond 3 standard deviations are not plausible faces (Cootes et al.; the same limit
# in the code of Fard and Mahoor).
_CLIP_SD = 3.0
# After so many times fill and soften, what is filled in stays where it is.
_FILL_ROUNDS = 10
# A file beyond these is broken: all components of 2048 landmarks have 134 million bytes.
_MOST_BYTES = 150_000_000
_LARGEST = 1e9


class ShapeModel:
    """PCA of landmark shapes with clipped coefficients: soft = mean + V clip(V^T (x - mean)).

    `fit` makes one, `soften` applies it, `save_pretrained` and `from_pretrained` keep it.

    Attributes:
        aligned: True: each shape is moved, turned and scaled onto the mean (similarity Procrustes,
            least squares), softened there and mapped back, so that any frame of coordinates gives
            the same result. False (the code of Fard and Mahoor): PCA straight on the coordinates,
            which must then be crop units of the same kind of crop everywhere.
        retained_variance: The share of the training variance asked for, in (0, 1].
        mean: (N, 2) mean shape; aligned: centered, of a size a little below 1.
        components: (num_components, 2N) orthonormal rows, x and y of each point in turn.
        standard_deviations: (num_components,) of the training shapes along each component.
        explained: The share of the training variance that the components hold.
    """

    def __init__(
        self,
        mean: Array,
        components: Array,
        standard_deviations: Array,
        explained: float,
        retained_variance: float,
        aligned: bool,
    ) -> None:
        self.mean = mean
        self.components = components
        self.standard_deviations = standard_deviations
        self.explained = explained
        self.retained_variance = retained_variance
        self.aligned = aligned

    @property
    def num_components(self) -> int:
        """Number of components kept."""
        return len(self.components)

    @property
    def num_landmarks(self) -> int:
        """Number of points N of a shape."""
        return len(self.mean)

    def __repr__(self) -> str:
        return (
            f"ShapeModel({self.num_landmarks} points, {self.num_components} components holding "
            f"{self.explained:.1%} of the variance, {'aligned' if self.aligned else 'un-aligned'})"
        )

    @classmethod
    def fit(
        cls, shapes: ArrayLike, retained_variance: float = 0.9, aligned: bool = True
    ) -> "ShapeModel":
        """Fit to training shapes.

        Args:
            shapes: (M, N, 2), M >= 2. Aligned: in any frame, each its own. Un-aligned: in crop
                units.
            retained_variance: Keep the fewest components that hold this share of the variance, in
                (0, 1]. 0.9 is the likeliest value of the paper; the authors' code has 0.8 to 0.97.
            aligned: Align the shapes first; see the class.

        Raises:
            KDLandmarksError: `retained_variance` outside (0, 1], fewer than 2 shapes, shapes that
                are all alike, not finite, or without extent.
        """
        _check_share(retained_variance)
        points = _checked(shapes, None)
        if points.ndim != 3 or len(points) < 2:
            raise KDLandmarksError(
                f"shapes have shape {points.shape}: give (M, N, 2) with at least 2 shapes"
            )
        if aligned:
            centered, _ = centered_shapes(points)
            points = to_points(centered * alignment(centered, procrustes_mean(centered)))
        # The average of the aligned shapes is their Procrustes mean again, but for its size.
        mean = points.mean(0)
        deviations = (points - mean).reshape(len(points), -1)
        _, singular, rows = np.linalg.svd(deviations, full_matrices=False)
        if not singular[0] > np.linalg.norm(points) * RANK_TOLERANCE:
            raise KDLandmarksError(f"all {len(points)} shapes are alike: nothing to fit")
        variance = singular**2 / (len(points) - 1)
        share = np.cumsum(variance) / variance.sum()
        rank = int((singular > singular[0] * RANK_TOLERANCE).sum())
        count = min(int(np.searchsorted(share, retained_variance)) + 1, rank)
        return cls(
            mean=mean,
            components=rows[:count].copy(),
            standard_deviations=np.sqrt(variance[:count]),
            explained=float(share[count - 1]),
            retained_variance=float(retained_variance),
            aligned=aligned,
        )

    def reduced(self, retained_variance: float) -> "ShapeModel":
        """The same model with the fewest components that hold a share of the training variance.

        Args:
            retained_variance: above 0; as many components as there are, where it is more than they
                hold.

        Raises:
            KDLandmarksError: `retained_variance` outside (0, 1].
        """
        _check_share(retained_variance)
        variance = self.standard_deviations**2
        share = np.cumsum(variance) / variance.sum() * self.explained
        count = min(int(np.searchsorted(share, retained_variance)) + 1, len(variance))
        return ShapeModel(
            mean=self.mean,
            components=self.components[:count],
            standard_deviations=self.standard_deviations[:count],
            explained=float(share[count - 1]),
            retained_variance=float(retained_variance),
            aligned=self.aligned,
        )

    def soften(self, shapes: ArrayLike) -> NDArray[Any]:
        """The nearest shapes that the model can express, coefficients within 3 sd.

        Args:
            shapes: (..., N, 2); aligned: in any frame; un-aligned: in crop units. NaN for landmarks
                that are not there: the model fills them in from the others.

        Returns:
            The same shape and frame, and NaN where that was; the same type if that is a floating
            one, else float64.

        Raises:
            KDLandmarksError: Another number of points, a shape that is not finite or (aligned) has
                no extent.
        """
        points = _checked(shapes, self.num_landmarks, gaps=True)
        there = ~np.isnan(points).any(-1, keepdims=True)
        filled = points
        if not there.all():
            filled = np.where(there, points, laid_on(points, self.mean))
            for _ in range(_FILL_ROUNDS):
                filled = np.where(there, points, self._softened(filled))
        points = np.where(there, self._softened(filled), np.nan)
        given = np.asarray(shapes).dtype
        wanted = given if np.issubdtype(given, np.floating) else np.dtype(np.float64)
        return points.astype(wanted)

    def _softened(self, points: Array) -> Array:
        if not self.aligned:
            return self._project(points)
        centered, centroids = centered_shapes(points)
        turn = alignment(centered, to_complex(self.mean))
        soft = to_complex(self._project(to_points(centered * turn)))
        return to_points(soft / turn + centroids)

    def _project(self, points: Array) -> Array:
        deviations = (points - self.mean).reshape(*points.shape[:-2], self.mean.size)
        limit = _CLIP_SD * self.standard_deviations
        coefficients = np.clip(deviations @ self.components.T, -limit, limit)
        return self.mean + (coefficients @ self.components).reshape(points.shape)

    def save_pretrained(self, directory: str | os.PathLike[str]) -> Path:
        """Write `shape_model.safetensors` into a folder (made if missing); returns its path."""
        path = Path(directory) / WEIGHTS_NAME
        tensors = {
            "mean": self.mean,
            "components": self.components,
            "standard_deviations": self.standard_deviations,
        }
        settings = {
            "format": _FORMAT,
            "aligned": str(self.aligned),
            "retained_variance": repr(self.retained_variance),
            "explained": repr(self.explained),
        }
        with new_file(path) as partial, disk_errors():
            save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, partial, settings)
        return path

    @classmethod
    def from_pretrained(cls, directory: str | os.PathLike[str]) -> "ShapeModel":
        """Read what `save_pretrained` wrote, exactly as it was.

        Raises:
            KDLandmarksError: The file is missing, damaged, or no shape model.
        """
        path = Path(directory) / WEIGHTS_NAME
        if not os.path.isfile(path):
            raise KDLandmarksError(
                f"{path} does not exist: give the folder that ShapeModel.save_pretrained wrote to"
            )
        try:
            if path.stat().st_size > _MOST_BYTES:
                raise ValueError(f"more than {_MOST_BYTES} bytes")
            with safe_open(path, framework="numpy") as file:
                settings = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
            if settings.get("format") != _FORMAT:
                raise ValueError(f"format {shown(settings.get('format'))}, not {_FORMAT!r}")
            _check_tensors(tensors)
            explained, asked = float(settings["explained"]), float(settings["retained_variance"])
            if not all(0 < share <= 1 + RANK_TOLERANCE for share in (explained, asked)):
                raise ValueError(f"explained {explained} of {asked} are not shares")
            aligned = {"True": True, "False": False}[settings["aligned"]]
        except Exception as error:  # safetensors', the disk's, what strange values lead to
            raise KDLandmarksError(
                f"{path} is damaged or no shape model ({error}): fit and save it again"
            ) from error
        return cls(**tensors, explained=explained, retained_variance=asked, aligned=aligned)


def _check_tensors(tensors: dict[str, Array]) -> None:
    """Refuse tensors that are not those of a shape model.

    Raises:
        ValueError: naming the first.
    """
    points = tensors["mean"].size // 2
    count = len(tensors["components"])
    shapes = {
        "components": (count, 2 * points),
        "mean": (points, 2),
        "standard_deviations": (count,),
    }
    if tensors.keys() != shapes.keys() or not points or not 1 <= count <= 2 * points:
        raise ValueError(f"tensors {shown(sorted(tensors))} of {points} points")
    for name, shape in shapes.items():
        tensor = tensors[name]
        if tensor.shape != shape or tensor.dtype != np.float64:
            raise ValueError(f"{name} is {tensor.dtype} {tensor.shape}, not float64 {shape}")
        least = 0 if name == "standard_deviations" else -_LARGEST
        if not least <= tensor.min() <= tensor.max() <= _LARGEST:  # which refuses NaN
            raise ValueError(f"{name} has numbers that are not from {least:g} to {_LARGEST:g}")


def _check_share(retained_variance: float) -> None:
    if not 0 < retained_variance <= 1:
        raise KDLandmarksError(
            f"retained_variance is {retained_variance}: give a share above 0 and up to 1"
        )


def _checked(shapes: ArrayLike, num_landmarks: int | None, gaps: bool = False) -> Array:
    """Shapes as float64 (..., N, 2): finite, or with NaN for some landmarks where gaps may be."""
    points = np.asarray(shapes, dtype=np.float64)
    fits = points.ndim >= 2 and points.shape[-1] == 2
    if not fits or num_landmarks not in (None, points.shape[-2]):
        wanted = "N" if num_landmarks is None else num_landmarks
        raise KDLandmarksError(f"shapes have shape {points.shape}: give (..., {wanted}, 2)")
    good = np.isfinite(points).all(-1)
    if gaps:  # two points tell where a shape is
        good |= np.isnan(points).all(-1) & (good.sum(-1, keepdims=True) > 1)
    broken = np.flatnonzero(~good.all(-1))
    if broken.size:
        raise KDLandmarksError(f"shape {broken[0]} is not finite: leave such faces out")
    return points
