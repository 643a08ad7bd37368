"""Landmarks for every row of a data set, as Parquet: what `kd-landmarks annotate` does per process.

Each row is written once: its columns but for the picture, `faces` with what was found, and `error`
where the picture cannot be read. `image_path` says which photo it was: its path in the folder, or
the one that is stored with the picture; `image_row` its row in the data, from 0. A run that was
stopped continues behind its last finished part.
"""

import io
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import datasets
from datasets import Features, IterableDataset, List, Value
from PIL import Image
from pyarrow import ArrowException
from pyarrow.parquet import ParquetFile
from tqdm.auto import tqdm

from ..errors import KDLandmarksError, reason, shown
from ..inference.pipeline import FaceLandmarkPipeline
from ..inference.tables import detect_each
from ..utils.files import new_file, write_json
from ..utils.parsing import read_json_object
from .data_folder import DataFolder
from .photos import open_photo
from .picture_rows import NUMBER, PATH

FACES = List(
    {
        "keypoints": List(List(Value("float32"))),
        "scores": List(Value("float32")),
        "confidence": List(Value("float32")),
        "face_confidence": Value("float32"),
        "box": List(Value("float32")),
        "detection_score": Value("float32"),
    }
)
PLAN = "plan.json"
MOST = 10**12
"""Of rows and the like: more are a damaged file's."""


def annotate_rows(
    rows: IterableDataset,
    pictures: DataFolder,
    detect: FaceLandmarkPipeline,
    folder: Path,
    name: str,
    batch_size: int,
    part_rows: int,
    bar: tqdm,
    all_rows: bool = True,
) -> int:
    """Write a process's rows as Parquet, part by part, going on behind the last finished part.

    Args:
        rows: this process's.
        pictures: where those lie that are not stored in the rows.
        detect: the pipeline.
        folder: of the parts.
        name: of this process's files.
        batch_size: photos per forward pass.
        part_rows: rows per file.
        bar: told of each row.
        all_rows: whether these are all rows, so that those that come without a number can be
            counted.

    Returns:
        How many rows there are now, those of earlier runs included.
    """
    taken = [name for name in ("faces", "error") if name in rows.features]
    if taken:
        raise KDLandmarksError(
            f"the data have a column {taken[0]!r} of their own, which would be lost: rename it"
        )
    features = Features(
        {PATH: Value("string"), NUMBER: Value("int64")}
        | {key: kind for key, kind in rows.features.items() if key != "image"}
        | {"faces": FACES, "error": Value("string")}
    )
    progress = folder / f".{name}.json"
    part = done = 0
    if progress.is_file():
        part, done = _go_on(rows, progress, name)
        bar.update(done)
    remaining = _read(rows, done, all_rows)
    while found := list(_detected(islice(remaining, part_rows), pictures, detect, batch_size, bar)):
        content = io.BytesIO()  # on a full disk pyarrow would print a traceback of its own
        datasets.Dataset.from_list(found, features=features).to_parquet(content)
        with new_file(folder / f"{name}-{part:05d}.parquet") as partial:
            partial.write_bytes(content.getbuffer())
        part, done = part + 1, done + len(found)
        write_json(progress, {"parts": part, "rows": done, "state": rows.state_dict()})
    return done


def _go_on(rows: IterableDataset, progress: Path, name: str) -> tuple[int, int]:
    """Put the rows behind the last finished part; returns the parts and rows that there are.

    Raises:
        KDLandmarksError: where the file is not what this program writes, or parts are missing.
    """
    told = read_json_object(progress)
    mend = f"remove it and {name}-*.parquet to annotate this share again, or give another --output"
    part: Any = told.get("parts")
    done: Any = told.get("rows")
    state = told.get("state")
    counts = all(type(count) is int and 0 <= count < MOST for count in (part, done))
    if not counts or not isinstance(state, dict):
        raise KDLandmarksError(f"{progress} is damaged: it holds {shown(told)}; {mend}")
    written = 0
    for file in (progress.parent / f"{name}-{number:05d}.parquet" for number in range(part)):
        try:
            written += ParquetFile(file).metadata.num_rows
        except (OSError, ArrowException) as error:
            raise KDLandmarksError(
                f"{progress} records {part} parts, but {file.name} is missing or damaged; {mend}"
            ) from error
    if written != done:
        raise KDLandmarksError(
            f"{progress} records {done} rows, but its {part} parts have {written}; {mend}"
        )
    if not _alike(rows.state_dict(), state):
        raise KDLandmarksError(f"the state in {progress} belongs to other data; {mend}")
    rows.load_state_dict(state)
    return part, done


