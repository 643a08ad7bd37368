"""Where a head's shape refinement starts: the mean face, and what a ridge regression finds."""

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor

from ..data.crops import FaceCrops, crop_points
from ..evaluation.predictions import predict_rows
from ..imaging.crop import to_crop_units
from ..models import KDLandmarksForKeypointDetection, KDLandmarksImageProcessor
from ..models.modeling_kd_landmarks import ShapeRefinement
from ..schemes import LandmarkScheme
from .data import whole_shapes
from .procrustes import centered_shapes, procrustes_mean, to_points

RIDGE = 0.001
"""Weight of the squared map beside the squared errors: `ridge` of `fit_refinement`, chosen on
validation faces (benchmarks/refinement.py)."""


def start_refinement(
    model: KDLandmarksForKeypointDetection,
    processor: KDLandmarksImageProcessor,
    rows: Dataset,
    scheme: LandmarkScheme,
    fitted: bool,
) -> None:
    """Give a network's refinement its mean face, and the map that fits its errors.

    A refinement that has a mean face already, from the checkpoint that the network started from,
    stays as it is.

    Args:
        model: with `config.refinement`.
        processor: its image processor.
        rows: training faces in the row format; those with all landmarks count.
        scheme: of both.
        fitted: whether the network detects already, so that there are errors to learn from.
    """
    refinement = model.head.refinement
    if refinement.mean_shape.any():
        return
    shapes, _ = centered_shapes(whole_shapes(rows, processor.crop_margin))
    mean = to_points(procrustes_mean(shapes))
    # The mean of symmetric faces is symmetric.
    mirrored = mean[list(scheme.flip_permutation)] * [-1, 1]
    mean = (mean + mirrored) / 2
    refinement.mean_shape.copy_(torch.from_numpy(mean / np.linalg.norm(mean)))
    if fitted:
        crops = FaceCrops(rows, model.config.image_size, processor.crop_margin, keep=False)
        truth = crop_points(rows, "landmarks", processor.crop_margin)
        pixels = predict_rows(model, processor, crops).points
        found = [to_crop_units(face, crop) for face, crop in zip(pixels, crops.crops, strict=True)]
        whole = ~np.isnan(truth).any((1, 2))
        fit_refinement(refinement, np.stack(found)[whole], truth[whole], scheme)


@torch.no_grad()
def fit_refinement(
    refinement: ShapeRefinement,
    found: np.ndarray,
    truth: np.ndarray,
    scheme: LandmarkScheme,
    ridge: float = RIDGE,
) -> None:
    """The refinement's linear layer by ridge regression from points to their errors.

    Each face counts twice, as it is and mirrored, so that the map has no side.

    Args:
        refinement: with a mean face.
        found: (faces, N, 2) the network's points before refinement, in crop units.
        truth: (faces, N, 2) the ground truth in crop units.
        scheme: of both.
        ridge: weight of the squared map, in mean squares of a deviation times the number of faces.
    """
    flip = list(scheme.flip_permutation)
    points, wanted = (
        torch.from_numpy(np.concatenate([some, some[:, flip] * [-1, 1]])).float()
        for some in (found, truth)
    )
    deviations, back = refinement.own_frame(points)
    errors = ((wanted - points) @ torch.linalg.inv(back)).flatten(1).double()
    inputs = deviations.flatten(1).double()
    center, middle = inputs.mean(0), errors.mean(0)
    inputs, errors = inputs - center, errors - middle
    gram = inputs.T @ inputs
    penalty = ridge * gram.diagonal().mean() * torch.eye(len(gram))
    weight: Tensor = torch.linalg.solve(gram + penalty, inputs.T @ errors).T
    refinement.linear.weight.copy_(weight)
    refinement.linear.bias.copy_(middle - weight @ center)
