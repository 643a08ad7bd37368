"""One's own faces on disk, split by split: JSON lines, `.pts` files, or what a tool has written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from ..errors import KDLandmarksError, shown
from ..schemes import LandmarkScheme
from .data_folder import DataFolder
from .json_lines import read_json_lines, splits_of_lines
from .label_formats import ENDINGS, is_labelme
from .label_tools import tool_rows
from .official import PTS_FILES, pts_faces
from .rows import RawRow

FaceReader = Callable[[], Iterator[RawRow]]
"""Reads the faces of a split from the start."""


def own_splits(
    path: Path, scheme: LandmarkScheme, allow_outside: bool = False
) -> dict[str, FaceReader]:
    """The splits of one's own data, training first, then by name.

    Args:
        path: one of

            - a folder of `.jsonl` files (their fields: `kd_landmarks.data.json_lines`), each a
              split of its name without a leading `test_`; or one such file, a split of that name
              or, where its lines have a field `split`, those splits;
            - a folder of folders, one per split, with a photo and a `.pts` file of the same name
              for each face, at any depth. The folder right below the split is the faces'
              `subset`. A folder with `.pts` files of its own is one split, `train`. A `.pts` file
              counts pixels from 1 and holds `n_points: N` and N lines "x y" in braces;
            - what a labeling tool has written (`kd_landmarks.data.label_formats`): a file, a split
              `train`; a folder of such files, a split each; LabelMe's, one split of all; or a
              folder of such folders, a split each.
        scheme: its number of points chooses the field of JSON lines.
        allow_outside: take pictures that are not in the folder too.

    Raises:
        KDLandmarksError: nothing of that kind is there.
    """
    splits: Mapping[str, FaceReader] = {}
    data = DataFolder(path, allow_outside)
    if path.suffix == ".jsonl" and path.is_file():
        splits = _splits_of_file(path, scheme, allow_outside)
    elif path.suffix.lower() in ENDINGS and path.is_file():
        splits = {
            "train": partial(tool_rows, [path], DataFolder(path.parent, allow_outside), scheme)
        }
    elif path.is_dir():
        files = sorted(path.glob("*.jsonl"))
        if len(files) == 1:
            splits = _splits_of_file(files[0], scheme, allow_outside)
        elif files:
            short = [file.stem.removeprefix("test_") for file in files]
            names = short if len(set(short)) == len(files) else [file.stem for file in files]
            splits = {
                name: partial(read_json_lines, file, None, scheme, allow_outside)
                for name, file in zip(names, files, strict=True)
            }
        elif any(path.glob(PTS_FILES)):
            splits = {"train": partial(_pts_tree, path, data)}
        elif tools := _tool_files(path):
            splits = _splits_of_tools(tools, data, scheme)
        else:
            folders = [folder for folder in sorted(path.iterdir()) if folder.is_dir()]
            splits = {
                folder.name: partial(_pts_tree, folder, data)
                for folder in folders
                if any(folder.rglob(PTS_FILES))
            } or {
                folder.name: partial(tool_rows, tools, DataFolder(folder, allow_outside), scheme)
                for folder in folders
                if (tools := _tool_files(folder))
            }
    if not splits:
        raise KDLandmarksError(
            f"{path} holds no faces of your own: give a .jsonl file, a folder of .jsonl files, a "
            "folder with a folder of photos and .pts files for each split, or what a labeling tool "
            "has written (.json, .xml, .csv)"
        )
    # What data sets on the Hub may call a split.
    odd = [name for name in splits if not re.fullmatch(r"\w+(\.\w+)*", name)]
    if odd:
        raise KDLandmarksError(
            f"{path}: a split cannot be called {shown(odd[0])}: use letters, digits and underscores"
        )
    return dict(sorted(splits.items(), key=lambda item: (item[0] != "train", item[0])))


def holds_labels(path: Path) -> bool:
    """Whether a file, or a folder at some depth, has labels that `own_splits` can read."""
    if path.is_file():
        return path.suffix.lower() in ENDINGS
    return any(path.rglob(PTS_FILES)) or any(
        _tool_files(folder) for folder in (path, *path.glob("*/"))
    )


def _tool_files(folder: Path) -> list[Path]:
    """A labeling tool's files in a folder, or in its `annotations`, as COCO and CVAT lay them."""
    for place in (folder, folder / "annotations"):
        files = sorted(place.iterdir()) if place.is_dir() else []
        if found := [file for file in files if file.suffix.lower() in ENDINGS]:
            return found
    return []


def _splits_of_tools(
    files: Sequence[Path], data: DataFolder, scheme: LandmarkScheme
) -> dict[str, FaceReader]:
    """One split of LabelMe's files, which are one a photo; of other files a split each."""
    if len(files) == 1 or is_labelme(files[0]):
        return {"train": partial(tool_rows, files, data, scheme)}
    return {file.stem: partial(tool_rows, [file], data, scheme) for file in files}


def _splits_of_file(
    file: Path, scheme: LandmarkScheme, allow_outside: bool
) -> dict[str, FaceReader]:
    named = splits_of_lines(file)
    if not named:
        return {
            file.stem.removeprefix("test_"): partial(
                read_json_lines, file, None, scheme, allow_outside
            )
        }
    return {split: partial(read_json_lines, file, split, scheme, allow_outside) for split in named}


def _pts_tree(folder: Path, data: DataFolder) -> Iterator[RawRow]:
    """The faces of a split's folder and of all below it."""
    below = sorted(place for place in folder.rglob("*") if place.is_dir())
    for place in (folder, *below):
        parts = place.relative_to(folder).parts
        yield from pts_faces(place, data, parts[0] if parts else "")
