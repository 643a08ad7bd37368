"""Many photos at once: detecting in each, and writing what was found."""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, TextIO

from PIL import Image

from ..errors import KDLandmarksError
from ..imaging.drawing import draw_landmarks
from ..imaging.photos import load_photo
from ..imaging.pixels import as_rgb
from ..schemes import LandmarkScheme
from .pipeline import Face, FaceLandmarkPipeline

Outcome = tuple[str, list[Face] | KDLandmarksError]
"""A photo's path or URL with its faces, or with what is wrong with it."""

CORNERS = ("x0", "y0", "x1", "y1")
"""What a table calls the corners of a box."""


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
) -> list[list[Face] | KDLandmarksError]:
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
    """Writes faces as JSON lines, a photo each, or as CSV, a face each.

    A JSON line has `image` and `faces`, each with `keypoints` (N pairs x, y), `scores`,
    `confidence`, `face_confidence`, `box` and `detection_score`; or `image` and `error`. A CSV row
    has image, face (from 0), x0, y0, x1, y1, detection_score, face_confidence, and x and y of each
    landmark by its name; photos without faces have none.

    Args:
        stream: to write to.
        kind: ".jsonl" or ".csv".
        scheme: the landmarks.
    """

    def __init__(self, stream: TextIO, kind: str, scheme: LandmarkScheme) -> None:
        self._stream = stream
        self._table = csv.writer(stream, lineterminator="\n") if kind == ".csv" else None
        if self._table:
            told = ["detection_score", "face_confidence"]
            self._table.writerow(["image", "face", *CORNERS, *told, *point_columns(scheme)])

    def write(self, photo: str, found: list[Face] | KDLandmarksError) -> None:
        """Append a photo's faces, or its error."""
        if self._table is None:
            told = (
                {"error": str(found)}
                if isinstance(found, KDLandmarksError)
                else {"faces": [plain_face(face) for face in found]}
            )
            self._stream.write(json.dumps({"image": photo, **told}) + "\n")
        elif not isinstance(found, KDLandmarksError):
            for number, face in enumerate(found):
                values = plain_face(face)
                sure = [values["detection_score"], values["face_confidence"]]
                self._table.writerow(
                    [photo, number, *values["box"], *sure, *chain(*values["keypoints"])]
                )


def point_columns(scheme: LandmarkScheme) -> list[str]:
    """What a table calls the coordinates: each landmark's x and y, in their order."""
    return [f"{name}_{axis}" for name in scheme.names for axis in "xy"]


def plain_face(face: Face) -> dict[str, Any]:
    """A face in plain JSON types, coordinates to a hundredth of a pixel."""
    scores, confidence = face["scores"], face["confidence"]
    return {
        "keypoints": [[round(x, 2), round(y, 2)] for x, y in face["keypoints"].tolist()],
        "scores": None if scores is None else [round(score, 4) for score in scores.tolist()],
        "confidence": None
        if confidence is None
        else [round(value, 4) for value in confidence.tolist()],
        "face_confidence": face["face_confidence"],
        "box": [round(value, 2) for value in face["box"]],
        "detection_score": face["detection_score"],
    }


def draw_photo(photo: str, faces: list[Face], scheme: LandmarkScheme) -> Image.Image:
    """A photo with the outlines and points of its faces, RGB."""
    picture = as_rgb(load_photo(photo))
    points = [face["keypoints"] for face in faces]
    return draw_landmarks(picture, points, scheme, min_size=1) if points else picture
