"""The row format: one face per row, whatever it came from; built here and checked in `row_checks`.

Columns of a row (`row_features`):

- `image`: the photo, a file by its path or bytes; decoded only when it is read. Landmarks refer to
  the photo as viewers and `datasets` show it, turned by its EXIF data where it has any.
- `landmarks`: (N, 2) float32, x then y in pixels of the photo, pixel centers at whole numbers; may
  lie outside the photo. NaN is a landmark that is not there: it is no part of box, loss or metrics.
- `box`: x0, y0, x1, y1 of the face, float32, the same pixels.
- `scheme`: name of the landmark scheme.
- `subset`: part of the data set ("afw", …) or "".
- `photo`: which photo the face is in; faces of one photo share it (`photo_id`).
- `source`: where the row was read ("train.jsonl:17"); errors name it.
- where the data have them: `visible` (N of 1, 0 where it is covered, or -1 where it is not there),
  integer attributes ("pose", …), and targets
  shaped like `landmarks`: `soft_landmarks`, `tough_landmarks`, `tolerant_landmarks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any

import datasets
import numpy as np

from ..errors import KDLandmarksError, shown
from ..imaging.boxes import tight_box
from ..schemes import LandmarkScheme
from .bad_rows import (
    BadRows,
    OtherLandmarks,
    box_problem,
    floats,
    points_problem,
    text_problem,
    with_gaps,
)
from .photos import rows_with_photos

BOXES = ("gt", "dataset")
"""Boxes that a row can have: around its landmarks, or its data set's own."""
TEACHER_COLUMNS = {"tough": "tough_landmarks", "tolerant": "tolerant_landmarks"}
"""The column of a teacher's points, by the name that KD-Loss has for it."""
TARGETS = ("soft_landmarks", *TEACHER_COLUMNS.values())
"""Optional columns that are shaped like `landmarks`."""
COLUMNS = ("image", "landmarks", "box", "scheme", "subset", "photo", "source")
"""Columns that every row has."""
MOST_ATTRIBUTES = 256
"""Of a row."""
LEAST_SPAN = 2.0
"""Pixels of a face, below which its landmarks are shares of the photo's sides, 0 to 1."""

RawRow = Mapping[str, Any] | KDLandmarksError
"""What a reader yields per face: a mapping of `image` (path, or {"bytes", "path"}), `landmarks`,
`photo`, `source`, and where there are any `box`, `subset`, `scheme`, `visible`, `attributes` (a
mapping) and targets; or, for a row that it could not read, the error that names it."""


def row_features(
    scheme: LandmarkScheme,
    *,
    visible: bool = False,
    attributes: Iterable[str] = (),
    targets: Iterable[str] = (),
) -> datasets.Features:
    """Column types of the row format.

    Args:
        scheme: its number of points N is part of the types.
        visible: whether there is a column `visible`.
        attributes: names of the integer attribute columns.
        targets: those of `TARGETS` that there are.
    """
    points = datasets.Array2D((scheme.num_landmarks, 2), "float32")
    text = datasets.Value("string")
    features: dict[str, Any] = {
        "image": datasets.Image(),
        "landmarks": points,
        "box": datasets.List(datasets.Value("float32"), length=4),
        **dict.fromkeys(("scheme", "subset", "photo", "source"), text),
    }
    if visible:
        features["visible"] = datasets.List(datasets.Value("int8"), length=scheme.num_landmarks)
    features |= {name: datasets.Value("int64") for name in attributes}
    features |= dict.fromkeys(targets, points)
    return datasets.Features(features)


def build_rows(
    rows: Iterable[RawRow],
    scheme: LandmarkScheme,
    *,
    box: str = "gt",
    origin: str,
    skip_bad_rows: bool = False,
    images: datasets.Dataset | None = None,
) -> datasets.Dataset:
    """The one way into the row format: a data set from what a reader yields.

    Pictures are not decoded (that is `check_rows`), but their files must exist.

    Args:
        rows: one `RawRow` per face.
        scheme: the landmarks' scheme.
        box: "gt" for the tight box of the landmarks, "dataset" for the rows' own.
        origin: what messages call the whole.
        skip_bad_rows: leave bad rows out and log them, rather than raise.
        images: where the pictures are stored already, a data set whose column `image` goes row by
            row with `rows`; else each row has its `image`.

    Raises:
        KDLandmarksError: a bad row; nothing but bad rows; no rows; an unknown `box`.
    """
    if box not in BOXES:
        raise KDLandmarksError(
            f"box is {box!r}: give 'gt' (around the landmarks) or 'dataset' (the data set's own)"
        )
    bad = BadRows(origin, skip_bad_rows)
    good: list[dict[str, Any]] = []
    kept: list[int] = []
    other: OtherLandmarks | None = None
    for index, row in enumerate(rows):
        try:
            if isinstance(row, KDLandmarksError):
                raise row
            cells = row_cells(row, scheme, box)
        except KDLandmarksError as error:
            if isinstance(error, OtherLandmarks) and not good:
                other = other or error
                if not skip_bad_rows:
                    continue  # other data, or one row to mend: the next ones tell
            bad.add(str(error))
            continue
        if other is not None and not good and not skip_bad_rows:
            bad.add(str(other))
        good.append(cells)
        kept.append(index)
    if other is not None and not good:
        raise other  # no row to mend: these are other data
    bad.close(len(good))
    features = _features_of(good, scheme, origin)
    if images is None:
        return rows_with_photos({name: [row[name] for row in good] for name in features}, features)
    del features["image"]
    columns = {name: [row[name] for row in good] for name in features}
    built = datasets.Dataset.from_dict(columns, features=features)
    images = images.select_columns("image").cast_column("image", datasets.Image())
    if len(kept) < len(images):
        images = images.select(kept)
    return datasets.concatenate_datasets([images, built], axis=1)


