"""Faces without landmarks from anywhere: what a teacher's points are the labels of."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from PIL import ExifTags, ImageOps
from tqdm.auto import tqdm

from ..errors import KDLandmarksError
from ..inference.detection import YuNet, detect_faces
from ..inference.photos import as_rgb, photo_files
from ..models.crop_kd_landmarks import check_box
from .bad_rows import BadRows, image_problem
from .json_lines import read_unlabeled_lines
from .loading import holds_parquet, load_stored
from .photos import open_photo
from .rows import RawRow

FEATURES = datasets.Features(
    {
        "image": datasets.Image(),
        "box": datasets.List(datasets.Value("float32"), length=4),
        "photo": datasets.Value("string"),
        "source": datasets.Value("string"),
    }
)

# Of photos that are stored anew because they had to be turned.
TURNED_QUALITY = 95


def load_unlabeled(
    source: str | Path,
    split: str | None = None,
    *,
    revision: str | None = None,
    skip_bad_rows: bool = False,
) -> datasets.Dataset:
    """Faces without landmarks: `image`, `box`, `photo` and `source`, one face a row.

    Args:
        source: a folder of photos (searched to any depth); a `.jsonl` file or a folder of them
            with `image` and, where known, `box`, `detector_box` or `face_box`; Parquet or the id of
            a data set on the Hub with `image` and, where known, `box`. Faces without a box are
            found by the package's face detector, all of a photo, which is turned as its EXIF data
            say.
        split: which part, as in `load_rows`.
        revision: branch, tag or commit of a Hub data set.
        skip_bad_rows: leave out photos that cannot be decoded and boxes that are none, and list
            them in the log.

    Raises:
        KDLandmarksError: nothing there, a bad row (named), no face at all.
    """
    path = Path(source).expanduser()
    rows: Iterator[RawRow]
    if path.suffix == ".jsonl" or (path.is_dir() and any(path.glob("*.jsonl"))):
        rows = read_unlabeled_lines(path, split)
    elif path.is_dir() and not holds_parquet(path):
        rows = _photos(path)
    else:
        rows = _stored(load_stored(source, split, revision), str(source))
    faces: list[dict[str, Any]] = []
    bad = BadRows(str(source), skip_bad_rows)
    for row in tqdm(rows, "unlabeled faces", unit="photo", leave=False):
        if isinstance(row, KDLandmarksError):
            bad.add(str(row))
            continue
        image = row["image"]
        stored = {"path": image, "bytes": None} if isinstance(image, str) else image
        problem = image_problem(stored)
        try:
            if problem:
                raise ValueError(f"{row['source']}: {problem}")
            stored, boxes = _upright(row, stored)
        except ValueError as error:
            bad.add(str(error))
            continue
        known = {"image": stored, "photo": row["photo"], "source": row["source"]}
        faces += [{**known, "box": box.astype(np.float32)} for box in boxes]
    bad.close(len(faces))
    columns = {name: [face[name] for face in faces] for name in FEATURES}
    return datasets.Dataset.from_dict(columns, features=FEATURES)


def _upright(
    row: Mapping[str, Any], stored: Mapping[str, Any]
) -> tuple[Mapping[str, Any], np.ndarray]:
    """A row's photo with its own box, or with all its faces and turned as its EXIF data say.

    A box belongs to the photo as it is stored. Where there is none, nothing refers to the stored
    one, and a face that lies on its side would neither be found nor be of use.
    """
    if row["box"] is not None:
        return stored, check_box(row["box"], f"{row['source']}: ")[None]
    photo = open_photo(stored)
    turned = ImageOps.exif_transpose(photo)
    if photo.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        data = io.BytesIO()
        as_rgb(turned).save(data, "JPEG", quality=TURNED_QUALITY)
        stored = {"path": None, "bytes": data.getvalue()}
    return stored, detect_faces(turned, YuNet())[0]


def _photos(folder: Path) -> Iterator[RawRow]:
    """Every picture below a folder, in the order of their names."""
    for file in photo_files(folder):
        name = file.relative_to(folder).as_posix()
        yield {"image": str(file.absolute()), "box": None, "photo": name, "source": name}


def _stored(rows: datasets.Dataset, origin: str) -> Iterator[RawRow]:
    """The rows of a stored data set."""
    if "image" not in rows.column_names:
        raise KDLandmarksError(
            f"{origin} has no column 'image' (pictures), but {', '.join(rows.column_names)}"
        )
    raw = rows.with_format(None).cast_column("image", datasets.Image(decode=False))
    for number, row in enumerate(raw, start=1):
        source = row.get("source") or f"{origin}:{number}"
        yield {
            "image": row["image"],
            "box": row.get("box"),
            "photo": row.get("photo") or source,
            "source": source,
        }
