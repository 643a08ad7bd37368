"""Which photos are in a folder, and what is passed over there."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from ..errors import KDLandmarksError
from ..utils.files import identity
from ..utils.tables import counted
from .formats import OTHER_PICTURES, endings
from .output import is_drawing

logger = logging.getLogger(__name__)

# What is named of many.
_NAMED = 5
# macOS packs its own notes on files into a folder of this name, under the photos' names.
_NOTES = "__MACOSX"


def photo_files(folder: Path) -> list[Path]:
    """Every picture below a folder, by the ending of a known format, in the order of names.

    Linked folders are followed, each folder being looked at once. Hidden files and folders (their
    names begin with a dot) and `__MACOSX` are none of a user's photos. The log tells of pictures
    that the package drew, of those of formats that are not read, and of folders that cannot be
    read: all of these are left out.
    """
    known = endings()
    files = sorted(_files(folder))
    found = [file for file in files if file.suffix.lower() in known]
    photos = [file for file in found if not is_drawing(file)]
    if len(photos) < len(found):
        drawn = counted(len(found) - len(photos), "picture")
        logger.info("%s in %s skipped: output of kd-landmarks itself", drawn, folder)
    passed = [file for file in files if file.suffix.lower() in OTHER_PICTURES]
    if passed:
        names = ", ".join(str(file.relative_to(folder)) for file in passed[:_NAMED])
        names += ", …" if len(passed) > _NAMED else ""
        notice = KDLandmarksError(  # which keeps it to one printable line
            f"{counted(len(passed), 'picture')} in {folder} skipped, in unsupported formats: "
            f"{names}. Convert them to JPEG or PNG"
        )
        logger.warning("%s", notice)
    return photos


def _files(folder: Path) -> Iterator[Path]:
    """The files below a folder, hidden ones left out; linked folders come last."""
    seen: set[tuple[object, ...]] = set()
    folders: list[Path] = [folder]
    links: list[Path] = []
    while folders or links:
        place = folders.pop() if folders else links.pop()
        key = identity(place)
        if key in seen:
            continue
        seen.add(key)
        try:
            with os.scandir(place) as entries:
                inside = sorted(entries, key=lambda entry: entry.name, reverse=True)
        except OSError as error:
            notice = KDLandmarksError(f"cannot read {place}: {error.strerror or error}; left out")
            logger.warning("%s", notice)
            continue
        for entry in inside:
            if entry.name.startswith(".") or entry.name == _NOTES:
                continue
            path = place / entry.name
            if path.is_dir():
                (links if entry.is_symlink() else folders).append(path)
            elif path.is_file():
                yield path
