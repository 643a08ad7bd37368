"""What KD-Loss makes of one coordinate, and the sets of constants that it is made with.

e is the student's error and d the teacher's distance, both from the ground truth; see `losses`.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from ..errors import KDLandmarksError
from .landmark import wing_loss

MainForm = Literal["l1_joined_l2", "wing"]
LowInfluenceForm = Literal["fading_value", "zero", "fading_slope"]
AssistUnit = Literal["crop", "wing"]


@dataclass(frozen=True)
class AssistiveConstants:
    """What one teacher's assistive loss is made of; see `assistive_loss`."""

    alpha: float
    negative_alpha: float
    beta: float

    def __post_init__(self) -> None:
        if not (self.alpha > 0 > self.negative_alpha and 0 < self.beta < 1):
            raise KDLandmarksError(
                f"{self} is not an assistive loss: give alpha > 0, negative_alpha < 0, 0 < beta < 1"
            )


@dataclass(frozen=True)
class KDLossVariant:
    """One complete set of constants of KD-Loss.

    `main` and `main_slope` are those of `main_loss`, `low_influence` that of `assistive_loss`.
    `assist_unit` is what the assistive loss measures e and d in: "crop" as they are, "wing" by
    their wing loss.

    Raises:
        KDLandmarksError: a form or unit that there is not, or a slope that is not positive.
    """

    name: str
    main: MainForm
    main_slope: float
    low_influence: LowInfluenceForm
    tough: AssistiveConstants
    tolerant: AssistiveConstants
    assist_unit: AssistUnit = "crop"

    def __post_init__(self) -> None:
        forms = (MainForm, LowInfluenceForm, AssistUnit)
        for key, form in zip(("main", "low_influence", "assist_unit"), forms, strict=True):
            if getattr(self, key) not in get_args(form):
                raise KDLandmarksError(
                    f"{key} is {getattr(self, key)!r}: choose from {get_args(form)}"
                )
        if not (math.isfinite(self.main_slope) and self.main_slope > 0):
            raise KDLandmarksError(f"main_slope is {self.main_slope}: give a positive number")

    def assist(self, error: Tensor, distance: Tensor, constants: AssistiveConstants) -> Tensor:
        """`assistive_loss` of e and d, or where `assist_unit` is "wing", of their wing losses."""
        if self.assist_unit == "wing":
            error, distance = wing_loss(error), wing_loss(distance)
        return assistive_loss(error, distance, constants, self.low_influence)


# The figures of the paper. Its main loss is drawn for d_tolerant = 0.5 only, as e and e**2 + 0.25:
# that it is e**2 + d_tolerant - d_tolerant**2 in general is our reading.
PAPER = KDLossVariant(
    name="paper",
    main="l1_joined_l2",
    main_slope=1.0,
    low_influence="fading_value",
    tough=AssistiveConstants(alpha=1.0, negative_alpha=-0.5, beta=0.4),
    tolerant=AssistiveConstants(alpha=1.0, negative_alpha=-0.5, beta=0.4),
)
# The loss function that the authors published; differs from their paper's figures.
AUTHOR_CODE = KDLossVariant(
    name="author_code",
    main="l1_joined_l2",
    main_slope=3.0,
    low_influence="zero",
    tough=AssistiveConstants(alpha=1.9, negative_alpha=-0.45, beta=0.15),
    tolerant=AssistiveConstants(alpha=1.8, negative_alpha=-0.40, beta=0.15),
)
# Reasoned (see KDLoss), and chosen on validation faces, by a little: benchmarks/distillation. Main:
# wing loss; assistive: the constants of the paper's figures, but it is the slope that fades to 0.
OURS = KDLossVariant(
    name="ours",
    main="wing",
    main_slope=1.0,
    low_influence="fading_slope",
    tough=AssistiveConstants(alpha=1.0, negative_alpha=-0.5, beta=0.4),
    tolerant=AssistiveConstants(alpha=1.0, negative_alpha=-0.5, beta=0.4),
)
# As "ours", but the assistive terms too measure e and d by their wing loss, in its units: they
# weigh the main loss's pull instead of mixing one of another shape into it.
WING = replace(OURS, name="wing", assist_unit="wing")
VARIANTS: dict[str, KDLossVariant] = {v.name: v for v in (PAPER, AUTHOR_CODE, OURS, WING)}


