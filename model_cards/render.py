"""Write the cards of the released models, here and beside their weights.

    python model_cards/render.py

A card is made of the checkpoint's own files and of what people wrote about it, in
`kd_landmarks/hub/released.yaml`. Models whose weights are not there are left out.
"""

import os
from dataclasses import replace
from pathlib import Path

from kd_landmarks.hub.card import read_checkpoint, render_card
from kd_landmarks.hub.picture import picture_name, save_scheme_picture
from kd_landmarks.hub.released import released_names
from kd_landmarks.inference.checkpoints import DEFAULT_FOLDER, WEIGHTS
from kd_landmarks.schemes import SCHEMES, get_scheme
from kd_landmarks.utils.files import write_text

HERE = Path(__file__).resolve().parent
CHECKPOINTS = HERE.parent / "checkpoints"


def folder_of(name: str) -> Path:
    """Where a released model's weights are."""
    return DEFAULT_FOLDER if name == DEFAULT_FOLDER.name else CHECKPOINTS / name


def render(name: str) -> dict[Path, str]:
    """The card of a released model, for each place where it stands."""
    folder = folder_of(name)
    checkpoint = read_checkpoint(folder)
    if folder != DEFAULT_FOLDER:  # where this checkout lies is no part of a card
        checkpoint = replace(checkpoint, folder=Path(CHECKPOINTS.name, name))
    picture = HERE / picture_name(checkpoint.scheme)
    return {
        path: render_card(
            checkpoint, picture=Path(os.path.relpath(picture, path.parent)).as_posix()
        )
        for path in (HERE / f"{name}.md", folder / "README.md")
    }


def main() -> None:
    """Draw the landmarks and write every card."""
    for name in SCHEMES:
        scheme = get_scheme(name)
        save_scheme_picture(scheme, HERE / picture_name(scheme))
    for name in released_names():
        if not (folder_of(name) / WEIGHTS).is_file():
            print(f"{name}: no weights")
            continue
        for path, text in render(name).items():
            write_text(path, text)
            print(path)


if __name__ == "__main__":
    main()
