"""Faces into Parquet shards, one after another, with a row group in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq

from ..errors import KDLandmarksError
from ..schemes import LandmarkScheme
from .photos import rows_with_photos
from .rows import COLUMNS, row_features

SHARD_BYTES = 500_000_000
SHARD_FACES = 500
"""A shard ends before the face that would take it beyond either. Readers of a stream share out
whole shards, so that even light data sets need several."""
GROUP_BYTES = 32_000_000
GROUP_FACES = 100
"""The same for a row group, which is what readers hold in memory."""


@dataclass(frozen=True)
class StoredSplit:
    """A written split.

    Attributes:
        faces: how many.
        files: its shards, in order, each with its size in bytes.
        num_bytes: size of the faces in memory.
        features: column types, the same for all splits of a data set.
    """

    faces: int
    files: Mapping[str, int]
    num_bytes: int
    features: datasets.Features


class ShardWriter:
    """Writes the faces of a split to `SPLIT-00000-of-00003.parquet` and so on.

    How the faces are shared out follows from them alone. The bytes do too, for given versions of
    pyarrow and datasets: nothing of paths or times is in them.

    Args:
        folder: where the files go.
        split: name of the split.
        scheme: the landmarks' scheme.
        boxes: whether there is a column `box`.
        features: column types of the splits before, which this one must have too.
    """

    def __init__(
        self,
        folder: Path,
        split: str,
        scheme: LandmarkScheme,
        boxes: bool,
        features: datasets.Features | None = None,
    ) -> None:
        self.folder, self.split, self.scheme, self.boxes = folder, split, scheme, boxes
        self.features = features
        self.faces = self.num_bytes = 0
        self._group: list[Mapping[str, Any]] = []
        self._group_bytes = self._shard_faces = self._shard_bytes = 0
        self._shards: list[Path] = []
        self._writer: pq.ParquetWriter | None = None

    def add(self, cells: Mapping[str, Any]) -> None:
        """Takes the cells of a face (see `StoredFace`).

        Raises:
            KDLandmarksError: it has other columns than the faces before.
        """
        if self.features is None:
            self.features = _features(cells, self.scheme, self.boxes)
        odd = (set(cells) | {"box"}).symmetric_difference({*self.features, "box"})
        if odd:
            raise KDLandmarksError(
                f"{cells['source']} {'has' if min(odd) in cells else 'lacks'} {min(odd)!r}, unlike "
                "the faces before it: give it to all faces or to none"
            )
        size = len(cells["image"]["bytes"])
        if self._shard_faces == SHARD_FACES or (
            self._shard_faces and self._shard_bytes + size > SHARD_BYTES
        ):
            self._end_shard()
        if len(self._group) == GROUP_FACES or (
            self._group and self._group_bytes + size > GROUP_BYTES
        ):
            self._end_group()
        self._group.append(cells)
        self._group_bytes += size
        self._shard_faces += 1
        self._shard_bytes += size
        self.faces += 1

    def close(self) -> StoredSplit:
        """Ends the last shard and gives the files their names, which tell how many there are.

        Raises:
            KDLandmarksError: no face was added.
        """
        if self.features is None or not self.faces:
            raise KDLandmarksError(f"the split {self.split!r} holds no faces")
        self._end_shard()
        files = {}
        for number, shard in enumerate(self._shards):
            name = f"{self.split}-{number:05d}-of-{len(self._shards):05d}.parquet"
            files[name] = shard.rename(self.folder / name).stat().st_size
        return StoredSplit(self.faces, files, self.num_bytes, self.features)

    def _end_group(self) -> None:
        assert self.features is not None
        if not self._group:
            return
        if self._writer is None:
            self._shards.append(self.folder / f"{self.split}-{len(self._shards):05d}.part")
            self._writer = pq.ParquetWriter(
                self._shards[-1],
                self.features.arrow_schema,
                use_dictionary=["scheme", "subset", "photo"],
                # As datasets itself writes Parquet: pages whose borders follow from their content,
                # of which the Hub stores equal ones once, and an index to skip by.
                use_content_defined_chunking=True,
                write_page_index=True,
            )
        columns = {name: [cells[name] for cells in self._group] for name in self.features}
        table = rows_with_photos(columns, self.features).data.table.cast(self.features.arrow_schema)
        self.num_bytes += table.nbytes
        with _once(self._writer):
            self._writer.write_table(table, row_group_size=GROUP_FACES)
        self._group, self._group_bytes = [], 0

    def _end_shard(self) -> None:
        self._end_group()
        if self._writer is not None:
            with _once(self._writer):
                self._writer.close()
        self._writer = None
        self._shard_faces = self._shard_bytes = 0


@contextmanager
def _once(writer: pq.ParquetWriter) -> Iterator[None]:
    """On a full disk, pyarrow tries again as the writer is let go of, and prints a traceback."""
    try:
        yield
    except OSError:
        writer.is_open = False
        raise


def _features(cells: Mapping[str, Any], scheme: LandmarkScheme, boxes: bool) -> datasets.Features:
    """The column types of faces like this one."""
    attributes = [name for name in cells if name not in (*COLUMNS, "visible")]
    features = row_features(scheme, visible="visible" in cells, attributes=attributes)
    if not boxes:
        del features["box"]
    return features
