"""Plain losses of landmarks: functions of each coordinate's error alone, in crop units."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..errors import KDLandmarksError

# Feng et al., CVPR 2018, use w = 10 and epsilon = 2 pixels; here the same in units of a 224-pixel
# crop, rounded to 9 and 2.2 pixels.
WING_WIDTH = 0.04
WING_EPSILON = 0.01
# Where smooth L1 turns from quadratic to linear: about 2 pixels of a 224-pixel crop. The usual 1
# would be the whole crop, and the loss nothing but half of L2.
SMOOTH_L1_BETA = 0.01


def wing_loss(error: Tensor) -> Tensor:
    """Wing loss (Feng et al., CVPR 2018, equation 5) of each coordinate's error e >= 0.

    width * ln(1 + e / epsilon) below WING_WIDTH, e - C from there on, with C such that they meet:
    slope 1 on large errors, up to width / epsilon on small ones. In the units of `error`.
    """
    width, epsilon = WING_WIDTH, WING_EPSILON
    constant = width - width * math.log1p(width / epsilon)
    return torch.where(error < width, width * torch.log1p(error / epsilon), error - constant)


def _smooth_l1(error: Tensor) -> Tensor:
    beta = SMOOTH_L1_BETA
    return torch.where(error < beta, error**2 / (2 * beta), error - beta / 2)


# Functions of each coordinate's error e = |p - g|; "l2" is the squared error, not its root.
PLAIN_LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "l1": lambda error: error,
    "l2": torch.square,
    "smooth_l1": _smooth_l1,
    "wing": wing_loss,
}


def landmark_loss(name: str) -> Callable[..., Tensor]:
    """A plain loss by its name in a recipe: `landmark_loss("wing")(pred, gt, weights=None)`.

    The function takes two (batch, N, 2) tensors in crop units, computes in float32 and returns the
    mean over all coordinates, each times its landmark's weight where `weights` (batch, N) are
    given; only `pred` gets a gradient. Landmarks that are not there, NaN in `gt`, weigh 0.

    Args:
        name: "l1", "l2" (squared error, what the teachers are trained with), "smooth_l1" (with
            SMOOTH_L1_BETA) or "wing" (with WING_WIDTH and WING_EPSILON).

    Raises:
        KDLandmarksError: Unknown name; from the function: tensors that are not (batch, N, 2) alike.
    """
    if name not in PLAIN_LOSSES:
        raise KDLandmarksError(f"there is no loss {name!r}: choose from {sorted(PLAIN_LOSSES)}")

    def loss(pred: Tensor, gt: Tensor, weights: Tensor | None = None) -> Tensor:
        check_coordinates(weights, pred=pred, gt=gt)
        truth, weights = without_gaps(gt, weights)
        return weighted_mean(PLAIN_LOSSES[name]((pred.float() - truth).abs()), weights)

    return loss


def without_gaps(gt: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """The ground truth with 0 for landmarks that are not there (NaN), and weights of 0 for them.

    Args:
        gt: (batch, N, 2).
        weights: (batch, N) of 0 or more; None for 1 each.

    Returns:
        (batch, N, 2) and (batch, N), both float32 and without gradient.
    """
    truth = gt.detach().float()
    there = truth.isfinite().all(-1)
    known = there.float() if weights is None else there * weights.float()
    return truth.where(there.unsqueeze(-1), 0.0), known


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Mean over all coordinates (batch, N, 2), each times its landmark's weight (batch, N)."""
    return (values * weights.float().unsqueeze(-1)).mean()


def check_coordinates(weights: Tensor | None, **tensors: Tensor | None) -> None:
    """Refuse tensors that are not (batch, N, 2) alike, and weights that are not (batch, N).

    Raises:
        KDLandmarksError: with all shapes.
    """
    shapes = {name: tuple(t.shape) for name, t in tensors.items() if t is not None}
    shape = shapes["pred"]
    if len(shape) != 3 or shape[2] != 2 or 0 in shape or len(set(shapes.values())) > 1:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise KDLandmarksError(f"shapes are {listed}: all must be the same (batch, points, 2)")
    if weights is not None and tuple(weights.shape) != shape[:2]:
        raise KDLandmarksError(f"weights are {tuple(weights.shape)}, not {shape[:2]}: one a point")
