"""What teachers say once, before a student's training: on labeled faces and on unlabeled ones."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path

import datasets
import numpy as np
from accelerate.utils import gather_object
from datasets import Dataset

from ..data.columns import box_array, point_array
from ..data.crops import WEIGHTS
from ..data.photos import Photos
from ..data.unlabeled import load_unlabeled
from ..errors import KDLandmarksError
from ..imaging.boxes import tight_box
from ..schemes import LandmarkScheme
from ..utils.files import new_folder
from .distributed import share_of
from .pseudo_label_views import View, draw_views, look
from .recipe_settings import UnlabeledSettings
from .teachers import TEACHER_COLUMNS, FrozenTeacher, add_point_column

logger = logging.getLogger(__name__)

# A detector's box is not the points' box that networks learn with: the points found in it give the
# next box. After this many rounds boxes move by less than the views do.
BOX_ROUNDS = 3


def precompute_targets(
    rows: Dataset, teachers: Mapping[str, FrozenTeacher], scheme: LandmarkScheme, views: int = 2
) -> Dataset:
    """Predict each labeled face once, averaged over views, and store the points as columns.

    All processes take part, each with its share of the faces.

    Args:
        rows: in the package's row format.
        teachers: by KD-Loss's names, `tough` and `tolerant`.
        scheme: the landmarks.
        views: how many views of a face are averaged: 1 for its plain crop, 2 for its mirror image
            as well, more for slightly moved ones.

    Returns:
        `rows` with `tough_landmarks` and `tolerant_landmarks` (N, 2) in photo pixels: they ride
        through every augmentation beside the ground truth, and cost a training step nothing.
    """
    boxes = box_array(rows)
    for name, teacher in teachers.items():
        label = f"{name} teacher's targets"
        share = share_of(teacher.accelerator, len(rows))
        faces = rows.select(share)
        found = look(faces, boxes[share], teacher, scheme, draw_views(views), label)
        points = np.stack(gather_object(list(found.mean(1))))
        rows = add_point_column(rows, TEACHER_COLUMNS[name], points)
    return rows


def add_unlabeled(
    rows: Dataset,
    settings: UnlabeledSettings,
    teachers: Mapping[str, FrozenTeacher],
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
        `image`, `landmarks`, `box`, the teachers' columns and `weights`: 1 for labeled faces, the
        views' agreement times `settings.weight` for others.

    Raises:
        KDLandmarksError: without a teacher, for faces that cannot be read, if the teachers agree on
            no face, and for stored targets of other landmarks or teachers.
    """
    stored = Path(settings.targets) if settings.targets else folder
    if os.path.isdir(stored) or settings.targets:
        labeled = _stored_targets(stored, scheme)
    else:
        faces = load_unlabeled(
            settings.source or "",
            settings.split,
            revision=settings.revision,
            skip_bad_rows=skip_bad_rows,
            allow_outside=allow_outside,
        )
        labeled = label_faces(faces, settings, teachers, scheme)
        with new_folder(folder) as partial:
            labeled.save_to_disk(partial)
    weights = settings.weight * np.asarray(labeled.with_format("numpy")[WEIGHTS])
    labeled = _with_weights(labeled.remove_columns(WEIGHTS), weights)
    rows = _with_weights(rows, np.ones((len(rows), scheme.num_landmarks)))
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


def label_faces(
    faces: Dataset,
    settings: UnlabeledSettings,
    teachers: Mapping[str, FrozenTeacher],
    scheme: LandmarkScheme,
) -> Dataset:
    """Unlabeled faces with the teachers' points, weighted by how well the views agree.

    A point that stays where it is when the picture is mirrored, moved or scaled is trusted, one
    that wanders is not: with its spread s, the root mean square distance of the views' points from
    their mean in longer sides of the face box, it counts 1 / (1 + (s / tolerance)^2).

    Args:
        faces: as `load_unlabeled` gives them.
        settings: views, tolerance, and the least agreement of a face that is kept.
        teachers: by KD-Loss's names.
        scheme: the landmarks.

    Returns:
        The faces on which the teacher agrees with itself, with `landmarks` (their tight `box` is
        the training box), the teachers' columns, and `weights` (N,) of 0 to 1.
    """
    first = next((name for name in TEACHER_COLUMNS if name in teachers), None)
    if first is None:
        raise KDLandmarksError(
            "unlabeled faces need a teacher: give the student a KD-Loss (student.loss.name kd) "
            "that listens to one, or leave unlabeled.source out"
        )
    boxes = box_array(faces)
    for number in range(BOX_ROUNDS):
        label = f"boxes of unlabeled faces, round {number + 1}"
        found = look(faces, boxes, teachers[first], scheme, [View()], label)
        boxes = np.stack([tight_box(points) for points in found[:, 0]])
    views = draw_views(settings.views)
    points = {
        name: look(faces, boxes, teacher, scheme, views, f"{name} teacher on unlabeled faces")
        for name, teacher in teachers.items()
    }
    weights = agreement(points[first], settings.tolerance)
    targets = points[first].mean(1)
    kept = np.flatnonzero(weights.mean(1) >= settings.least_agreement)
    logger.info(
        "unlabeled faces: the teacher agrees with itself on %d of %d, whose points count %.2f",
        len(kept),
        len(faces),
        weights[kept].mean() if len(kept) else 0.0,
    )
    if not len(kept):
        raise KDLandmarksError(
            f"on none of {len(faces)} unlabeled faces do the teacher's views agree: train it "
            "better, or raise unlabeled.tolerance"
        )
    rows = faces.select(kept).remove_columns("box")
    corners = np.stack([tight_box(face) for face in targets[kept]]).astype(np.float32)
    kind = datasets.List(datasets.Value("float32"), length=4)
    rows = rows.add_column("box", corners.tolist(), feature=kind)
    rows = add_point_column(rows, "landmarks", targets[kept])
    for name, found in points.items():
        rows = add_point_column(rows, TEACHER_COLUMNS[name], found[kept].mean(1))
    return _with_weights(rows, weights[kept])


def agreement(points: np.ndarray, tolerance: float) -> np.ndarray:
    """How far each landmark is to be trusted, (faces, N) of 0 to 1; see `label_faces`.

    Args:
        points: (faces, views, N, 2) in photo pixels.
        tolerance: spread at which a landmark counts half, in longer sides of the face box.
    """
    mean = points.mean(1)
    spread = np.sqrt(((points - mean[:, None]) ** 2).sum(-1).mean(1))
    side = np.ptp(mean, axis=1).max(-1)
    return 1 / (1 + (spread / (tolerance * side[:, None])) ** 2)


def _with_weights(rows: Dataset, weights: np.ndarray) -> Dataset:
    kind = datasets.List(datasets.Value("float32"), length=weights.shape[1])
    return rows.add_column(WEIGHTS, weights.astype(np.float32).tolist(), feature=kind)


def _stored_targets(folder: Path, scheme: LandmarkScheme) -> Dataset:
    try:
        rows = Dataset.load_from_disk(str(folder))
        count = point_array(rows.select([0]), "landmarks").shape[1]
        if Photos(rows).streamed:
            raise ValueError("its photos are places in Parquet, which nobody stores")
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
