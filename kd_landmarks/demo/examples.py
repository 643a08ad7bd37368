"""Photos to try with one click: public domain, or drawn by the package itself.

`examples/SOURCES.md` says where the photos come from.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..imaging.photos import load_photo

FOLDER = Path(__file__).parent / "examples"
CLIP = FOLDER / "drawn_face.webm"
"""Of `example_clip`."""
DRAWN_SIDE = 512
_ROW_SEEDS = (1, 8, 12, 9, 7, 13)


@dataclass(frozen=True, eq=False)
class Example:
    """A photo, and its true points (N, 2) in pixels where they are known."""

    photo: Image.Image
    truth: NDArray[np.floating] | None = None


def example_names() -> list[str]:
    """Of all examples."""
    return list(_EXAMPLES)


@cache
def example(name: str) -> Example:
    """An example, which is loaded or drawn when it is first asked for."""
    return _EXAMPLES[name]()


def turned(photo: Image.Image, degrees: float) -> Image.Image:
    """A photo turned clockwise, with gray in the corners."""
    return photo.rotate(-degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=(128, 128, 128))


def _drawn(seed: int) -> Example:
    from ..synthetic import generate_face  # takes a while, for scipy

    face = generate_face(seed, size=DRAWN_SIDE)
    return Example(Image.fromarray(face.image), face.landmarks)


def _row() -> Example:
    from ..synthetic import generate_face

    side = DRAWN_SIDE // 2
    picture = Image.new("RGB", (3 * side, 2 * side))
    for number, seed in enumerate(_ROW_SEEDS):
        face = Image.fromarray(generate_face(seed, size=side).image)
        picture.paste(face, (side * (number % 3), side * (number // 3)))
    return Example(picture)


_EXAMPLES: dict[str, Callable[[], Example]] = {
    "Astronaut": lambda: Example(load_photo(FOLDER / "astronaut.jpg")),
    "Rear admiral": lambda: Example(load_photo(FOLDER / "grace_hopper.jpg")),
    "Generated face": lambda: _drawn(0),
    "Generated, turned": lambda: _drawn(8),
    "Six generated faces": _row,
}
