"""Parquet on disk and data sets on the Hub, opened by `datasets`: what is theirs, and no more."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
from datasets.packaged_modules.parquet.parquet import ParquetConfig
from huggingface_hub import constants
from huggingface_hub.repocard import REGEX_YAML_BLOCK

from ..errors import KDLandmarksError, reason, shown
from ..utils.hub import ask_the_hub
from ..utils.hub_patience import patient_hub
from ..utils.parsing import parse_yaml, read_text
from .data_folder import DataFolder
from .parquet_columns import StoredRows, check_columns, with_own_pictures
from .splits import chosen_split
from .streaming import features_of, streamed_rows

_logger = logging.getLogger(__name__)

MOST_COLUMNS = 1000
"""Columns of a Parquet file; the row format has a tenth of it with all attributes."""
MOST_CARD = 2**20
"""Bytes of a data set card."""


def holds_parquet(path: Path) -> bool:
    """Whether a path is a `.parquet` file, or a folder with some in it or one level down."""
    return path.suffix == ".parquet" or any(path.glob("*.parquet")) or any(path.glob("*/*.parquet"))


def load_stored(
    source: str | Path,
    split: str | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
    allow_outside: bool = False,
) -> StoredRows:
    """One split of Parquet on disk or of a data set on the Hub.

    Args: as `kd_landmarks.data.loading.load_rows`.

    Raises:
        KDLandmarksError: nothing there, an unknown split, no column of pictures.
    """
    with open_stored(source, revision, token, allow_outside) as (builder, folder):
        builder.download_and_prepare()
        parts = builder.as_dataset()
    rows = parts[chosen_split(parts, split, source)]
    check_columns(rows.features, ("image",), str(source))
    with clear_errors(str(source), revision, folder):
        return with_own_pictures(rows, folder)


def stream_stored(
    source: str | Path,
    split: str | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
    allow_outside: bool = False,
    columns: Any = None,
) -> StoredRows:
    """The same, but photos stay where they are; other columns than those wanted do too.

    Args: as `load_stored`, and

        columns: makes of the column types the names of those wanted.

    Raises:
        KDLandmarksError: as `load_stored`; it is not stored as Parquet.
    """
    with open_stored(source, revision, token, allow_outside, streaming=True) as (builder, _):
        pass
    if not isinstance(builder.config, ParquetConfig):
        raise KDLandmarksError(
            f"{source} cannot be streamed, for it is not stored as Parquet: `kd-landmarks convert "
            "own` makes Parquet of a copy; or leave streaming out"
        )
    splits = builder.config.data_files or {}
    files = splits[chosen_split(splits, split, source)]
    features = builder.info.features or features_of(files[0])
    wanted = columns(features)
    return StoredRows(streamed_rows(files, features, wanted))


@contextmanager
def open_stored(
    source: str | Path,
    revision: str | None = None,
    token: str | bool | None = None,
    allow_outside: bool = False,
    streaming: bool = False,
) -> Iterator[tuple[datasets.DatasetBuilder, DataFolder]]:
    """What makes the rows of Parquet on disk or of a data set on the Hub, and where its files are.

    What goes wrong in the block is told by the source, and the Hub is waited for for seconds.

    Raises:
        KDLandmarksError: nothing there, or its card names files that are not its own.
    """
    path = Path(os.path.expanduser(source))
    if path.exists() and holds_parquet(path):
        folder = DataFolder(path if path.is_dir() else path.parent, allow_outside)
        with clear_errors(str(source), None, folder):
            builder = _parquet_builder(path, folder)
            _check_width(builder)
            yield builder, folder
        return
    if path.exists() or isinstance(source, Path) or _looks_like_a_path(source):
        problem = f"{source} holds no faces"
        if not path.exists():
            problem = f"there is no file or folder {source}"
        raise KDLandmarksError(f"{problem} (a data set on the Hub is called owner/name)")
    with clear_errors(source, revision, DataFolder.on_hub(source)), patient_hub() as hub:
        try:
            ask_the_hub()
        except Exception as error:  # each HTTP library has a family of its own
            if streaming:
                raise ConnectionError(f"{error}; streaming needs the Hub itself") from error
            hub.give_up(error)  # else datasets asks for each file half a minute long
        builder = datasets.load_dataset_builder(source, revision=revision, token=token)
        folder = DataFolder.on_hub(builder.repo_id or source)  # it may have been renamed
        check_files(builder, folder)
        yield builder, folder
        if hub.over is not None and not constants.is_offline_mode():
            _logger.warning("%s", _from_the_cache(source, builder, hub.over))


def _from_the_cache(
    name: str, builder: datasets.DatasetBuilder, why: Exception
) -> KDLandmarksError:
    """That what was loaded was downloaded before, and as far as is known which commit, and when."""
    told, stored = "", Path(builder.cache_dir)
    if stored.is_dir():
        day = time.strftime("%Y-%m-%d", time.localtime(stored.stat().st_mtime))
        told = f": commit {stored.name[:12]}, downloaded on {day}"
    return KDLandmarksError(f"{name} is taken from the datasets library's cache{told}. {why}")


def check_files(builder: datasets.DatasetBuilder, folder: DataFolder) -> None:
    """See that all files of a data set are its own: its card may name any file and address.

    Raises:
        KDLandmarksError: naming one that is not.
    """
    for files in (builder.config.data_files or {}).values():
        for file in map(str, files):
            if folder.hub is None and "://" not in file:
                folder.file(file, "data")
            elif folder.hub is None or not file.lower().startswith(
                f"hf://datasets/{folder.hub.lower()}@"
            ):
                raise KDLandmarksError(
                    f"its card names {shown(file, 120)} as a data file, which is not its own"
                )


def _looks_like_a_path(source: str) -> bool:
    """Whether a text that names nothing on disk was meant as a path, not as a Hub id."""
    return (
        source.startswith((".", "/", "~"))
        or source.count("/") > 1
        or "\\" in source
        or source.endswith((".jsonl", ".json", ".parquet", ".mat", ".pts", ".txt"))
    )


@contextmanager
def clear_errors(
    source: str, revision: str | None, folder: DataFolder, kind: str = "Parquet"
) -> Iterator[None]:
    """What can go wrong with files on disk and with a data set on the Hub, with the mend.

    Args:
        source: as the user names it.
        revision: of a data set on the Hub.
        folder: the source's.
        kind: of the files on disk.
    """
    try:
        yield
    except KDLandmarksError as error:
        raise KDLandmarksError(f"{source}: {error}") from error
    except Exception as error:  # each format, and each HTTP library, has a family of its own
        why = reason(error)
        if folder.hub is None:
            raise KDLandmarksError(f"cannot read {source} as {kind}: {why}") from error
        if isinstance(error, datasets.exceptions.DatasetNotFoundError):
            raise KDLandmarksError(
                f"{source}: no such data set on the Hub, or no access to it ({why}): check the id"
                f"{'' if revision is None else f' and the revision {revision!r}'}, or give a token"
            ) from error
        if isinstance(error, ConnectionError):
            raise KDLandmarksError(
                f"{source} is not a local path, and the Hub is out of reach ({why}): check the "
                "path, or download the data set while online; HF_HUB_OFFLINE=1 allows only "
                "downloaded data sets"
            ) from error
        raise KDLandmarksError(f"cannot load the data set {source} from the Hub: {why}") from error


def _parquet_builder(path: Path, folder: DataFolder) -> datasets.DatasetBuilder:
    """Local Parquet; a file's split is called by its name up to the first hyphen."""
    if not path.is_dir():
        if not path.is_file():  # a pipe would be waited for
            raise KDLandmarksError("it is not a regular file")
        name = re.sub(r"\W", "_", path.stem.partition("-")[0])
        return datasets.load_dataset_builder("parquet", data_files={name: str(path)})
    if not folder.allow_outside:
        _check_card(path)
    builder = datasets.load_dataset_builder(str(path))
    if not isinstance(builder.config, ParquetConfig):
        raise KDLandmarksError(
            f"the folder is read as {builder.name}, not as Parquet: give the .parquet file, or "
            "move the folder's other files elsewhere"
        )
    check_files(builder, folder)
    return builder


