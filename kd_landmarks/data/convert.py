"""Official downloads and one's own faces into a folder of Parquet shards with a data set card.

The folder is what `datasets.load_dataset` and `kd_landmarks.load_rows` read, and what is pushed to
the Hub:

- `README.md`, the card; its front matter tells which files are which split;
- `data/SPLIT-00000-of-00003.parquet`, rows in the format of `kd_landmarks.data.rows` with the photo
  in each row, in the order in which `load_rows` reads the source. `box` is the data set's own;
  where it has none, there is no such column;
- `missing.txt`, where something is missing or odd, by name;
- `scheme.yaml`, where the landmark scheme is one's own.

A row holds its photo, so that a photo of several faces is stored several times: WFLW's 10,000
faces make about 1.2 GB, and with `crop_margin` 1.8, which is all that training looks at, about
0.3 GB (28 of its test faces take 119 and 29 kB each).
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import datasets
import yaml

from ..errors import KDLandmarksError
from ..schemes import LandmarkScheme, get_scheme, is_built_in
from ..utils.files import check_new_folder, check_outside, new_folder, write_text
from ..utils.values import one_of
from .card import MISSING_FILE, SCHEME_FILE, Conversion, Count, card_text
from .convert_rows import ConvertedFace, FaceConverter, write_split
from .data_folder import DataFolder
from .known_data_sets import PUBLISHED, Part, PublishedSet, unlabeled_photos
from .loading import ORIENTATIONS
from .official import PTS_FILES, official_rows
from .own_data import FaceReader, own_splits
from .photos import with_stored_photos
from .rows import RawRow

OWN = "own"
"""The word for data that are none of `PUBLISHED`."""

# Photos that are read ahead of the writer.
_BATCH = 32


@dataclass(frozen=True)
class _Source:
    """What is converted: `parts` are those of each split, of absent splits too."""

    title: str
    root: Path
    scheme: LandmarkScheme
    published: PublishedSet | None
    splits: Mapping[str, FaceReader]
    parts: Mapping[str, tuple[Part, ...]]
    boxes: bool


@dataclass(frozen=True)
class _Odd:
    """Faces that could not be taken, faces that lost their box, and pictures from elsewhere."""

    left_out: list[str]
    boxless: list[str]
    outside: list[str]


def convert(
    name: str,
    source: str | Path,
    out: str | Path,
    *,
    scheme: LandmarkScheme | None = None,
    crop_margin: float | None = None,
    strict: bool = False,
    license_id: str | None = None,
    allow_outside: bool = False,
    orientation: str = "upright",
) -> Conversion:
    """Converts a data set; `out` is there in the end, or not at all.

    The same input, options and library versions give the same bytes.

    Args:
        name: "300w", "wflw", "cofw" or "own".
        source: folder of the official download, or one's own data (see
            `kd_landmarks.data.own_data.own_splits`).
        out: folder that is not there yet, or empty.
        scheme: of one's own data; the others have theirs.
        crop_margin: keep only the square of this many box sides around each face, at least 1; None
            keeps photos whole.
        strict: refuse what is not exactly the official data set, and rows that cannot be taken,
            rather than list them.
        license_id: for the card, as the Hub calls licenses.
        allow_outside: take pictures that are not in the source's folder too; they are listed.
        orientation: of one's own data: "upright" or "stored", as in `load_rows`.

    Raises:
        KDLandmarksError: an unknown name, nothing of that kind at `source`, `out` in use, no face
            at all, or what `strict` refuses.
    """
    if crop_margin is not None and not 1 <= crop_margin < math.inf:
        raise KDLandmarksError(
            f"the crop margin is {crop_margin:g}: give 1 or more box sides, such as 1.8"
        )
    # Sources are absolute, so that messages about their files can be cut to what is below them.
    place = Path(os.path.abspath(os.path.expanduser(source)))
    if not place.exists():
        raise KDLandmarksError(f"there is no file or folder {source}")
    new = Path(os.path.expanduser(out))
    check_outside(new, place)
    check_new_folder(new)
    found = (
        _own(place, scheme, allow_outside, orientation)
        if name == OWN
        else _published(name, place, scheme, allow_outside)
    )
    with new_folder(new) as folder:
        conversion = _write(found, folder, crop_margin, strict)
        lacks = conversion.lacks()
        if lacks:
            write_text(folder / MISSING_FILE, lacks + "\n")
        if not is_built_in(found.scheme):
            text = yaml.safe_dump(found.scheme.to_dict(), sort_keys=False, allow_unicode=True)
            write_text(folder / SCHEME_FILE, text)
        card = card_text(conversion, found.published, license_id, crop_margin)
        write_text(folder / "README.md", card)
    return conversion


def _published(
    name: str, path: Path, scheme: LandmarkScheme | None, allow_outside: bool
) -> _Source:
    published = PUBLISHED.get(name)
    if published is None:
        raise KDLandmarksError(
            f"there is no data set {name!r}: give {', '.join(PUBLISHED)}, or {OWN} for your own"
        )
    if scheme is not None:
        raise KDLandmarksError(f"{published.title} has the scheme {published.scheme}: give none")
    own = get_scheme(published.scheme)
    there = [
        split
        for split, parts in published.splits.items()
        if any((path / part.path).exists() for part in parts)
    ]
    if not there:
        raise KDLandmarksError(f"{path} is not {published.title}: it needs {published.layout}")

    def faces(split: str) -> Iterator[RawRow]:
        return with_stored_photos(official_rows(path, split, own, allow_outside) or iter(()))

    splits = {split: partial(faces, split) for split in there}
    boxes = bool(published.boxes)
    return _Source(published.title, path, own, published, splits, published.splits, boxes)


def _own(
    path: Path, scheme: LandmarkScheme | None, allow_outside: bool, orientation: str
) -> _Source:
    one_of("orientation", orientation, ORIENTATIONS)
    if scheme is None:
        raise KDLandmarksError(
            "data of your own need a landmark scheme: ibug68, wflw98, cofw29 or a YAML file"
        )
    splits = own_splits(path, scheme, allow_outside)
    boxes = any(
        isinstance(row, Mapping) and row.get("box") is not None
        for faces in splits.values()
        for row in faces()
    )
    if orientation == "stored":  # which reads the photos
        splits = {name: partial(_stored, faces) for name, faces in splits.items()}
    title = f"Faces with {scheme.num_landmarks} landmarks ({scheme.name})"
    parts: dict[str, tuple[Part, ...]] = dict.fromkeys(splits, ())
    root = path.parent if path.is_file() else path
    return _Source(title, root, scheme, None, splits, parts, boxes)


def _stored(faces: FaceReader) -> Iterator[RawRow]:
    return with_stored_photos(faces())


def _write(source: _Source, folder: Path, crop_margin: float | None, strict: bool) -> Conversion:
    """Writes all splits, and says what became of them."""
    splits = datasets.SplitDict()
    counts: list[Count] = []
    odd = _Odd([], [], [])
    features: datasets.Features | None = None
    converter = FaceConverter(source.scheme, crop_margin, DataFolder(source.root))
    data = folder / "data"
    data.mkdir()
    for split, parts in source.parts.items():
        found: Counter[str] = Counter()
        faces = _faces(source, split, converter, odd, found, strict)
        written = write_split(faces, data, split, source.scheme, source.boxes, features)
        if written is not None:
            features, info = written
            splits.add(info)
        counted = _counts(split, parts, found)
        counts += counted
        wrong = [count for count in counted if count.official not in (None, count.faces)]
        if strict and wrong:
            where = f"{split}, {wrong[0].part}," if wrong[0].part else split
            raise KDLandmarksError(
                f"{source.title}: {where} has {wrong[0].faces} faces, officially "
                f"{wrong[0].official} (strict)"
            )
    if features is None:
        listed = "".join(f"\n  {problem}" for problem in odd.left_out)
        raise KDLandmarksError(f"{source.root}: no face could be taken:{listed or ' it has none'}")

    unions = source.published.unions if source.published else {}
    counts += [_sum(name, members, counts) for name, members in unions.items()]
    return Conversion(
        title=source.title,
        scheme=source.scheme,
        info=datasets.DatasetInfo(
            features=features,
            splits=splits,
            download_size=sum(file.stat().st_size for file in data.iterdir()),
        ),
        unions={name: of for name, of in unions.items() if set(of) <= set(splits)},
        counts=tuple(counts),
        missing=tuple(_missing(source)),
        left_out=tuple(odd.left_out),
        unlabeled=tuple(_unlabeled(source)),
        boxless=tuple(odd.boxless),
        outside=tuple(odd.outside),
    )


def _faces(
    source: _Source,
    split: str,
    converter: FaceConverter,
    odd: _Odd,
    found: Counter[str],
    strict: bool,
) -> Iterator[Mapping[str, Any]]:
    """The cells of a split's faces, if it is there; counts them by part, and collects the odd."""

    def below_root(message: str) -> str:
        return message.replace(f"{source.root}{os.sep}", "")

    rows = source.splits[split]() if split in source.splits else ()
    for face in _converted(converter, rows):
        if isinstance(face, KDLandmarksError):
            odd.left_out.append(below_root(str(face)))
            if strict:
                raise KDLandmarksError(f"{source.title}, {split}: {odd.left_out[-1]}")
            continue
        found[_part_of(face.cells["source"], source.parts[split])] += 1
        if face.note:
            odd.boxless.append(below_root(face.note))
        if face.outside:
            odd.outside.append(f"{face.cells['source']}: {face.outside}")
        yield face.cells


