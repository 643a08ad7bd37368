"""The files of labeling tools and other libraries, each read to the faces that it has.

COCO, CVAT, Label Studio and LabelMe count pixels from the photo's corner, so that a pixel's center
is at a half; dlib and CSV count pixel centers at whole numbers, as rows do.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

from ..errors import KDLandmarksError, reason, shown
from ..imaging.formats import endings
from ..utils.parsing import read_json, read_text
from .bad_rows import NOT_PLACED

MOST_BYTES = 2**29
"""Of a file of labels."""
CORNER = 0.5
"""Of tools that count from the photo's corner: the center of its first pixel."""
ENDINGS = (".json", ".xml", ".csv")
"""Of their files."""


@dataclass(frozen=True)
class LabeledFace:
    """A face as a tool has it.

    Attributes:
        source: where it stands, for messages.
        image: the photo's path as the tool has it.
        points: name of a point to (x, y, visible): 1 seen, 0 covered, -1 not there.
        box: x0, y0, x1, y1, or None.
        problems: why its labels cannot be meant; empty where they can.
        unnamed: whether its points have no names, but the numbers of their order.
    """

    source: str
    image: str
    points: dict[str, tuple[float, float, int]] = field(default_factory=dict)
    box: list[float] | None = None
    problems: list[str] = field(default_factory=list)
    unnamed: bool = False

    def add(self, label: object, point: tuple[float, float, int], mend: str) -> None:
        """Takes a point; a second one of the same name is a problem, with what `mend`s it."""
        name = str(label)
        if name in self.points:
            self.problems.append(f"{shown(name)} is there twice: {mend}")
        self.points[name] = point


def tool_faces(file: Path) -> list[LabeledFace]:
    """The faces of a tool's file.

    Of points without names nobody can tell which one is missing: a face that has another number of
    them than most has a problem.

    Raises:
        KDLandmarksError: it cannot be read, is of no known kind, or holds what its kind does not.
    """
    last = file.name
    faces = []
    try:
        for face in _faces_of(file):
            last = f"{face.source}, or after it"
            faces.append(face)
    except (TypeError, ValueError, OverflowError, KeyError, IndexError, csv.Error) as error:
        if isinstance(error, KDLandmarksError):
            raise
        # A value of a type that no tool writes, somewhere in a file that anybody may have made.
        raise KDLandmarksError(
            f"{last}: its labels cannot be understood ({reason(error)})"
        ) from error
    counts = Counter(len(face.points) for face in faces if face.unnamed)
    usual = max(counts, key=counts.__getitem__, default=0)
    for face in faces:
        if face.unnamed and len(face.points) != usual:
            face.problems.append(
                f"it has {len(face.points)} points, and most faces have {usual}: nobody can tell "
                "which are meant"
            )
    return faces


def _faces_of(file: Path) -> Iterator[LabeledFace]:
    if file.suffix.lower() == ".csv":
        return _csv_faces(read_text(file, MOST_BYTES), file.name)
    if file.suffix.lower() == ".xml":
        root = _xml(read_text(file, MOST_BYTES), file)
        readers = {"annotations": _cvat_faces, "dataset": _dlib_faces}
        if root.tag in readers:
            return readers[root.tag](root, file.name)
    else:
        values = read_json(file, MOST_BYTES)
        if isinstance(values, list):
            return _label_studio_faces(values, file.name)
        if isinstance(values, dict) and "shapes" in values:
            return _labelme_faces(values, file.name)
        if isinstance(values, dict) and {"images", "annotations"} <= set(values):
            return _coco_faces(values, file.name)
    raise KDLandmarksError(
        f"{file} has no known label format: give COCO keypoints, CVAT for images, Label Studio, "
        "LabelMe, dlib's XML, or CSV with one column per coordinate"
    )


def is_labelme(file: Path) -> bool:
    """Whether a file is one of LabelMe's.

    Raises:
        KDLandmarksError: it cannot be read.
    """
    values = read_json(file, MOST_BYTES) if file.suffix.lower() == ".json" else None
    return isinstance(values, dict) and "shapes" in values


def _xml(text: str, file: Path) -> ElementTree.Element:
    if "<!ENTITY" in text or "<!DOCTYPE" in text:
        raise KDLandmarksError(f"{file} defines entities, which no labeling tool does")
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, RecursionError) as error:
        raise KDLandmarksError(f"{file} is not XML that can be read: {error}") from None


