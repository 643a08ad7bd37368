"""Labeled faces as labeling tools and other libraries write them, as rows.

Where a tool names points, the scheme's names decide their order; numbers count up; other names
stand in the order in which the files first have them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..schemes import LandmarkScheme
from .data_folder import LONGEST_PATH, DataFolder
from .json_lines import row_of_line
from .label_formats import LabeledFace, tool_faces
from .rows import RawRow


def tool_rows(
    files: Sequence[Path], folder: DataFolder, scheme: LandmarkScheme
) -> Iterator[RawRow]:
    """The faces of a tool's files, in which points of one name are one landmark.

    A photo is looked for by its path as the tool has it, by its name alone, and by its name without
    the random beginning that Label Studio gives to uploads.

    Args:
        files: of one of the known kinds each.
        folder: of the photos.
        scheme: its names order the points that have names.

    Raises:
        KDLandmarksError: a file cannot be read or is of no known kind.
    """
    faces = [face for file in files for face in tool_faces(file)]
    order = point_order(faces, scheme)
    for face in faces:
        found = [face.points.get(name, (0.0, 0.0, -1)) for name in order]
        line = {
            "image": _photo(face.image, folder.path),
            "landmarks": [None if seen < 0 else [x, y] for x, y, seen in found],
            "visible": [seen for _, _, seen in found],
            "box": face.box,
        }
        row = row_of_line(line, face.source, scheme, folder)
        if row is not None:
            yield row


def _photo(name: str, folder: Path) -> str:
    """The path below a folder of the photo that a tool calls so; as it is where there is none."""
    path = name.replace("\\", "/")
    base = path.rpartition("/")[2]
    original = re.sub(r"^[0-9a-f]{8}-", "", base)
    for one in (path, base, original):
        if one and len(one) < LONGEST_PATH and (folder / one).is_file():
            return one
    return path


def point_order(faces: list[LabeledFace], scheme: LandmarkScheme) -> list[str]:
    """The names of the points in the order of the landmarks; see the module."""
    names = list(dict.fromkeys(name for face in faces for name in face.points))
    if set(names) <= set(scheme.names):
        return list(scheme.names)
    return sorted(names, key=int) if all(name.isdecimal() for name in names) else names
