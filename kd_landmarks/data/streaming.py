"""Parquet that stays where it is, on the Hub or on a disk: all columns at once, photos on demand.

`streamed_rows` reads every column but the photos. The `image` of such a row only says where its
photo is, and `RowGroups` fetches it: a whole row group at a time, the least that Parquet gives.
Rows, their numbers and all that is computed from them are those of the downloaded data set.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import Any, BinaryIO, NamedTuple

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from datasets.table import table_cast
from fsspec.caching import KnownPartsOfAFile
from fsspec.spec import AbstractBufferedFile
from fsspec.utils import merge_offset_ranges
from huggingface_hub import HfFileSystem

from ..errors import KDLandmarksError, reason
from ..utils.hub_patience import patient_hub

HELD_GROUPS = 8
HELD_BYTES = 256_000_000
"""A reader holds so many row groups, and so many bytes, unless a single group has more."""

# Waiting for the Hub takes longer than reading what it sends.
_FILES_AT_ONCE = 16
# Seconds until a Hub that is busy or silent counts as down; longer than elsewhere, since a run that
# has trained for hours would stop.
_PATIENCE = 60.0
_HUB = "hf://"
PREFIX = "parquet-row:"
"""Of the path of a photo that is streamed."""
_PLACE = re.compile(rf"{PREFIX}(\d{{1,9}}):(\d{{1,18}}):(.+)", re.DOTALL)
_PHOTOS_PER_PIECE = 64
# Bytes between two pieces that come by one request.
_SMALL_GAP = 8192

# What the ends of Parquet files say of their row groups. The loader's workers inherit them where
# they are forked, and read them again where they are not.
_footers: dict[str, pq.FileMetaData] = {}


class _Parquet(pq.ParquetFile):
    """A Parquet file that knows the handle it is read by."""

    def __init__(self, handle: BinaryIO, **options: Any) -> None:
        super().__init__(handle, **options)
        self.handle = handle


class _Pieces(KnownPartsOfAFile):
    """Pieces of a file that were fetched; what lies outside of them is fetched when it is read."""

    def _fetch(self, start: int | None, stop: int | None) -> bytes:
        try:
            return super()._fetch(start, stop)
        except ValueError:  # old writers' columns may end a little behind their size
            return self.fetcher(start, stop)


class Place(NamedTuple):
    """Where a photo is: a row of a row group of a file (a path or an hf:// address).

    Only `streamed_rows` makes rows that name one. Whoever reads rows of others makes the paths in
    them absolute, or takes them out: none can be taken for a place.
    """

    group: int
    row: int
    file: str

    @classmethod
    def of(cls, path: str | None) -> Place | None:
        """The place that an image's path is; None for the path of a picture file."""
        found = _PLACE.match(path or "")
        return cls(int(found[1]), int(found[2]), found[3]) if found else None

    def __str__(self) -> str:
        return f"{PREFIX}{self.group}:{self.row}:{self.file}"


class RowGroups:
    """Fetches photos, and keeps the row groups that were used last.

    Args:
        capacity: how many; see `groups_at_once`.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._held: OrderedDict[tuple[str, int], pa.Array] = OrderedDict()

    def photo(self, place: Place) -> Mapping[str, Any]:
        """The undecoded image, `bytes` and `path`: none where the file does not hold it.

        Raises:
            KDLandmarksError: it cannot be read.
        """
        key = (place.file, place.group)
        if key in self._held:
            self._held.move_to_end(key)
        else:
            # Make room first: both at once would be more than was promised.
            while len(self._held) >= self.capacity:
                self._held.popitem(last=False)
            self._held[key] = _read_photos(place.file, place.group)
        found = self._held[key][place.row].as_py()
        if found is None or found["bytes"] is None:  # such a path may be any on this machine
            return {"bytes": None, "path": None}
        return {**found, "path": None} if Place.of(found["path"]) else found


def groups_at_once(groups: Iterable[tuple[str, int]]) -> int:
    """How many of these row groups, each a file and a number, a reader may hold."""
    sizes = [_footer(file).row_group(number).total_byte_size for file, number in groups]
    return max(1, min(HELD_GROUPS, HELD_BYTES // max([1, *sizes])))


def features_of(file: str) -> datasets.Features:
    """The column types that a Parquet file tells.

    Raises:
        KDLandmarksError: it cannot be read.
    """
    _footers.pop(file, None)  # it may have been rewritten since
    with _opened(file) as parquet:
        return datasets.Features.from_arrow_schema(parquet.schema_arrow)


def streamed_rows(
    files: Sequence[str], features: datasets.Features, columns: Iterable[str]
) -> datasets.Dataset:
    """The rows of Parquet files, in memory but for the photos: about a kilobyte each.

    Args:
        files: paths or hf:// addresses, in the order of the rows.
        features: column types.
        columns: the columns wanted, all of them in `features`, `image` among them.

    Raises:
        KDLandmarksError: a file cannot be read, has other columns, or does not hold its photos.
    """
    light = datasets.Features({name: features[name] for name in columns if name != "image"})
    with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
        tables = list(pool.map(lambda file: _light_table(file, light), files))
    for file, table in zip(files, tables, strict=True):
        _check_footer(file, len(table))
    rows = datasets.Dataset(pa.concat_tables(tables), datasets.DatasetInfo(features=light))
    places = (
        Place(group, row, file)
        for file in files
        for group in range(_footer(file).num_row_groups)
        for row in range(_footer(file).row_group(group).num_rows)
    )
    return with_photos(rows, ({"bytes": None, "path": str(place)} for place in places))


def with_photos(rows: datasets.Dataset, photos: Iterable[Mapping[str, Any]]) -> datasets.Dataset:
    """Rows with one undecoded photo each, `bytes` and `path`, as their column `image`."""
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    # In pieces, since one array holds 2 GB at most.
    remaining, pieces = iter(photos), []
    while piece := list(islice(remaining, _PHOTOS_PER_PIECE)):
        pieces.append(pa.array(piece, kind))
    table = pa.table({"image": pa.chunked_array(pieces, kind)})
    info = datasets.DatasetInfo(features=datasets.Features({"image": datasets.Image()}))
    rest = [name for name in rows.column_names if name != "image"]
    return datasets.concatenate_datasets(
        [datasets.Dataset(table, info), rows.select_columns(rest)], axis=1
    )


def _light_table(file: str, light: datasets.Features) -> pa.Table:
    _footers.pop(file, None)
    with _opened(file) as parquet:
        _footers[file] = parquet.metadata
        _prefetch(parquet, range(parquet.num_row_groups), light)
        return table_cast(parquet.read(list(light)), light.arrow_schema)


def _check_footer(file: str, rows: int) -> None:
    """See that a file has as many rows as it says, and photos in them rather than paths.

    Raises:
        KDLandmarksError: otherwise.
    """
    footer = _footer(file)
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    if sum(group.num_rows for group in groups) != rows:
        raise KDLandmarksError(f"cannot read {file}: it has {rows} rows, and says otherwise")
    for group in groups:
        for number in range(group.num_columns):
            column = group.column(number)
            known = column.statistics if column.path_in_schema == "image.bytes" else None
            if (
                known is not None
                and known.has_null_count
                and 0 < group.num_rows == known.null_count
            ):
                raise KDLandmarksError(
                    f"{file} names its photos, and does not hold them: leave streaming out"
                )


def _read_photos(file: str, group: int) -> pa.Array:
    with _opened(file) as parquet:
        _footers.setdefault(file, parquet.metadata)
        _prefetch(parquet, [group], ["image"])
        column = parquet.read_row_group(group, ["image"])["image"]
        return datasets.Image().cast_storage(column.combine_chunks())


def _footer(file: str) -> pq.FileMetaData:
    if file not in _footers:
        with _opened(file) as parquet:
            _footers[file] = parquet.metadata
    return _footers[file]


def _prefetch(parquet: _Parquet, groups: Iterable[int], columns: Iterable[str]) -> None:
    """Fetch what columns of row groups take, by a request for each piece without a gap.

    Arrow's own `pre_buffer` does so in threads. When one of its reads fails it never lets go of the
    file, which is then in use while the interpreter ends: now and then, that aborts the process.
    """
    handle, wanted = parquet.handle, set(columns)
    if not isinstance(handle, AbstractBufferedFile):
        return
    starts, ends = [], []
    for group in map(parquet.metadata.row_group, groups):
        for column in map(group.column, range(group.num_columns)):
            if column.path_in_schema.partition(".")[0] in wanted:
                offsets = (column.dictionary_page_offset, column.data_page_offset)
                starts.append(min(offset for offset in offsets if offset))
                ends.append(starts[-1] + column.total_compressed_size)
    _, starts, ends = merge_offset_ranges([""] * len(starts), starts, ends, _SMALL_GAP)
    parts = {}
    for start, end in zip(starts, ends, strict=True):
        handle.seek(start)
        parts[start, end] = handle.read(end - start)
    handle.cache = _Pieces(handle.blocksize, handle._fetch_range, handle.size, parts, strict=True)


def _open(file: str) -> BinaryIO:
    if file.startswith(_HUB):
        # What Parquet asks for is what it needs: reading ahead would fetch the photos as well.
        return HfFileSystem().open(file, "rb", cache_type="none")
    return open(file, "rb")


@contextmanager
def _opened(file: str) -> Iterator[_Parquet]:
    """A file, open for this very read: a handle does not survive the fork of a loader's worker."""
    try:
        with patient_hub(_PATIENCE), _open(file) as handle:
            yield _Parquet(handle, metadata=_footers.get(file), pre_buffer=False)
    except KDLandmarksError:
        raise
    except Exception as error:  # the disk's, the network's, Arrow's
        raise KDLandmarksError(
            f"cannot read {file} ({reason(error)}): a run that was training goes on from its last "
            "checkpoint with --resume"
        ) from error
