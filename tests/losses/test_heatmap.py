"""Landmark maps are drawn to round spots at their landmarks."""

import math

import pytest
import torch

from kd_landmarks.losses.heatmap import map_divergence

CELLS, SPAN = 16, 1.1


def spot(x, y, sigma, cells=CELLS, span=SPAN):
    """Log-probabilities of a Gaussian at crop units (x, y), sigma in cells, by its formula."""
    places = 0.5 + span * ((torch.arange(cells) + 0.5) / cells - 0.5)
    width = sigma * span / cells
    squares = (places[None, :] - x) ** 2 + (places[:, None] - y) ** 2
    density = -squares / (2 * width**2)
    return density - density.logsumexp((0, 1))


def test_a_spot_at_its_landmark_costs_nothing():
    maps = torch.stack([spot(0.3, 0.6, 1.0), spot(0.9, 0.1, 1.0)])[None]
    targets = torch.tensor([[[0.3, 0.6], [0.9, 0.1]]])
    assert map_divergence(maps, targets, SPAN, 1.0).item() == pytest.approx(0, abs=1e-6)
    assert map_divergence(maps, targets, SPAN, 2.0).item() > 0.01


def test_it_is_the_jensen_shannon_divergence():
    first, second = spot(0.3, 0.6, 1.0), spot(0.35, 0.55, 1.5)
    middle = (first.exp() + second.exp()) / 2
    expected = sum((p.exp() * (p - middle.log())).sum() / 2 for p in (first, second))
    found = map_divergence(second[None, None], torch.tensor([[[0.3, 0.6]]]), SPAN, 1.0)
    torch.testing.assert_close(found, expected)


def test_it_ends_at_ln_2_however_far_a_map_is_off():
    far = spot(0.05, 0.05, 0.3)[None, None].clamp(min=-1e4)
    value = map_divergence(far, torch.tensor([[[0.95, 0.95]]]), SPAN, 0.3)
    assert value.item() == pytest.approx(math.log(2), abs=1e-3)


def test_a_target_outside_the_map_draws_to_its_border():
    raw = torch.zeros(1, 1, CELLS, CELLS, requires_grad=True)
    maps = raw.flatten(2).log_softmax(-1).unflatten(-1, (CELLS, CELLS))
    map_divergence(maps, torch.tensor([[[1.4, 0.5]]]), SPAN, 1.0).backward()
    assert torch.isfinite(raw.grad).all()
    steepest = (-raw.grad[0, 0]).flatten().argmax().item()
    assert steepest % CELLS == CELLS - 1


def test_landmarks_that_are_not_there_weigh_nothing():
    raw = torch.randn(2, 3, CELLS, CELLS, generator=torch.Generator().manual_seed(0))
    raw.requires_grad_()
    maps = raw.flatten(2).log_softmax(-1).unflatten(-1, (CELLS, CELLS))
    targets = torch.full((2, 3, 2), 0.5)
    weights = torch.ones(2, 3)
    weights[1, 2] = 0
    expected = map_divergence(maps, targets, SPAN, 1.0, weights)
    targets[1, 2] = torch.nan
    found = map_divergence(maps, targets, SPAN, 1.0)
    assert found.item() == pytest.approx(expected.item())
    found.backward()
    assert not raw.grad[1, 2].any()
    assert torch.isfinite(raw.grad).all()


def test_landmarks_count_by_their_weights():
    maps = torch.stack([spot(0.3, 0.6, 1.0), spot(0.9, 0.1, 1.0)])[None]
    targets = torch.full((1, 2, 2), 0.5)
    alone = [map_divergence(maps[:, i : i + 1], targets[:, :1], SPAN, 1.0).item() for i in range(2)]
    weights = torch.tensor([[1.0, 0.25]])
    found = map_divergence(maps, targets, SPAN, 1.0, weights).item()
    assert found == pytest.approx((alone[0] + 0.25 * alone[1]) / 2)