def assistive_loss(
    error: Tensor, distance: Tensor, constants: AssistiveConstants, low_influence: LowInfluenceForm
) -> Tensor:
    """What one teacher adds to the loss of each coordinate: w(e, d) * |e - d|.

    w is `alpha` where e > d (the student is worse than the teacher), `negative_alpha` where
    beta * d <= e <= d; both pull to the ground truth, with alpha and |negative_alpha|. Nearer than
    beta * d the teacher loses its influence:

    - "fading_value" (the paper): w = negative_alpha * e / (beta * d), so the loss rises to 0 at
      the ground truth. It is continuous, but its slope (negative_alpha / (beta * d)) * (d - 2 * e)
      is negative there: it pushes away from the ground truth.
    - "zero" (the author code): w = 0; the loss jumps at beta * d. Also 0 wherever d = 0, since the
      author code multiplies by the sign of t - g.
    - "fading_slope" (ours): the slope, not the value, fades to 0:
      negative_alpha * (d - beta * d / 2 - e**2 / (2 * beta * d)). Continuous with its slope, and
      (for alpha >= |negative_alpha|) convex, with its minimum at e = 0.

    Where d = 0 the first and the last give alpha * e.

    Args:
        error: e = |p - g| >= 0, any shape.
        distance: d = |t - g| >= 0, the same shape.
        constants: alpha, negative_alpha and beta.
        low_influence: what happens nearer to the ground truth than beta * d.

    Returns:
        The loss of each coordinate, of the same shape, in crop units.
    """
    alpha, negative_alpha, beta = constants.alpha, constants.negative_alpha, constants.beta
    boundary = beta * distance
    near = error < boundary
    # Both branches of torch.where are differentiated: keep the unused one free of x / 0.
    share = error / torch.where(near, boundary, torch.ones_like(boundary))
    inside = negative_alpha * (distance - error)
    beyond = alpha * (error - distance)
    if low_influence == "fading_value":
        low = share * inside
    elif low_influence == "fading_slope":
        low = negative_alpha * (distance - boundary / 2 - share * error / 2)
    else:
        low = torch.zeros_like(inside)
        beyond = beyond * (distance > 0)
    return torch.where(near, low, torch.where(error > distance, beyond, inside))


def main_loss(error: Tensor, distance: Tensor | None, form: MainForm, slope: float) -> Tensor:
    """The loss of each coordinate against the ground truth.

    "l1_joined_l2" (both published variants) is slope * e where e <= d, else
    e**2 + slope * d - d**2: L1, joined continuously to L2 at the Tolerant-Teacher's distance. In
    crop units its slope falls beyond the joint from `slope` to 2 * e, about 0.1: large errors are
    pulled less than small ones. "wing" is slope * wing_loss, without a teacher.

    Args:
        error: e = |p - g| >= 0, any shape.
        distance: d = |t - g| of the Tolerant-Teacher, the same shape; without one the main loss is
            its L1 branch.
        form: "l1_joined_l2" or "wing".
        slope: the slope of the L1 branch, or the factor on the wing loss.

    Returns:
        The loss of each coordinate, of the same shape, in crop units.
    """
    if form == "wing":
        return slope * wing_loss(error)
    if distance is None:
        return slope * error
    return torch.where(error <= distance, slope * error, error**2 + (slope - distance) * distance)


def find_variant(variant: str | KDLossVariant) -> KDLossVariant:
    """The constants of a variant by name; a `KDLossVariant` is returned as it is."""
    if isinstance(variant, KDLossVariant):
        return variant
    if variant not in VARIANTS:
        raise KDLandmarksError(
            f"KD-Loss has no variant {variant!r}: choose from {sorted(VARIANTS)}"
        )
    return VARIANTS[variant]
