"""The official downloads of 300W, WFLW and COFW, read as they come off the disk.

- 300W: `afw/`, `helen/{trainset,testset}/`, `lfpw/{trainset,testset}/`, `ibug/` with an image and a
  `.pts` file per face. Splits as in Ren et al., CVPR 2014: train (afw and both trainsets, 3,148
  faces), common (both testsets, 554), challenging (ibug, 135), full (both, 689).
- WFLW: `WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_{train,test}.txt` and
  `WFLW_images/`; splits train (7,500 faces) and test (2,500).
- COFW: `COFW_train_color.mat` (1,345 faces) and `COFW_test_color.mat` (507), MATLAB 7.3, which is
  HDF5.

300W and COFW count pixels from 1, WFLW from 0; rows count from 0.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from ..errors import KDLandmarksError, shown
from ..imaging.formats import endings
from ..schemes import LandmarkScheme
from ..utils.parsing import read_text
from .cofw import COFW_SUFFIXES, cofw_faces
from .data_folder import DataFolder
from .known_data_sets import PUBLISHED
from .photo_names import photo_id
from .rows import RawRow
from .splits import chosen_split
from .text_lines import text_lines

logger = logging.getLogger("kd_landmarks")

PTS_FILES = "*.[pP][tT][sS]"
"""Pattern of landmark files."""
MOST_PTS = 2**20
"""Bytes of a `.pts` file; one with 68 points has 1,500."""

_Reader = Callable[[Path, str | None, bool], Iterator[RawRow]]

_300W = PUBLISHED["300w"]
_300W_PARTS = {split: tuple(part.path for part in parts) for split, parts in _300W.splits.items()}
for _union, _splits in _300W.unions.items():
    _300W_PARTS[_union] = tuple(path for split in _splits for path in _300W_PARTS[split])
_WFLW_ATTRIBUTES = ("pose", "expression", "illumination", "make_up", "occlusion", "blur")


def official_rows(
    path: Path, split: str | None, scheme: LandmarkScheme, allow_outside: bool = False
) -> Iterator[RawRow] | None:
    """The faces of an official folder or file, recognized by its names; None if it is none.

    Args:
        path: the folder or file.
        split: which part.
        scheme: the data set's.
        allow_outside: take files that lie outside of the folder too.

    Raises:
        KDLandmarksError: an unknown split, another scheme than the data set's, unreadable files.
    """
    reader: _Reader
    if any((path / name).is_dir() for name in ("helen", "lfpw", "afw", "ibug")):
        reader, name = _read_300w, "ibug68"
    elif (path / "WFLW_annotations").is_dir():
        reader, name = _read_wflw, "wflw98"
    elif path.suffix == ".mat" or any(path.glob("COFW_*.mat")):
        reader, name = _read_cofw, "cofw29"
    else:
        return None
    if scheme.name != name:
        raise KDLandmarksError(f"{path} has the scheme {name}, not {scheme.name!r}")
    return reader(path, split, allow_outside)


def _read_300w(root: Path, split: str | None, allow_outside: bool) -> Iterator[RawRow]:
    there = [
        name for name, parts in _300W_PARTS.items() if any((root / part).is_dir() for part in parts)
    ]
    split = chosen_split(there, split, root)
    parts = _300W_PARTS[split]
    absent = [part for part in parts if not (root / part).is_dir()]
    if absent:
        logger.warning("%s: split %r is not whole: no folder %s", root, split, ", ".join(absent))
    data = DataFolder(root, allow_outside)
    for part in parts:
        if (root / part).is_dir():
            subset = part.partition("/")[0]
            yield from pts_faces(root / part, data, subset, named_by=subset)


def pts_faces(
    folder: Path, data: DataFolder, subset: str, named_by: str | None = None
) -> Iterator[RawRow]:
    """The faces of a folder, not of those below it: a `.pts` file with an image beside it each.

    Args:
        folder: where they are.
        data: `photo` and `source` are paths below it.
        subset: theirs.
        named_by: the public data set that named the files, for `photo_id`; None for one's own.
    """
    known = endings()
    files = sorted(folder.iterdir())
    images = {file.stem: file for file in files if file.suffix.lower() in known}
    for file in files:
        if file.suffix.lower() != ".pts":
            continue
        source = file.relative_to(data.path).as_posix()
        if file.stem not in images:
            yield KDLandmarksError(f"{source}: there is no image {file.stem}.jpg or .png by it")
            continue
        try:
            image = data.picture(os.path.abspath(images[file.stem]))
            points_file = data.file(os.path.abspath(file), "landmark")
        except KDLandmarksError as error:
            yield KDLandmarksError(f"{source}: {error}")
            continue
        try:
            landmarks = read_pts(points_file)
        except KDLandmarksError as error:
            yield error
            continue
        yield {
            "image": image,
            "landmarks": landmarks,
            "subset": subset,
            "photo": photo_id(source, named_by),
            "source": source,
        }


def read_pts(path: str | Path) -> np.ndarray:
    """Points (N, 2) float64 of a `.pts` file, counted from 0 (the file counts pixels from 1).

    Raises:
        KDLandmarksError: the file cannot be read, or is not `n_points: N` and N lines "x y" in
            braces; the message names file and line.
    """
    lines = read_text(path, MOST_PTS).splitlines()
    count = None
    points: list[list[float]] = []
    inside = False
    for number, line in enumerate(map(str.strip, lines), start=1):
        try:
            if line.startswith("n_points:"):
                count = int(line.partition(":")[2])
            elif line == "{":
                inside = True
            elif line == "}":
                break
            elif inside and line:
                x, y = map(float, line.split())
                points.append([x - 1, y - 1])
        except ValueError as error:
            raise KDLandmarksError(
                f"{path}:{number}: {shown(line)} is not a point 'x y'"
            ) from error
    else:
        raise KDLandmarksError(f"{path}: the file ends before the closing brace")
    if count != len(points):
        raise KDLandmarksError(f"{path}: n_points is {count}, but there are {len(points)} points")
    return np.array(points).reshape(-1, 2)


def _read_wflw(root: Path, split: str | None, allow_outside: bool) -> Iterator[RawRow]:
    folder = root / "WFLW_annotations" / "list_98pt_rect_attr_train_test"
    files = {name: folder / f"list_98pt_rect_attr_{name}.txt" for name in ("train", "test")}
    split = chosen_split([name for name, file in files.items() if file.is_file()], split, root)
    data = DataFolder(root, allow_outside)
    file = Path(data.file(os.path.abspath(files[split]), "list"))
    for number, line in text_lines(file):
        source = f"{file.name}:{number}"
        if isinstance(line, KDLandmarksError):
            yield line
            continue
        cells = line.split()
        if len(cells) != 207:
            yield KDLandmarksError(
                f"{source}: {len(cells)} values, not 207 (196 coordinates, 4 of the box, 6 "
                "attributes, the image's name)"
            )
            continue
        try:
            numbers = np.array([float(cell) for cell in cells[:200]])
            flags = [int(cell) for cell in cells[200:206]]
            image = data.picture(os.path.join("WFLW_images", cells[206]))
        except KDLandmarksError as error:
            yield KDLandmarksError(f"{source}: {error}")
            continue
        except ValueError as error:
            yield KDLandmarksError(f"{source}: {shown(str(error), 120)}")
            continue
        yield {
            "image": image,
            "landmarks": numbers[:196].reshape(98, 2),
            "box": numbers[196:],
            "attributes": dict(zip(_WFLW_ATTRIBUTES, flags, strict=True)),
            "photo": photo_id(cells[206], "wflw"),
            "source": source,
        }


def _read_cofw(path: Path, split: str | None, allow_outside: bool) -> Iterator[RawRow]:
    data = DataFolder(path.parent, allow_outside=True)  # a file that the user names
    if path.is_dir():
        files = {name: path / f"COFW_{name}_color.mat" for name in COFW_SUFFIXES}
        split = chosen_split([name for name, file in files.items() if file.is_file()], split, path)
        path, data = files[split], DataFolder(path, allow_outside)
    yield from cofw_faces(Path(data.file(os.path.abspath(path), "data")), split)
