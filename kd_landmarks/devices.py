"""Where torch computes: what was asked for, if it is there."""

from typing import Any

import torch

from .errors import KDLandmarksError, shown


def devices() -> list[str]:
    """The names of what torch can compute on here, the first choice first."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is None:
        return ["cpu"]
    count = torch.accelerator.device_count()
    return [*(f"{accelerator.type}:{number}" for number in range(count)), "cpu"]


def checked_device(device: Any) -> torch.device | None:
    """A device on which torch can compute, tried; None for None.

    Args:
        device: its name (`cpu`, `cuda`, `cuda:1`, `mps`), a `torch.device`, or the accelerator's
            number; -1 for the CPU, as transformers' pipelines take it.

    Raises:
        KDLandmarksError: naming it and those that there are.
    """
    if device is None:
        return None
    try:
        if isinstance(device, int) and not isinstance(device, bool):
            found = torch.device("cpu" if device < 0 else device)
        elif isinstance(device, str | torch.device):
            found = torch.device(device)
        else:
            raise TypeError
        torch.zeros(1, device=found).item()
    except Exception as error:  # torch's, and those of each accelerator's driver
        raise KDLandmarksError(
            f"device={shown(device)} is not here: give one of {', '.join(devices())}"
        ) from error
    return found
