"""What a data set is, before anyone trains on it: counts, sizes, visibility, duplicates."""

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from datasets import Dataset
from PIL import Image

from ..data.bad_rows import MOST_LISTED
from ..data.columns import evenly_spaced, point_array
from ..data.photos import Photos, digest_of
from ..data.pictures import SeenPicture, see_picture
from ..data.row_checks import row_problem, without_pictures
from ..imaging.drawing import contact_sheet
from ..imaging.output import save_drawing
from ..schemes import LandmarkScheme
from ..utils.tables import counted

SMALL = 40
"""Pixels of a face, below which points are hard to place."""
LISTED = 5
BATCH = 64
"""Photos in memory at a time."""
DRAWN, COLUMNS = 20, 5
CROP_MARGIN = 1.25
"""Of drawn faces, in sides of their box; what networks look at."""


def facts(rows: Dataset, scheme: LandmarkScheme) -> tuple[list[tuple[str, str]], Dataset]:
    """What rows in the row format are, as names and values to print.

    Args:
        rows: checked or not; every picture is decoded once.
        scheme: theirs.

    Returns:
        Names and values, also of faces that training refuses, and the rows without those of
        broken pictures.
    """
    photos = Photos(rows)
    looked: list[tuple[SeenPicture | str, bytes | None]] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        # By batches, since a pool takes all that it is given into memory.
        for start in range(0, len(rows), BATCH):
            numbers = range(start, min(start + BATCH, len(rows)))
            looked += pool.map(_seen, [photos[number] for number in numbers])
    # A photo of several faces is one photo.
    by_photo = dict(zip(rows["photo"], (one for one, _ in looked), strict=True))
    seen = [one for one in by_photo.values() if isinstance(one, SeenPicture)]
    pairs = zip(without_pictures(rows), looked, strict=True)
    broken: list[str] = []
    refused: list[str] = []
    for row, (one, _) in pairs:
        problem = row_problem(row, one, scheme)
        if problem is not None:
            (broken if isinstance(one, str) else refused).append(problem)
    points = point_array(rows, "landmarks")
    told = [("faces", f"{len(rows)} in {counted(len(set(rows['photo'])), 'photo')}")]
    subsets = Counter(rows["subset"])
    if len(subsets) > 1:
        told.append(("subsets", ", ".join(f"{name or '-'} {n}" for name, n in subsets.items())))
    told.append(("landmarks", f"{scheme.num_landmarks}, scheme {scheme.name}"))
    if seen:
        sizes = np.array([one.size for one in seen])
        told.append(("photos", f"{_range(sizes.max(1))} pixels on the longer side"))
        turned = sum(one.orientation != 1 for one in seen)
        if turned:
            told.append(("rotated", f"{counted(turned, 'photo')} by EXIF orientation"))
    extent = np.nanmax(points, axis=1) - np.nanmin(points, axis=1)
    sides = extent.max(axis=1)
    small = int((sides < SMALL).sum())
    told.append(("face sizes", f"{_range(sides)} pixels, {small} below {SMALL}"))
    told += _visibility(rows, points)
    told += _twice(rows, [digest for _, digest in looked], points)
    if refused:
        told.append(("refused", f"{counted(len(refused), 'face')}: {_named(refused)}"))
    if broken:
        told.append(("broken", f"{counted(len(by_photo) - len(seen), 'photo')}: {_named(broken)}"))
        rows = rows.select([row for row, (one, _) in enumerate(looked) if not isinstance(one, str)])
    return told, rows


def _seen(image: dict[str, object]) -> tuple[SeenPicture | str, bytes | None]:
    """What a photo is, and a digest of its file; None where there is no file."""
    path = Path(str(image["path"]))
    if image["bytes"] is None and path.is_file():
        image = {**image, "bytes": path.read_bytes()}
    data = image["bytes"]
    return see_picture(image), digest_of(image) if isinstance(data, bytes) else None


def _named(problems: Sequence[str]) -> str:
    """All of them in a line, but for those beyond `MOST_LISTED`."""
    more = len(problems) - MOST_LISTED
    return "; ".join([*problems[:MOST_LISTED], *([f"and {more} more"] if more > 0 else [])])


def _range(values: np.ndarray) -> str:
    return f"{values.min():.0f} to {values.max():.0f}, median {np.median(values):.0f}"


def _visibility(rows: Dataset, points: np.ndarray) -> list[tuple[str, str]]:
    gaps = np.isnan(points).any(-1)
    told = []
    if "visible" in rows.column_names:
        covered = np.asarray(rows["visible"]) == 0
        told.append(("covered", _share(covered & ~gaps)))
    if gaps.any():
        told.append(("not there", _share(gaps)))
    return told


def _share(landmarks: np.ndarray) -> str:
    faces = counted(int(landmarks.any(1).sum()), "face")
    return f"{100 * landmarks.mean():.1f} % of landmarks, on {faces}"


def _twice(
    rows: Dataset, digests: Sequence[bytes | None], points: np.ndarray
) -> list[tuple[str, str]]:
    """Pictures that stand there under several names, and faces with the very same landmarks."""
    names = defaultdict(set)
    faces = defaultdict(list)
    pairs = zip(rows["photo"], rows["source"], digests, points, strict=True)
    for photo, source, digest, face in pairs:
        if digest is None:
            continue
        names[digest].add(photo)
        faces[digest, face.tobytes()].append(source)
    several = [sorted(some) for some in names.values() if len(some) > 1]
    twice = [some for some in faces.values() if len(some) > 1]
    told = []
    if several:
        why = "under several names: a random split may put copies on both sides"
        told.append(("same picture", f"{len(several)} {why}: {_listed(several)}"))
    if twice:
        told.append(("same face", f"{len(twice)} labeled more than once: {_listed(twice)}"))
    return told


def _listed(groups: Sequence[Sequence[str]]) -> str:
    return "; ".join(" = ".join(some) for some in groups[:LISTED])


def draw_faces(rows: Dataset, scheme: LandmarkScheme, path: Path) -> None:
    """Write a sheet of faces with their labels, spread over the rows."""
    from .report import face_pictures  # which loads torch

    chosen = evenly_spaced(len(rows), DRAWN)
    pictures: list[Image.Image] = face_pictures(rows, None, chosen, scheme, CROP_MARGIN)
    save_drawing(contact_sheet(pictures, COLUMNS), path, "plots")
