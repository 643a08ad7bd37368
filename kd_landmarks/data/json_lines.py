"""JSON lines: one face per line of a text file, with its image beside it.

Fields of a line: `image`, a path relative to the file's own folder; `landmarks`, N pairs x, y in
pixels of the image (or `landmarks_68`, `landmarks_98`, …, chosen by the scheme's N); null for a
landmark that is not there, or for a face without these labels. Where there are any: a box x0, y0,
x1, y1 as `detector_box`, `face_box` or `box` (the first of these that stands), `visible` (for each
landmark 1, 0 where it is covered, or -1 where it is not there), `subset`, `photo` (where several
files show one), `split`, and `attributes`, a mapping of whole numbers.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from ..errors import KDLandmarksError, shown
from ..schemes import LandmarkScheme
from ..utils.parsing import parse_json
from .bad_rows import OtherLandmarks
from .data_folder import DataFolder
from .photo_names import photo_id
from .rows import RawRow
from .splits import NoSplit, chosen_split
from .text_lines import text_lines

logger = logging.getLogger("kd_landmarks")

BOX_FIELDS = ("detector_box", "face_box", "box")
MOST_SPLITS = 100
"""Of one file, which is read once for each."""


def read_json_lines(
    path: Path, split: str | None, scheme: LandmarkScheme, allow_outside: bool = False
) -> Iterator[RawRow]:
    """The faces of a `.jsonl` file, or of the file of a folder that `split` names.

    Faces whose landmarks are null are left out, and counted in a line of the log.

    Args:
        path: a `.jsonl` file or a folder that holds some.
        split: in a folder, `SPLIT.jsonl` or `test_SPLIT.jsonl`; in one file, the lines whose field
            `split` is this, or for `train` all, where no line has that field. None where there is
            but one file: all its lines.
        scheme: its number of points chooses the field.
        allow_outside: take pictures that are not in the file's folder too.

    Raises:
        KDLandmarksError: no such file or split; the message lists what there is.
    """
    unlabeled = yielded = 0
    folder = _pictures(path, allow_outside)
    for source, line in _lines_of_split(path, split):
        if isinstance(line, KDLandmarksError):
            yield line
            continue
        row = row_of_line(line, source, scheme, folder)
        if row is None:
            unlabeled += 1
        else:
            yielded += 1
            yield row
    if unlabeled:
        logger.info(
            "%s: left out %d faces without %d landmarks, kept %d",
            path,
            unlabeled,
            scheme.num_landmarks,
            yielded,
        )


def read_unlabeled_lines(
    path: Path, split: str | None, allow_outside: bool = False
) -> Iterator[RawRow]:
    """The faces of a `.jsonl` file, or of a folder's, whatever landmarks they have.

    Yields:
        `image`, `box` and `points5` (None where the line has none), `photo` and `source`.

    Raises:
        KDLandmarksError: as `read_json_lines`.
    """
    folder = _pictures(path, allow_outside)
    for source, line in _lines_of_split(path, split):
        if isinstance(line, KDLandmarksError):
            yield line
            continue
        face = _face(line, source, folder)
        if not isinstance(face, KDLandmarksError):
            face = {**face, "points5": line.get("points5")}
        yield face


def splits_of_lines(file: Path) -> list[str]:
    """What the lines of a file have in the field `split`, sorted; none where no line has it.

    Raises:
        KDLandmarksError: only some lines have it, there are too many, or it is the file's name too,
            which stands for all lines.
    """
    splits: set[str] = set()
    odd: list[tuple[str, Any]] = []
    for source, line in _lines(file):
        if isinstance(line, KDLandmarksError):
            continue
        split = line.get("split")
        if isinstance(split, str):
            splits.add(split)
        elif not odd:
            odd.append((source, split))
        if len(splits) > MOST_SPLITS:
            raise KDLandmarksError(
                f"{file}: the field 'split' has more than {MOST_SPLITS} names: if it is "
                "not the data set's split, rename it"
            )
    for source, split in odd:
        if splits or split is not None:
            raise KDLandmarksError(
                f"{file.parent / source}: the field 'split' is {shown(split)}: give it a name in "
                "all lines or in none"
            )
    _check_name(file, splits)
    return sorted(splits)


def _check_name(file: Path, splits: set[str]) -> None:
    if len(splits) > 1 and splits & {file.stem, file.stem.removeprefix("test_")}:
        raise KDLandmarksError(
            f"{file} has the splits {', '.join(sorted(splits))}, and its own name is one of them: "
            "rename the file"
        )


def _lines_of_split(
    path: Path, split: str | None
) -> Iterator[tuple[str, dict[str, Any] | KDLandmarksError]]:
    """The lines of a split, each with FILE:LINE."""
    file = _file_of_split(path, split) if path.is_dir() else path
    # A file that is named after the split is the split, if its lines do not say otherwise.
    wanted = None if file.stem in (split, f"test_{split}") else split
    # Without parts, all is there to train on; but not what a folder has as its test faces.
    tests = path.is_dir() and (file.stem == "test" or file.stem.startswith("test_"))
    if wanted == "train" and not tests and not _has_splits(file):
        wanted = None
    splits: set[str] = set()
    seen = False
    for source, line in _lines(file):
        if isinstance(line, dict):
            found = line.get("split")
            if isinstance(found, str) and len(splits) <= MOST_SPLITS:
                splits.add(found)
            if wanted is not None and found != wanted:
                continue
            seen = True
        yield source, line
    if split is not None and wanted is None:
        _check_name(file, splits)
    if wanted is not None and not seen:
        there_is = ", ".join(sorted(splits)) or "none: leave the split out"
        raise NoSplit(f"{file} has no split {wanted!r}; splits there: {there_is}")


def _has_splits(file: Path) -> bool:
    """Whether a line has a field `split`."""
    lines = (line for _, line in _lines(file) if isinstance(line, dict))
    return any(line.get("split") is not None for line in lines)


def _pictures(path: Path, allow_outside: bool) -> DataFolder:
    """Where the pictures of a `.jsonl` file, or of a folder's, have to be."""
    return DataFolder(path if path.is_dir() else path.parent, allow_outside)


