"""Pictures of any source, row by row, for whoever looks at each of them once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import datasets
import numpy as np
from datasets import Dataset, IterableDataset

from ..errors import KDLandmarksError, reason, shown
from ..imaging.photo_folders import photo_files
from ..utils.file_names import name_as_text
from .data_folder import DataFolder
from .parquet import clear_errors, holds_parquet, open_stored
from .parquet_columns import check_columns, holds_files
from .photos import rows_with_photos

PATH, NUMBER = "image_path", "image_row"
"""Columns that say which photo a row is: its path in the data, and its place among the rows."""

# With such a file a folder of pictures has columns of its own.
_METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


def open_data(
    source: str,
    split: str,
    revision: str | None,
    streaming: bool,
    processes: int,
    allow_outside: bool = False,
) -> tuple[IterableDataset, DataFolder]:
    """The rows of Parquet on disk, a folder of pictures, or a data set on the Hub, undecoded.

    Columns of further pictures, sounds and the like are left out. Rows that are not streamed are
    numbered in `NUMBER`, those of a folder name their photo in `PATH`, unless they have such a
    column of their own.

    Returns:
        The rows, and the folder in which pictures lie that are not stored in them.

    Raises:
        KDLandmarksError: if they cannot be had, or have no column `image`.
    """
    rows: Dataset | IterableDataset
    path = Path(os.path.expanduser(source))
    if (
        path.is_dir()
        and not holds_parquet(path)
        and not any(file.name in _METADATA for file in path.rglob("metadata.*"))
    ):
        rows, folder = _listed(path, split, allow_outside)
        return _prepared(rows, source, processes), folder
    with _builder(source, split, revision, allow_outside, streaming) as (builder, folder):
        if streaming:
            rows = builder.as_streaming_dataset(split=split)
        else:
            builder.download_and_prepare()
            rows = builder.as_dataset(split=split)
    return _prepared(rows, source, processes), folder


def _prepared(rows: Dataset | IterableDataset, source: str, processes: int) -> IterableDataset:
    """Rows without columns of further files, numbered, to be gone through by processes."""
    check_columns(rows.features or {}, ("image",), source)
    # Not remove_columns, which opens what it takes away.
    rows = rows.select_columns(
        [name for name, kind in rows.features.items() if name == "image" or not holds_files(kind)]
    )
    if isinstance(rows, Dataset):
        if NUMBER not in rows.column_names:
            rows = rows.add_column(NUMBER, np.arange(len(rows)))
        rows = rows.to_iterable_dataset(num_shards=min(processes, max(1, len(rows))))
    return rows.cast_column("image", datasets.Image(decode=False))


def _listed(path: Path, split: str, allow_outside: bool) -> tuple[Dataset, DataFolder]:
    """The photos of a folder, by their endings: those in the folder of the split's name.

    Without such a folder `train` is all.

    Not by `datasets`, which leaves some out: those in linked folders, HEIC, and others by words in
    their names.

    Raises:
        KDLandmarksError: no photo there, or a split that there is not.
    """
    name = split.partition("[")[0]
    place = path / name if (path / name).is_dir() else path
    files = photo_files(place)
    if not files or (place == path and name != "train"):
        what = "photos" if place != path or name == "train" else f"folder {shown(name)}"
        raise KDLandmarksError(f"there are no {what} in {place}: name another folder or --split")
    try:
        part = datasets.ReadInstruction.from_spec(split).to_absolute({name: len(files)})
    except (ValueError, AssertionError) as error:
        raise KDLandmarksError(f"--split {split}: {reason(error)}") from error
    files = [file for one in part for file in files[one.from_ : one.to]]
    rows = rows_with_photos(
        {
            "image": [name_as_text(file.absolute()) for file in files],
            PATH: [name_as_text(file.relative_to(path)) for file in files],
        },
        datasets.Features({"image": datasets.Image(), PATH: datasets.Value("string")}),
    )
    return rows, DataFolder(path, allow_outside, listed=True)


@contextmanager
def _builder(
    source: str, split: str, revision: str | None, allow_outside: bool, streaming: bool
) -> Iterator[tuple[datasets.DatasetBuilder, DataFolder]]:
    """What `datasets` makes of the source, and where its files are."""
    path = Path(os.path.expanduser(source))
    if path.is_file():  # whatever it is called, it is the split
        folder = DataFolder(path.parent, allow_outside)
        with clear_errors(source, None, folder):
            yield datasets.load_dataset_builder("parquet", data_files={split: str(path)}), folder
    elif path.is_dir() and not holds_parquet(path):
        folder = DataFolder(path, allow_outside)
        with clear_errors(source, None, folder, "a folder of pictures"):
            words = {"data_dir": str(path), "drop_labels": True}
            builder = datasets.load_dataset_builder("imagefolder", **words)
            for files in builder.config.data_files.values():
                for file in files:
                    if Path(file).stem == "metadata":
                        folder.file(file, "metadata")
            yield builder, folder
    else:
        with open_stored(source, revision, None, allow_outside, streaming) as opened:
            yield opened
