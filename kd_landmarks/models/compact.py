"""Detectors in half the space, for packages and the Hub."""

import math
from copy import deepcopy
from pathlib import Path

import torch

from ..errors import KDLandmarksError
from ..inference.checkpoints import disk_errors
from ..utils.files import new_folder
from . import KDLandmarksForKeypointDetection, KDLandmarksImageProcessor

FLOAT8_MAX = torch.finfo(torch.float8_e4m3fn).max


def save_compact(
    model: KDLandmarksForKeypointDetection,
    processor: KDLandmarksImageProcessor,
    folder: str | Path,
    float8_from: int | None = None,
) -> Path:
    """Write a checkpoint whose weights are float16 on disk and float32 once loaded.

    config.json says float32, and `from_pretrained` converts to that: users need not know.

    Args:
        model: the detector; it stays as it is.
        processor: its image processor.
        folder: new or empty, for config.json, model.safetensors and preprocessor_config.json.
        float8_from: matrices of so many weights and more are float8 (e4m3, values up to 448); None
            for none. Of EfficientNets those of 100,000 and more are the last two stages', two
            thirds of all weights, whose rounding moves the NME by less than a hundredth of a point.

    Returns:
        The folder.

    Raises:
        KDLandmarksError: if a weight is beyond float16's range (65504) or not finite, and where
            the folder is in use or cannot be written.
    """
    full = deepcopy(model).float()
    least = math.inf if float8_from is None else float8_from
    matrices = {name for name, value in full.named_parameters() if value.squeeze().ndim == 2}
    halves = {}
    for name, value in full.state_dict().items():
        if value.is_floating_point():
            small = name in matrices and value.numel() >= least and value.abs().max() <= FLOAT8_MAX
            value = value.to(torch.float8_e4m3fn if small else torch.float16)
        halves[name] = value
    broken = [name for name, value in halves.items() if not torch.isfinite(value.float()).all()]
    if broken:
        raise KDLandmarksError(
            f"{', '.join(broken[:3])} of {len(broken)} tensors cannot be float16: save the model "
            "with save_pretrained, or train it with weight decay"
        )
    with new_folder(folder) as partial, disk_errors():
        full.save_pretrained(partial, state_dict=halves)
        processor.save_pretrained(partial)
    return Path(folder)
