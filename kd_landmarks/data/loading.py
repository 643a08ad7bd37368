"""Rows from anywhere: a Hub data set, Parquet, JSON lines or an official download."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import datasets

from ..errors import KDLandmarksError
from ..schemes import LandmarkScheme, get_scheme
from ..utils.values import one_of
from .json_lines import read_json_lines
from .official import official_rows
from .own_data import holds_labels, own_splits
from .parquet import holds_parquet, load_stored, stream_stored
from .parquet_columns import StoredRows, check_columns, stored_cells
from .photos import with_stored_photos
from .rows import COLUMNS, MOST_ATTRIBUTES, TARGETS, RawRow, build_rows, may_be_attribute
from .splits import chosen_split

ORIENTATIONS = ("upright", "stored")
"""What landmarks can refer to; see `load_rows`."""


def load_rows(
    source: str | Path,
    split: str | None = None,
    *,
    scheme: LandmarkScheme | str,
    box: str = "gt",
    revision: str | None = None,
    skip_bad_rows: bool = False,
    token: str | bool | None = None,
    streaming: bool = False,
    allow_outside: bool = False,
    orientation: str = "upright",
) -> datasets.Dataset:
    """Loads faces into the row format of `kd_landmarks.data.rows`; decodes no picture.

    Args:
        source: what exists on disk is a path: a `.jsonl` file or a folder of them (their fields:
            `kd_landmarks.data.json_lines`), photos with `.pts` files or what a labeling tool has
            written, as `kd_landmarks.data.own_data.own_splits` has them, a `.parquet` file or a
            folder of them in the row format, the official folder of 300W or WFLW, COFW's `.mat`
            file or folder. Anything else that does not look like a path is the id of a data set on
            the Hub.
        split: which part; the error for an unknown one lists what there is. None where there is
            only one.
        scheme: the landmarks' scheme, or its name.
        box: "gt" for the tight box of the landmarks, "dataset" for the data set's own, refused
            where it has none.
        revision: branch, tag or commit of a Hub data set.
        skip_bad_rows: leave out rows that cannot be read and list them in the log.
        token: access token for the Hub; True for the stored one.
        streaming: leave the photos of Parquet, here or on the Hub, where they are;
            `kd_landmarks.data.photos.Photos` fetches one on demand, with the stored token.
        allow_outside: take pictures that lie outside of the data's folder (that of the file, or
            the one given) too: rows can name any file that the user may read. Data sets on the Hub
            open none in any case.
        orientation: which picture the landmarks and boxes of JSON lines refer to: "upright", as
            viewers and labeling tools show it, turned by its EXIF data; or "stored", before that,
            as those of official downloads do in any case. Those of Parquet are upright.

    Raises:
        KDLandmarksError: nothing there, an unknown split, a bad row (named by file and line).
    """
    scheme = get_scheme(scheme)
    one_of("orientation", orientation, ORIENTATIONS)
    if streaming and token not in (None, True):
        raise KDLandmarksError(
            "photos are streamed long after this call, with the stored token: run `hf auth login` "
            "or set HF_TOKEN instead of giving one"
        )
    path = Path(os.path.expanduser(source))
    rows: Iterator[RawRow] | None
    images, as_stored = None, orientation == "stored"
    if os.path.exists(path):  # which takes names of any length
        origin = str(path)
        if revision is not None:
            raise KDLandmarksError(f"revision {revision!r} is for Hub data sets; {path} is on disk")
        is_lines = path.suffix == ".jsonl" or any(path.glob("*.jsonl"))
        if streaming and (is_lines or not holds_parquet(path)):
            raise KDLandmarksError(
                f"{path} cannot be streamed, as only Parquet and data sets on the Hub can: make "
                "Parquet of it with `kd-landmarks convert`, or leave streaming out"
            )
        if is_lines:
            rows = read_json_lines(path, split, scheme, allow_outside)
        elif holds_parquet(path):
            stored = _load_stored(path, split, None, None, streaming, allow_outside)
            images, rows = stored.rows, _stored_rows(stored, path.name)
        else:
            rows = official_rows(path, split, scheme, allow_outside)
            as_stored |= rows is not None
        if rows is None and holds_labels(path):
            splits = own_splits(path, scheme, allow_outside)
            rows = splits[chosen_split(splits, split, path)]()
        if rows is None:
            raise KDLandmarksError(
                f"{path} holds no faces in a form that is known here: give .jsonl or .parquet "
                "files, photos with .pts files, what a labeling tool has written, or the folder of "
                "300W (helen, lfpw, afw, ibug), of WFLW (WFLW_annotations, WFLW_images) or of COFW "
                "(COFW_train_color.mat, COFW_test_color.mat)"
            )
    else:
        origin = str(source)
        stored = _load_stored(source, split, revision, token, streaming, allow_outside)
        images, rows = stored.rows, _stored_rows(stored, origin)
    if as_stored and images is not None:
        raise KDLandmarksError(
            f"{origin}: orientation 'stored' is for JSON lines, .pts files and labeling tools' "
            "files; photos of Parquet and of data sets on the Hub are shown upright: leave it out"
        )
    if as_stored:
        rows = with_stored_photos(rows)
    return build_rows(
        rows, scheme, box=box, origin=origin, skip_bad_rows=skip_bad_rows, images=images
    )


def _load_stored(
    source: str | Path,
    split: str | None,
    revision: str | None,
    token: str | bool | None,
    streaming: bool,
    allow_outside: bool,
) -> StoredRows:
    if not streaming:
        return load_stored(source, split, revision, token, allow_outside)

    def wanted(features: datasets.Features) -> list[str]:
        return [name for names in _row_columns(features, str(source)) for name in names]

    return stream_stored(source, split, revision, token, allow_outside, wanted)


def _stored_rows(stored: StoredRows, origin: str) -> Iterator[RawRow]:
    """Raw rows, without their pictures, of a data set that is in the row format or near it.

    Only `image` and `landmarks` must be there. Columns of whole numbers that the format does not
    know are attributes; other unknown columns are left out.
    """
    known, attributes = _row_columns(stored.rows.features, origin)
    known.remove("image")
    for row in stored_cells(stored, [*known, *attributes], origin):
        if isinstance(row, dict):
            row["attributes"] = {name: row.pop(name) for name in attributes}
        yield row


def _row_columns(features: datasets.Features, origin: str) -> tuple[list[str], list[str]]:
    """The columns that rows are made of: those that the format knows, and attributes.

    Raises:
        KDLandmarksError: one of them cannot be used.
    """
    known = [name for name in (*COLUMNS, *TARGETS, "visible") if name in features]
    check_columns(features, ("image", "landmarks", *known), origin)
    attributes = [
        name
        for name, kind in features.items()
        if may_be_attribute(name) and re.match(r"u?int|bool", getattr(kind, "dtype", None) or "")
    ]
    if len(attributes) > MOST_ATTRIBUTES:
        raise KDLandmarksError(
            f"{origin} has {len(attributes)} columns of whole numbers, which would all be "
            f"attributes: more than {MOST_ATTRIBUTES}"
        )
    return known, attributes
