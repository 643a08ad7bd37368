"""A photo's faces as what the network wants, without a second copy of the photo."""

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..models import KDLandmarksImageProcessor
from ..models.crop_kd_landmarks import check_crop_size, square_crop
from .photos import cut_square


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
    faces = [cut_square(photo, square) for square in squares]
    # With a margin of 1, the crop of a picture's outer edges is the picture.
    whole = [[[-0.5, -0.5, face.width - 0.5, face.height - 0.5]] for face in faces]
    cut: Any = processor  # its base class is typed without our words
    return cut(faces, boxes=whole, crop_margin=1.0, return_tensors="pt")["pixel_values"]
