"""Augmentation of face crops with `torchvision.transforms.v2`, points and pixels together.

All geometry is one affine map applied once: to the pixels by one resampling, to the points by the
same matrix. torchvision's own geometric transforms mix two conventions (its flip takes coordinates
as pixel centers, its rotation, affine and resize as distances from the corner), half a pixel apart;
one map that says what a pixel is leaves no room for that. Random numbers come from torch's global
generator.
"""

import math
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as tvF

from .augmentation_settings import AugmentationSettings


class PointWeights(tv_tensors.TVTensor):
    """One number per landmark (…, N): a mirrored face's are put into the scheme's order."""


class RandomFaceAffine(v2.Transform):
    """Rotation, scale, stretch, shift and mirroring around the face, and the cut to the final crop.

    Takes a square `tv_tensors.Image` (3, L, L) uint8 that shows `zoom` times the final crop's side
    around the same center, and `tv_tensors.KeyPoints` (…, N, 2) in its pixels (pixel centers at
    whole numbers); gives an image (3, size, size) and points in *its* pixels. A mirrored face's
    points are put back into the scheme's order.

    Args:
        settings: the strengths.
        size: side of the result in pixels.
        zoom: side shown by the input divided by side of the final crop, >= 1.
        margin: the final crop's side divided by the face box's longer side (the shift's unit).
        flip_permutation: mirrored[i] = points[flip_permutation[i]].
    """

    def __init__(
        self,
        settings: AugmentationSettings,
        size: int,
        zoom: float,
        margin: float,
        flip_permutation: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.settings = settings
        self.size = size
        self.zoom = zoom
        self.margin = margin
        self.flip_permutation = list(flip_permutation)

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw one map: `matrix` (2, 3) from input pixels to result pixels, and `flipped`."""
        settings = self.settings
        side = next(x.shape[-1] for x in flat_inputs if isinstance(x, tv_tensors.Image))
        draws = (2 * torch.rand(5) - 1).tolist()
        flipped = bool(torch.rand(()) < settings.flip)
        angle = math.radians(settings.rotation * draws[0])
        scale = settings.scale ** draws[1]
        stretch = settings.stretch ** (draws[2] / 2)
        mirror = -1.0 if flipped else 1.0
        stretching = np.diag([mirror * scale / stretch, scale * stretch])
        turning = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
        # Crop units of the input to crop units of the result, around both centers …
        linear = self.zoom * np.array(turning) @ stretching
        offset = 0.5 + settings.shift / self.margin * np.array(draws[3:]) - linear @ [0.5, 0.5]
        # … and from pixels to pixels: unit = (pixel + 0.5) / side.
        matrix = np.empty((2, 3))
        matrix[:, :2] = linear * self.size / side
        matrix[:, 2] = (linear @ [0.5 / side, 0.5 / side] + offset) * self.size - 0.5
        return {"matrix": matrix, "flipped": flipped}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Apply the drawn map to the pixels or to the points."""
        matrix = params["matrix"]
        if isinstance(inpt, tv_tensors.Image):
            pixels = np.ascontiguousarray(inpt.permute(1, 2, 0).numpy())
            warped = cv2.warpAffine(pixels, matrix, (self.size, self.size), flags=cv2.INTER_LINEAR)
            return tv_tensors.Image(torch.from_numpy(warped).permute(2, 0, 1).contiguous())
        if isinstance(inpt, tv_tensors.KeyPoints):
            points = inpt.as_subclass(Tensor)
            linear, offset = points.new_tensor(matrix[:, :2]), points.new_tensor(matrix[:, 2])
            moved = points @ linear.T + offset
            if params["flipped"]:
                moved = moved[..., self.flip_permutation, :]
            return tv_tensors.KeyPoints(moved, canvas_size=(self.size, self.size))
        if isinstance(inpt, PointWeights) and params["flipped"]:
            return PointWeights(inpt.as_subclass(Tensor)[..., self.flip_permutation])
        return inpt


class RandomLowResolution(v2.Transform):
    """Shrinks the picture to a half … a fifth and enlarges it again: a face from afar."""

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the coarser side as a share of the full one."""
        return {"share": float(torch.empty(()).uniform_(0.2, 0.5))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Coarsen a picture; points stay where they are."""
        if not isinstance(inpt, tv_tensors.Image):
            return inpt
        height, width = inpt.shape[-2:]
        coarse = [max(2, round(side * params["share"])) for side in (height, width)]
        return tvF.resize(tvF.resize(inpt, coarse), [height, width])


class RandomOcclusion(v2.Transform):
    """Covers a rectangle with one color or with noise: a hand, a microphone, another head."""

    def __init__(self, size: tuple[float, float]) -> None:
        super().__init__()
        self.size = size

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the rectangle's place in shares of the picture, its color and its roughness."""
        return {
            "sides": torch.empty(2).uniform_(*self.size),
            "center": torch.rand(2),
            "color": torch.randint(0, 256, (3, 1, 1)),
            "noisy": bool(torch.rand(()) < 0.5),
        }

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Paint a picture's rectangle; points stay where they are."""
        if not isinstance(inpt, tv_tensors.Image):
            return inpt
        extent = torch.tensor(inpt.shape[-2:])
        first = ((params["center"] - params["sides"] / 2) * extent).round().int().clamp(min=0)
        last = ((params["center"] + params["sides"] / 2) * extent).round().int()
        result = inpt.as_subclass(Tensor).clone()
        patch = result[:, first[0] : last[0], first[1] : last[1]]
        fill = params["color"].expand(patch.shape)
        if params["noisy"]:
            fill = (fill + torch.randint(-60, 61, patch.shape)).clamp(0, 255)
        patch.copy_(fill)
        return tv_tensors.Image(result)


def build_augmentation(
    settings: AugmentationSettings,
    size: int,
    zoom: float,
    margin: float,
    flip_permutation: tuple[int, ...],
) -> v2.Compose:
    """The whole chain, loose crop to final crop; see `RandomFaceAffine` for the arguments."""
    color = v2.ColorJitter(settings.brightness, settings.contrast, settings.saturation)
    # About 0.4 to 2 pixels at 128: what a slightly misfocused camera does.
    blur = v2.GaussianBlur(kernel_size=2 * max(1, round(size / 32)) + 1, sigma=(0.4, size / 64))
    return v2.Compose(
        [
            RandomFaceAffine(settings, size, zoom, margin, flip_permutation),
            color,
            v2.RandomGrayscale(settings.gray),
            v2.RandomApply([RandomLowResolution()], settings.low_resolution),
            v2.RandomApply([blur], settings.blur),
            v2.RandomApply([RandomOcclusion(settings.occlusion_size)], settings.occlusion),
        ]
    )