def _check_width(builder: datasets.DatasetBuilder) -> None:
    """Refuse more columns than a data set can have, before `datasets` makes arrays of them all.

    Raises:
        KDLandmarksError: naming the file.
    """
    for files in (builder.config.data_files or {}).values():
        for file in map(str, files):
            if "://" not in file and (width := len(pq.read_schema(file).names)) > MOST_COLUMNS:
                raise KDLandmarksError(
                    f"{Path(file).name} has {width} columns, more than {MOST_COLUMNS}"
                )


def _check_card(folder: Path) -> None:
    """See that a folder's card sends nobody elsewhere, before `datasets` goes there.

    Raises:
        KDLandmarksError: it does, or cannot be read.
    """
    for name in ("README.md", ".huggingface.yaml"):
        file = folder / name
        if not os.path.lexists(file):
            continue
        text = read_text(file, MOST_CARD)
        if name == "README.md":
            front = REGEX_YAML_BLOCK.search(text)  # as `datasets` finds it
            text = front[2] if front else ""
        card = parse_yaml(text, name, types=False)
        for pattern in _texts(card.get("configs") if isinstance(card, dict) else None):
            if (
                "://" in pattern
                or "::" in pattern
                or ".." in re.split(r"[/\\]", pattern)
                or (os.path.isabs(pattern))
            ):
                raise KDLandmarksError(
                    f"{name} names {shown(pattern, 120)} as a data file, which is not its own: if "
                    "you trust the source of the data, give --allow-outside (in Python "
                    "allow_outside=True)"
                )


def _texts(values: Any) -> Iterator[str]:
    """Every text in plain values of any depth."""
    if isinstance(values, str):
        yield values
    elif isinstance(values, dict | list):
        for value in values.values() if isinstance(values, dict) else values:
            yield from _texts(value)
