"""Faces without landmarks beside a student's labeled ones, with the teachers' points as targets."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import datasets
import numpy as np
from datasets import Dataset

from ..data.columns import point_array
from ..data.crops import WEIGHTS, with_weights
from ..data.photos import Photos
from ..data.unlabeled import load_unlabeled
from ..errors import KDLandmarksError
from ..schemes import LandmarkScheme
from ..utils.files import new_folder
from .pseudo_labels import label_faces
from .recipe_settings import UnlabeledSettings
from .teachers import TEACHER_COLUMNS, FrozenTeacher


def add_unlabeled(
    rows: Dataset,
    settings: UnlabeledSettings,
    teachers: Mapping[str, Sequence[FrozenTeacher]],
    scheme: LandmarkScheme,
    folder: Path,
    skip_bad_rows: bool = False,
    allow_outside: bool = False,
) -> Dataset:
    """A student's labeled rows and, behind them, unlabeled faces with the teachers' points.

    The points are found once and kept in `folder`, for the run's continuation and for other runs
    (`unlabeled.targets`).

    Args:
        rows: labeled, with the teachers' columns if they are precomputed.
        settings: the recipe's section `unlabeled`, with a source or targets.
        teachers: by KD-Loss's names; the Tough-Teacher's points are the targets, the
            Tolerant-Teacher's where there is no other.
        scheme: the landmarks.
        folder: where the targets are, or are to be kept.
        skip_bad_rows: as in `load_unlabeled`.
        allow_outside: as in `load_unlabeled`.

    Returns:
        `image`, `landmarks`, `box`, the teachers' columns and `weights`: 1 for labeled faces that
        have none, the views' agreement for unlabeled ones.

    Raises:
        KDLandmarksError: without a teacher, for faces that cannot be read, if the teachers agree on
            no face, and for stored targets of other landmarks or teachers.
    """
    stored = Path(settings.targets) if settings.targets else folder
    if os.path.isdir(stored) or settings.targets:
        labeled = _stored_targets(stored, scheme)
    else:
        faces = [
            load_unlabeled(
                source,
                settings.split,
                revision=settings.revision,
                skip_bad_rows=skip_bad_rows,
                allow_outside=allow_outside,
            )
            for source in settings.source
        ]
        labeled = label_faces(datasets.concatenate_datasets(faces), teachers, scheme)
        with new_folder(folder) as partial:
            labeled.save_to_disk(partial)
    if WEIGHTS not in rows.column_names:
        rows = with_weights(rows, np.ones((len(rows), scheme.num_landmarks)))
    # What a student's training reads, in both.
    wanted = ["image", "landmarks", "box", WEIGHTS]
    wanted += [name for name in TEACHER_COLUMNS.values() if name in rows.column_names]
    missing = sorted(set(wanted) - set(labeled.column_names))
    if missing:
        raise KDLandmarksError(
            f"the targets in {stored} have no {missing[0]}: they were made by other teachers; "
            "leave unlabeled.targets out to make them anew"
        )
    return datasets.concatenate_datasets([part.select_columns(wanted) for part in (rows, labeled)])


def _stored_targets(folder: Path, scheme: LandmarkScheme) -> Dataset:
    try:
        rows = Dataset.load_from_disk(str(folder))
        count = point_array(rows.select([0]), "landmarks").shape[1]
        if Photos(rows).streamed:
            raise ValueError("its photos are not stored in it")
    except Exception as error:  # whatever Arrow, JSON or a missing file raise
        raise KDLandmarksError(
            f"no targets of unlabeled faces in {folder} ({error}): name the folder `unlabeled` of "
            "an earlier run"
        ) from error
    if count != scheme.num_landmarks:
        raise KDLandmarksError(
            f"the targets in {folder} have {count} landmarks, {scheme.name} has "
            f"{scheme.num_landmarks}"
        )
    return rows
