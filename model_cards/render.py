"""Write the cards of the released models, here and beside their weights, and the schemes' pictures.

    python model_cards/render.py

A card is made of the checkpoint's own files and of what people wrote about it, in
`kd_landmarks/hub/released.yaml`. Models whose weights are not there are left out.
"""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from kd_landmarks.hub.card import render_card
from kd_landmarks.hub.card_facts import read_checkpoint
from kd_landmarks.hub.picture import scheme_picture
from kd_landmarks.hub.released import released_names
from kd_landmarks.imaging.numbered import FADING, NUMBERS, PAPER, POINTS, numbered_picture
from kd_landmarks.imaging.output import save_drawing
from kd_landmarks.inference.checkpoints import DEFAULT_FOLDER, WEIGHTS
from kd_landmarks.schemes import SCHEMES, LandmarkScheme, get_scheme
from kd_landmarks.synthetic import generate_face
from kd_landmarks.utils.files import write_text

HERE = Path(__file__).resolve().parent
CHECKPOINTS = HERE.parent / "checkpoints"

# A face that looks straight ahead, eyes and mouth open, with nothing in front of it.
FACE = 308
# The face is shown in so many grays.
GRAYS = 12


def folder_of(name: str) -> Path:
    """Where a released model's weights are."""
    return DEFAULT_FOLDER if name == DEFAULT_FOLDER.name else CHECKPOINTS / name


def render(name: str) -> dict[Path, str]:
    """The card of a released model, for each place where it stands."""
    folder = folder_of(name)
    checkpoint = read_checkpoint(folder)
    if folder != DEFAULT_FOLDER:  # where this checkout lies is no part of a card
        checkpoint = replace(checkpoint, folder=Path(CHECKPOINTS.name, name))
    picture = scheme_picture(checkpoint.scheme)
    assert picture is not None
    return {
        path: render_card(
            checkpoint, picture=Path(os.path.relpath(picture, path.parent)).as_posix()
        )
        for path in (HERE / f"{name}.md", folder / "README.md")
    }


def save_scheme_picture(scheme: LandmarkScheme, path: Path) -> None:
    """Write the picture of a built-in scheme as a small PNG."""
    picture = draw_scheme(scheme)
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


def draw_scheme(scheme: LandmarkScheme) -> Image.Image:
    """The picture of a built-in scheme, RGB, 720 pixels a side."""
    face = generate_face(FACE, scheme.name, size=320)
    return numbered_picture(Image.fromarray(face.image), face.landmarks, scheme)


def main() -> None:
    """Draw the landmarks and write every card."""
    for scheme in map(get_scheme, SCHEMES):
        picture = scheme_picture(scheme)
        assert picture is not None
        save_scheme_picture(scheme, picture)
    for name in released_names():
        if not (folder_of(name) / WEIGHTS).is_file():
            print(f"{name}: no weights")
            continue
        for path, text in render(name).items():
            write_text(path, text)
            print(path)


if __name__ == "__main__":
    main()
