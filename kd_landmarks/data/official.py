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

import io
import logging
import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import datasets
import h5py
import numpy as np
from PIL import Image

from ..errors import KDLandmarksError
from ..schemes import LandmarkScheme, get_scheme
from .rows import RawRow, build_rows, photo_id

logger = logging.getLogger("kd_landmarks")

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
"""Of the photos that lie beside `.pts` files, in lower case."""

_Reader = Callable[[Path, str | None], Iterator[RawRow]]

_300W_PARTS = {
    "train": ("afw", "helen/trainset", "lfpw/trainset"),
    "common": ("helen/testset", "lfpw/testset"),
    "challenging": ("ibug",),
    "full": ("helen/testset", "lfpw/testset", "ibug"),
}
_WFLW_ATTRIBUTES = ("pose", "expression", "illumination", "make_up", "occlusion", "blur")
# Suffix of the variables' names in COFW's files: IsTr, phisTr, bboxesTr; IsT, phisT, bboxesT.
_COFW_SUFFIX = {"train": "Tr", "test": "T"}


def load_300w(
    root: str | Path, split: str, *, box: str = "gt", skip_bad_rows: bool = False
) -> datasets.Dataset:
    """Rows of 300W with iBUG's 68 points; it has no boxes of its own.

    Args:
        root: the folder that holds afw, helen, lfpw and ibug; absent ones are named in the log.
        split: "train", "common", "challenging" or "full".
        box: "gt".
        skip_bad_rows: leave bad rows out and log them, rather than raise.

    Raises:
        KDLandmarksError: an unknown split, none of its folders, a bad or missing file.
    """
    return _load(_read_300w, "ibug68", root, split, box, skip_bad_rows)


def load_wflw(
    root: str | Path, split: str, *, box: str = "gt", skip_bad_rows: bool = False
) -> datasets.Dataset:
    """Rows of WFLW with its 98 points and six attribute columns of 0 or 1.

    Args:
        root: the folder that holds WFLW_annotations and WFLW_images.
        split: "train" or "test".
        box: "gt" for the tight box of the points, "dataset" for WFLW's rectangle.
        skip_bad_rows: leave bad rows out and log them, rather than raise.

    Raises:
        KDLandmarksError: an unknown split, a missing file, a bad line.
    """
    return _load(_read_wflw, "wflw98", root, split, box, skip_bad_rows)


def load_cofw(
    path: str | Path, split: str | None, *, box: str = "gt", skip_bad_rows: bool = False
) -> datasets.Dataset:
    """Rows of COFW with its 29 points and `visible`; the pictures are stored as PNG in the rows.

    Args:
        path: `COFW_train_color.mat`, `COFW_test_color.mat` or the folder of both.
        split: "train" or "test"; None for the one that a file holds.
        box: "gt" for the tight box of the points, "dataset" for COFW's face detections.
        skip_bad_rows: leave bad rows out and log them, rather than raise.

    Raises:
        KDLandmarksError: an unknown split, a file that is not such a `.mat` file, a bad face.
    """
    return _load(_read_cofw, "cofw29", path, split, box, skip_bad_rows)


