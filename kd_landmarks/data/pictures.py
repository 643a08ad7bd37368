"""What a row's picture is found to be when it is decoded, and whether its landmarks lie in it."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..imaging.formats import open_picture
from ..imaging.orientation import SWAPPED, orientation_of
from ..imaging.photos import upright_in_8_bits

logger = logging.getLogger("kd_landmarks")

MOST_OUTSIDE = 0.5
"""Share of a face's landmarks that may lie outside of its photo: of real ones, which photos cut,
fewer do."""
FITTING = 0.9
"""Share inside from which landmarks fit a photo."""


@dataclass(frozen=True)
class SeenPicture:
    """A picture that was decoded to its end.

    Attributes:
        size: width and height of the upright picture, in pixels.
        orientation: by EXIF, 1 where it is stored upright.
    """

    size: tuple[int, int]
    orientation: int


def see_picture(image: Mapping[str, Any] | None) -> SeenPicture | str:
    """An undecoded image (`bytes` or else `path`), decoded whole; or what keeps it from that."""
    image = image or {}
    data, path = image.get("bytes"), image.get("path")
    if data is None and not path:
        return "there is no image"
    if data is None and not Path(str(path)).is_file():
        return f"there is no image file {path}"
    file = io.BytesIO(data) if data is not None else str(path)
    try:
        with open_picture(file) as picture:
            size = upright_in_8_bits(picture).size
            orientation = orientation_of(picture)
    except Exception as error:  # Pillow's decoders raise whatever their format's code raises
        return f"the image {path or ''} cannot be decoded: {error}"
    return SeenPicture(size, orientation)


def image_problem(image: Mapping[str, Any] | None) -> str | None:
    """What keeps an undecoded image from being decoded whole; or None."""
    seen = see_picture(image)
    return seen if isinstance(seen, str) else None


def outside_problem(points: np.ndarray, seen: SeenPicture, source: str) -> str | None:
    """What is wrong about where landmarks (N, 2) lie in their photo; or None.

    Wrong is a face of which more than `MOST_OUTSIDE` lies outside. One that fits the photo only as
    it is stored, not as its EXIF data turn it, is warned of, by its `source`.
    """
    points = points[~np.isnan(points).any(axis=1)]
    inside, stored = _inside(points, seen.size), 0.0
    if seen.orientation != 1:
        size = seen.size[::-1] if seen.orientation in SWAPPED else seen.size
        stored = _inside(points, size)
    width, height = seen.size
    hint = (
        f". They fit the photo as stored, before its EXIF orientation ({seen.orientation}) is "
        "applied: if the stored photo was labeled, give --orientation stored "
        "(train: --data.orientation stored)"
        if inside < FITTING <= stored
        else ""
    )
    outside = round((1 - inside) * len(points))
    told = (
        f"{outside} of {len(points)} landmarks lie outside of the photo of {width} x {height}{hint}"
    )
    if 1 - inside > MOST_OUTSIDE:
        return told
    if hint:
        logger.warning("%s: %s", source, told)
    return None


def _inside(points: np.ndarray, size: tuple[int, int]) -> float:
    """Share of points (N, 2) that lie in a picture of width and height `size`."""
    return float(((points >= -0.5) & (points < np.array(size) - 0.5)).all(axis=1).mean())
