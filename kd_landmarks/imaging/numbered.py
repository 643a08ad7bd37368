"""Landmarks with their numbers beside them, to see which is which."""

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ..schemes import LandmarkScheme
from .drawing import draw_landmarks

POINTS, NUMBERS, PAPER = (0, 110, 60), (176, 0, 72), (255, 255, 255)
SIDE = 720
"""Pixels of the picture's side."""
FADING = 0.5
"""How far the photo is taken to white, so that the numbers stand out."""
MARGIN = 1.2
"""Side of the cut in longer sides of the points' box."""
FONT_SIZE, DISTANCE, DIRECTIONS = 12, 12.0, 16


def numbered_picture(
    photo: Image.Image, points: NDArray[np.floating], scheme: LandmarkScheme
) -> Image.Image:
    """The face large and in faded grays, its landmarks with their indices: RGB, 720 pixels a side.

    Args:
        photo: of the face.
        points: (N, 2) in its pixels, all there.
        scheme: theirs.
    """
    low, high = points.min(0), points.max(0)
    half = MARGIN / 2 * float((high - low).max())
    corner = (low + high) / 2 - half
    area = (*corner, *(corner + 2 * half))
    face = photo.convert("L")
    face = face.transform((SIDE, SIDE), Image.Transform.EXTENT, area, Image.Resampling.BICUBIC)
    paper = Image.new("RGB", face.size, PAPER)
    places = (points + 0.5 - corner) * (SIDE / (2 * half)) - 0.5
    faded = Image.blend(face.convert("RGB"), paper, FADING)
    picture = draw_landmarks(faded, places, scheme, color=POINTS)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(FONT_SIZE)
    for index, (x, y) in enumerate(_free_places(places, scheme)):
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
        taken = np.stack([*np.delete(points, index, axis=0), *lines, *places] or [point])
        candidates = point + around
        distances = np.linalg.norm(candidates[:, None] - taken, axis=-1)
        places.append(candidates[distances.min(1).argmax()])
    return places