def official_rows(path: Path, split: str | None, scheme: LandmarkScheme) -> Iterator[RawRow] | None:
    """The faces of an official folder or file, recognized by its names; None if it is none.

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
    return reader(path, split)


def _load(
    reader: _Reader,
    scheme: str,
    root: str | Path,
    split: str | None,
    box: str,
    skip_bad_rows: bool,
) -> datasets.Dataset:
    rows = reader(Path(root).expanduser(), split)
    return build_rows(
        rows, get_scheme(scheme), box=box, origin=str(root), skip_bad_rows=skip_bad_rows
    )


def _check_split(root: Path, split: str | None, splits: Collection[str]) -> str:
    if split is None and len(splits) == 1:
        return next(iter(splits))
    if split is None or split not in splits:
        problem = "name a split" if split is None else f"there is no split {split!r}"
        raise KDLandmarksError(f"{root}: {problem}; splits there: {', '.join(splits) or 'none'}")
    return split


def _read_300w(root: Path, split: str | None) -> Iterator[RawRow]:
    there = [
        name for name, parts in _300W_PARTS.items() if any((root / part).is_dir() for part in parts)
    ]
    split = _check_split(root, split, there)
    parts = _300W_PARTS[split]
    absent = [part for part in parts if not (root / part).is_dir()]
    if absent:
        logger.warning("%s: split %r is not whole: no folder %s", root, split, ", ".join(absent))
    for part in parts:
        if (root / part).is_dir():
            subset = part.partition("/")[0]
            yield from pts_faces(root / part, root, subset, named_by=subset)


def pts_faces(
    folder: Path, root: Path, subset: str, named_by: str | None = None
) -> Iterator[RawRow]:
    """The faces of a folder, not of those below it: a `.pts` file with an image beside it each.

    Args:
        folder: where they are.
        root: `photo` and `source` are paths below it.
        subset: theirs.
        named_by: the public data set that named the files, for `photo_id`; None for one's own.
    """
    files = sorted(folder.iterdir())
    images = {file.stem: file for file in files if file.suffix.lower() in IMAGE_SUFFIXES}
    for file in files:
        if file.suffix.lower() != ".pts":
            continue
        source = file.relative_to(root).as_posix()
        if file.stem not in images:
            yield KDLandmarksError(f"{source}: there is no image {file.stem}.jpg or .png by it")
            continue
        try:
            landmarks = read_pts(file)
        except KDLandmarksError as error:
            yield error
            continue
        yield {
            "image": os.path.abspath(images[file.stem]),
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
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise KDLandmarksError(f"cannot read {path}: {error}") from error
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
            raise KDLandmarksError(f"{path}:{number}: {line!r} is no point 'x y'") from error
    else:
        raise KDLandmarksError(f"{path}: the file ends before the closing brace")
    if count != len(points):
        raise KDLandmarksError(f"{path}: n_points is {count}, but there are {len(points)} points")
    return np.array(points).reshape(-1, 2)


def _read_wflw(root: Path, split: str | None) -> Iterator[RawRow]:
    folder = root / "WFLW_annotations" / "list_98pt_rect_attr_train_test"
    files = {name: folder / f"list_98pt_rect_attr_{name}.txt" for name in ("train", "test")}
    split = _check_split(root, split, [name for name, file in files.items() if file.is_file()])
    file = files[split]
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise KDLandmarksError(f"cannot read {file}: {error}") from error
    for number, line in enumerate(lines, start=1):
        source = f"{file.name}:{number}"
        cells = line.split()
        if len(cells) != 207:
            yield KDLandmarksError(
                f"{source}: {len(cells)} values, not 207 (196 coordinates, 4 of the box, 6 "
                "attributes, the image's name)"
            )
            continue
        try:
            numbers = np.array(cells[:200], dtype=np.float64)
            flags = [int(cell) for cell in cells[200:206]]
        except ValueError as error:
            yield KDLandmarksError(f"{source}: {error}")
            continue
        yield {
            "image": os.path.abspath(root / "WFLW_images" / cells[206]),
            "landmarks": numbers[:196].reshape(98, 2),
            "box": numbers[196:],
            "attributes": dict(zip(_WFLW_ATTRIBUTES, flags, strict=True)),
            "photo": photo_id(cells[206], "wflw"),
            "source": source,
        }


def _read_cofw(path: Path, split: str | None) -> Iterator[RawRow]:
    if path.is_dir():
        files = {name: path / f"COFW_{name}_color.mat" for name in _COFW_SUFFIX}
        split = _check_split(path, split, [name for name, file in files.items() if file.is_file()])
        path = files[split]
    try:
        with h5py.File(path, "r") as file:
            held = [name for name, suffix in _COFW_SUFFIX.items() if f"phis{suffix}" in file]
            if not held:
                raise KDLandmarksError(
                    f"{path} has the variables {', '.join(file)}, not IsTr, phisTr, bboxesTr or "
                    "IsT, phisT, bboxesT"
                )
            split = _check_split(path, split or held[0], held)
            yield from _cofw_faces(file, path.name, split)
    except (OSError, KeyError) as error:
        raise KDLandmarksError(
            f"cannot read {path} as a MATLAB 7.3 (HDF5) file of COFW: {error}"
        ) from error


def _cofw_faces(file: h5py.File, name: str, split: str) -> Iterator[RawRow]:
    """The faces of an open file; MATLAB stores by columns, so that every array is transposed."""
    suffix = _COFW_SUFFIX[split]
    images = file[f"Is{suffix}"][()].ravel()
    labels, boxes = file[f"phis{suffix}"][()].T, file[f"bboxes{suffix}"][()].T
    if labels.shape != (len(images), 87) or boxes.shape != (len(images), 4):
        raise KDLandmarksError(
            f"{name}: phis{suffix} is {labels.shape} and bboxes{suffix} {boxes.shape} for "
            f"{len(images)} images, not (images, 87) and (images, 4)"
        )
    for index, (reference, label, (x, y, width, height)) in enumerate(
        zip(images, labels, boxes, strict=True)
    ):
        source = f"{name}:{index + 1}"
        pixels = file[reference][()].T
        if pixels.dtype != np.uint8 or not (
            pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)
        ):
            yield KDLandmarksError(
                f"{source}: the image is {pixels.dtype} {pixels.shape}, not uint8 gray or RGB"
            )
            continue
        yield {
            "image": {"bytes": _png(pixels), "path": f"cofw_{split}_{index + 1:04d}.png"},
            "landmarks": label[:58].reshape(2, 29).T - 1,
            "visible": (label[58:] < 0.5).astype(int),
            "box": np.array([x - 1, y - 1, x - 1 + width, y - 1 + height]),
            "photo": f"cofw_{split}_{index + 1:04d}",
            "source": source,
        }


def _png(pixels: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
