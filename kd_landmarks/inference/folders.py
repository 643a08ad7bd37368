"""Which photos a user means, and what their drawings are called."""

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import KDLandmarksError
from ..imaging.photo_folders import photo_files

_WEB = ("http://", "https://")
# Bytes of a name's stem: what file systems allow, less a number and an ending.
_LONGEST_STEM = 200


def find_photos(places: Sequence[str]) -> list[str]:
    """The photos that paths, folders and URLs stand for.

    Args:
        places: paths of photos, folders (searched to any depth, in the order of names; without
            pictures that the package drew), URLs.

    Raises:
        KDLandmarksError: for what is not there, and if there is no photo at all.
    """
    photos: list[str] = []
    for place in places:
        path = Path(os.path.expanduser(place))
        if path.is_dir():
            photos += map(str, photo_files(path))
        elif path.is_file() or place.startswith(_WEB):
            photos.append(place)
        else:
            raise KDLandmarksError(f"there is no photo or folder {place}")
    if not photos:
        raise KDLandmarksError(f"there are no photos in {', '.join(places)}")
    return photos


def local_files(photos: Sequence[str]) -> list[Path]:
    """Those of the photos that are files here."""
    return [Path(os.path.expanduser(photo)) for photo in photos if not photo.startswith(_WEB)]


def drawn_names(photos: Sequence[str]) -> list[str]:
    """A PNG's name for each photo, like the photo's own; all different, also on file systems that
    do not tell apart upper and lower case, or ways to spell an accent."""
    taken: set[str] = set()
    numbers: dict[str, int] = {}
    names = []
    for photo in photos:
        place = urlsplit(photo).path if photo.startswith(_WEB) else photo
        stem = _fitting(Path(place).stem) or "photo"
        name = f"{stem}.png"
        while (key := unicodedata.normalize("NFC", name).casefold()) in taken:
            numbers[stem] = numbers.get(stem, 1) + 1
            name = f"{stem}-{numbers[stem]}.png"
        taken.add(key)
        names.append(name)
    return names


def _fitting(stem: str) -> str:
    data = stem.encode("utf-8", "surrogateescape")
    return stem if len(data) <= _LONGEST_STEM else data[:_LONGEST_STEM].decode("utf-8", "ignore")
