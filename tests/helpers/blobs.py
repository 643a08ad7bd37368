"""Pictures with one bright spot whose place is known exactly, and how to find it again."""

import numpy as np
import torch


def draw_blob(x, y, sigma=5.0, width=300, height=300):
    """A picture (height, width, 3), black but for a Gaussian blob at (x, y)."""
    columns, rows = np.arange(width), np.arange(height)[:, None]
    values = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
    return np.repeat(values.round().astype(np.uint8)[..., None], 3, axis=2)


def centroid(picture):
    """Intensity centroid x, y of a picture (3, height, width), in its pixels."""
    weights = picture.double().sum(0)
    x = (weights.sum(0) * torch.arange(weights.shape[1])).sum()
    y = (weights.sum(1) * torch.arange(weights.shape[0])).sum()
    return torch.stack([x, y]) / weights.sum()
