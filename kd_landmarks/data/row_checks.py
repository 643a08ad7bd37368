"""Looking at every row of a data set before it is used: pictures, landmarks, where they lie."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import datasets

from ..errors import KDLandmarksError
from ..schemes import LandmarkScheme
from .bad_rows import BadRows
from .photos import Photos
from .pictures import SeenPicture, outside_problem, see_picture
from .rows import COLUMNS, TARGETS, row_cells, row_features


def check_rows(
    dataset: datasets.Dataset,
    scheme: LandmarkScheme,
    skip_bad_rows: bool = False,
) -> datasets.Dataset:
    """Looks at every row of a data set before it is used, and decodes every picture once.

    A row is bad where its picture is missing or cannot be decoded to its end, its landmarks or
    targets are not the scheme's number of finite points (landmarks that are not there aside), its
    box has no positive and finite sides, a landmark lies further outside the box than the box's
    longer side, or most landmarks lie outside of the photo. Landmarks that fit a photo only as it
    was stored before its EXIF data turn it are warned of.

    Args:
        dataset: rows in the row format; may have further columns.
        scheme: the scheme that the rows must be in.
        skip_bad_rows: leave bad rows out and log them as a warning, rather than raise.

    Returns:
        The data set, without its bad rows, with the column types of `row_features`.

    Raises:
        KDLandmarksError: a bad row, named by its `source`; a data set that lacks columns, is empty
            or has nothing but bad rows.
    """
    missing = [name for name in COLUMNS if name not in dataset.column_names]
    if missing:
        raise KDLandmarksError(
            f"the data set has no column {missing[0]!r} (it has {', '.join(dataset.column_names)})"
            ": load it with kd_landmarks.data.loading.load_rows"
        )
    if not len(dataset):
        raise KDLandmarksError("the data set is empty: give a split that has rows")
    good = good_rows(row_problems(dataset, scheme), skip_bad_rows)
    if len(good) < len(dataset):
        dataset = dataset.select(good)
    targets = [name for name in TARGETS if name in dataset.column_names]
    types = row_features(scheme, visible="visible" in dataset.column_names, targets=targets)
    wanted = datasets.Features({**dataset.features, **types})
    return dataset if wanted == dataset.features else dataset.cast(wanted)


def good_rows(problems: Iterable[str | None], skip_bad_rows: bool) -> list[int]:
    """The numbers of the rows without a problem (of `row_problems`); lists the others.

    Raises:
        KDLandmarksError: at a bad row, or with `skip_bad_rows` where no row is good.
    """
    bad = BadRows("the data set", skip_bad_rows)
    good: list[int] = []
    for number, problem in enumerate(problems):
        if problem is None:
            good.append(number)
        else:
            bad.add(problem)
    bad.close(len(good))
    return good


def row_problems(dataset: datasets.Dataset, scheme: LandmarkScheme) -> Iterator[str | None]:
    """For each row in turn what makes it a bad one, or None; see `check_rows`."""
    photos = Photos(dataset)
    raw = without_pictures(dataset)
    first = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        # By batches, so that only one batch of embedded pictures is in memory.
        for batch in raw.iter(batch_size=64):
            count = len(batch["source"])
            images = [photos[first + offset] for offset in range(count)]
            for offset, seen in enumerate(pool.map(see_picture, images)):
                row = {name: values[offset] for name, values in batch.items()}
                yield row_problem(row, seen, scheme)
            first += count


def without_pictures(dataset: datasets.Dataset) -> datasets.Dataset:
    """What `row_problem` takes of each row."""
    names = (*COLUMNS, *TARGETS, "visible")
    known = [name for name in names if name != "image" and name in dataset.column_names]
    return dataset.with_format(None).select_columns(known)


def row_problem(
    row: Mapping[str, Any], seen: SeenPicture | str, scheme: LandmarkScheme
) -> str | None:
    """What makes a row a bad one, with its `source`; or None. `seen` is from `see_picture`."""
    if isinstance(seen, str):
        return f"{row['source']}: {seen}"
    try:
        cells = row_cells(row, scheme, "dataset")
    except KDLandmarksError as error:
        return str(error)
    problem = outside_problem(cells["landmarks"], seen, row["source"])
    return problem and f"{row['source']}: {problem}"
