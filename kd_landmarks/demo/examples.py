"""Photos to try with one click: public domain, or drawn by the package itself."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..imaging.photos import load_photo
from ..synthetic import generate_face

FOLDER = Path(__file__).parent / "examples"
DRAWN_SIDE = 512
_ROW_SEEDS = (1, 8, 12, 9, 7, 13)


@dataclass(frozen=True, eq=False)
class Example:
    """A photo, where it comes from, and its true points (N, 2) in pixels where they are known."""

    photo: Image.Image
    source: str
    truth: NDArray[np.floating] | None = None


@cache
def examples() -> dict[str, Example]:
    """All examples by their names."""
    return {
        "Astronaut": Example(
            load_photo(FOLDER / "astronaut.jpg"),
            "Eileen Collins, NASA, public domain; from scikit-image",
        ),
        "Rear admiral": Example(
            load_photo(FOLDER / "grace_hopper.jpg"),
            "Grace Hopper, US Navy, public domain; from matplotlib",
        ),
        "Drawn face": _drawn(0),
        "Drawn, turned": _drawn(8),
        "Six drawn faces": Example(_row(), "drawn by the package, seeds 1, 8, 12, 9, 7 and 13"),
    }


def _drawn(seed: int) -> Example:
    face = generate_face(seed, size=DRAWN_SIDE)
    return Example(
        Image.fromarray(face.image), f"drawn by the package, seed {seed}", face.landmarks
    )


def _row() -> Image.Image:
    side = DRAWN_SIDE // 2
    picture = Image.new("RGB", (3 * side, 2 * side))
    for number, seed in enumerate(_ROW_SEEDS):
        face = Image.fromarray(generate_face(seed, size=side).image)
        picture.paste(face, (side * (number % 3), side * (number // 3)))
    return picture
