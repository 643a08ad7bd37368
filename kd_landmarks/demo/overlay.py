"""A photo with the faces found in it, as HTML: the photo inside, lines and points as SVG on top.

What is drawn can be switched on and off in the browser, and nothing of it is a file on the server.
Lines and points are as large as their face asks for, in pixels of the photo: they stay fine on
small faces of a group, and grow with a face that is enlarged.
"""

import base64
import json
from collections.abc import Collection, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..imaging.pixels import shrunken
from ..schemes import LandmarkScheme
from ..utils.tables import counted
from .uploads import as_jpeg

SHOWN_SIDE = 1280
"""Pixels of the longer side at which photos are shown."""
SURE, UNSURE = 0.9, 0.6
"""Confidence from which on a point counts as sure, and below which as unsure."""
READABLE = 0.3
"""Share of the picture that a face takes from which on numbers beside its points can be read."""


def data_url(content: bytes, kind: str) -> str:
    """Bytes as a URL that holds them; `kind` is their media type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def photo_view(
    photo: Image.Image,
    faces: Sequence[Mapping[str, Any]],
    scheme: LandmarkScheme,
    reference: NDArray[np.floating] | None = None,
    shown_side: int = SHOWN_SIDE,
) -> str:
    """HTML of a photo with its faces.

    Args:
        photo: upright, of any mode.
        faces: as the pipeline gives them; the first is the chosen one.
        scheme: of their landmarks.
        reference: (N, 2) true points of a face, drawn below the found ones.
        shown_side: pixels of the longer side at which the photo is sent.
    """
    found = f"{count_of(faces)} with {scheme.num_landmarks} points" if faces else "no face found"
    parts = []
    if reference is not None:
        parts += outline_svg(reference, scheme, "kd-reference")
    for number, face in enumerate(faces):
        parts += face_svg(number, face, scheme, max(photo.size))
    described = f"Photo of {photo.width} by {photo.height} pixels, {found}"
    return picture_svg(photo, described, parts, shown_side, names=scheme.names)


def picture_svg(
    photo: Image.Image,
    described: str,
    parts: Sequence[str],
    shown_side: int = SHOWN_SIDE,
    corner: tuple[int, int] = (0, 0),
    names: Sequence[str] = (),
) -> str:
    """A picture with SVG on top, in its pixels.

    Args:
        photo: of any mode.
        described: what a screen reader says of it.
        parts: SVG elements.
        shown_side: pixels of the longer side at which the picture is sent.
        corner: where the picture's left upper corner lies for `parts`.
        names: of the landmarks: page.js tells the one below the cursor.
    """
    width, height = photo.size
    # Twice what is shown is as sharp, and all that is converted of a large photo.
    small = shrunken(photo, max(1, max(width, height) // (2 * shown_side)))
    inside = data_url(as_jpeg(small, shown_side), "image/jpeg")
    left, top = corner
    told = [name.replace("_", " ") for name in names]
    named = f"data-names='{escape(json.dumps(told))}' " if told else ""
    return (
        f'<svg class="kd-photo" viewBox="{left} {top} {width} {height}" role="img" {named}'
        f'style="--ratio:{width / height:.4f};--line:{max(width, height) / 400:.2f}px" '
        f'aria-label="{escape(described)}" xmlns="http://www.w3.org/2000/svg">'
        f'<image href="{inside}" x="{left}" y="{top}" width="{width}" height="{height}"/>'
        f"{''.join(parts)}</svg>"
    )


def count_of(faces: Collection[Any]) -> str:
    """How many faces, in words."""
    return counted(len(faces), "face")


def face_svg(
    number: int, face: Mapping[str, Any], scheme: LandmarkScheme, picture_side: float
) -> list[str]:
    """The SVG of a face; what it shows is up to the style sheet.

    Args:
        number: of the face; 0 is the chosen one.
        face: as the pipeline gives it.
        scheme: of its landmarks.
        picture_side: longer side of the picture around it, in pixels of the photo.
    """
    points = np.asarray(face["keypoints"], dtype=np.float64)
    confidence = face["confidence"]
    x0, y0, x1, y1 = face["box"]
    side = float(np.ptp(points, axis=0).max())
    radius, line = max(side / 110, picture_side / 900), max(side / 200, picture_side / 1400)
    parts = [
        f'<g class="kd-face{" kd-chosen" if number == 0 else ""}" data-face="{number}" '
        f'style="--radius:{radius:.2f}px;--line:{line:.2f}px">',
        # The first is what reacts to the cursor: not every browser knows an area without a shape.
        *(
            f'<rect class="{name}" x="{x0:.1f}" y="{y0:.1f}" width="{x1 - x0:.1f}" '
            f'height="{y1 - y0:.1f}"/>'
            for name in ("kd-area", "kd-box")
        ),
        *outline_svg(points, scheme, "kd-line"),
    ]
    aside = _number_places(points, scheme, 3 * radius)
    for index, (x, y) in enumerate((points + 0.5).round(2).tolist()):
        sure = None if confidence is None else float(confidence[index])
        known = "" if sure is None else f' data-sure="{sure:.0%}"'
        parts.append(
            f'<circle class="kd-point {_level(sure)}" cx="{x}" cy="{y}" r="{radius:.2f}"{known}/>'
        )
        if side >= READABLE * picture_side:
            left, top = aside[index]
            parts.append(
                f'<text class="kd-number" x="{left:.1f}" y="{top:.1f}" '
                f'font-size="{3.4 * radius:.1f}">{index}</text>'
            )
    return [*parts, "</g>"]


def _number_places(
    points: NDArray[np.floating], scheme: LandmarkScheme, away: float
) -> list[list[float]]:
    """Where numbers stand: beside their points, outside of eyes and lips, above other lines."""
    aside = np.tile([0.0, -1.0], (len(points), 1))
    for outline in scheme.outlines:
        part = points[list(outline.indices)]
        if outline.closed:
            outward = part - part.mean(axis=0)
            length = np.linalg.norm(outward, axis=1, keepdims=True)
            aside[list(outline.indices)] = outward / np.maximum(length, 1e-6)
    return (points + 0.5 + away * aside).tolist()


def outline_svg(points: NDArray[np.floating], scheme: LandmarkScheme, name: str) -> list[str]:
    """The outlines of a face (N, 2) as SVG of a CSS class.

    Pixel centers lie half a pixel inside of where SVG counts from.
    """
    parts = []
    for outline in scheme.outlines:
        corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in points[list(outline.indices)] + 0.5)
        shape = "polygon" if outline.closed else "polyline"
        parts.append(f'<{shape} class="{name}" points="{corners}"/>')
    return parts


def _level(sure: float | None) -> str:
    if sure is None or sure >= SURE:
        return "kd-sure"
    return "kd-fair" if sure >= UNSURE else "kd-unsure"


def notice(text: str) -> str:
    """A message in the place of a result; screen readers tell it at once."""
    return f'<p class="kd-notice" role="alert">{escape(text)}</p>'


def legend(colors: Mapping[str, str]) -> str:
    """What colors mean: text -> CSS color."""
    dots = [
        f'<span><i style="background:{color}"></i>{escape(text)}</span>'
        for text, color in colors.items()
    ]
    return f'<p class="kd-legend">{"".join(dots)}</p>'


def table(header: Sequence[str], rows: Sequence[Sequence[object]], caption: str) -> str:
    """An HTML table that scrolls by itself where it is wide; cells are escaped."""
    head = "".join(f'<th scope="col">{escape(str(cell))}</th>' for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows
    )
    return (
        f'<p class="kd-caption">{escape(caption)}</p>'
        f'<div class="kd-table" role="region" aria-label="{escape(caption)}" tabindex="0">'
        f"<table><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def downloads(files: Mapping[str, tuple[str, bytes, str]], more: str) -> str:
    """Links that save what is inside of them, and one that finds its content in the page.

    Args:
        files: label -> (file name, content, media type).
        more: HTML of the last link.
    """
    links = [
        f'<a class="kd-save" download="{escape(name)}" href="{data_url(content, kind)}">{label}</a>'
        for label, (name, content, kind) in files.items()
    ]
    return f'<p class="kd-downloads">{" ".join([*links, more])}</p>'