def _converted(
    converter: FaceConverter, rows: Iterable[RawRow]
) -> Iterator[ConvertedFace | KDLandmarksError]:
    """The faces of rows in their order, a few photos at a time."""
    remaining = iter(rows)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while batch := list(islice(remaining, _BATCH)):
            yield from pool.map(converter, batch)


def _counts(split: str, parts: tuple[Part, ...], found: Counter[str]) -> list[Count]:
    """The faces of a split by part, or all of them where it has but one."""
    if len(parts) > 1:
        return [Count(split, part.path, found[part.path], part.faces) for part in parts]
    return [Count(split, "", found.total(), sum(part.faces for part in parts) or None)]


def _part_of(source: str, parts: tuple[Part, ...]) -> str:
    return next((part.path for part in parts if source.startswith(f"{part.path}/")), "")


def _sum(name: str, members: tuple[str, ...], counts: Iterable[Count]) -> Count:
    """The count of a union."""
    those = [count for count in counts if count.split in members]
    faces = sum(count.faces for count in those)
    return Count(name, " + ".join(members), faces, sum(count.official or 0 for count in those))


def _missing(source: _Source) -> Iterator[str]:
    for parts in source.parts.values():
        for part in parts:
            yield from part.missing(source.root)


def _unlabeled(source: _Source) -> Iterator[str]:
    """Photos without landmarks, where landmarks are files beside the photos."""
    if source.published is None:
        folders = [source.root] if any(source.root.rglob(PTS_FILES)) else []
    else:
        parts = [part for parts in source.parts.values() for part in parts]
        folders = [source.root / part.path for part in parts]
    for folder in folders:
        yield from unlabeled_photos(folder, source.root)
