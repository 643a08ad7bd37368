"""What a landmark map should look like: one round spot at its landmark.

The integral head answers with the mean of a map, and many maps have the same mean: two half
spots, a stripe, an even gray. Asking for a spot as well makes a detector learn more from few faces
(Nibali et al., Numerical Coordinate Regression with Convolutional Neural Networks, arXiv
1801.07372, section 3.4, whose divergence this is), and lets the spread of a map tell its certainty.
"""

import math

import torch
from torch import Tensor


def map_divergence(
    log_maps: Tensor, targets: Tensor, span: float, sigma: float, weights: Tensor | None = None
) -> Tensor:
    """Mean Jensen-Shannon divergence of landmark maps from Gaussian spots at their targets.

    Args:
        log_maps: (batch, N, H, W) log-probabilities over the cells, as `output_maps=True` gives
            them.
        targets: (batch, N, 2) in crop units; a target outside the map draws to its border.
        span: side of the maps in sides of the crop (`config.head_range`), around its center.
        sigma: standard deviation of a spot in cells, > 0.
        weights: (batch, N) of 0 or more: how much each landmark counts.

    Returns:
        A scalar from 0 (every map is its spot) to ln 2, in float32.
    """
    height, width = log_maps.shape[-2:]
    log_maps, targets = log_maps.float(), targets.detach().float()
    columns = _log_spot(targets[..., 0], width, span, sigma)
    rows = _log_spot(targets[..., 1], height, span, sigma)
    log_spots = rows.unsqueeze(-1) + columns.unsqueeze(-2)
    log_middle = torch.logaddexp(log_maps, log_spots) - math.log(2)
    divergence = (log_maps.exp() * (log_maps - log_middle)).sum((-1, -2)) / 2
    divergence = divergence + (log_spots.exp() * (log_spots - log_middle)).sum((-1, -2)) / 2
    return (divergence if weights is None else divergence * weights.float()).mean()


def _log_spot(center: Tensor, cells: int, span: float, sigma: float) -> Tensor:
    """Log-probabilities (…, cells) of a Gaussian around center (…) along one axis of the map."""
    places = (torch.arange(cells, device=center.device) + 0.5) / cells
    places = 0.5 + span * (places - 0.5)
    distance = (places - center.unsqueeze(-1)) / (sigma * span / cells)
    return (-(distance**2) / 2).log_softmax(-1)
