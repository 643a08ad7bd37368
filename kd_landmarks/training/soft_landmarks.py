"""The Soft-landmarks of a run's faces: what its active shape model makes of the ground truth."""

import numpy as np
from datasets import Dataset

from ..data.columns import point_array
from ..data.crops import crop_points, crop_squares
from ..evaluation.metrics import nme
from ..imaging.crop import to_photo_pixels
from ..schemes import LandmarkScheme
from .recipe_settings import ShapeModelSettings
from .shape_model import ShapeModel
from .teachers import add_point_column


def fit_shape_model(rows: Dataset, settings: ShapeModelSettings, margin: float) -> ShapeModel:
    """Fit the active shape model on the whole shapes of un-augmented crops, in crop units."""
    shapes = whole_shapes(rows, margin)
    return ShapeModel.fit(shapes, settings.retained_variance, settings.aligned)


def whole_shapes(rows: Dataset, margin: float) -> np.ndarray:
    """The landmarks (faces, N, 2), in crop units, of those faces that have all of them."""
    shapes = crop_points(rows, "landmarks", margin)
    return shapes[~np.isnan(shapes).any((1, 2))]


def add_soft_landmarks(rows: Dataset, model: ShapeModel, margin: float) -> Dataset:
    """Store each face's Soft-landmarks as the column `soft_landmarks`, in photo pixels.

    They are softened on the un-augmented crop, so that a face has one answer, which rides through
    its augmentations beside the ground truth.
    """
    soft = model.soften(crop_points(rows, "landmarks", margin))
    faces = zip(soft, crop_squares(rows, margin), strict=True)
    pixels = np.stack([to_photo_pixels(face, crop) for face, crop in faces])
    return add_point_column(rows, "soft_landmarks", pixels)


def soft_landmarks_nme(rows: Dataset, scheme: LandmarkScheme) -> float:
    """Mean NME in percent of the Soft-landmarks against the ground truth."""
    soft, hard = (point_array(rows, column) for column in ("soft_landmarks", "landmarks"))
    return float(nme(soft, hard, scheme).mean())
