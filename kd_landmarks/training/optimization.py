"""What is decayed, and the learning rate over a training's steps."""

import math
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from .recipe import NetworkSettings


def decayed_parameters(model: torch.nn.Module, decay: float) -> list[dict[str, Any]]:
    """Weight decay for weights, none for biases and normalization."""
    weights = [value for value in model.parameters() if value.requires_grad and value.ndim > 1]
    others = [value for value in model.parameters() if value.requires_grad and value.ndim <= 1]
    return [
        {"params": weights, "weight_decay": decay},
        {"params": others, "weight_decay": 0.0},
    ]


def learning_rate_schedule(
    optimizer: torch.optim.Optimizer, settings: NetworkSettings, steps: int
) -> LRScheduler:
    """The learning rate over optimizer steps."""
    warmup = settings.warmup * steps
    if settings.schedule == "one_cycle":
        # One spare step: the last call of step() may not run past the end.
        total, share = steps + 1, settings.warmup or 1e-6
        if share * total == 1:  # by which PyTorch divides by zero
            share /= 2
        return OneCycleLR(optimizer, settings.learning_rate, total_steps=total, pct_start=share)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup if warmup >= 1 else 1.0
        if settings.schedule == "constant":
            return 1.0
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1.0, steps - warmup)))

    return LambdaLR(optimizer, factor)
