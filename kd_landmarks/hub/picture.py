"""The pictures of the built-in landmark schemes: each point with its number."""

import shutil
from pathlib import Path

from .. import schemes
from ..schemes import LandmarkScheme, is_built_in
from ..utils.files import new_file


def scheme_picture(scheme: LandmarkScheme) -> Path | None:
    """The PNG that shows a scheme; None for one that is not built in."""
    return Path(schemes.__file__).with_name(f"{scheme.name}.png") if is_built_in(scheme) else None


def copy_picture(picture: Path, target: Path) -> None:
    """Put a picture beside a card, whole or not at all.

    Raises:
        KDLandmarksError: naming the target, where it cannot be written.
    """
    with new_file(target) as partial:
        shutil.copyfile(picture, partial)