def _number(value: Any, source: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise KDLandmarksError(f"{source}: {shown(value)} is not a number") from None


def _list(value: Any, source: str, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise KDLandmarksError(f"{source}: {what} is {shown(value)}, not a list")
    return value


def _mapping(value: Any, source: str, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise KDLandmarksError(f"{source}: {what} is {shown(value)}, not a mapping")
    return value


def _coco_faces(values: Mapping[str, Any], name: str) -> Iterator[LabeledFace]:
    """Key points `[x, y, v]`: v is 2 seen, 1 covered, 0 not there."""
    photos = {}
    for image in _list(values["images"], name, "images"):
        image = _mapping(image, name, "an image")
        photos[image.get("id")] = image.get("file_name")
    names = {}
    for category in _list(values.get("categories", []), name, "categories"):
        category = _mapping(category, name, "a category")
        names[category.get("id")] = category.get("keypoints")
    for number, one in enumerate(_list(values["annotations"], name, "annotations"), start=1):
        source = f"{name}:annotation {number}"
        one = _mapping(one, source, "the annotation")
        if not one.get("keypoints"):
            continue  # a box or an outline alone
        cells = [_number(cell, source) for cell in _list(one["keypoints"], source, "keypoints")]
        triples = list(zip(cells[::3], cells[1::3], cells[2::3], strict=False))
        labels = names.get(one.get("category_id")) or range(len(triples))
        if triples and not any(sure > 0 for _, _, sure in triples):
            continue  # COCO's way of saying that no key point of this object is labeled
        photo, problems = photos.get(one.get("image_id")), []
        if photo is None:
            problems.append(f"its image_id {shown(one.get('image_id'))} is none of the images")
        if len(cells) != 3 * len(labels):
            problems.append(f"keypoints are {len(cells)} numbers, not {len(labels)} times x, y, v")
        box = one.get("bbox")
        if box is not None:
            cells = [_number(cell, source) for cell in _list(box, source, "bbox")]
            left, top, width, height = [*cells, 0, 0, 0, 0][:4]
            box = [left - CORNER, top - CORNER, left + width - CORNER, top + height - CORNER]
            box = box if width > 0 and height > 0 else None  # where nobody has drawn one
        unnamed = isinstance(labels, range)
        face = LabeledFace(source, str(photo), box=box, problems=problems, unnamed=unnamed)
        for label, (x, y, sure) in zip(labels, triples, strict=False):
            point = _place(x, y, {2: 1, 1: 0}.get(int(sure), -1))
            face.add(label, point, "give the category's keypoints a name each")
        yield face


def _labelme_faces(values: Mapping[str, Any], name: str) -> Iterator[LabeledFace]:
    """Shapes of type `point`; those of a `group_id` are one face, those without another."""
    groups: dict[Any, LabeledFace] = {}
    for shape in _list(values["shapes"], name, "shapes"):
        shape = _mapping(shape, name, "a shape")
        group = shape.get("group_id")
        source = name if group is None else f"{name}:group {group}"
        face = groups.setdefault(group, LabeledFace(source, str(values.get("imagePath"))))
        places = [
            [_number(cell, source) - CORNER for cell in _list(place, source, "a point")[:2]]
            for place in _list(shape.get("points"), source, "points")
        ]
        if shape.get("shape_type") == "point" and places and len(places[0]) == 2:
            x, y = places[0]
            face.add(shape.get("label"), (x, y, 1), "give the points of each face a group_id")
    yield from (face for face in groups.values() if face.points)


def _label_studio_faces(values: list[Any], name: str) -> Iterator[LabeledFace]:
    """Key points in percent of the photo; those of a task are one face, or of a `parentID` each."""
    photos = endings()
    for number, task in enumerate(values, start=1):
        source = f"{name}:task {number}"
        task = _mapping(task, source, "the task")
        if "data" not in task:
            raise KDLandmarksError(f"{source} has no data: export as JSON, not as JSON-MIN or CSV")
        data = _mapping(task["data"], source, "data")
        texts = [_uploaded(value) for value in data.values() if isinstance(value, str)]
        # A task may have other texts beside its photo, such as a caption.
        images = [text for text in texts if Path(text).suffix.lower() in photos]
        image = next(iter(images or texts), "")
        faces: dict[Any, LabeledFace] = {}
        answers = [
            answer
            for answer in task.get("annotations") or []
            if isinstance(answer, dict) and not answer.get("was_cancelled")
        ]
        for one in (answers[0].get("result") or []) if answers else []:
            one = _mapping(one, source, "a result")
            value = one.get("value")
            if not isinstance(value, dict) or not value.get("keypointlabels"):
                continue
            width, height = (
                _number(one.get(f"original_{side}"), source) for side in ("width", "height")
            )
            x, y = (_number(value.get(axis), source) / 100 for axis in ("x", "y"))
            place = (x * width - CORNER, y * height - CORNER, 1)
            known = faces.setdefault(one.get("parentID"), LabeledFace(source, image))
            known.add(value["keypointlabels"][0], place, "draw each face's points in a region")
        yield from faces.values()


def _uploaded(image: str) -> str:
    """What Label Studio serves under an address, as a path below its folder of photos."""
    path = unquote(image.partition("?d=")[2] or image)
    return path.removeprefix("/data/upload/").lstrip("/")


def _cvat_faces(root: ElementTree.Element, name: str) -> Iterator[LabeledFace]:
    """Skeletons with a point each per name, or shapes `points` with all points of a face."""
    if root.find("track") is not None:
        raise KDLandmarksError(f"{name} is of a video: export as CVAT for images 1.1")
    for image in root.iter("image"):
        photo = image.get("name", "")
        source = f"{name}:{photo}"
        for shape in image:
            face = LabeledFace(source, photo)
            if shape.tag == "skeleton":
                for point in shape.iter("points"):
                    face.add(point.get("label"), _cvat_point(point, source), "rename one")
            elif shape.tag == "points":
                face = LabeledFace(source, photo, unnamed=True)
                places = str(shape.get("points", "")).split(";")
                seen = int(shape.get("occluded") != "1")
                face.points.update(
                    (str(number), _xy(place, source, seen)) for number, place in enumerate(places)
                )
                if len(places) == 1 and len(image.findall("points")) > 1:
                    face.problems.append(
                        "it has shapes of one point each: use a skeleton, or one shape with all "
                        "points of a face"
                    )
            else:
                continue
            yield face


def _cvat_point(point: ElementTree.Element, source: str) -> tuple[float, float, int]:
    seen = -1 if point.get("outside") == "1" else int(point.get("occluded") != "1")
    return _xy(str(point.get("points", "")), source, seen)


def _xy(text: str, source: str, seen: int) -> tuple[float, float, int]:
    x, _, y = text.partition(",")
    return _place(_number(x, source), _number(y, source), seen)


def _place(x: float, y: float, seen: int) -> tuple[float, float, int]:
    """A point that a tool counts from the photo's corner, in pixels of the photo."""
    nowhere = seen == 0 and x == y and x in NOT_PLACED
    return x - CORNER, y - CORNER, -1 if nowhere else seen


def _dlib_faces(root: ElementTree.Element, name: str) -> Iterator[LabeledFace]:
    """Boxes with a `part` each per point; dlib counts pixel centers at whole numbers."""
    for image in root.iter("image"):
        photo = image.get("file", "")
        source = f"{name}:{photo}"
        for box in image.iter("box"):
            if box.get("ignore") == "1":
                continue
            left, top, width, height = (
                _number(box.get(side), source) for side in ("left", "top", "width", "height")
            )
            face = LabeledFace(source, photo, box=[left, top, left + width, top + height])
            for part in box.iter("part"):
                x, y = (_number(part.get(axis), source) for axis in ("x", "y"))
                face.add(part.get("name"), _unflagged(x, y), "rename one")
            if face.points:
                yield face


def _unflagged(x: float, y: float) -> tuple[float, float, int]:
    """A point of a format that cannot say which points are there: (-1, -1) is none."""
    return x, y, -1 if x == y == -1 else 1


def _csv_faces(text: str, name: str) -> Iterator[LabeledFace]:
    """A line a face: the photo first, and for each point `NAME_x`, `NAME_y`, or `x0`, `y0`."""
    rows = text.splitlines()
    head = rows[0] if rows else ""
    delimiter = ";" if ";" in head and "," not in head else ","
    lines = csv.DictReader(rows, delimiter=delimiter, skipinitialspace=True)
    columns = list(lines.fieldnames or [])
    pairs = {
        column[:-2]: (column, f"{column[:-2]}_y")
        for column in columns
        if column.endswith("_x") and f"{column[:-2]}_y" in columns
    } or {
        column[1:].lstrip("_"): (column, f"y{column[1:]}")
        for column in columns
        if column.startswith("x") and f"y{column[1:]}" in columns
    }
    if not pairs:
        raise KDLandmarksError(
            f"{name} has the columns {shown(', '.join(columns))}: give a column for the photo and "
            "two for each landmark, NAME_x and NAME_y, or x0 and y0"
        )
    for line in lines:
        source = f"{name}:{lines.line_num}"
        points = {
            label: _unflagged(_number(line[x], source), _number(line[y], source))
            for label, (x, y) in pairs.items()
            if line[x] and line[y]
        }
        yield LabeledFace(source, str(line[columns[0]] or ""), points)