def row_cells(row: Mapping[str, Any], scheme: LandmarkScheme, box: str) -> dict[str, Any]:
    """A raw row's cells by column, looked at; `box` as in `build_rows`.

    Raises:
        KDLandmarksError: something does not fit; the message begins with the row's source.
    """
    source, found = row["source"], row.get("scheme") or scheme.name
    if found != scheme.name:
        raise KDLandmarksError(f"{source}: the scheme is {shown(found)}, not {scheme.name!r}")
    cells: dict[str, Any] = {"image": row.get("image"), "scheme": scheme.name, "source": source}
    array = floats(with_gaps(row["landmarks"], None))
    shape = () if array is None else array.shape
    if shape[1:] == (2,) and shape[0] != scheme.num_landmarks:
        problem = points_problem(array, scheme.num_landmarks)
        raise OtherLandmarks(f"{source}: landmarks are {problem}", shape[0])
    visible = row.get("visible")
    if visible is not None:
        flags = list(visible) if isinstance(visible, Sequence | np.ndarray) else []
        if len(flags) != scheme.num_landmarks or not all(flag in (-1, 0, 1) for flag in flags):
            raise KDLandmarksError(
                f"{source}: visible is {shown(visible)}: give {scheme.num_landmarks} times 1 "
                "(seen), 0 (covered) or -1 (not there)"
            )
        cells["visible"] = np.array(flags, np.int8)
    for name in ("landmarks", *TARGETS):
        if name != "landmarks" and row.get(name) is None:
            continue
        points = row[name]
        if name == "landmarks":
            points = with_gaps(points, cells.get("visible"))
        problem = points_problem(points, scheme.num_landmarks, gaps=name == "landmarks")
        if problem:
            raise KDLandmarksError(f"{source}: {name} are {problem}")
        cells[name] = np.asarray(points, np.float32)
    if box == "dataset" and row.get("box") is None:
        raise KDLandmarksError(
            f"{source}: the row has no box of its own (box='dataset'): use box='gt'"
        )
    tight = tight_box(cells["landmarks"])
    span = float(max(tight[2] - tight[0], tight[3] - tight[1]))
    if 0 < span < LEAST_SPAN:
        raise KDLandmarksError(
            f"{source}: the landmarks span {span:.2g} pixels: give pixels of the photo, not shares "
            "of its sides"
        )
    corners = tight if box == "gt" else row["box"]
    problem = box_problem(corners, cells["landmarks"])
    if problem:
        raise KDLandmarksError(f"{source}: {problem}")
    cells["box"] = np.asarray(corners, np.float32)
    cells |= {"subset": row.get("subset") or "", "photo": row["photo"]}
    for name in ("subset", "photo", "source"):
        problem = text_problem(cells[name])
        if problem:
            raise KDLandmarksError(f"{source}: {name} is {problem}")
    return cells | _attributes(row.get("attributes") or {}, source)


def _attributes(attributes: Mapping[str, Any], source: str) -> dict[str, int]:
    """A row's attributes by column.

    Raises:
        KDLandmarksError: there are too many, or they are not small whole numbers with plain names.
    """
    if len(attributes) > MOST_ATTRIBUTES:
        raise KDLandmarksError(
            f"{source}: it has {len(attributes)} attributes, more than {MOST_ATTRIBUTES}"
        )
    cells: dict[str, int] = {}
    for name, value in attributes.items():
        column = str(name).replace("-", "_")
        if (
            column in cells
            or not may_be_attribute(column)
            or not isinstance(value, Integral)
            or not -(2**63) <= int(value) < 2**63
        ):
            raise KDLandmarksError(
                f"{source}: attribute {shown(name)} is {shown(value)}: attributes are whole "
                "numbers of 64 bits, and have short names that no other column has"
            )
        cells[column] = int(value)
    return cells


def may_be_attribute(name: str) -> bool:
    """Whether an attribute can be called that: other columns, and our own helpers', are not."""
    known = (*COLUMNS, *TARGETS, "visible", "weights")
    return (
        name not in known and len(name) <= 100 and name.isprintable() and name[:1] not in ("", "_")
    )


def _features_of(rows: Sequence[dict[str, Any]], scheme: LandmarkScheme, origin: str) -> Any:
    """The column types of rows, which must all have the same columns."""
    optional = [name for name in rows[0] if name not in COLUMNS]
    for row in rows:
        odd = set(row).symmetric_difference(rows[0])
        if odd:
            raise KDLandmarksError(
                f"{origin}: only one of {rows[0]['source']} and {row['source']} has "
                f"{min(odd)!r}: give it to all rows or to none"
            )
    return row_features(
        scheme,
        visible="visible" in optional,
        attributes=[name for name in optional if name not in ("visible", *TARGETS)],
        targets=[name for name in TARGETS if name in optional],
    )
