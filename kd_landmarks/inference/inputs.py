"""What people hand to the pipeline, as photos with or without boxes."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from ..errors import KDLandmarksError


@dataclass(frozen=True)
class PhotoInput:
    """A photo of any kind with its face boxes, or None; `where` starts messages about it."""

    image: Any
    boxes: Any
    where: str = ""


def is_photo(image: Any) -> bool:
    """Whether it is one photo, and not several."""
    return isinstance(image, str | os.PathLike | Image.Image | np.ndarray | Tensor)


def as_photo(item: Any, where: str = "") -> PhotoInput:
    """A photo, or a dict `{"image": photo, "boxes": boxes}`.

    Raises:
        KDLandmarksError: for a dict without an image.
    """
    if isinstance(item, PhotoInput):
        return item
    if not isinstance(item, Mapping):
        return PhotoInput(item, None, where)
    if "image" not in item:
        raise KDLandmarksError(
            f"{where}there is no image among {', '.join(map(str, item))}: a photo's dict is "
            '{"image": photo, "boxes": boxes}'
        )
    return PhotoInput(item["image"], item.get("boxes"), where)


def with_boxes(photos: list | tuple, boxes: Any) -> list[PhotoInput]:
    """Put each photo together with its own boxes.

    Raises:
        KDLandmarksError: unless `boxes` is None or has as many items as `photos`.
    """
    places = [f"photo {index}: " for index in range(len(photos))]
    if boxes is None:
        return [as_photo(photo, where) for photo, where in zip(photos, places, strict=True)]
    boxes = boxes.tolist() if hasattr(boxes, "tolist") else boxes
    if not isinstance(boxes, list | tuple) or len(boxes) != len(photos):
        count = f"for {len(boxes)}" if isinstance(boxes, list | tuple) else repr(boxes)
        raise KDLandmarksError(
            f"{len(photos)} photos, but boxes {count}: give a list of the same length, each item "
            "the (faces, 4) boxes of its photo"
        )
    if any(isinstance(photo, Mapping) for photo in photos):
        raise KDLandmarksError("dicts bring their own boxes: leave the list of boxes out")
    return [PhotoInput(*item) for item in zip(photos, boxes, places, strict=True)]
