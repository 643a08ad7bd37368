"""What a landmark map should look like: one round spot at its landmark.

The integral head answers with the mean of a map, and many maps have the same mean: two half
spots, a stripe, an even gray. Asking for a spot as well makes a detector learn more from few faces
(Nibali et al., Numerical Coordinate Regression with Convolutional Neural Networks, arXiv
1801.07372, section 3.4, whose divergence this is), and lets the spread of a map tell its certainty.
"""

import math

import torch
from torch import Tensor

from .landmark import without_gaps


def map_divergence(
    log_maps: Tensor, targets: Tensor, span: float, sigma: float, weights: Tensor | None = None
) -> Tensor:
    """Mean Jensen-Shannon divergence of landmark maps from Gaussian spots at their targets.

    Args:
        log_maps: (batch, N, H, W) log-probabilities over the cells, as `output_maps=True` gives
            them.
        targets: (batch, N, 2) in crop units; a target outside the map draws to its border, one that
            is not there (NaN) weighs 0.
        span: side of the maps in sides of the crop (`config.head_range`), around its center.
        sigma: standard deviation of a spot in cells, > 0.
        weights: (batch, N) of 0 or more: how much each landmark counts.

    Returns:
        A scalar from 0 (every map is its spot) to ln 2, in float32.
    """
    height, width = log_maps.shape[-2:]
    # A probability that underflows to 0 would meet an infinite slope of the entropy.
    log_maps = log_maps.float().clamp_min(-80)
    centers, weights = without_gaps(targets, weights)
    log_columns = _log_spot(centers[..., 0], width, span, sigma)
    log_rows = _log_spot(centers[..., 1], height, span, sigma)
    # With entropy H, map p and spot q: H((p + q) / 2) - H(p) / 2 - H(q) / 2. A spot's entropy is
    # that of its rows and columns. Few operations: maps are the largest thing that a step touches.
    maps, columns, rows = log_maps.exp(), log_columns.exp(), log_rows.exp()
    both = torch.addcmul(maps, rows.unsqueeze(-1), columns.unsqueeze(-2))
    spot = (columns * log_columns).sum(-1) + (rows * log_rows).sum(-1)
    halves = torch.special.entr(both).sum((-1, -2)) + (maps * log_maps).sum((-1, -2)) + spot
    divergence = halves / 2 + math.log(2)
    return (divergence * weights).mean()


def _log_spot(center: Tensor, cells: int, span: float, sigma: float) -> Tensor:
    """Log-probabilities (…, cells) of a Gaussian around center (…) along one axis of the map."""
    places = (torch.arange(cells, device=center.device) + 0.5) / cells
    places = 0.5 + span * (places - 0.5)
    distance = (places - center.unsqueeze(-1)) / (sigma * span / cells)
    return (-(distance**2) / 2).log_softmax(-1)
