"""What is decayed, and the learning rate over a training's steps."""

from typing import Any

import torch
from torch.optim.lr_scheduler import OneCycleLR

# What suits networks of this kind; no recipe has another.
WEIGHT_DECAY = 1e-3
WARMUP = 0.1
"""Share of the steps over which the learning rate rises."""


def decayed_parameters(model: torch.nn.Module) -> list[dict[str, Any]]:
    """Weight decay for weights, none for biases and normalization."""
    weights = [value for value in model.parameters() if value.requires_grad and value.ndim > 1]
    others = [value for value in model.parameters() if value.requires_grad and value.ndim <= 1]
    return [
        {"params": weights, "weight_decay": WEIGHT_DECAY},
        {"params": others, "weight_decay": 0.0},
    ]


def learning_rate_schedule(
    optimizer: torch.optim.Optimizer, highest: float, steps: int
) -> OneCycleLR:
    """The learning rate over optimizer steps: up to `highest`, then down to almost nothing."""
    # One spare step: the last call of step() may not run past the end.
    total, share = steps + 1, WARMUP
    if share * total == 1:  # by which PyTorch divides by zero
        share /= 2
    return OneCycleLR(optimizer, highest, total_steps=total, pct_start=share)
