"""What people hand to the pipeline, as photos with or without boxes."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from ..errors import KDLandmarksError
from ..imaging.photos import is_stored_image, is_tensor


@dataclass(frozen=True)
class PhotoInput:
    """A photo of any kind with its face boxes, or None.

    Attributes:
        image: as `load_photo` takes it.
        boxes: of its faces; None to look for them.
        where: starts messages about it.
        kept: whether its result keeps the photo to draw on.
    """

    image: Any
    boxes: Any
    where: str = ""
    kept: bool = True


def is_photo(image: Any) -> bool:
    """Whether it is one photo, and not several."""
    if isinstance(image, np.ndarray) or is_tensor(image):
        return image.ndim != 4
    files = str | os.PathLike | Image.Image | bytes | bytearray | memoryview
    # Temporary and uploaded files are open files of no common class.
    return isinstance(image, files) or hasattr(image, "read") or is_stored_image(image)


def as_photo(item: Any, where: str = "") -> PhotoInput:
    """A photo, or a dict `{"image": photo, "boxes": boxes}`.

    Raises:
        KDLandmarksError: for a dict without an image.
    """
    if not isinstance(item, Mapping) or is_stored_image(item):
        return PhotoInput(item, None, where)
    if "image" not in item:
        raise KDLandmarksError(
            f"{where}there is no image among {', '.join(map(str, item))}: a photo's dict is "
            '{"image": photo, "boxes": boxes}'
        )
    return PhotoInput(item["image"], item.get("boxes"), where)


def stream_photos(items: Any) -> Iterator[PhotoInput]:
    """The photos of a generator or data set, one by one; results do not keep what is not a file."""
    if hasattr(items, "__len__") and hasattr(items, "__getitem__"):
        # Of torch's data sets some have no iterator, and others one that never ends. Columns of
        # pandas are asked by their labels, and by position in `iloc`.
        photos: Iterable[Any] = map(getattr(items, "iloc", items).__getitem__, range(len(items)))
    else:
        photos = items
    for index, item in enumerate(photos):
        photo = as_photo(item, f"photo {index}: ")
        lasting = isinstance(photo.image, str | os.PathLike)
        yield PhotoInput(photo.image, photo.boxes, photo.where, kept=lasting)


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
    if any(isinstance(photo, Mapping) and not is_stored_image(photo) for photo in photos):
        raise KDLandmarksError("dicts bring their own boxes: leave the list of boxes out")
    return [PhotoInput(*item) for item in zip(photos, boxes, places, strict=True)]
