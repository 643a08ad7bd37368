"""KD-Loss does what paper and author code say, stays finite, and pulls where it should."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from kd_landmarks.errors import KDLandmarksError
from kd_landmarks.losses.kd import KDLoss
from kd_landmarks.losses.landmark import (
    PLAIN_LOSSES,
    WING_EPSILON,
    WING_WIDTH,
    landmark_loss,
    wing_loss,
)
from kd_landmarks.losses.variants import (
    VARIANTS,
    AssistiveConstants,
    KDLossVariant,
    assistive_loss,
    main_loss,
)

REFERENCE = json.loads((Path(__file__).parent / "kd_loss_author_code.json").read_text())
CASES = {case["name"]: case for case in REFERENCE["cases"]}
PART_FIELDS = {"main": "main", "tough": "tough_assist", "tolerant": "tolerant_assist"}


def reference_tensors(case):
    pred, gt, tough, tolerant = (
        torch.tensor(case[name]) for name in ("pred", "gt", "tough", "tolerant")
    )
    return pred.requires_grad_(), gt, tough, tolerant


def one_coordinate(error, distance=None, **settings):
    """KD-Loss and its slope in e for single coordinates with errors e and teacher distances d."""
    e = torch.as_tensor(error, dtype=torch.float32).reshape(-1)
    pred = torch.stack([e, torch.zeros_like(e)], -1)[:, None].requires_grad_()
    teacher = None if distance is None else torch.zeros_like(pred)
    if teacher is not None:
        teacher[..., 0] = distance
    gt = torch.zeros(len(e), 1, 2)
    parts = KDLoss(**settings)(pred, gt, teacher, teacher)
    parts["loss"].backward()
    # The mean runs over len(e) points of two coordinates, of which the second is without error.
    return parts, pred.grad[:, 0, 0] * 2 * len(e)


@pytest.mark.parametrize("name", CASES)
def test_author_code_matches_its_authors_values_and_gradients(name):
    case = CASES[name]
    pred, gt, tough, tolerant = reference_tensors(case)
    parts = KDLoss("author_code")(pred, gt, tough, tolerant)
    parts["loss"].backward()
    assert parts["loss"].item() == pytest.approx(case["total"], abs=1e-6)
    for part, field in PART_FIELDS.items():
        assert parts[part].item() == pytest.approx(case[field], abs=1e-6)
    np.testing.assert_allclose(pred.grad.numpy(), case["grad_pred"], atol=1e-6)


@pytest.mark.parametrize("weights", [(2.0, 1.0, 1.0), (0.7, 2.3, 0.0), (1.0, 0.5, 3.0)])
def test_parts_are_weighted_and_sum_to_the_loss(weights):
    case = CASES["late_training"]
    pred, gt, tough, tolerant = reference_tensors(case)
    names = ("main_weight", "tough_weight", "tolerant_weight")
    loss = KDLoss("author_code", **dict(zip(names, weights, strict=True)))
    parts = loss(pred, gt, tough, tolerant)
    for (part, field), name, weight in zip(PART_FIELDS.items(), names, weights, strict=True):
        assert parts[part].item() == pytest.approx(case[field] / case[name] * weight, abs=1e-6)
    total = parts["main"] + parts["tough"] + parts["tolerant"]
    assert parts["loss"].item() == pytest.approx(total.item(), abs=1e-7)


def test_constants_are_those_of_their_sources():
    case = CASES["early_training"]
    code = VARIANTS["author_code"]
    for teacher in ("tough", "tolerant"):
        constants = getattr(code, teacher)
        assert constants.alpha == case[f"alpha_{teacher}"]
        assert constants.negative_alpha == case[f"negative_alpha_{teacher}"]
        assert constants.beta == case["beta"]
    paper = AssistiveConstants(alpha=1.0, negative_alpha=-0.5, beta=0.4)
    assert VARIANTS["paper"].tough == VARIANTS["paper"].tolerant == paper


def test_assistive_loss_by_region():
    constants = AssistiveConstants(alpha=1.0, negative_alpha=-0.5, beta=0.4)
    e, d = torch.tensor([3.0, 1.0, 0.6, 0.2, 0.0]), torch.ones(5)
    # beyond the teacher, level with it, inside it, low influence (w = -0.5 * 0.2 / 0.4), on g
    paper = assistive_loss(e, d, constants, "fading_value")
    np.testing.assert_allclose(paper, [2.0, 0.0, -0.2, -0.2, 0.0], atol=1e-6)
    code = assistive_loss(e, d, constants, "zero")
    np.testing.assert_allclose(code, [2.0, 0.0, -0.2, 0.0, 0.0], atol=1e-6)
    ours = assistive_loss(e, d, constants, "fading_slope")
    np.testing.assert_allclose(ours, [2.0, 0.0, -0.2, -0.375, -0.4], atol=1e-6)


@pytest.mark.parametrize(("form", "jump"), [("fading_value", 0), ("fading_slope", 0), ("zero", 1)])
def test_only_the_author_code_jumps_at_the_low_influence_boundary(form, jump):
    constants = AssistiveConstants(alpha=1.0, negative_alpha=-0.5, beta=0.4)
    sides = torch.tensor([0.4 - 1e-6, 0.4 + 1e-6])
    below, above = assistive_loss(sides, torch.ones(2), constants, form)
    assert abs(below - above).item() == pytest.approx(jump * 0.5 * 0.6, abs=1e-5)


def test_the_teacher_is_reflected_to_the_students_side(rng):
    pred, gt, offset = (torch.tensor(rng.normal(0, 0.05, (2, 5, 2))) for _ in range(3))
    for loss in map(KDLoss, VARIANTS):
        near, far = (loss(pred, gt, gt + s * offset, gt - s * offset) for s in (1, -1))
        assert near["loss"].item() == pytest.approx(far["loss"].item(), abs=1e-7)


def test_main_loss_of_the_published_variants_joins_at_the_tolerant_teacher():
    e, d = torch.tensor([0.3, 0.5, 0.8]), torch.full((3,), 0.5)
    np.testing.assert_allclose(
        main_loss(e, d, "l1_joined_l2", 3.0), [0.9, 1.5, 0.64 + 1.5 - 0.25], atol=1e-6
    )
    # the paper's figure: slope 1 to 0.5, then e**2 + 0.25
    np.testing.assert_allclose(
        main_loss(e, d, "l1_joined_l2", 1.0), [0.3, 0.5, 0.64 + 0.25], atol=1e-6
    )


@pytest.mark.parametrize(("variant", "slope"), [("paper", 1.0), ("author_code", 3.0)])
def test_published_main_loss_pulls_large_errors_less(variant, slope):
    settings = {"variant": variant, "tough_weight": 0.0, "tolerant_weight": 0.0}
    _, pull = one_coordinate([0.01, 0.10], distance=0.05, **settings)
    np.testing.assert_allclose(pull, [2 * slope, 2 * 2 * 0.10], rtol=1e-5)


def total_curve(error, d_tough, d_tolerant, variant):
    """KD-Loss of single coordinates with weights 2, 1, 1, unreduced."""
    total = 2 * main_loss(
        error, torch.full_like(error, d_tolerant), variant.main, variant.main_slope
    )
    for distance, constants in ((d_tough, variant.tough), (d_tolerant, variant.tolerant)):
        total = total + variant.assist(error, torch.full_like(error, distance), constants)
    return total


@pytest.mark.parametrize(("d_tough", "d_tolerant"), [(0.02, 0.04), (0.03, 0.03), (0.01, 0.08)])
def test_the_papers_minimum_lies_off_the_ground_truth(d_tough, d_tolerant):
    errors = torch.linspace(0, 0.1, 100_001, dtype=torch.float64)
    total = total_curve(errors, d_tough, d_tolerant, VARIANTS["paper"])
    expected = 0.2 * d_tough * d_tolerant / (d_tough + d_tolerant)
    assert errors[total.argmin()].item() == pytest.approx(expected, abs=2e-6)
    assert total.min() < total[0]


@pytest.mark.parametrize("variant", ["ours", "wing"])
@pytest.mark.parametrize(
    ("d_tough", "d_tolerant"), [(0.0, 0.0), (0.003, 0.003), (0.02, 0.04), (0.1, 0.01)]
)
def test_ours_pulls_every_error_to_the_ground_truth(d_tough, d_tolerant, variant):
    errors = torch.linspace(1e-5, 0.5, 50_000, dtype=torch.float64, requires_grad=True)
    total = total_curve(errors, d_tough, d_tolerant, VARIANTS[variant])
    (slope,) = torch.autograd.grad(total.sum(), errors)
    assert (slope > 0).all()
    beyond_both_teachers = errors > 0.11
    assert (slope[beyond_both_teachers] >= 2 * 1 + 1 + 1 - 1e-9).all()
    # continuous: the loss rises by no step that its slope does not explain
    steps = total.detach().diff()
    assert (steps <= slope.max() * errors.detach().diff() * 1.01).all()
    assert (steps > 0).all()


def test_in_wing_units_teachers_only_weigh_the_wing_loss():
    d_tough, d_tolerant = 0.01, 0.06
    errors = torch.tensor([0.002, 0.03, 0.09], dtype=torch.float64, requires_grad=True)
    total = total_curve(errors, d_tough, d_tolerant, VARIANTS["wing"])
    (slope,) = torch.autograd.grad(total.sum(), errors)
    (plain,) = torch.autograd.grad(wing_loss(errors).sum(), errors)
    # Near the truth both teachers fade, by their shares of 0.4 of a distance; then the tough one
    # shows that the error can be avoided and the tolerant one does not; then both do.
    own, low_tough, low_tolerant = (
        wing_loss(torch.tensor(value)).item() for value in (0.002, d_tough, d_tolerant)
    )
    near = 2 + 0.5 * own / (0.4 * low_tough) + 0.5 * own / (0.4 * low_tolerant)
    np.testing.assert_allclose(slope / plain, [near, 2 + 1 + 0.5, 2 + 1 + 1], rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("variant", VARIANTS)
def test_finite_on_the_ground_truth_and_in_half_precision(variant, dtype):
    tiny = torch.finfo(dtype).tiny
    values = torch.tensor([0.0, tiny, 1e-3, 0.3, 4.0, 100.0]).to(dtype)
    e, d_tough, d_tolerant = torch.cartesian_prod(values, values, values).T
    pred, tough, tolerant = (
        torch.stack([x, -x], -1)[None].to(dtype) for x in (e, d_tough, d_tolerant)
    )
    pred.requires_grad_()
    gt = torch.zeros_like(pred)
    parts = KDLoss(variant)(pred, gt, tough, tolerant)
    parts["loss"].backward()
    assert all(part.isfinite() and part.dtype == torch.float32 for part in parts.values())
    assert pred.grad.dtype == dtype
    assert pred.grad.isfinite().all()


def test_half_precision_is_computed_in_float32(rng):
    tensors = [torch.tensor(rng.normal(0, 0.05, (64, 68, 2))).half() for _ in range(4)]
    for loss in map(KDLoss, VARIANTS):
        half, single = loss(*tensors), loss(*(t.float() for t in tensors))
        assert half["loss"].item() == single["loss"].item()


@pytest.mark.parametrize(("variant", "slope"), [("paper", 1.0), ("author_code", 0), ("ours", 1.0)])
def test_a_perfect_teacher(variant, slope):
    parts, _ = one_coordinate(0.1, distance=0.0, variant=variant)
    assert parts["tough"].item() == pytest.approx(slope * 0.1 / 2, abs=1e-6)


def test_only_the_student_gets_a_gradient(rng):
    pred, gt, tough, tolerant = (
        torch.tensor(rng.normal(0, 0.05, (2, 5, 2))).requires_grad_() for _ in range(4)
    )
    for loss in map(KDLoss, VARIANTS):
        loss(pred, gt, tough, tolerant)["loss"].backward()
    assert pred.grad.abs().sum() > 0
    assert gt.grad is None
    assert tough.grad is None
    assert tolerant.grad is None


def test_plain_l1_pulls_to_the_teachers_points(rng):
    pred, gt, tough, tolerant = (torch.tensor(rng.normal(0, 0.1, (4, 5, 2))) for _ in range(4))
    weights = torch.tensor(rng.uniform(0, 1, (4, 5)))
    loss = KDLoss("ours", tough_weight=3, assist="l1")
    parts = loss(pred, gt, tough, tolerant, weights)
    away = (pred - tough).abs().mean(-1) * weights
    torch.testing.assert_close(parts["tough"].double(), 3 * away.mean(), atol=1e-6, rtol=1e-5)
    main = KDLoss("ours")(pred, gt, tough, tolerant, weights)["main"]
    torch.testing.assert_close(parts["main"], main)
    with pytest.raises(KDLandmarksError, match="assist is 'l2'"):
        KDLoss(assist="l2")


def test_absent_teachers_contribute_nothing():
    case = CASES["late_training"]
    pred, gt, tough, tolerant = reference_tensors(case)
    loss = KDLoss("author_code")
    alone = loss(pred, gt)
    assert alone["tough"] == alone["tolerant"] == 0
    assert alone["loss"].item() == pytest.approx(2 * 3 * (pred - gt).abs().mean().item(), rel=1e-6)
    with_tough = loss(pred, gt, tough)
    assert with_tough["tough"].item() == pytest.approx(case["tough_assist"], abs=1e-6)
    assert with_tough["main"] == alone["main"]
    without_tough = loss(pred, gt, tolerant=tolerant)
    assert without_tough["main"].item() == pytest.approx(case["main"], abs=1e-6)
    assert without_tough["tough"] == 0


@pytest.mark.parametrize("variant", VARIANTS)
def test_scale_multiplies_all_coordinates(variant, rng):
    tensors = [torch.tensor(rng.normal(0, 0.05, (2, 5, 2))) for _ in range(4)]
    scaled, by_hand = (
        KDLoss(variant, scale=10)(*tensors),
        KDLoss(variant)(*(10 * t for t in tensors)),
    )
    for part, value in scaled.items():
        assert value.item() == pytest.approx(by_hand[part].item(), rel=1e-5)


def test_a_variant_of_ones_own():
    ours = VARIANTS["ours"]
    mine = KDLossVariant(**{**vars(ours), "name": "mine", "main_slope": 2.0})
    gt = torch.zeros(1, 3, 2)
    own, shipped = (KDLoss(v)(gt + 0.1, gt)["main"].item() for v in (mine, "ours"))
    assert own == pytest.approx(2 * shipped)


def test_bad_settings_are_refused_by_name():
    with pytest.raises(KDLandmarksError, match=r"'best'.*author_code.*ours.*paper.*wing"):
        KDLoss("best")
    for scale in (0, -1, math.nan, math.inf):
        with pytest.raises(KDLandmarksError, match="scale"):
            KDLoss(scale=scale)
    for weight in ("main_weight", "tough_weight", "tolerant_weight"):
        with pytest.raises(KDLandmarksError, match=weight):
            KDLoss(**{weight: -0.1})
    with pytest.raises(KDLandmarksError, match="negative_alpha"):
        AssistiveConstants(alpha=1, negative_alpha=0.5, beta=0.4)
    for key, value in (
        ("main", "wings"),
        ("low_influence", "none"),
        ("assist_unit", "pixels"),
        ("main_slope", 0.0),
    ):
        with pytest.raises(KDLandmarksError, match=f"^{key} is {value!r}"):
            KDLossVariant(**{**vars(VARIANTS["ours"]), key: value})


def test_shapes_that_do_not_fit_are_refused_by_shape():
    points = torch.zeros(2, 68, 2)
    with pytest.raises(KDLandmarksError, match=r"pred \(2, 68, 2\), gt \(2, 98, 2\)"):
        KDLoss()(points, torch.zeros(2, 98, 2))
    with pytest.raises(KDLandmarksError, match=r"tolerant \(1, 68, 2\)"):
        KDLoss()(points, points, tolerant=points[:1])
    with pytest.raises(KDLandmarksError, match=r"\(136,\)"):
        KDLoss()(torch.zeros(136), torch.zeros(136))
    with pytest.raises(KDLandmarksError, match=r"\(0, 68, 2\)"):
        landmark_loss("l1")(points[:0], points[:0])


@pytest.mark.parametrize("name", ["l1", "smooth_l1", "l2"])
def test_plain_losses_agree_with_torch(name, rng):
    pred, gt = (torch.tensor(rng.normal(0, 0.02, (3, 7, 2))) for _ in range(2))
    functional = torch.nn.functional
    expected = {
        "l1": functional.l1_loss(pred, gt),
        "l2": functional.mse_loss(pred, gt),
        "smooth_l1": functional.smooth_l1_loss(pred, gt, beta=0.01),
    }[name]
    assert landmark_loss(name)(pred, gt).item() == pytest.approx(expected.item(), rel=1e-5)


def test_wing_loss_is_feng_et_al():
    gt = torch.zeros(1, 1, 2)
    small, large = 0.5 * WING_WIDTH, 3 * WING_WIDTH
    below = landmark_loss("wing")(gt + small, gt).item()
    beyond = landmark_loss("wing")(gt + large, gt).item()
    assert below == pytest.approx(WING_WIDTH * math.log(1 + small / WING_EPSILON), rel=1e-5)
    constant = WING_WIDTH - WING_WIDTH * math.log(1 + WING_WIDTH / WING_EPSILON)
    assert beyond == pytest.approx(large - constant, rel=1e-5)


@pytest.mark.parametrize("name", PLAIN_LOSSES)
def test_plain_losses_in_half_precision(name):
    pred = torch.tensor([[[0.0, 1e-3], [0.5, 300.0]]], dtype=torch.float16, requires_grad=True)
    loss = landmark_loss(name)(pred, torch.zeros_like(pred))
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.isfinite()
    assert pred.grad.isfinite().all()


def test_unknown_plain_loss_is_refused():
    with pytest.raises(KDLandmarksError, match=r"'mse'.*'l1', 'l2', 'smooth_l1', 'wing'"):
        landmark_loss("mse")


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_landmark_counts_by_its_weight(variant):
    gt, noise = torch.rand(3, 5, 2), 0.05 * torch.randn(3, 5, 2)
    teachers = {"tough": gt + 0.01, "tolerant": gt - 0.02}
    pred = (gt + noise).requires_grad_()
    weights = torch.ones(3, 5)
    plain, even = (
        KDLoss(variant)(pred, gt, **teachers),
        KDLoss(variant)(pred, gt, **teachers, weights=weights),
    )
    for name, value in plain.items():
        torch.testing.assert_close(even[name], value)
    weights[1, 3], weights[2, 2] = 0, 0.5
    for loss in (
        KDLoss(variant)(pred, gt, **teachers, weights=weights)["loss"],
        landmark_loss("wing")(pred, gt, weights),
    ):
        (slope,) = torch.autograd.grad(loss, pred)
        assert (slope[1, 3] == 0).all()
        assert (slope[0, 3] != 0).all()
    whole, half = (
        torch.autograd.grad(landmark_loss("wing")(pred, gt, w), pred)[0] for w in (None, weights)
    )
    torch.testing.assert_close(half[2, 2], whole[2, 2] / 2)


def test_weights_must_be_one_a_landmark():
    gt = torch.rand(3, 5, 2)
    with pytest.raises(KDLandmarksError, match=r"weights are \(3, 2\), not \(3, 5\)"):
        KDLoss()(gt, gt, weights=torch.ones(3, 2))


@pytest.mark.parametrize("name", ["kd", *PLAIN_LOSSES])
def test_landmarks_that_are_not_there_weigh_nothing(rng, name):
    pred, gt, teacher = (torch.tensor(rng.uniform(0, 1, (2, 5, 2))).float() for _ in range(3))
    weights = torch.tensor(rng.uniform(0.5, 1, (2, 5))).float()

    def value(truth, counted):
        points = pred.clone().requires_grad_()
        if name == "kd":
            loss = KDLoss("ours")(points, truth, teacher, teacher, weights=counted)["loss"]
        else:
            loss = landmark_loss(name)(points, truth, counted)
        loss.backward()
        return loss.item(), points.grad

    gaps, zeroed = gt.clone(), weights.clone()
    gaps[0, 1] = gaps[1, 4] = torch.nan
    zeroed[0, 1] = zeroed[1, 4] = 0
    loss, slope = value(gaps, weights)
    expected, wanted = value(gt, zeroed)
    assert loss == pytest.approx(expected)
    torch.testing.assert_close(slope, wanted)
    assert not slope[0, 1].any()
    assert slope[0, 0].any()
    assert value(gaps, None)[0] == pytest.approx(value(gt, (zeroed > 0).float())[0])


def test_a_teacher_need_not_know_what_is_not_there():
    truth = torch.rand(2, 5, 2)
    truth[0, 1] = float("nan")
    taught = truth + 0.01
    points, filled = truth.nan_to_num() + 0.02, taught.nan_to_num()
    told = KDLoss("ours")(points, truth, taught, taught)
    known = KDLoss("ours")(points, truth, filled, filled)
    assert all(torch.isfinite(part) for part in told.values())
    assert told["loss"] == known["loss"]
