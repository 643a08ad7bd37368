"""Which split of a data set, and training faces that share no photo with those measured on."""

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import datasets
import numpy as np

from ..errors import KDLandmarksError, shown
from ..imaging.boxes import overlaps
from .columns import box_array
from .photos import Photos, digest_of, size_of

logger = logging.getLogger("kd_landmarks")

DUPLICATE_OVERLAP = 0.5
"""Share of their joint area from which on two boxes of one photo are of one face."""


class NoSplit(KDLandmarksError):
    """There is no such split, or several and none is named."""


def chosen_split(splits: Iterable[str], split: str | None, origin: object) -> str:
    """The split that is asked for, or the only one that there is.

    Args:
        splits: what there is.
        split: the wanted one; None where there is only one.
        origin: what messages call the data set.

    Raises:
        NoSplit: there is no such split, or several and none is named.
    """
    names = list(map(str, splits))
    if split is None and len(names) == 1:
        return names[0]
    if split is None or split not in names:
        problem = "name a split" if split is None else f"there is no split {shown(split)}"
        listed = ", ".join(islice(names, 20)) or "none"
        raise NoSplit(f"{origin}: {problem}; splits there: {listed}")
    return split


def split_by_photo(
    dataset: datasets.Dataset, faces: int, seed: int
) -> tuple[datasets.Dataset, datasets.Dataset]:
    """Splits rows into training and validation; all faces of a photo go to one side.

    Args:
        dataset: rows in the row format.
        faces: how many rows validation should have; it gets as near to that as whole photos
            allow (the smaller number of two equally near).
        seed: which photos: the same seed and photos give the same split, in whatever order the
            rows stand.

    Returns:
        (train, validation), both in the order of `dataset`, neither empty.

    Raises:
        KDLandmarksError: `faces` is not between 1 and one less than the number of rows, or all
            rows are of one photo.
    """
    photos = list(dataset["photo"])
    if not 1 <= faces < len(photos):
        raise KDLandmarksError(
            f"cannot take {faces} of {len(photos)} faces for validation: give 1 to "
            f"{len(photos) - 1}"
        )
    counts = Counter(photos)
    if len(counts) == 1:
        raise KDLandmarksError(f"all {len(photos)} faces are of one photo, {photos[0]!r}: no split")
    order = np.random.default_rng(seed).permutation(sorted(counts)).tolist()
    # Subset sums: last[n] is the photo with which photos in this order first make up n faces.
    last: dict[int, str] = {0: ""}
    for photo in order:
        if faces in last:
            break
        for total in [n for n in last if n < faces]:
            last.setdefault(total + counts[photo], photo)
    last = {total: photo for total, photo in last.items() if total < len(photos)}
    total = min((n for n in last if n), key=lambda n: (abs(n - faces), n))
    chosen: set[str] = set()
    while total:
        chosen.add(last[total])
        total -= counts[last[total]]
    inside = np.array([photo in chosen for photo in photos])
    return dataset.select(np.flatnonzero(~inside)), dataset.select(np.flatnonzero(inside))


def without_photos_of(
    rows: datasets.Dataset,
    measured: Sequence[datasets.Dataset],
    names: Collection[str] = (),
    same_face: bool = False,
) -> datasets.Dataset:
    """Rows but for those of photos that networks are measured on; says how many these are.

    Args:
        rows: any, with `image` and `box`; with `photo`, if there are names.
        measured: faces of the photos to leave out: those whose file has the same bytes.
        names: values of `photo` to leave out as well, of which there may be several crops.
        same_face: leave out the very faces only, by their boxes: official splits may have faces of
            one photo on both sides.

    Raises:
        KDLandmarksError: no face is left.
    """
    # Only files of the same length are read whole.
    sizes: dict[int, list[tuple[Photos, int, np.ndarray]]] = {}
    for part in measured:
        photos = Photos(part)
        for number, box in enumerate(box_array(part)):
            sizes.setdefault(size_of(photos[number]), []).append((photos, number, box))
    contents: dict[int, dict[bytes, list[np.ndarray]]] = {}

    def is_measured(stored: Mapping[str, Any], box: np.ndarray) -> bool:
        size = size_of(stored)
        if size not in sizes:
            return False
        if size not in contents:
            known = contents.setdefault(size, {})
            for photos, number, there in sizes[size]:
                known.setdefault(digest_of(photos[number]), []).append(there)
        boxes = contents[size].get(digest_of(stored), [])
        if same_face and boxes:
            return bool((overlaps(np.stack(boxes), box) >= DUPLICATE_OVERLAP).any())
        return bool(boxes)

    photos = Photos(rows)
    called = rows["photo"] if names else [None] * len(rows)
    kept = [
        number
        for number, (name, box) in enumerate(zip(called, box_array(rows), strict=True))
        if name not in names and not is_measured(photos[number], box)
    ]
    if len(kept) == len(rows):
        return rows
    if not kept:
        raise KDLandmarksError(
            f"all of {len(rows)} faces to learn from are in photos of the validation or test "
            "faces: give others"
        )
    logger.warning(
        "%d of %d faces are left out: their photos are used for validation or testing",
        len(rows) - len(kept),
        len(rows),
    )
    return rows.select(kept)
