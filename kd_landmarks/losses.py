"""KD-Loss (Fard and Mahoor, CVIU 215, 2022; arXiv 2111.07047).

Every term works on coordinates, not on points. With ground truth g, student p and teacher t,

    e = |p - g|     the student's error       d = |t - g|     the teacher's distance

are all that matters: the teacher is reflected to the student's side of g. KD-Loss is the mean over
batch, points and both coordinates of

    main_weight * main(e, d_tolerant) + tough_weight * ALoss(e, d_tough)
                                      + tolerant_weight * ALoss(e, d_tolerant)

It can go below zero by design (a student better than its teacher): watch its parts, and never stop
training on its sign. Coordinates are in crop units: 1 is the side of the crop.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from .errors import KDLandmarksError
from .plain_losses import check_coordinates, weighted_mean, wing_loss

MainForm = Literal["l1_joined_l2", "wing"]
AssistForm = Literal["assistive", "l1"]
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
                f"{self} is no assistive loss: give alpha > 0, negative_alpha < 0, 0 < beta < 1"
            )


@dataclass(frozen=True)
class KDLossVariant:
    """One complete set of constants of KD-Loss, and where it comes from.

    `assist_unit` is what the assistive loss measures e and d in: "crop" as they are, "wing" by
    their wing loss.
    """

    name: str
    source: str
    main: MainForm
    main_slope: float
    low_influence: LowInfluenceForm
    tough: AssistiveConstants
    tolerant: AssistiveConstants
    assist_unit: AssistUnit = "crop"

    def assist(self, error: Tensor, distance: Tensor, constants: AssistiveConstants) -> Tensor:
        """`assistive_loss` of e and d, or where `assist_unit` is "wing", of their wing losses."""
        if self.assist_unit == "wing":
            error, distance = wing_loss(error), wing_loss(distance)
        return assistive_loss(error, distance, constants, self.low_influence)


PAPER = KDLossVariant(
    name="paper",
    source=(
        "The figures of the paper. Its main loss is drawn for d_tolerant = 0.5 only, as e and "
        "e**2 + 0.25: that it is e**2 + d_tolerant - d_tolerant**2 in general is our reading."
    ),
    main="l1_joined_l2",
    main_slope=1.0,
    low_influence="fading_value",
    tough=AssistiveConstants(alpha=1.0, negative_alpha=-0.5, beta=0.4),
    tolerant=AssistiveConstants(alpha=1.0, negative_alpha=-0.5, beta=0.4),
)
AUTHOR_CODE = KDLossVariant(
    name="author_code",
    source="The loss function that the authors published; differs from their paper's figures.",
    main="l1_joined_l2",
    main_slope=3.0,
    low_influence="zero",
    tough=AssistiveConstants(alpha=1.9, negative_alpha=-0.45, beta=0.15),
    tolerant=AssistiveConstants(alpha=1.8, negative_alpha=-0.40, beta=0.15),
)
OURS = KDLossVariant(
    name="ours",
    source=(
        "Reasoned, not yet chosen on validation faces (see KDLoss). Main: wing loss; assistive: "
        "the constants of the paper's figures, but it is the slope that fades to 0."
    ),
    main="wing",
    main_slope=1.0,
    low_influence="fading_slope",
    tough=AssistiveConstants(alpha=1.0, negative_alpha=-0.5, beta=0.4),
    tolerant=AssistiveConstants(alpha=1.0, negative_alpha=-0.5, beta=0.4),
)
WING = replace(
    OURS,
    name="wing",
    source=(
        'As "ours", but the assistive terms too measure e and d by their wing loss, in its units: '
        "they weigh the main loss's pull instead of mixing one of another shape into it."
    ),
    assist_unit="wing",
)
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


def kd_loss(
    pred: Tensor,
    gt: Tensor,
    tough: Tensor | None = None,
    tolerant: Tensor | None = None,
    variant: str | KDLossVariant = "paper",
    scale: float = 1.0,
    main_weight: float = 2.0,
    tough_weight: float = 1.0,
    tolerant_weight: float = 1.0,
    assist: AssistForm = "assistive",
    weights: Tensor | None = None,
) -> dict[str, Tensor]:
    """KD-Loss of a batch as its weighted parts; see `KDLoss`, which only stores the settings."""
    chosen = find_variant(variant)
    check_coordinates(weights, pred=pred, gt=gt, tough=tough, tolerant=tolerant)
    points, truth = scale * pred.float(), scale * gt.detach().float()
    error = (points - truth).abs()

    def help_of(taught: Tensor | None, constants: AssistiveConstants, weight: float) -> Tensor:
        if taught is None:
            return error.new_zeros(())
        if assist == "l1":
            values = (points - taught).abs()
        else:
            values = chosen.assist(error, (taught - truth).abs(), constants)
        return weight * weighted_mean(values, weights)

    by_tough, by_tolerant = (
        None if teacher is None else scale * teacher.detach().float()
        for teacher in (tough, tolerant)
    )
    joint = None if by_tolerant is None else (by_tolerant - truth).abs()
    main = main_loss(error, joint, chosen.main, chosen.main_slope)
    parts = {
        "main": main_weight * weighted_mean(main, weights),
        "tough": help_of(by_tough, chosen.tough, tough_weight),
        "tolerant": help_of(by_tolerant, chosen.tolerant, tolerant_weight),
    }
    return {"loss": parts["main"] + parts["tough"] + parts["tolerant"], **parts}


class KDLoss(nn.Module):
    """KD-Loss as a module: `KDLoss()(pred, gt, tough, tolerant)["loss"].backward()`.

    variant="paper" and "author_code" reproduce the publication and the code that came with it
    (they disagree). Both have flaws in crop units: the main loss pulls errors beyond the
    Tolerant-Teacher's distance *less* (slope 2 * e, about 0.1, instead of 1 or 3), and the paper's
    assistive loss pushes away from the ground truth close to it, so that its total has its minimum
    off the ground truth.

    variant="ours" mends these. Its constants are a reasoned starting point and await the choice on
    validation faces:

    - main = wing loss: slope 1 on every large error, steeper on the small errors of a trained
      student, where the inter-ocular NME is decided; no teacher moves its joint.
    - assistive = the paper's slopes, alpha where the teacher shows that the error can be avoided,
      the smaller |negative_alpha| where the student is already better than the teacher (hard
      points, doubtful labels), fading continuously to 0 towards the ground truth.
    - Both are continuous and never fall with growing e, the main loss rises strictly: the ground
      truth is the only minimum.

    variant="wing" is "ours" with e and d in the assistive terms measured by their wing loss. Then
    the slope of all three terms together is the wing loss's times 2 to 4 (with the paper's
    weights): most where no teacher errs as much, least near the ground truth.

    Args:
        variant: "paper", "author_code", "ours", "wing", or a `KDLossVariant` of your own.
        scale: Multiplies all coordinates before every term; 1 = crop units.
        main_weight: Weight of the main loss (the paper's 2).
        tough_weight: Weight of the Tough-Teacher's assistive loss (the paper's 1).
        tolerant_weight: Weight of the Tolerant-Teacher's assistive loss (the paper's 1).
        assist: "assistive", the paper's loss of e and d, or "l1": |p - t|, which pulls to the
            teacher's points themselves. No part of the paper; a control.

    `forward(pred, gt, tough=None, tolerant=None, weights=None)` takes (batch, N, 2) tensors in crop
    units of any floating type, computes in float32 and returns float32 scalars `loss`, `main`,
    `tough` and `tolerant`, the parts already multiplied by their weights: loss = main + tough +
    tolerant. An absent teacher contributes 0; without a Tolerant-Teacher the main loss is its L1
    branch. `weights` (batch, N), 0 or more, says how much each landmark counts; the mean still runs
    over all of them. Only `pred` gets a gradient.

    Raises:
        KDLandmarksError: Unknown variant or `assist`, `scale` not positive, a negative weight, or
            tensors that are not (batch, N, 2) all alike, or `weights` not (batch, N).
    """

    def __init__(
        self,
        variant: str | KDLossVariant = "paper",
        scale: float = 1.0,
        main_weight: float = 2.0,
        tough_weight: float = 1.0,
        tolerant_weight: float = 1.0,
        assist: AssistForm = "assistive",
    ) -> None:
        super().__init__()
        if assist not in get_args(AssistForm):
            raise KDLandmarksError(f"assist is {assist!r}: choose from {get_args(AssistForm)}")
        self.assist: AssistForm = assist
        if not (math.isfinite(scale) and scale > 0):
            raise KDLandmarksError(f"scale is {scale}: give a positive number (1 = crop units)")
        self.variant = find_variant(variant)
        self.scale = scale
        self.weights = {
            "main_weight": main_weight,
            "tough_weight": tough_weight,
            "tolerant_weight": tolerant_weight,
        }
        for name, weight in self.weights.items():
            if not (math.isfinite(weight) and weight >= 0):
                raise KDLandmarksError(f"{name} is {weight}: give a number of 0 or more")

    def forward(
        self,
        pred: Tensor,
        gt: Tensor,
        tough: Tensor | None = None,
        tolerant: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The weighted parts `loss`, `main`, `tough`, `tolerant`; see the class."""
        return kd_loss(
            pred,
            gt,
            tough,
            tolerant,
            self.variant,
            self.scale,
            **self.weights,
            assist=self.assist,
            weights=weights,
        )

    def extra_repr(self) -> str:
        """The settings, for `print(loss)`."""
        weights = ", ".join(f"{name}={weight}" for name, weight in self.weights.items())
        return (
            f"variant={self.variant.name!r}, scale={self.scale}, {weights}, assist={self.assist!r}"
        )


def find_variant(variant: str | KDLossVariant) -> KDLossVariant:
    """The constants of a variant by name; a `KDLossVariant` is returned as it is."""
    if isinstance(variant, KDLossVariant):
        return variant
    if variant not in VARIANTS:
        raise KDLandmarksError(
            f"KD-Loss has no variant {variant!r}: choose from {sorted(VARIANTS)}"
        )
    return VARIANTS[variant]