def _file_of_split(folder: Path, split: str | None) -> Path:
    """The file of a folder that holds a split."""
    files = {file.stem: file for file in sorted(folder.glob("*.jsonl"))}
    if split is not None:
        for stem in (split, f"test_{split}"):
            if stem in files:
                return files[stem]
    if len(files) == 1:
        return next(iter(files.values()))
    return files[chosen_split(files, split, folder)]


def _lines(file: Path) -> Iterator[tuple[str, dict[str, Any] | KDLandmarksError]]:
    """Source and content of each line that is not blank."""
    for number, text in text_lines(file):
        source = f"{file.name}:{number}"
        if isinstance(text, KDLandmarksError):
            yield source, text
            continue
        try:
            line = parse_json(text.strip(), source)
        except KDLandmarksError as error:
            yield source, error
            continue
        if isinstance(line, dict):
            yield source, line
        else:
            yield source, KDLandmarksError(f"{source}: not an object but {shown(line)}")


def row_of_line(
    line: dict[str, Any], source: str, scheme: LandmarkScheme, folder: DataFolder
) -> RawRow | None:
    """The row of a line; None where its landmarks are null."""
    fields = (f"landmarks_{scheme.num_landmarks}", "landmarks")
    field = next((name for name in fields if name in line), None)
    if field is None:
        told = (
            f"{source}: neither {fields[1]!r} nor {fields[0]!r} is among its fields "
            f"({', '.join(islice(line, 20))})"
        )
        counts = [int(name[10:]) for name in line if re.fullmatch(r"landmarks_\d{1,4}", name)]
        # Of several kinds nobody knows which is meant.
        return OtherLandmarks(told, counts[0]) if len(counts) == 1 else KDLandmarksError(told)
    if line[field] is None:
        return None
    face = _face(line, source, folder)
    if isinstance(face, KDLandmarksError):
        return face
    attributes = line.get("attributes") or {}
    if not isinstance(attributes, dict):
        return KDLandmarksError(f"{source}: attributes are {shown(attributes)}: give a mapping")
    return {
        **face,
        "landmarks": line[field],
        "subset": line.get("subset"),
        "visible": line.get("visible"),
        "attributes": attributes,
    }


def _face(line: dict[str, Any], source: str, folder: DataFolder) -> RawRow:
    """What a line says of its face beside the landmarks."""
    image = line.get("image")
    if not isinstance(image, str):
        return KDLandmarksError(f"{source}: image is {shown(image)}: give a path")
    try:
        path = folder.picture(image)
    except KDLandmarksError as error:
        return KDLandmarksError(f"{source}: {error}")
    subset = line.get("subset")
    return {
        "image": path,
        "box": next((line[name] for name in BOX_FIELDS if line.get(name) is not None), None),
        "photo": line["photo"] if line.get("photo") is not None else photo_id(image, str(subset)),
        "source": source,
    }
