"""The rows of a conversion: a reader's row becomes the cells to store, and those become Parquet."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from PIL import Image

from ..errors import KDLandmarksError
from ..imaging.boxes import tight_box
from ..imaging.crop import square_crop
from ..imaging.pixels import as_rgb
from ..schemes import LandmarkScheme
from .bad_rows import box_problem
from .data_folder import DataFolder
from .photos import STORED_PHOTO, open_photo
from .pictures import SeenPicture, outside_problem, see_picture
from .rows import COLUMNS, RawRow, row_cells, row_features

JPEG_QUALITY = 95
"""Of cut JPEG photos; beyond, files grow much and pictures change little."""
SHARD_BYTES = 100_000_000
SHARD_FACES = 500
"""A shard ends before the face that would take it beyond either. It is made in memory, and readers
of a stream share out whole shards, so that even light data sets need several."""
GROUP_BYTES = 32_000_000
GROUP_FACES = 100
"""The same for a row group, which is what readers hold in memory."""

# Photos of up to 200 MB each that are written to the temporary Arrow file at once.
_WRITE_BATCH = 8


@dataclass(frozen=True)
class ConvertedFace:
    """A face as it will be stored.

    Attributes:
        cells: by column; `image` is {"bytes", "path"}, `box` is None where the face has no box of
            its own.
        note: what is odd about the face, or "".
        outside: the name of its photo's file, where that lies outside of the data's folder, or "".
    """

    cells: dict[str, Any]
    note: str = ""
    outside: str = ""


class FaceConverter:
    """Makes of raw rows what is stored; every photo is decoded once, to be sure that it can be.

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
        self._seen: dict[str, SeenPicture] = {}

    def __call__(self, row: RawRow) -> ConvertedFace | KDLandmarksError:
        """The face of a row, or what is wrong with it. Several threads may call at once."""
        try:
            if isinstance(row, KDLandmarksError):
                return row
            return self._converted(row)
        except KDLandmarksError as error:
            return error

    def _converted(self, row: Mapping[str, Any]) -> ConvertedFace:
        cells, note = row_cells(row, self.scheme, "gt"), ""
        cells["image"], seen = self._photo(row)
        problem = outside_problem(cells["landmarks"], seen, row["source"])
        if problem:
            raise KDLandmarksError(f"{row['source']}: {problem}")
        box = row.get("box")
        cells["box"] = None
        if box is not None:
            problem = box_problem(box, cells["landmarks"])
            if problem:
                note = f"{row['source']}: {problem}"
            else:
                cells["box"] = np.asarray(box, np.float32)
        if self.crop_margin is not None:
            _cut(cells, self.crop_margin)
        return ConvertedFace(cells, note, self._outside(row.get("photo_file", row["image"])))

    def _outside(self, image: Any) -> str:
        """The name of a photo's file that is not in the data's folder, or ""."""
        if self.folder is None or not isinstance(image, str) or self.folder.holds(image):
            return ""
        return Path(image).name

    def _photo(self, row: Mapping[str, Any]) -> tuple[dict[str, Any], SeenPicture]:
        """The bytes and name of a row's photo, which can be decoded, and what it is."""
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
        seen = self._seen.get(place) or see_picture(image)
        if isinstance(seen, str):
            raise KDLandmarksError(f"{source}: {seen}")
        if place:
            self._seen[place] = seen
        return image, seen


def _cut(cells: dict[str, Any], margin: float) -> None:
    """Replaces the photo by the face's surroundings, and moves landmarks and box along.

    These are the squares of `margin` around the landmarks and around the face's own box, together,
    so that crops by either box find their pixels, and end where the photo ends.
    """
    boxes = [tight_box(cells["landmarks"]), *([] if cells["box"] is None else [cells["box"]])]
    squares = [square_crop(box, margin) for box in boxes]
    photo = open_photo(cells["image"])
    window = (
        max(min(square.left for square in squares), 0),
        max(min(square.top for square in squares), 0),
        min(max(square.left + square.side for square in squares), photo.width),
        min(max(square.top + square.side for square in squares), photo.height),
    )
    if window == (0, 0, photo.width, photo.height):
        return
    cells["image"] = _encoded(photo, window, Path(cells["image"]["path"]).stem)
    offset = np.array(window[:2], dtype=np.float64)
    # Of the cells, in which landmarks that are not there are NaN.
    cells["landmarks"] = np.float32(cells["landmarks"].astype(np.float64) - offset)
    if cells["box"] is not None:
        cells["box"] = np.float32(cells["box"].astype(np.float64) - np.tile(offset, 2))


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


