"""Columns of data sets that others stored: no cell of theirs opens a file that is not their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.compute as pc
from datasets.features.features import require_decoding, require_storage_embed

from ..errors import KDLandmarksError, reason, shown
from .bad_rows import text_problem
from .data_folder import DataFolder
from .streaming import PREFIX


@dataclass(frozen=True)
class StoredRows:
    """A stored data set.

    Attributes:
        rows: as they are stored, but for `image`: undecoded, and whose paths, if it has any, may be
            opened.
        problems: what is wrong with pictures, by the row's number from 0.
    """

    rows: datasets.Dataset
    problems: Mapping[int, str] = field(default_factory=dict)


def stored_cells(
    stored: StoredRows, columns: Sequence[str], origin: str
) -> Iterator[dict[str, Any] | KDLandmarksError]:
    """The cells of some columns by row, with `photo` and `source`, or what is wrong with a row.

    Raises:
        KDLandmarksError: the rows cannot be read.
    """
    number = 0
    try:
        rows = stored.rows.with_format(None).select_columns(list(columns))
        for number, row in enumerate(rows, start=1):
            source = row.get("source") or f"{origin}:{number}"
            problem = text_problem(source)
            if problem:
                yield KDLandmarksError(f"{origin}:{number}: source is {problem}")
            elif number - 1 in stored.problems:
                yield KDLandmarksError(f"{source}: {stored.problems[number - 1]}")
            else:
                yield {**row, "photo": row.get("photo") or source, "source": source}
    except Exception as error:  # Arrow's, numpy's: column types that do not fit the cells
        raise KDLandmarksError(
            f"{origin}:{number + 1}: cannot read the row: {reason(error)}"
        ) from error


def check_columns(features: datasets.Features, wanted: Iterable[str], origin: str) -> None:
    """See that columns are there and of a type that opens no files but by our own hand.

    Raises:
        KDLandmarksError: naming the column.
    """
    for name in wanted:
        if name not in features:
            what = {"image": " (pictures)", "landmarks": " (N pairs x, y in pixels)"}.get(name, "")
            raise KDLandmarksError(
                f"{origin} has no column {name!r}{what}, but {', '.join(islice(features, 20))}"
            )
        kind = features[name]
        if name == "image":
            if not _may_be_pictures(kind):
                raise KDLandmarksError(
                    f"{origin}: the column 'image' holds {shown(kind)}, not pictures"
                )
        elif holds_files(kind):
            raise KDLandmarksError(f"{origin}: the column {shown(name)} holds {shown(kind)}")


def holds_files(kind: Any) -> bool:
    """Whether a column type opens, when it is read or written, files that its cells name."""
    return bool(require_decoding(kind, ignore_decode_attribute=True) or require_storage_embed(kind))


def _may_be_pictures(kind: Any) -> bool:
    if isinstance(kind, dict):
        return set(kind) == {"bytes", "path"} and not any(map(holds_files, kind.values()))
    texts = ("string", "large_string", "binary", "large_binary")
    return isinstance(kind, datasets.Image) or getattr(kind, "dtype", None) in texts


def with_own_pictures(rows: datasets.Dataset, folder: DataFolder) -> StoredRows:
    """Rows whose pictures are stored in them, or are files that they may name."""
    rows = rows.cast_column("image", datasets.Image(decode=False))
    pieces: list[pa.Array] = []
    problems: dict[int, str] = {}
    changed, first = False, 0
    # Arrow's own slices of the file: no picture is copied.
    for table in rows.select_columns("image").with_format("arrow").iter(1000):
        for piece in table["image"].chunks:
            data, paths = (pc.struct_field(piece, name) for name in ("bytes", "path"))
            # A path beside bytes is no more than a name.
            odd = pc.or_kleene(pc.is_null(data), pc.starts_with(paths, PREFIX))
            numbers = odd.fill_null(False).to_numpy(zero_copy_only=False).nonzero()[0].tolist()
            names = paths.to_pylist() if numbers else []
            for number in numbers:
                if names[number]:
                    try:
                        names[number] = folder.picture(names[number])
                    except KDLandmarksError as error:
                        problems[first + number], names[number] = str(error), None
                    changed = True
            if numbers:
                arrays = [data, pa.array(names, pa.string())]
                piece = pa.StructArray.from_arrays(arrays, ["bytes", "path"])
            pieces.append(piece)
            first += len(piece)
    if not changed:
        return StoredRows(rows)
    info = datasets.DatasetInfo(features=datasets.Features({"image": rows.features["image"]}))
    images = datasets.Dataset(pa.table({"image": pa.chunked_array(pieces)}), info)
    rest = [name for name in rows.column_names if name != "image"]
    both = datasets.concatenate_datasets([images, rows.select_columns(rest)], axis=1)
    return StoredRows(both, problems)
