"""A head's shape refinement before and after training: the mean face, and a ridge regression.

Steps of a gradient find a linear layer whose inputs move together only slowly: after training with
it, the regression still takes 5 to 7 % off the error (`benchmarks/refinement.py`). So it has the
last word.
"""

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor
from torch.utils.data import DataLoader

from ..data.augmentation_settings import AugmentationSettings
from ..data.columns import evenly_spaced
from ..data.crops import LANDMARK_WEIGHTS, FaceCrops, crop_points
from ..evaluation.predictions import to_pixel_values
from ..models import KDLandmarksForKeypointDetection, KDLandmarksImageProcessor
from ..models.modeling_kd_landmarks import ShapeRefinement
from ..schemes import LandmarkScheme
from .procrustes import centered_shapes, procrustes_mean, to_points
from .soft_landmarks import whole_shapes

RIDGE = 0.003
"""Weight of the squared map beside the squared errors: `ridge` of `fit_refinement`, chosen on
validation faces (benchmarks/refinement.py)."""
ENOUGH_FACES = 1000
"""From so many labeled faces on, a trained network's map is fitted to these alone. With fewer it
overfits, so that all faces count that the network has learned from, those with pseudo-labels too
(recipe `embedded`, 100 labels: the student ends at 6.4 % instead of 7.2)."""
MOST_FACES = 5000
"""That a map is fitted to: enough for 98 landmarks, and minutes on a CPU."""
# Faces are looked at as they are, and once moved as a user's boxes are: the outermost landmarks
# touch the ground truth's box, which a map would learn from plain crops alone.
MOVED = AugmentationSettings(
    rotation=20, scale=1.1, stretch=1, shift=0.04, blur=0, low_resolution=0, occlusion=0
)
BATCH = 64


def start_refinement(
    model: KDLandmarksForKeypointDetection,
    processor: KDLandmarksImageProcessor,
    rows: Dataset,
    scheme: LandmarkScheme,
    target: str,
    fitted: bool,
) -> None:
    """Give a network's refinement its mean face, and the map that fits its errors.

    A refinement that has a mean face already, from the checkpoint that the network started from,
    stays as it is.

    Args:
        model: with `config.refinement`.
        processor: its image processor.
        rows: training faces in the row format; those with all landmarks count, if there are any.
        scheme: of both.
        target: column of the points that the network learns.
        fitted: whether the network detects already, so that there are errors to learn from.
    """
    refinement = model.head.refinement
    if refinement.mean_shape.any():
        return
    whole = whole_shapes(rows, processor.crop_margin)
    if len(whole):
        mean = to_points(procrustes_mean(centered_shapes(whole)[0]))
    else:  # no face has all landmarks: each one's mean place in the crop
        shapes = crop_points(rows, "landmarks", processor.crop_margin)
        seen = ~np.isnan(shapes).any(-1)
        counts = seen.sum(0)[:, None]
        places = np.where(seen[..., None], shapes, 0).sum(0) / np.maximum(counts, 1)
        # One that no face has stands in the middle of the others.
        places = np.where(counts, places, places[counts[:, 0] > 0].mean(0))
        mean = places - places.mean(0)
    # The mean of symmetric faces is symmetric.
    mean = (mean + mean[list(scheme.flip_permutation)] * [-1, 1]) / 2
    refinement.mean_shape.copy_(torch.from_numpy(mean / np.linalg.norm(mean)))
    if fitted:
        refit_refinement(model, processor, rows, scheme, target)


def refit_refinement(
    model: KDLandmarksForKeypointDetection,
    processor: KDLandmarksImageProcessor,
    rows: Dataset,
    scheme: LandmarkScheme,
    target: str,
) -> None:
    """Fit a refinement to what its network makes of faces, as they are and slightly moved.

    Args:
        model: with a refinement that has a mean face.
        processor: its image processor.
        rows: training faces in the row format; landmarks count by their `weights`.
        scheme: of both.
        target: column of the points that the network learns.
    """
    seen = faces_of_fit(model, processor, rows, scheme, target)
    if len(seen[0]):
        fit_refinement(model.head.refinement, *seen, scheme)


