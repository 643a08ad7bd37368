"""The three sets of a run: training, validation (split off by photo) and test faces."""

import hashlib
import logging
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from datasets import Dataset, concatenate_datasets

from ..data.columns import point_array
from ..data.crops import LANDMARK_WEIGHTS, with_weights
from ..data.detector_boxes import with_upright_boxes
from ..data.photos import Photos
from ..data.row_checks import check_rows
from ..data.splits import split_by_photo, without_photos_of
from ..errors import KDLandmarksError
from ..evaluation.evaluate import measurable
from ..schemes import LandmarkScheme
from ..synthetic import generated_dataset
from .distributed import fetch_photos, leave_out_bad_rows
from .recipe_settings import NO_DATA, DataSettings
from .sources import load_source

logger = logging.getLogger("kd_landmarks")

# Which generated faces: the splits share none.
GENERATED_SEEDS = {"train": 1, "test": 2, "extra": 3, "unlabeled": 4}
HELD_BACK = "held back of"
"""How a report names faces that are not trained on: before their source."""
GENERATED_SIZE = 160
"""Pixels of a generated picture's side."""


@dataclass(frozen=True)
class FaceSets:
    """Rows in the package's format; `validation` or `test` is None where the recipe wants none.

    `held_back` are those faces of `data.more` that are not trained on, by what a report calls them.
    """

    train: Dataset
    validation: Dataset | None
    test: Dataset | None
    held_back: Mapping[str, Dataset] = field(default_factory=dict)

    @property
    def measured(self) -> Dataset:
        """The faces that a run reports on: test, or else validation."""
        rows = self.test if self.test is not None else self.validation
        assert rows is not None, "load_sets refuses a run without both"
        return rows

    @property
    def all_measured(self) -> dict[str, Dataset]:
        """All faces that a network is measured on, by name."""
        parts = {"validation": self.validation, "test": self.test, **self.held_back}
        return {name: rows for name, rows in parts.items() if rows is not None}

    def describe(self) -> str:
        """How many faces there are of each kind."""
        sets = {"train": self.train, "validation": self.validation, "test": self.test}
        counts = {name: "no" if rows is None else len(rows) for name, rows in sets.items()}
        missing = np.isnan(point_array(self.train, "landmarks")).any(-1).sum()
        return (
            ", ".join(f"{count} {name}" for name, count in counts.items())
            + " faces"
            + "".join(f", {len(rows)} {name}" for name, rows in self.held_back.items())
            + (f"; {missing} landmarks of train are not there" if missing else "")
        )

    def digest(self) -> str:
        """What the training faces are, in 16 characters: a run continues on the same ones only."""
        digest = hashlib.sha256(point_array(self.train, "landmarks").astype(np.float32).tobytes())
        photos = Photos(self.train)
        if photos.streamed:  # in an order that follows from their row groups
            layout = [photos.groups_at_once, *map(len, photos.groups())]
            digest.update(np.array(layout, np.int64).tobytes())
        return digest.hexdigest()[:16]


def load_sets(
    accelerator: Accelerator, settings: DataSettings, scheme: LandmarkScheme, seed: int
) -> FaceSets:
    """Load, check and split a run's faces.

    Args:
        accelerator: one process prepares cached files before the others read them.
        settings: the recipe's `data` section.
        scheme: the landmarks wanted.
        seed: of the split.

    Raises:
        KDLandmarksError: without a source, for data that cannot be read and for bad rows.
    """
    if settings.source is None:
        raise KDLandmarksError(NO_DATA)

    load = _streamed_sets if settings.streaming else _stored_sets
    sets = load(accelerator, settings, scheme, seed)
    sets = replace(
        sets,
        validation=sets.validation and _measurable(sets.validation, scheme),
        test=sets.test and _measurable(sets.test, scheme),
        held_back={name: _measurable(part, scheme) for name, part in sets.held_back.items()},
    )
    return _boxed(sets, settings, scheme)


def _stored_sets(
    accelerator: Accelerator, settings: DataSettings, scheme: LandmarkScheme, seed: int
) -> FaceSets:
    """The sets of faces that are drawn, or read whole."""

    def load(split: str | None) -> Dataset:
        if settings.source == "generated":
            return generated_faces(split or "train", settings, scheme)
        return _checked(load_source(split, settings, scheme), settings, scheme)

    with accelerator.main_process_first():
        train = load("train" if settings.source == "generated" else settings.train_split)
        validation = test = None
        if settings.test_split is not None:
            test = load("test" if settings.source == "generated" else settings.test_split)
            train = without_photos_of(train, [test], same_face=True)
        if settings.validation_faces:
            train, validation = with_validation(train, settings.validation_faces, seed)
            train = without_photos_of(train, [validation])  # copies under other names
        sets = FaceSets(train, validation, test)
        if settings.more:
            sets = _with_more(sets, settings, scheme, seed)
    return sets


