"""The photos of rows: stored in them, beside them, or where they are streamed from."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import datasets
import numpy as np
from PIL import Image

from ..errors import KDLandmarksError
from ..imaging.formats import open_picture
from ..imaging.photos import floats_in_8_bits
from .streaming import Place, RowGroups, groups_at_once

# Rows that need no fetching, such as generated faces among streamed ones, come in groups of this
# many, since streamed ones come in groups too.
_LOCAL_GROUP = 100

STORED_PHOTO = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
"""Column type of undecoded photos, for rows that are still to be written.

`datasets.Image` takes the file that `path` names, where there is one, in place of `bytes`: a file
of the working directory that happens to have the same name, or any file that foreign rows name.
"""


def rows_with_photos(
    columns: Mapping[str, Sequence[Any]], features: datasets.Features
) -> datasets.Dataset:
    """Rows in memory whose photos are what the cells of `image` have as `bytes`, else as `path`.

    Args:
        columns: the cells by column; those of `image` are paths, or {"bytes", "path"}.
        features: the column types, `image` among them.
    """
    photos = [
        {"bytes": None, "path": photo} if isinstance(photo, str) else photo
        for photo in columns["image"]
    ]
    undecoded = datasets.Features({**features, "image": STORED_PHOTO})
    rows = datasets.Dataset.from_dict({**columns, "image": photos}, features=undecoded)
    return rows.cast_column("image", features["image"])


def open_photo(stored: Mapping[str, Any]) -> Image.Image:
    """The picture of an undecoded `image`, just as it is stored, but for floats (`mode F`).

    datasets itself turns a picture by its EXIF orientation; landmarks refer to the unturned one.
    """
    data = stored["bytes"]
    photo = open_picture(stored["path"] if data is None else io.BytesIO(data))
    photo.load()  # and close the file
    return floats_in_8_bits(photo) if photo.mode == "F" else photo


class Photos:
    """The undecoded photos of rows by number; those of streamed rows are fetched on demand.

    Args:
        rows: with a column `image`, in whatever format, and maybe `source`.
    """

    def __init__(self, rows: datasets.Dataset) -> None:
        images = rows.with_format(None).select_columns(["image"])
        self._images = images.cast_column("image", datasets.Image(decode=False))
        named = "source" in rows.column_names
        self.sources: list[str] = (
            list(rows["source"]) if named else [f"row {number}" for number in range(len(rows))]
        )

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        """`bytes` and `path` of a row's photo.

        Raises:
            KDLandmarksError: it cannot be fetched.
        """
        stored = self._images[index]["image"] or {"bytes": None, "path": None}
        place = Place.of(stored["path"]) if stored["bytes"] is None else None
        return stored if place is None else self._row_groups.photo(place)

    def open(self, index: int) -> Image.Image:
        """A row's photo, just as it is stored.

        Raises:
            KDLandmarksError: it cannot be fetched or decoded; names the row.
        """
        stored = self[index]
        try:
            return open_photo(stored)
        except Exception as error:  # Pillow's decoders raise whatever their format's code raises
            raise KDLandmarksError(
                f"{self.sources[index]}: the photo cannot be decoded ({error}): fix the row, or "
                "leave bad rows out (skip_bad_rows)"
            ) from error

    @property
    def streamed(self) -> bool:
        """Whether some photos have to be fetched."""
        return any(file for file, _ in self._groups)

    @property
    def groups_at_once(self) -> int:
        """How many of `groups` are held in memory, those that were used last."""
        return self._row_groups.capacity

    def groups(self) -> list[np.ndarray]:
        """For each row group the numbers of its rows, which are fetched together."""
        return list(self._groups.values())

    @cached_property
    def _groups(self) -> dict[tuple[str, int], np.ndarray]:
        """Rows by file and number of the row group; the file of photos at hand is ""."""
        groups: dict[tuple[str, int], list[int]] = {}
        paths = self._images.flatten().select_columns(["image.path"])["image.path"]
        for number, path in enumerate(paths):
            place = Place.of(path)
            key = ("", number // _LOCAL_GROUP) if place is None else (place.file, place.group)
            groups.setdefault(key, []).append(number)
        return {key: np.array(numbers) for key, numbers in groups.items()}

    @cached_property
    def _row_groups(self) -> RowGroups:
        return RowGroups(groups_at_once((file, group) for file, group in self._groups if file))
