"""A landmark scheme drawn on a generated face, with the points' numbers."""

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ..imaging.drawing import draw_landmarks
from ..imaging.output import save_drawing
from ..schemes import SCHEMES, LandmarkScheme, get_scheme
from ..synthetic import generate_face

# A face that looks straight ahead, eyes and mouth open, with nothing in front of it.
FACE = 308
SIDE = 720
POINTS, NUMBERS, PAPER = (0, 110, 60), (176, 0, 72), (255, 255, 255)
# The face is shown in grays, halfway to white, so that the numbers stand out.
GRAYS, FADING = 12, 0.5
FONT_SIZE, DISTANCE, DIRECTIONS = 12, 12.0, 16


def can_be_drawn(scheme: LandmarkScheme) -> bool:
    """Whether faces can be generated with these landmarks: the built-in schemes."""
    return scheme.name in SCHEMES and scheme == get_scheme(scheme.name)


def picture_name(scheme: LandmarkScheme) -> str:
    """The file's name beside a card."""
    return f"{scheme.name}.png"


def save_scheme_picture(scheme: LandmarkScheme, path: Path) -> None:
    """Write the picture as a small PNG.

    Raises:
        KDLandmarksError: for a scheme that is not built in.
    """
    picture = scheme_picture(scheme)
    grays = np.linspace(255 * FADING, 255, GRAYS).astype(int)
    blends = [
        tuple(round(share * a + (1 - share) * b) for a, b in zip(color, PAPER, strict=True))
        for color in (POINTS, NUMBERS)
        for share in (1.0, 0.5)
    ]
    colors = [(gray, gray, gray) for gray in grays] + blends
    palette = Image.new("P", (1, 1))
    palette.putpalette([value for color in colors for value in color])
    few = picture.quantize(palette=palette, dither=Image.Dither.NONE)
    save_drawing(few, path, "card", optimize=True)


def scheme_picture(scheme: LandmarkScheme) -> Image.Image:
    """The picture, RGB, 720 pixels a side.

    Raises:
        KDLandmarksError: for a scheme that is not built in.
    """
    face = generate_face(FACE, scheme.name, size=320)
    low, high = face.landmarks.min(0), face.landmarks.max(0)
    half = 0.6 * float((high - low).max())
    corner = (low + high) / 2 - half
    area = (*corner, *(corner + 2 * half))
    photo = Image.fromarray(face.image).convert("L")
    photo = photo.transform((SIDE, SIDE), Image.Transform.EXTENT, area, Image.Resampling.BICUBIC)
    paper = Image.new("RGB", photo.size, PAPER)
    points = (face.landmarks + 0.5 - corner) * (SIDE / (2 * half)) - 0.5
    picture = draw_landmarks(
        Image.blend(photo.convert("RGB"), paper, FADING), points, scheme, color=POINTS
    )
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(FONT_SIZE)
    for index, (x, y) in enumerate(_free_places(points, scheme)):
        draw.text((x, y), str(index), NUMBERS, font, anchor="mm", stroke_width=2, stroke_fill=PAPER)
    return picture


def _free_places(
    points: NDArray[np.floating], scheme: LandmarkScheme
) -> list[NDArray[np.floating]]:
    """A place for each point's number: beside it, far from lines and from all before it."""
    angles = np.arange(DIRECTIONS) * (2 * math.pi / DIRECTIONS)
    around = DISTANCE * np.stack([np.cos(angles), np.sin(angles)], -1)
    lines = [
        (points[start] + points[end]) / 2
        for outline in scheme.outlines
        for start, end in pairwise(outline.indices)
    ]
    places: list[NDArray[np.floating]] = []
    for index, point in enumerate(points):
        taken = np.stack([*np.delete(points, index, axis=0), *lines, *places])
        candidates = point + around
        distances = np.linalg.norm(candidates[:, None] - taken, axis=-1)
        places.append(candidates[distances.min(1).argmax()])
    return places
