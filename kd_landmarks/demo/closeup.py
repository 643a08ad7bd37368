"""The faces of a photo one by one: enlarged, with their measures and a table of their points.

All of them are in the page, and the browser shows the chosen one: choosing asks the server nothing,
and the server keeps nothing.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..inference.results import Face
from ..schemes import LandmarkScheme
from .bars import measure_bars
from .overlay import face_svg, picture_svg, table

MOST_FACES = 30
"""More are drawn on the photo, and not enlarged."""
AROUND = 1.5
"""Side of what is shown of a face, in sides of the box of its points."""
SHOWN_SIDE = 640
HOW_TO_NAME = "Point at a landmark for its name."


def close_ups(photo: Image.Image, faces: Sequence[Face], scheme: LandmarkScheme) -> str:
    """HTML of the faces; "" for none.

    Args:
        photo: upright, of any mode.
        faces: as the pipeline gives them; the first is the chosen one.
        scheme: of their landmarks.
    """
    if not faces:
        return ""
    shown = faces[:MOST_FACES]
    views = [_close_up(number, photo, face, scheme) for number, face in enumerate(shown)]
    return _chooser(shown) + "".join(views)


def _chooser(faces: Sequence[Face]) -> str:
    if len(faces) == 1:
        return ""
    choices = [
        f'<label><input type="radio" name="kd-face" value="{number}" onchange="kdChoose({number})"'
        f"{checked}/>{number + 1}</label>"
        for number, checked in enumerate([' checked=""', *[""] * (len(faces) - 1)])
    ]
    return (
        f'<fieldset class="kd-choice"><legend>Face: choose one here or in the photo</legend>'
        f"{''.join(choices)}</fieldset>"
    )


def _close_up(number: int, photo: Image.Image, face: Face, scheme: LandmarkScheme) -> str:
    points = np.asarray(face["keypoints"], dtype=np.float64)
    left, top, right, bottom = _region(points, photo.size)
    part = photo.crop((left, top, right, bottom))
    drawn = face_svg(number, face, scheme, max(part.size))
    picture = picture_svg(
        part, f"Face {number + 1}, enlarged", drawn, SHOWN_SIDE, (left, top), scheme.names
    )
    sure = face["face_confidence"]
    known = "" if sure is None else f", {sure:.0%} of its points expected to be right"
    chosen = " kd-chosen" if number == 0 else ""
    return (
        f'<section class="kd-close-up{chosen}" data-face="{number}">{picture}'
        f'<p class="kd-summary"><strong>Face {number + 1}</strong>{known}. {HOW_TO_NAME}</p>'
        f"{measure_bars(face.to_dict(with_measures=True)['measures'])}"
        f"<details><summary>Points of face {number + 1}</summary>{_points(number, face, scheme)}"
        "</details></section>"
    )


def _region(points: NDArray[np.float64], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The square around a face, as far as the photo goes."""
    low, high = points.min(axis=0), points.max(axis=0)
    half = AROUND * max(float((high - low).max()), 8) / 2
    middle = ((low + high) / 2).clip((0, 0), size)
    left, top = np.floor(middle - half).clip((0, 0), size).astype(int).tolist()
    right, bottom = np.ceil(middle + half).clip((0, 0), size).astype(int).tolist()
    return left, top, right, bottom


def _points(number: int, face: Face, scheme: LandmarkScheme) -> str:
    sure = [None] * scheme.num_landmarks if face["confidence"] is None else face["confidence"]
    rows = [
        (
            index,
            name.replace("_", " "),
            "" if value is None else f"{value:.0%}",
            f"{x:.1f}",
            f"{y:.1f}",
        )
        for index, (name, (x, y), value) in enumerate(
            zip(scheme.names, face["keypoints"].tolist(), sure, strict=True)
        )
    ]
    header = ("", "landmark", "sure", "x", "y")
    return table(header, rows, f"Landmarks of face {number + 1}, in pixels")