def faces_of_fit(
    model: KDLandmarksForKeypointDetection,
    processor: KDLandmarksImageProcessor,
    rows: Dataset,
    scheme: LandmarkScheme,
    target: str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What `fit_refinement` needs of faces: found and true points, and weights (faces, N).

    The arguments are those of `refit_refinement`.
    """
    rows = rows.select(evenly_spaced(len(rows), MOST_FACES))
    size, margin = model.config.image_size, processor.crop_margin
    flip = scheme.flip_permutation
    plain = FaceCrops(rows, size, margin, keep=False)
    moved = FaceCrops(rows, size, margin, augmentation=MOVED, flip_permutation=flip, keep=False)
    looks = [raw_points(model, processor, crops, target) for crops in (plain, moved)]
    found, truth, weights = (np.concatenate(parts) for parts in zip(*looks, strict=True))
    known = ~np.isnan(truth).any(-1) & (weights > 0)
    some = known.any(1)
    return found[some], np.nan_to_num(truth[some]), np.where(known, weights, 0)[some]


@torch.no_grad()
def raw_points(
    model: KDLandmarksForKeypointDetection,
    processor: KDLandmarksImageProcessor,
    crops: FaceCrops,
    target: str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A network's points before refinement, the true ones, and what each counts.

    Returns:
        (faces, N, 2), (faces, N, 2) in crop units and (faces, N).
    """
    refinement, training = model.head.refinement, model.training
    model.head.refinement = None
    model.eval()
    found, truth, weights = [], [], []
    try:
        for batch in DataLoader(crops, BATCH):
            pixels = to_pixel_values(batch["image"].to(model.device), processor)
            found.append(model(pixel_values=pixels).keypoints.cpu())
            truth.append(batch[target])
            ones = torch.ones(batch[target].shape[:2])
            weights.append(batch.get(LANDMARK_WEIGHTS, ones))
    finally:
        model.head.refinement = refinement
        model.train(training)
    first, second, third = (torch.cat(some).double().numpy() for some in (found, truth, weights))
    return first, second, third


@torch.no_grad()
def fit_refinement(
    refinement: ShapeRefinement,
    found: np.ndarray,
    truth: np.ndarray,
    weights: np.ndarray,
    scheme: LandmarkScheme,
    ridge: float = RIDGE,
) -> None:
    """The refinement's linear layer by ridge regression from points to their errors.

    Each face counts twice, as it is and mirrored, so that the map has no side. Each landmark has a
    regression of its own, over the faces that show it.

    Args:
        refinement: with a mean face.
        found: (faces, N, 2) the network's points before refinement, in crop units.
        truth: (faces, N, 2) the ground truth in crop units, of any value where the weight is 0.
        weights: (faces, N) of 0 or more: how much each landmark counts.
        scheme: of the points.
        ridge: weight of the squared map, in mean squares of a deviation.
    """
    flip = list(scheme.flip_permutation)
    points, wanted = (
        torch.from_numpy(np.concatenate([some, some[:, flip] * [-1, 1]])).float()
        for some in (found, truth)
    )
    device = refinement.mean_shape.device
    deviations, back = (part.cpu() for part in refinement.own_frame(points.to(device)))
    errors = ((wanted - points) @ torch.linalg.pinv(back)).double()
    inputs = deviations.flatten(1).double()
    counts = torch.from_numpy(np.concatenate([weights, weights[:, flip]]))
    weight = refinement.linear.weight.unflatten(0, (-1, 2))
    bias = refinement.linear.bias.unflatten(0, (-1, 2))
    for landmark, count in enumerate(counts.T[..., None]):
        if not count.any():  # no face shows it: it stays where the network sees it
            weight[landmark], bias[landmark] = 0, 0
            continue
        share = count / count.sum()
        center, middle = (share * inputs).sum(0), (share * errors[:, landmark]).sum(0)
        seen, missed = (
            share.sqrt() * (inputs - center),
            share.sqrt() * (errors[:, landmark] - middle),
        )
        gram = seen.T @ seen
        penalty = ridge * gram.diagonal().mean() * torch.eye(len(gram))
        best: Tensor = torch.linalg.solve(gram + penalty, seen.T @ missed).T
        weight[landmark], bias[landmark] = best, middle - best @ center
