"""Labeled faces as labeling tools and other libraries write them, as rows.

The scheme's names decide the order of points that have names, since tools write them in the order
in which somebody clicked. Numbers, alone or behind one word for all ("point 1"), count up.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path

from ..errors import KDLandmarksError, shown
from ..schemes import LandmarkScheme
from .bad_rows import OtherNames
from .data_folder import LONGEST_PATH, DataFolder
from .json_lines import row_of_line
from .label_formats import LabeledFace, tool_faces
from .photo_names import photo_id
from .rows import RawRow


def tool_rows(
    files: Sequence[Path], folder: DataFolder, scheme: LandmarkScheme
) -> Iterator[RawRow]:
    """The faces of a tool's files, in which points of one name are one landmark.

    A photo is looked for in the folder and beside the files, by its path as the tool has it, by its
    name alone, and by its name without the random beginning that Label Studio gives to uploads;
    also anywhere below a folder `images`, where COCO and CVAT put photos, if its name is there
    once.

    Args:
        files: of one of the known kinds each, all in one folder.
        folder: of the photos.
        scheme: its names order the points that have names.

    Raises:
        KDLandmarksError: a file cannot be read or is of no known kind.
        OtherNames: of the scheme.
    """
    faces = [face for file in files for face in tool_faces(file)]
    order = point_order([face for face in faces if not face.problems], scheme)
    places = [place.absolute() for place in dict.fromkeys((folder.path, files[0].parent))]
    below = cache(partial(_photos_below, places[0] / "images"))  # once, if at all
    for face in faces:
        if face.problems:
            yield KDLandmarksError(f"{face.source}: {face.problems[0]}")
            continue
        found = [face.points.get(name, (0.0, 0.0, -1)) for name in order]
        image = _photo(face.image, places, below)
        inside = os.path.isabs(image) and folder.holds(image)
        name = os.path.relpath(image, places[0]) if inside else face.image
        line = {
            "image": image,
            "photo": photo_id(name),  # the same wherever the folder lies
            "landmarks": [None if seen < 0 else [x, y] for x, y, seen in found],
            "visible": [seen for _, _, seen in found],
            "box": face.box,
        }
        row = row_of_line(line, face.source, scheme, folder)
        if row is not None:
            yield row


def _photos_below(folder: Path) -> dict[str, str]:
    """Name to absolute path of the files of a folder and below whose names are there once."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    often = Counter(path.name for path in paths)
    return {path.name: str(path) for path in paths if often[path.name] == 1}


def _photo(name: str, places: Sequence[Path], below: Callable[[], Mapping[str, str]]) -> str:
    """The path of the photo that a tool calls so; as it is where there is none."""
    path = name.replace("\\", "/")
    base = path.rpartition("/")[2]
    original = re.sub(r"^[0-9a-f]{8}-", "", base)
    for place in places:
        for one in (path, base, original):
            if one and len(one) < LONGEST_PATH and (place / one).is_file():
                return str(place / one)
    return below().get(base) or below().get(original) or path


def point_order(faces: Sequence[LabeledFace], scheme: LandmarkScheme) -> list[str]:
    """The names of the points in the order of the landmarks; see the module.

    Raises:
        OtherNames: of the scheme.
    """
    names = list(dict.fromkeys(name for face in faces for name in face.points))
    unknown = [name for name in names if name not in scheme.names]
    if not unknown:
        return list(scheme.names)
    numbered = [re.fullmatch(r"(.*?)(\d+)", name) for name in names]
    numbers = {match.string: int(match[2]) for match in numbered if match}
    if len(numbers) == len(names) and len({match[1] for match in numbered if match}) == 1:
        return sorted(names, key=lambda name: numbers[name])
    source = next(face.source for face in faces if unknown[0] in face.points)
    raise OtherNames(
        f"{source}: {shown(unknown[0])} is no landmark of the scheme {scheme.name}, "
        f"which has {shown(', '.join(scheme.names))}: give a scheme with the names of the points "
        f"({shown(', '.join(names))}), which `kd-landmarks scheme new` makes, or rename the points",
        names,
    )
