"""Many photos at once: detecting in each, and writing what was found."""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from typing import Any, TextIO

from ..errors import KDLandmarksError
from ..schemes import LandmarkScheme
from ..utils.file_names import name_as_text
from .pipeline import FaceLandmarkPipeline
from .results import Faces, table_cells, table_columns

Outcome = tuple[str, Faces | KDLandmarksError]
"""A photo's path or URL with its faces, or with what is wrong with it."""


def predict_photos(
    detect: FaceLandmarkPipeline, photos: Iterable[str], batch_size: int = 8
) -> Iterator[Outcome]:
    """Detect in one photo after another; one that fails does not stop the rest.

    Args:
        detect: the pipeline.
        photos: paths and URLs.
        batch_size: photos that go through the network together.

    Yields:
        Each photo with its faces or its error, in order.
    """
    remaining = iter(photos)
    while batch := list(islice(remaining, batch_size)):
        yield from zip(batch, detect_each(detect, batch, batch_size), strict=True)


def detect_each(
    detect: FaceLandmarkPipeline, photos: Sequence[Any], batch_size: int
) -> list[Faces | KDLandmarksError]:
    """Each photo's faces, or what is wrong with it: one that fails does not stop the others.

    Args:
        detect: the pipeline.
        photos: whatever it takes as one.
        batch_size: photos that go through the network together.
    """
    if len(photos) == 1:
        try:
            return [detect(photos[0])]
        except KDLandmarksError as error:
            return [error]
    try:
        return detect(list(photos), batch_size=batch_size)
    except KDLandmarksError:
        return [detect_each(detect, [photo], 1)[0] for photo in photos]


class PredictionWriter:
    """Writes faces as JSON lines, a photo each; as CSV, a face each; or as COCO keypoints.

    A JSON line has `image` and `faces`, each as `Face.to_dict` gives it; or `image` and `error`. A
    CSV row has image, face (from 0), x0, y0, x1, y1, detection_score, face_confidence, and x and y
    of each landmark by its name; photos without faces have none. COCO's keypoints are those of a
    `person_keypoints` file, of one category `face`; pixels count from the corner there, and photos
    that failed are left out. Names of files that are not UTF-8 are spelled as
    `utils.file_names.name_as_text` says.

    Args:
        stream: to write to.
        kind: ".jsonl", ".csv" or ".json" (COCO).
        scheme: the landmarks.
        with_measures: each face also has `measures`, or in a table their columns
            (`measures.MEASURES`).
    """

    def __init__(
        self, stream: TextIO, kind: str, scheme: LandmarkScheme, with_measures: bool = False
    ) -> None:
        self._stream = stream
        self._kind = kind
        self._with_measures = with_measures
        self._coco: dict[str, list[Any]] = {
            "images": [],
            "annotations": [],
            "categories": [_coco_category(scheme)],
        }
        self._table = csv.writer(stream, lineterminator="\n")
        if kind == ".csv":
            self._table.writerow(["image", "face", *table_columns(scheme, with_measures)])

    def write(self, photo: str, found: Faces | KDLandmarksError) -> None:
        """Append a photo's faces, or its error."""
        photo = name_as_text(photo)
        if self._kind == ".jsonl":
            told = (
                {"error": str(found)}
                if isinstance(found, KDLandmarksError)
                else {"faces": [face.to_dict(self._with_measures) for face in found]}
            )
            self._stream.write(json.dumps({"image": photo, **told}) + "\n")
        elif isinstance(found, KDLandmarksError):
            return
        elif self._kind == ".csv":
            for number, face in enumerate(found):
                self._table.writerow([photo, number, *table_cells(face, self._with_measures)])
        else:
            self._add_to_coco(photo, found)

    def close(self) -> None:
        """Finish the file: COCO's is one object, written now."""
        if self._kind == ".json":
            json.dump(self._coco, self._stream)
            self._stream.write("\n")

    def _add_to_coco(self, photo: str, found: Faces) -> None:
        number = len(self._coco["images"]) + 1
        width, height = found.size or (None, None)
        image = {"id": number, "file_name": photo, "width": width, "height": height}
        self._coco["images"].append(image)
        for face in found:
            told = face.to_dict(self._with_measures)
            x0, y0, x1, y1 = told["box"]
            points = [[round(x + 0.5, 2), round(y + 0.5, 2), 2] for x, y in told["keypoints"]]
            width, height = round(x1 - x0, 2), round(y1 - y0, 2)
            self._coco["annotations"].append(
                {
                    "id": len(self._coco["annotations"]) + 1,
                    "image_id": number,
                    "category_id": 1,
                    "keypoints": [value for point in points for value in point],
                    "num_keypoints": len(points),
                    "bbox": [round(x0 + 0.5, 2), round(y0 + 0.5, 2), width, height],
                    "area": round(width * height, 2),
                    "iscrowd": 0,
                    "score": told["detection_score"],
                    **({"measures": told["measures"]} if self._with_measures else {}),
                }
            )


def _coco_category(scheme: LandmarkScheme) -> dict[str, Any]:
    """COCO's words for a scheme: names, and the lines between them, which count from 1."""
    lines = []
    for outline in scheme.outlines:
        ends = [*outline.indices, outline.indices[0]] if outline.closed else [*outline.indices]
        lines += [[start + 1, end + 1] for start, end in pairwise(ends)]
    return {
        "id": 1,
        "name": "face",
        "supercategory": "person",
        "keypoints": list(scheme.names),
        "skeleton": lines,
    }
