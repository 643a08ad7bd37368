"""Faces without landmarks beside a student's labeled ones, with the teachers' points as targets."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import datasets
import numpy as np
from datasets import Dataset

from ..data.columns import point_array
from ..data.crops import WEIGHTS, with_weights
from ..data.detector_boxes import with_upright_boxes
from ..data.photos import Photos
from ..data.splits import without_photos_of
from ..data.unlabeled import FEATURES, load_unlabeled
from ..errors import KDLandmarksError
from ..schemes import LandmarkScheme
from ..utils.files import new_folder
from .data import generated_faces
from .pseudo_labels import label_faces
from .recipe_settings import DataSettings, UnlabeledSettings
from .teachers import TEACHER_COLUMNS, FrozenTeacher, add_point_column


def unlabeled_faces(
    settings: UnlabeledSettings,
    data: DataSettings,
    scheme: LandmarkScheme,
    folder: Path,
    measured: Sequence[Dataset] = (),
) -> Dataset | None:
    """The faces of the recipe's unlabeled sources, or None where their targets are stored.

    A run looks for them at its start, so that what is wrong with them is said before its teachers
    are trained.

    Args:
        settings: the recipe's section `unlabeled`, with a source or targets.
        data: the recipe's section `data`: what it takes of bad rows and paths.
        scheme: the landmarks.
        folder: where the run keeps the targets.
        measured: faces that networks are measured on: their photos are left out.

    Raises:
        KDLandmarksError: for faces that cannot be read, if none is left, and for stored targets of
            other landmarks.
    """
    if settings.targets or folder.is_dir():
        _targets(settings, folder, scheme, measured)
        return None
    found = [_faces(source, settings, data, scheme) for source in settings.source]
    return without_photos_of(datasets.concatenate_datasets(found), measured)


def add_unlabeled(
    rows: Dataset,
    faces: Dataset | None,
    settings: UnlabeledSettings,
    teachers: Mapping[str, Sequence[FrozenTeacher]],
    scheme: LandmarkScheme,
    folder: Path,
    box: str,
    measured: Sequence[Dataset] = (),
) -> Dataset:
    """A student's labeled rows and, behind them, unlabeled faces with the teachers' points.

    The points are found once and kept in `folder`, for the run's continuation and for other runs
    (`unlabeled.targets`).

    Args:
        rows: labeled, with the teachers' columns if they are precomputed.
        faces: as `unlabeled_faces` gives them; not needed where targets are stored.
        settings: as there.
        teachers: by KD-Loss's names; the Tough-Teacher's points are the targets, the
            Tolerant-Teacher's where there is no other.
        scheme: the landmarks.
        folder: where the targets are, or are to be kept.
        box: the recipe's `data.box`.
        measured: as there.

    Returns:
        `image`, `landmarks`, `box`, the teachers' columns and `weights`: 1 for labeled faces that
        have none, the views' agreement for unlabeled ones.

    Raises:
        KDLandmarksError: without a teacher, if the teachers agree on no face, and for stored
            targets of other landmarks or teachers.
    """
    if faces is not None and not folder.is_dir():
        labeled = label_faces(faces, teachers, scheme)
        with new_folder(folder) as partial:
            labeled.save_to_disk(partial)
    labeled = _targets(settings, folder, scheme, measured)  # from the disk: they take no memory
    if box == "upright":
        labeled = with_upright_boxes(labeled, scheme)
    if WEIGHTS not in rows.column_names:
        rows = with_weights(rows, np.ones((len(rows), scheme.num_landmarks)))
    # What a student's training reads, in both.
    wanted = ["image", "landmarks", "box", WEIGHTS]
    wanted += [name for name in TEACHER_COLUMNS.values() if name in rows.column_names]
    missing = sorted(set(wanted) - set(labeled.column_names))
    if missing:
        raise KDLandmarksError(
            f"the targets in {settings.targets or folder} have no {missing[0]}: they were made by "
            "other teachers; leave unlabeled.targets out to make them anew"
        )
    return datasets.concatenate_datasets([part.select_columns(wanted) for part in (rows, labeled)])


def equal_steps(
    epochs: float,
    labeled: int,
    settings: UnlabeledSettings,
    folder: Path,
    scheme: LandmarkScheme,
    measured: Sequence[Dataset] = (),
) -> float:
    """Epochs over labeled faces alone of as many steps as `epochs` over all that a student sees.

    Args:
        epochs: of the student.
        labeled: number of labeled faces.
        settings: as for `add_unlabeled`, which has been called.
        folder: as there.
        scheme: as there.
        measured: as there.
    """
    unlabeled = len(_targets(settings, folder, scheme, measured))
    return epochs * (labeled + unlabeled) / labeled


def _targets(
    settings: UnlabeledSettings, folder: Path, scheme: LandmarkScheme, measured: Sequence[Dataset]
) -> Dataset:
    """The stored targets; of another run's those whose photos are not measured on here."""
    if not settings.targets:
        return _stored_targets(folder, scheme)
    return without_photos_of(_stored_targets(Path(settings.targets), scheme), measured)


def _faces(
    source: str, settings: UnlabeledSettings, data: DataSettings, scheme: LandmarkScheme
) -> Dataset:
    if source == "generated":
        drawn = generated_faces("unlabeled", data, scheme)
        drawn = drawn.select_columns([name for name in FEATURES if name in drawn.features])
        return add_point_column(drawn, "points5", np.full((len(drawn), 5, 2), np.nan))
    return load_unlabeled(
        source,
        settings.split,
        revision=settings.revision,
        skip_bad_rows=data.skip_bad_rows,
        allow_outside=data.allow_outside,
    )


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
