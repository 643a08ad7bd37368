"""Pictures of any source, row by row, for whoever looks at each of them once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import datasets
from datasets import Dataset, IterableDataset

from .data_folder import DataFolder
from .parquet import clear_errors, holds_parquet, open_stored
from .parquet_columns import check_columns, holds_files


def open_data(
    source: str,
    split: str,
    revision: str | None,
    streaming: bool,
    processes: int,
    allow_outside: bool = False,
) -> tuple[IterableDataset, DataFolder]:
    """The rows of Parquet on disk, a folder of pictures, or a data set on the Hub, undecoded.

    Columns of further pictures, sounds and the like are left out.

    Returns:
        The rows, and the folder in which pictures lie that are not stored in them.

    Raises:
        KDLandmarksError: if they cannot be had, or have no column `image`.
    """
    rows: Dataset | IterableDataset
    with _builder(source, split, revision, allow_outside, streaming) as (builder, folder):
        if streaming:
            rows = builder.as_streaming_dataset(split=split)
        else:
            builder.download_and_prepare()
            rows = builder.as_dataset(split=split)
    check_columns(rows.features or {}, ("image",), source)
    # Not remove_columns, which opens what it takes away.
    rows = rows.select_columns(
        [name for name, kind in rows.features.items() if name == "image" or not holds_files(kind)]
    )
    if isinstance(rows, Dataset):
        rows = rows.to_iterable_dataset(num_shards=min(processes, max(1, len(rows))))
    return rows.cast_column("image", datasets.Image(decode=False)), folder


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