def write_split(
    faces: Iterator[Mapping[str, Any]],
    folder: Path,
    split: str,
    scheme: LandmarkScheme,
    boxes: bool,
    features: datasets.Features | None = None,
) -> tuple[datasets.Features, datasets.SplitInfo] | None:
    """Writes the cells of faces to `folder`/SPLIT-00000-of-00003.parquet and so on.

    How the faces are shared out follows from them alone. The bytes do too, for given versions of
    pyarrow and datasets: nothing of paths or times is in them. Until the end, the faces are in a
    temporary file in the folder.

    Args:
        faces: their cells (see `ConvertedFace`).
        folder: where the files go.
        split: name of the split.
        scheme: the landmarks' scheme.
        boxes: whether there is a column `box`.
        features: column types of the splits before, which this one must have too.

    Returns:
        The column types, and the split's number of faces and bytes in memory; None for no faces.

    Raises:
        KDLandmarksError: a face has other columns than those before.
    """
    first = next(faces, None)
    if first is None:
        return None
    features = features or _features(first, scheme, boxes)
    sizes: list[int] = []

    def generate() -> Iterator[dict[str, Any]]:
        for cells in chain([first], faces):
            _check_columns(cells, features)
            sizes.append(len(cells["image"]["bytes"]))
            yield {name: cells[name] for name in features}

    scratch = folder / f".{split}"
    try:
        rows = datasets.Dataset.from_generator(
            generate,
            features=datasets.Features({**features, "image": STORED_PHOTO}),
            cache_dir=str(scratch),
            split=datasets.NamedSplit(split),
            fingerprint=split,  # datasets could not tell one generator from another
            writer_batch_size=_WRITE_BATCH,
        )
        rows = rows.cast_column("image", features["image"])
        shards = _shards(sizes)
        for number, shard in enumerate(shards):
            largest = max(sizes[shard.start : shard.stop])
            content = io.BytesIO()  # on a full disk pyarrow would print a traceback of its own
            rows.select(shard).to_parquet(
                content, batch_size=min(GROUP_FACES, max(1, GROUP_BYTES // largest))
            )
            name = f"{split}-{number:05d}-of-{len(shards):05d}.parquet"
            (folder / name).write_bytes(content.getbuffer())
        return features, datasets.SplitInfo(split, rows.data.nbytes, len(rows))
    except datasets.exceptions.DatasetGenerationError as error:
        raise error.__cause__ or error from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _shards(sizes: Sequence[int]) -> list[range]:
    """Shares faces of so many bytes out to shards, in order."""
    starts, held = [0], 0
    for number, size in enumerate(sizes):
        if number - starts[-1] == SHARD_FACES or (held and held + size > SHARD_BYTES):
            starts.append(number)
            held = 0
        held += size
    return [range(*ends) for ends in zip(starts, [*starts[1:], len(sizes)], strict=True)]


def _features(cells: Mapping[str, Any], scheme: LandmarkScheme, boxes: bool) -> datasets.Features:
    """The column types of faces like this one."""
    attributes = [name for name in cells if name not in (*COLUMNS, "visible")]
    features = row_features(scheme, visible="visible" in cells, attributes=attributes)
    if not boxes:
        del features["box"]
    return features


def _check_columns(cells: Mapping[str, Any], features: datasets.Features) -> None:
    odd = (set(cells) | {"box"}).symmetric_difference({*features, "box"})
    if odd:
        raise KDLandmarksError(
            f"{cells['source']} {'has' if min(odd) in cells else 'lacks'} {min(odd)!r}, unlike "
            "the faces before it: give it to all faces or to none"
        )
