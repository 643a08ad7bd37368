"""Detectors in half the space, for packages and the Hub."""

from copy import deepcopy
from pathlib import Path

import torch

from ..errors import KDLandmarksError
from ..models import KDLandmarksForKeypointDetection, KDLandmarksImageProcessor


def save_compact(
    model: KDLandmarksForKeypointDetection,
    processor: KDLandmarksImageProcessor,
    folder: str | Path,
) -> Path:
    """Write a checkpoint whose weights are float16 on disk and float32 once loaded.

    config.json says float32, and `from_pretrained` converts to that: users need not know.

    Args:
        model: the detector; it stays as it is.
        processor: its image processor.
        folder: where config.json, model.safetensors and preprocessor_config.json go.

    Returns:
        The folder.

    Raises:
        KDLandmarksError: if a weight is beyond float16's range (65504) or not finite.
    """
    full = deepcopy(model).float()
    halves = {
        name: value.half() if value.is_floating_point() else value
        for name, value in full.state_dict().items()
    }
    broken = [name for name, value in halves.items() if not torch.isfinite(value).all()]
    if broken:
        raise KDLandmarksError(
            f"{', '.join(broken[:3])} of {len(broken)} tensors cannot be float16: save the model "
            "with save_pretrained, or train it with weight decay"
        )
    full.save_pretrained(folder, state_dict=halves)
    processor.save_pretrained(folder)
    return Path(folder)


__all__ = ["save_compact"]
