"""ImageNet weights for narrower MobileNetV2s: the channels of the full one that say most.

    python benchmarks/distillation/narrow.py --weights DIR --output runs/narrow

timm has no ImageNet weights for every width, and a network that starts from nothing needs far more
faces than there are. The narrower network takes the channels with the largest scales in their batch
normalization (the measure of Liu et al., Learning Efficient Convolutional Networks through Network
Slimming, ICCV 2017, section 3), the same ones in all layers that add up to one another.
"""

import re
from collections import defaultdict
from pathlib import Path
from typing import Annotated

import timm
import torch
import typer
from safetensors.torch import load_file, save_file
from torch import Tensor

FULL, NARROWER = "mobilenetv2_100", ("mobilenetv2_075", "mobilenetv2_050")
STEM = "stem"


def main(
    weights: Annotated[Path, typer.Option(help=f"Folder with {FULL}.safetensors.")],
    output: Annotated[Path, typer.Option(help="Folder for the narrower networks' files.")],
) -> None:
    """Write a file for every width."""
    full = load_file(weights / f"{FULL}.safetensors")
    output.mkdir(parents=True, exist_ok=True)
    for name in NARROWER:
        narrow = narrowed(full, timm.create_model(name).state_dict())
        save_file(narrow, output / f"{name}.safetensors")
        print(output / f"{name}.safetensors", flush=True)


def narrowed(full: dict[str, Tensor], like: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of the shapes of `like`, from those of the full network.

    Args:
        full: MobileNetV2 by timm's names.
        like: the narrower network, of the same depth; only its shapes matter.

    Returns:
        By the same names. The classifier stays as it is, since its input is not narrowed.
    """
    groups = _groups(full)
    scales: dict[str, Tensor] = defaultdict(lambda: torch.tensor(0.0))
    for name, (_, out) in groups.items():
        if name.endswith("weight") and full[name].ndim == 1:
            scales[out] = scales[out] + full[name].abs()
    kept = {}
    for name, (_, out) in groups.items():
        best = scales[out].topk(like[name].shape[0]).indices
        kept[out] = best.sort().values
    result = {}
    for name, target in like.items():
        value = full[name]
        if name in groups:
            into, out = groups[name]
            value = value[kept[out]]
            # Depthwise layers and the first one read what is not narrowed.
            if into in kept and value.ndim == 4 and value.shape[1] > 1:
                value = value[:, kept[into]]
        result[name] = value.reshape(target.shape).contiguous()
    return result


def _groups(full: dict[str, Tensor]) -> dict[str, tuple[str, str]]:
    """Name of each tensor to the channels that it reads and those that it gives.

    Channels of one name are the same in every layer that has them: a block's inner ones are its
    own, its outer ones are shared by all blocks of its stage, whose outputs add up.
    """
    groups: dict[str, tuple[str, str]] = {}
    stages = sorted(
        {int(match[1]) for match in (re.match(r"blocks\.(\d+)", n) for n in full) if match}
    )
    last = f"stage {stages[-1]}"
    for name in full:
        if name.startswith(("conv_stem", "bn1")):
            groups[name] = ("picture", STEM)
        elif name.startswith(("conv_head", "bn2")):
            groups[name] = (last, "head")
        elif match := re.match(r"blocks\.(\d+)\.(\d+)\.(\w+)", name):
            stage, block, layer = int(match[1]), int(match[2]), match[3]
            outer = f"stage {stage}"
            before = outer if block else f"stage {stage - 1}" if stage else STEM
            inner = f"{outer} block {block}"
            # The first stage has no widening: its depthwise layer works on the stem's channels.
            places = {
                "conv_pw": (before, inner),
                "bn1": (inner, inner),
                "conv_dw": (inner, inner),
                "bn2": (inner, inner),
                "conv_pwl": (inner, outer),
                "bn3": (outer, outer),
            }
            if not stage:
                places |= {
                    "conv_dw": (STEM, STEM),
                    "bn1": (STEM, STEM),
                    "conv_pw": (STEM, outer),
                    "bn2": (outer, outer),
                }
            groups[name] = places[layer]
    return {name: group for name, group in groups.items() if full[name].ndim}


if __name__ == "__main__":
    typer.run(main)
