"""The photos of rows: stored in them, beside them, or where they are streamed from."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from PIL import Image

from ..errors import KDLandmarksError
from ..imaging.formats import open_picture
from ..imaging.orientation import without_orientation
from ..imaging.photos import upright_in_8_bits
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
    """The picture of an undecoded `image`, upright and of 8 bits, as `load_photo` gives it."""
    data = stored["bytes"]
    return upright_in_8_bits(open_picture(stored["path"] if data is None else io.BytesIO(data)))


def size_of(stored: Mapping[str, Any]) -> int:
    """Bytes of an undecoded `image`; 0 where there is none."""
    if stored["bytes"] is not None:
        return len(stored["bytes"])
    return os.path.getsize(stored["path"]) if os.path.isfile(stored["path"] or "") else 0


def digest_of(stored: Mapping[str, Any]) -> bytes:
    """What tells the file of an undecoded `image` from others."""
    data = stored["bytes"]
    if data is None and size_of(stored):
        data = Path(stored["path"]).read_bytes()
    return hashlib.sha256(data or b"").digest()


def as_stored(image: str | Mapping[str, Any]) -> str | Mapping[str, Any]:
    """A row's photo, of which landmarks refer to the pixels before its EXIF data turn it.

    Args:
        image: a path, or {"bytes", "path"}.

    Returns:
        The same where EXIF data do not turn it; else bytes that nothing turns.
    """
    path = image if isinstance(image, str) else image.get("path")
    data = None if isinstance(image, str) else image.get("bytes")
    if data is None:
        with suppress(OSError), open(str(path), "rb") as file:  # who opens it next says so
            start = file.read(2**16)  # where EXIF data are, but in WebP, which has them last
            may_turn = b"exif" in start.lower() or start[8:12] == b"WEBP"
            data = start + file.read() if may_turn else None
    unturned = data and without_orientation(data)
    return image if unturned in (None, data) else {"bytes": unturned, "path": Path(str(path)).name}


def with_stored_photos(rows: Iterator[Any]) -> Iterator[Any]:
    """A reader's rows whose landmarks refer to photos as they are stored (`as_stored`).

    What the reader had as the photo is `photo_file` then.
    """
    for row in rows:
        if isinstance(row, Mapping):
            row = {**row, "image": as_stored(row["image"]), "photo_file": row["image"]}
        yield row


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
        """A row's photo, upright.

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
