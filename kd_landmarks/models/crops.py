"""A photo's faces as what the network wants, without a second copy of the photo."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..imaging.crop import check_crop_size, check_finite, square_crop
from ..imaging.pixels import cut_square
from . import KDLandmarksImageProcessor

# Of cut faces that wait for the processor.
PIXELS_AT_ONCE = 2**22


def crop_faces(
    photo: Image.Image, boxes: np.ndarray, processor: KDLandmarksImageProcessor
) -> Tensor:
    """What the processor makes of a photo and its boxes, at the cost of the faces alone.

    The processor itself converts the whole photo, which for one of 100 megapixels takes gigabytes.

    Args:
        photo: upright, of any mode.
        boxes: (faces, 4) in its pixels.
        processor: the detector's.

    Returns:
        (faces, 3, size, size).

    Raises:
        ValueError: for a crop that is absurdly larger than the photo.
    """
    squares = [square_crop(box, processor.crop_margin) for box in boxes]
    for square in squares:
        check_crop_size(square, photo.width, photo.height)
    if not squares:
        size = processor.size
        return torch.empty(0, 3, size["height"], size["width"])
    cut: Any = processor  # its base class is typed without our words
    pixels = torch.cat(
        [
            # With a margin of 1, the crop of a picture's outer edges is the picture.
            cut(
                faces,
                boxes=[[[-0.5, -0.5, face.width - 0.5, face.height - 0.5]] for face in faces],
                crop_margin=1.0,
                return_tensors="pt",
            )["pixel_values"]
            for faces in _cut_squares(photo, squares)
        ]
    )
    check_finite(pixels, "the image processor's pixels")  # layers can hide what is not
    return pixels


def _cut_squares(
    photo: Image.Image, squares: list[tuple[int, int, int]]
) -> Iterator[list[Image.Image]]:
    """The faces, as many at a time as have few pixels together: squares may lie on one another."""
    faces: list[Image.Image] = []
    for square in squares:
        faces.append(cut_square(photo, square))
        if sum(face.width * face.height for face in faces) > PIXELS_AT_ONCE:
            yield faces
            faces = []
    if faces:
        yield faces
