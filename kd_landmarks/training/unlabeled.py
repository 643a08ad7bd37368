"""Faces without landmarks beside a student's labeled ones, with the teachers' points as targets."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import datasets
import numpy as np
from datasets import Dataset

from ..data.columns import point_array
from ..data.crops import LANDMARK_WEIGHTS, with_weights
from ..data.detector_boxes import with_upright_boxes
from ..data.photos import Photos
from ..data.rows import TEACHER_COLUMNS
from ..data.splits import without_photos_of
from ..data.unlabeled import FEATURES, load_unlabeled
from ..errors import KDLandmarksError, shown
from ..schemes import LandmarkScheme
from ..utils.files import new_folder, write_json
from ..utils.parsing import read_json
from .data import generated_faces
from .pseudo_labels import label_faces
from .recipe_settings import DataSettings, UnlabeledSettings
from .teachers import FrozenTeacher, add_point_column, origins

# Beside stored targets: the released networks that their teachers come from.
ORIGINS = "derived_from.json"


def unlabeled_faces(
    settings: UnlabeledSettings,
    data: DataSettings,
    scheme: LandmarkScheme,
    folder: Path,
    measured: Sequence[Dataset] = (),
) -> Dataset:
    """The faces of the recipe's unlabeled sources, or their targets where these are stored.

    A run looks for them at its start, so that what is wrong with them is said before its teachers
    are trained.

    Args:
        settings: the recipe's section `unlabeled`, with a source or targets.
        data: the recipe's section `data`: what it takes of bad rows and paths.
        scheme: the landmarks.
        folder: where the run keeps the targets.
        measured: faces that networks are measured on: their photos are left out.

    Returns:
        Rows as of `load_unlabeled`, or with `landmarks` as of `with_targets`.

    Raises:
        KDLandmarksError: for faces that cannot be read, if none is left, and for stored targets of
            other landmarks.
    """
    if settings.targets:
        faces = _stored_targets(Path(settings.targets), scheme)
    elif folder.is_dir():
        return _stored_targets(folder, scheme)
    else:
        found = [_faces(source, settings, data, scheme) for source in settings.source]
        faces = datasets.concatenate_datasets(found)
    return without_photos_of(faces, measured)


def with_targets(
    faces: Dataset,
    teachers: Mapping[str, Sequence[FrozenTeacher]],
    scheme: LandmarkScheme,
    folder: Path,
) -> Dataset:
    """Unlabeled faces with the teachers' points, found once and kept in a folder.

    The folder is for the run's continuation and for other runs (`unlabeled.targets`).

    Args:
        faces: as `unlabeled_faces` gives them; targets stay as they are.
        teachers: by KD-Loss's names; the Tough-Teacher's points are the targets, the
            Tolerant-Teacher's where there is no other.
        scheme: the landmarks.
        folder: where the targets are to be kept, or another process has kept them.

    Raises:
        KDLandmarksError: without a teacher, and if the teachers agree on no face.
    """
    if "landmarks" in faces.column_names:
        return faces
    if not folder.is_dir():
        labeled = label_faces(faces, teachers, scheme)
        with new_folder(folder) as partial:
            labeled.save_to_disk(partial)
            write_json(partial / ORIGINS, sorted(origins(teachers)))
    return _stored_targets(folder, scheme)  # which takes no memory


def origins_of_targets(folder: str | Path) -> set[str]:
    """The released networks behind stored targets; none where these do not say.

    Raises:
        KDLandmarksError: for a file that does not hold names.
    """
    file = Path(folder, ORIGINS)
    names = read_json(file) if file.is_file() else []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise KDLandmarksError(
            f"{file} holds {shown(names)}, not a list of networks: take the folder `unlabeled` of "
            "an earlier run as it is"
        )
    return set(names)


def add_unlabeled(
    rows: Dataset, targets: Dataset, place: str | Path, scheme: LandmarkScheme, box: str
) -> Dataset:
    """A student's labeled rows and, behind them, unlabeled faces with the teachers' points.

    Args:
        rows: labeled, with the teachers' columns if they are precomputed.
        targets: as of `with_targets`.
        place: where the targets are stored, for messages.
        scheme: the landmarks.
        box: the recipe's `data.box`.

    Returns:
        `image`, `landmarks`, `box`, the teachers' columns and `weights`: 1 for labeled faces that
        have none, the views' agreement for unlabeled ones.

    Raises:
        KDLandmarksError: for targets of other teachers.
    """
    if box == "upright":
        targets = with_upright_boxes(targets, scheme)
    if LANDMARK_WEIGHTS not in rows.column_names:
        rows = with_weights(rows, np.ones((len(rows), scheme.num_landmarks)))
    # What a student's training reads, in both.
    wanted = ["image", "landmarks", "box", LANDMARK_WEIGHTS]
    wanted += [name for name in TEACHER_COLUMNS.values() if name in rows.column_names]
    missing = sorted(set(wanted) - set(targets.column_names))
    if missing:
        raise KDLandmarksError(
            f"the targets in {place} have no {missing[0]}: they were made by other teachers; "
            "leave unlabeled.targets out to make them anew"
        )
    return datasets.concatenate_datasets([part.select_columns(wanted) for part in (rows, targets)])


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
