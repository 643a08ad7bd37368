"""From a reader's row to what is stored: the photo's bytes, whole or cut, and the other cells."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..errors import KDLandmarksError
from ..imaging.boxes import tight_box
from ..imaging.crop import square_crop
from ..imaging.pixels import as_rgb
from ..schemes import LandmarkScheme
from .bad_rows import box_problem, image_problem
from .data_folder import DataFolder
from .photos import open_photo
from .rows import RawRow, row_cells

JPEG_QUALITY = 95
"""Of cut JPEG photos; beyond, files grow much and pictures change little."""


@dataclass(frozen=True)
class StoredFace:
    """A face as it is stored.

    Attributes:
        cells: by column; `image` is {"bytes", "path"}, `box` is None where the face has no box of
            its own.
        note: what is odd about the face, or "".
        outside: the name of its photo's file, where that lies outside of the data's folder, or "".
    """

    cells: dict[str, Any]
    note: str = ""
    outside: str = ""


class FaceStorer:
    """Makes raw rows storable; every photo is decoded once, to be sure that it can be.

    Args:
        scheme: the landmarks' scheme.
        crop_margin: keep of each photo the square of this many box sides around the face, as far
            as the photo goes; None keeps photos whole, byte by byte.
        folder: the data's, to tell photos from elsewhere; None where nobody wants to know.
    """

    def __init__(
        self,
        scheme: LandmarkScheme,
        crop_margin: float | None = None,
        folder: DataFolder | None = None,
    ) -> None:
        self.scheme, self.crop_margin, self.folder = scheme, crop_margin, folder
        self._decoded: set[str] = set()

    def __call__(self, row: RawRow) -> StoredFace | KDLandmarksError:
        """The face of a row, or what is wrong with it. Several threads may call at once."""
        try:
            if isinstance(row, KDLandmarksError):
                return row
            return self._stored(row)
        except KDLandmarksError as error:
            return error

    def _stored(self, row: Mapping[str, Any]) -> StoredFace:
        cells, note = row_cells(row, self.scheme, "gt"), ""
        cells["image"] = self._photo(row)
        box = row.get("box")
        cells["box"] = None
        if box is not None:
            problem = box_problem(box, cells["landmarks"])
            if problem:
                note = f"{row['source']}: {problem}"
            else:
                cells["box"] = np.asarray(box, np.float32)
        if self.crop_margin is not None:
            _cut(cells, row, self.crop_margin)
        return StoredFace(cells, note, self._outside(row["image"]))

    def _outside(self, image: Any) -> str:
        """The name of a photo's file that is not in the data's folder, or ""."""
        if self.folder is None or not isinstance(image, str) or self.folder.holds(image):
            return ""
        return Path(image).name

    def _photo(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The bytes and name of a row's photo, which can be decoded."""
        image, source = row["image"], row["source"]
        place = image if isinstance(image, str) else ""
        if place:
            try:
                image = {"bytes": Path(place).read_bytes(), "path": Path(place).name}
            except OSError as error:
                raise KDLandmarksError(
                    f"{source}: cannot read {place}: {error.strerror or error}"
                ) from error
        # A photo of many faces needs to be looked at once only.
        if place not in self._decoded:
            problem = image_problem(image)
            if problem:
                raise KDLandmarksError(f"{source}: {problem}")
            if place:
                self._decoded.add(place)
        return image


def _cut(cells: dict[str, Any], row: Mapping[str, Any], margin: float) -> None:
    """Replaces the photo by the face's surroundings, and moves landmarks and box along.

    These are the squares of `margin` around the landmarks and around the face's own box, together,
    so that crops by either box find their pixels, and end where the photo ends.
    """
    boxes = [tight_box(cells["landmarks"]), *([] if cells["box"] is None else [cells["box"]])]
    squares = [square_crop(box, margin) for box in boxes]
    photo = open_photo(cells["image"])
    window = (
        max(min(left for left, _, _ in squares), 0),
        max(min(top for _, top, _ in squares), 0),
        min(max(left + side for left, _, side in squares), photo.width),
        min(max(top + side for _, top, side in squares), photo.height),
    )
    if window[0] >= window[2] or window[1] >= window[3]:
        raise KDLandmarksError(
            f"{row['source']}: the face at {boxes[0].tolist()} lies outside its photo of "
            f"{photo.width} x {photo.height} pixels"
        )
    if window == (0, 0, photo.width, photo.height):
        return
    cells["image"] = _encoded(photo, window, Path(cells["image"]["path"]).stem)
    offset = np.array(window[:2], dtype=np.float64)
    cells["landmarks"] = np.float32(np.asarray(row["landmarks"], np.float64) - offset)
    if cells["box"] is not None:
        cells["box"] = np.float32(np.asarray(row["box"], np.float64) - np.tile(offset, 2))


def _encoded(
    photo: Image.Image, window: tuple[int, int, int, int], stem: str
) -> dict[str, bytes | str]:
    """A part of a photo as a file: JPEG of a JPEG photo, else PNG, which loses nothing."""
    jpeg = photo.format in ("JPEG", "MPO")  # MPO: phones' JPEG with a second picture behind it
    face = photo.crop(window)
    face = face if face.mode == "L" else as_rgb(face)
    buffer = io.BytesIO()
    if jpeg:
        face.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    else:
        face.save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": f"{stem}{'.jpg' if jpeg else '.png'}"}