def _alike(own: Any, told: Any) -> bool:
    """Whether a state may be one of the data whose own state at the start is given.

    Anything else would end somewhere within datasets, or silently at another row.
    """
    if isinstance(own, dict):
        if not isinstance(told, dict) or own.keys() != told.keys():
            return False
        # At the start there is none before; later it is as the state that it belongs to.
        before = {"previous_state": own.get("examples_iterable")}
        return all(
            _alike(own[key] if told[key] is None else before.get(key, own[key]), told[key])
            for key in own
        )
    if type(own) is int:
        return type(told) is int and 0 <= told < MOST
    return own is None or own == told


def _read(rows: IterableDataset, done: int, counted: bool) -> Iterator[dict[str, Any]]:
    """The rows, with their numbers; an error names the number of the last one that was read."""
    number = done
    try:
        for row in rows:
            yield {NUMBER: number if counted else None, **row}
            number += 1
    except Exception as error:  # each format, and each HTTP library, has a family of its own
        raise KDLandmarksError(
            f"cannot read the row behind row {number} of this process: {reason(error)}. The same "
            "command goes on where it stopped"
        ) from error


def _detected(
    rows: Iterator[dict[str, Any]],
    pictures: DataFolder,
    detect: FaceLandmarkPipeline,
    batch_size: int,
    bar: tqdm,
) -> Iterator[dict[str, Any]]:
    while batch := list(islice(rows, batch_size)):
        photos = [_photo(row["image"], pictures) for row in batch]
        readable = [photo for photo in photos if not isinstance(photo, KDLandmarksError)]
        found = iter(detect_each(detect, readable, batch_size))
        for row, photo in zip(batch, photos, strict=True):
            faces = photo if isinstance(photo, KDLandmarksError) else next(found)
            values = {PATH: _path(row["image"], pictures), **row}
            del values["image"]
            if isinstance(faces, KDLandmarksError):
                yield {**values, "faces": [], "error": str(faces)}
            else:
                yield {**values, "faces": [face.to_dict() for face in faces], "error": None}
            bar.update()


def _path(stored: dict[str, Any] | None, pictures: DataFolder) -> str | None:
    """The path that is stored with a picture, as it is below the data's folder."""
    path = (stored or {}).get("path")
    if path and os.path.isabs(path) and pictures.holds(path):
        return os.path.relpath(path, pictures.path)
    return path


def _photo(stored: dict[str, Any] | None, pictures: DataFolder) -> Image.Image | KDLandmarksError:
    if stored is None or (stored["bytes"] is None and not stored["path"]):
        return KDLandmarksError("there is no picture")
    try:
        if stored["bytes"] is None:
            stored = {"bytes": None, "path": pictures.picture(stored["path"])}
        return open_photo(stored)
    except Exception as error:  # Pillow's decoders raise whatever their format's code raises
        return KDLandmarksError(f"the picture cannot be read: {reason(error)}")


def check_plan(folder: Path, plan: dict[str, Any], write: bool) -> None:
    """Refuse to go on with other options than a run began with: rows would come twice, or never.

    Args:
        folder: of the parts.
        plan: the options by name.
        write: whether to write them down where the run is new.

    Raises:
        KDLandmarksError: naming the first option that differs.
    """
    path = folder / PLAN
    if path.is_file():
        before = read_json_object(path)
        changed = [key for key in plan if before.get(key) != plan[key]]
        if changed:
            key = changed[0]
            raise KDLandmarksError(
                f"{folder} was begun with {key} {shown(before.get(key))}, not {plan[key]!r} (so "
                f"says {PLAN}): give the same again, or another --output"
            )
    elif write:
        write_json(path, plan)
