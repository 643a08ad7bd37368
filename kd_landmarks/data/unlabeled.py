"""Faces without landmarks from anywhere: what a teacher's points are the labels of."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from tqdm.auto import tqdm

from ..errors import KDLandmarksError
from ..imaging.detection import YuNet, detect_faces
from ..imaging.photo_folders import photo_files
from .bad_rows import BadRows, corners_problem, points_problem, text_problem
from .data_folder import DataFolder
from .json_lines import read_unlabeled_lines
from .parquet import holds_parquet, load_stored
from .parquet_columns import StoredRows, holds_files, stored_cells
from .photos import open_photo, rows_with_photos
from .pictures import image_problem
from .rows import RawRow

FEATURES = datasets.Features(
    {
        "image": datasets.Image(),
        "box": datasets.List(datasets.Value("float32"), length=4),
        "points5": datasets.Array2D((5, 2), "float32"),
        "photo": datasets.Value("string"),
        "source": datasets.Value("string"),
    }
)


def load_unlabeled(
    source: str | Path,
    split: str | None = None,
    *,
    revision: str | None = None,
    skip_bad_rows: bool = False,
    allow_outside: bool = False,
) -> datasets.Dataset:
    """Faces without landmarks: `image`, `box`, `photo` and `source`, one face a row.

    And `points5`, (5, 2): eye centers, tip of the nose, corners of the mouth, the image's left
    first, in pixels of the photo; NaN where the data do not have them.

    Args:
        source: a folder of photos (searched to any depth); a `.jsonl` file or a folder of them
            with `image` and, where known, `box`, `detector_box` or `face_box`, and `points5`;
            Parquet or the id of a data set on the Hub with `image` and, where known, `box` and
            `points5`. Faces without a box are
            found by the package's face detector, all of a photo, which is turned as its EXIF data
            say.
        split: which part, as in `load_rows`.
        revision: branch, tag or commit of a Hub data set.
        skip_bad_rows: leave out photos that cannot be decoded and boxes that are none, and list
            them in the log.
        allow_outside: take pictures that lie outside of the data's folder too, as in `load_rows`.

    Raises:
        KDLandmarksError: nothing there, a bad row (named), no face at all.
    """
    path = Path(os.path.expanduser(source))
    rows: Iterator[RawRow]
    if path.suffix == ".jsonl" or (path.is_dir() and any(path.glob("*.jsonl"))):
        rows = read_unlabeled_lines(path, split, allow_outside)
    elif path.is_dir() and not holds_parquet(path):
        rows = _photos(DataFolder(path, allow_outside))
    else:
        found = load_stored(source, split, revision, allow_outside=allow_outside)
        rows = _stored(found, str(source))
    faces: list[dict[str, Any]] = []
    stored: Mapping[str, Any]
    bad = BadRows(str(source), skip_bad_rows)
    for row in tqdm(rows, "unlabeled faces", unit="photo", leave=False):
        if isinstance(row, KDLandmarksError):
            bad.add(str(row))
            continue
        image = row["image"]
        stored = {"path": image, "bytes": None} if isinstance(image, str) else image
        problem = _problem(row, stored)
        try:
            if problem:
                raise ValueError(f"{row['source']}: {problem}")
            boxes = _boxes(row, stored)
        except ValueError as error:
            bad.add(str(error))
            continue
        points5 = np.full((5, 2), np.nan) if row.get("points5") is None else row["points5"]
        known = {"image": stored, "photo": row["photo"], "source": row["source"]}
        known["points5"] = np.asarray(points5, np.float32)
        faces += [{**known, "box": box.astype(np.float32)} for box in boxes]
    bad.close(len(faces))
    columns = {name: [face[name] for face in faces] for name in FEATURES}
    return rows_with_photos(columns, FEATURES)


def _problem(row: Mapping[str, Any], stored: Mapping[str, Any]) -> str | None:
    """What is wrong with a row; or None."""
    for name in ("source", "photo"):
        problem = text_problem(row[name])
        if problem:
            return f"{name} is {problem}"
    points5 = row.get("points5")
    if points5 is not None:
        if row["box"] is None:
            return "points5 without a box, which tells whose they are"
        problem = points_problem(points5, 5)
        if problem:
            return f"points5 are {problem}"
    return image_problem(stored) or (None if row["box"] is None else corners_problem(row["box"]))


def _boxes(row: Mapping[str, Any], stored: Mapping[str, Any]) -> np.ndarray:
    """The row's own box, or those of all faces that the detector finds: (faces, 4)."""
    if row["box"] is not None:
        return np.asarray(row["box"], np.float64)[None]
    return detect_faces(open_photo(stored), YuNet())[0][:, :4]


def _photos(data: DataFolder) -> Iterator[RawRow]:
    """Every picture below a folder, in the order of their names."""
    for file in photo_files(data.path):
        name = file.relative_to(data.path).as_posix()
        try:
            image = data.picture(str(file.absolute()))
        except KDLandmarksError as error:
            yield KDLandmarksError(f"{name}: {error}")
            continue
        yield {"image": image, "box": None, "photo": name, "source": name}


def _stored(stored: StoredRows, origin: str) -> Iterator[RawRow]:
    """The rows of a stored data set."""
    kinds = stored.rows.features
    wanted = [name for name in ("box", "points5", "photo", "source") if name in kinds]
    wanted = ["image", *(name for name in wanted if not holds_files(kinds[name]))]
    for row in stored_cells(stored, wanted, origin):
        yield row if isinstance(row, KDLandmarksError) else {"box": None, **row}