def with_validation(rows: Dataset, wanted: int, seed: int) -> tuple[Dataset, Dataset]:
    """Training and validation faces: `wanted`, or a fifth where these were more than half of all.

    Raises:
        KDLandmarksError: as `split_by_photo`.
    """
    count = wanted
    if wanted > len(rows) // 2:
        count = max(1, len(rows) // 5)
        logger.warning(
            "only %d faces: a fifth (%d) is held back for validation instead of %d "
            "(data.validation_faces)",
            len(rows),
            count,
            wanted,
        )
    return split_by_photo(rows, count, seed)


def _with_more(
    sets: FaceSets, settings: DataSettings, scheme: LandmarkScheme, seed: int
) -> FaceSets:
    """Join the faces of `data.more` to the training faces.

    A photo that validation, test or a held-back part has a face of is in no training part,
    whatever source has it. Sources with one folder have one name for a photo; in others the same
    name says nothing.
    """
    assert settings.source is not None
    home = _folder(settings.source)
    at_home = {photo for rows in (sets.validation, sets.test) if rows for photo in rows["photo"]}
    held: dict[str, set[str]] = defaultdict(set)
    held_back: dict[str, Dataset] = {}
    more_parts = []
    for more in settings.more:
        source = settings.model_copy(update={"source": more.source, "revision": None})
        rows = _checked(load_source(more.split, source, scheme), settings, scheme)
        folder = _folder(more.source)
        if more.held_back:
            rows, part = split_by_photo(rows, more.held_back, seed)
            name = f"{HELD_BACK} {more.source}"
            while name in held_back:  # the same source, another split
                name += " again"
            held_back[name] = part
            held[folder].update(part["photo"])
        more_parts.append((rows, more.weight, folder))
    sets = replace(sets, held_back=held_back)
    parts = [(without_photos_of(sets.train, list(held_back.values()), held[home]), 1.0)]
    for rows, weight, folder in more_parts:
        names = held[folder] | at_home if folder == home else held[folder]
        parts.append((without_photos_of(rows, list(sets.all_measured.values()), names), weight))
    weighted = [
        with_weights(rows, np.full((len(rows), scheme.num_landmarks), weight))
        for rows, weight in parts
    ]
    return replace(sets, train=joined(weighted))


def _folder(source: str) -> str:
    """What the names of a source's photos are relative to: its folder, or a Hub id."""
    path = Path(os.path.expanduser(source))
    return str((path if path.is_dir() else path.parent).resolve()) if path.exists() else source


def _measurable(rows: Dataset, scheme: LandmarkScheme) -> Dataset:
    """Faces to measure on, without those whose ground truth has no length to divide errors by.

    Raises:
        KDLandmarksError: none is left.
    """
    good, problems = measurable(rows, scheme)
    if not problems:
        return rows
    if not len(good):
        raise KDLandmarksError(
            f"none of {len(rows)} faces to measure on, such as {rows['source'][0]}, has the "
            f"landmarks that errors are divided by ({scheme.normalizer}): leave eye_corners and "
            "pupils out of the scheme, so that the box is"
        )
    logger.warning(
        "%d of %d faces to measure on are left out: they lack the landmarks that errors are "
        "divided by (%s; without eye_corners and pupils in the scheme, it is the box)",
        len(problems),
        len(rows),
        scheme.normalizer,
    )
    return good


def joined(parts: Sequence[Dataset]) -> Dataset:
    """Rows one behind another, with the columns that all parts have."""
    names = [name for name in parts[0].column_names if all(name in p.features for p in parts)]
    return concatenate_datasets([part.select_columns(names) for part in parts])


def _boxed(sets: FaceSets, settings: DataSettings, scheme: LandmarkScheme) -> FaceSets:
    """With the boxes of faces held upright, where those are wanted."""
    if settings.box != "upright":
        return sets
    train, validation, test = (
        part and with_upright_boxes(part, scheme)
        for part in (sets.train, sets.validation, sets.test)
    )
    held_back = {name: with_upright_boxes(part, scheme) for name, part in sets.held_back.items()}
    return FaceSets(train, validation, test, held_back)


def _streamed_sets(
    accelerator: Accelerator, settings: DataSettings, scheme: LandmarkScheme, seed: int
) -> FaceSets:
    """The same sets, but the training photos stay where they are.

    Those that networks are measured on, again and again, are fetched here. Training photos are
    looked at beforehand only if the bad ones shall be left out; else one stops the run when it is
    met.
    """
    if settings.source == "generated":
        raise KDLandmarksError(
            "generated faces cannot be streamed: leave data.streaming out, or name a Parquet "
            "folder or Hub data set with --data"
        )
    train = load_source(settings.train_split, settings, scheme)
    if settings.skip_bad_rows:
        train = leave_out_bad_rows(accelerator, train, scheme)
    validation = test = None
    if settings.validation_faces:
        train, validation = with_validation(train, settings.validation_faces, seed)
        validation = _checked(fetch_photos(accelerator, validation), settings, scheme)
    if settings.test_split is not None:
        test = fetch_photos(accelerator, load_source(settings.test_split, settings, scheme))
        test = _checked(test, settings, scheme)
    return FaceSets(train, validation, test)


def _checked(rows: Dataset, settings: DataSettings, scheme: LandmarkScheme) -> Dataset:
    return check_rows(rows, scheme, settings.skip_bad_rows)


def with_generated(
    accelerator: Accelerator, rows: Dataset, settings: DataSettings, scheme: LandmarkScheme
) -> Dataset:
    """Training rows and behind them `settings.generated_extra` generated faces, heads turned.

    The shape model is fitted before: it knows the shapes of photos alone.
    """
    if not settings.generated_extra:
        return rows
    with accelerator.main_process_first():
        extra = generated_faces("extra", settings, scheme)
    if settings.box == "upright":
        extra = with_upright_boxes(extra, scheme)
    if LANDMARK_WEIGHTS in rows.column_names:
        extra = with_weights(extra, np.ones((len(extra), scheme.num_landmarks)))
    return joined([rows, extra])


def generated_faces(split: str, settings: DataSettings, scheme: LandmarkScheme) -> Dataset:
    """As many generated faces of a kind (of `GENERATED_SEEDS`) as the recipe wants."""
    return generated_dataset(
        getattr(settings, f"generated_{split}"),
        GENERATED_SEEDS[split],
        scheme.name,
        GENERATED_SIZE,
        num_proc=os.cpu_count(),
        heads_turned=split == "extra",
    )
