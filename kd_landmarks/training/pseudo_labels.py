"""Teachers' points as targets: asked once, before a student's training, in several views of a face.

A view is a mirrored, slightly moved or turned picture, looked at by one of the teachers. The mean
over views is better than one answer, and how far the answers lie apart tells how far they are to be
trusted.
"""

import logging
from collections.abc import Mapping, Sequence

import numpy as np
from accelerate.utils import gather_object
from datasets import Dataset

from ..data.columns import box_array, point_array
from ..data.crops import LANDMARK_WEIGHTS, with_weights
from ..data.detector_boxes import replace_boxes
from ..data.rows import TEACHER_COLUMNS
from ..errors import KDLandmarksError
from ..imaging.boxes import tight_box
from ..inference.measures import five_points
from ..schemes import LandmarkScheme
from .distributed import share_of
from .teachers import FrozenTeacher, add_point_column, without_teachers
from .views import View, draw_views, predict_by_all, predict_views

logger = logging.getLogger(__name__)

VIEWS_OF_LABELED = 2
"""The plain crop and its mirror image: more gain little on faces with ground truth."""
VIEWS_OF_UNLABELED = 8
"""Of the first teachers together: enough to tell by the spread which points are to be trusted."""
TOLERANCE = 0.01
"""Spread of a point over the views at which it counts half, in longer sides of the face box."""
MOST_TOLERANCE = 0.04
"""The largest such spread. On faces without labels a point of the median spread counts half, within
these two limits: a teacher that has seen few labels has large spreads everywhere."""
LEAST_AGREEMENT = 0.3
"""Faces whose points count less in the mean are left out."""
POINTS5_TOLERANCE = 0.08
"""Distance between pseudo-landmarks and five given points, in inter-ocular distances, from which a
face is left out: beyond it teachers have mostly taken something else for the face."""
# A detector's box is not the points' box that networks learn with: the points found in it give the
# next box. After this many rounds boxes move by less than the views do.
BOX_ROUNDS = 3


def precompute_targets(
    rows: Dataset,
    teachers: Mapping[str, Sequence[FrozenTeacher]],
    scheme: LandmarkScheme,
    fill_gaps: bool = False,
) -> Dataset:
    """Predict each labeled face once, averaged over views, and store the points as columns.

    All processes take part, each with its share of the faces.

    Args:
        rows: in the package's row format.
        teachers: by KD-Loss's names, `tough` and `tolerant`.
        scheme: the landmarks.
        fill_gaps: make the first teachers' points the landmarks that are not there, weighted by the
            agreement of `label_faces`.

    Returns:
        `rows` with `tough_landmarks` and `tolerant_landmarks` (N, 2) in photo pixels: they ride
        through every augmentation beside the ground truth, and cost a training step nothing. Stored
        ones of other teachers are gone.
    """
    rows = without_teachers(rows, [name for name in TEACHER_COLUMNS if name not in teachers])
    boxes = box_array(rows)
    views = draw_views(VIEWS_OF_LABELED)
    for number, (name, some) in enumerate(teachers.items()):
        label = f"{name} teacher's targets"
        share = share_of(some[0].accelerator, len(rows))
        found = predict_by_all(rows.select(share), boxes[share], some, scheme, views, label)
        points = np.stack(gather_object(list(found.mean(1))))
        rows = add_point_column(rows, TEACHER_COLUMNS[name], points)
        if fill_gaps and number == 0:
            trust = np.stack(gather_object(list(agreement(spread(found), TOLERANCE))))
            rows = _filled(rows, points, trust)
    return rows


def _filled(rows: Dataset, points: np.ndarray, trust: np.ndarray) -> Dataset:
    """Rows whose missing landmarks are a teacher's points, of as much weight as these deserve."""
    landmarks = point_array(rows, "landmarks")
    missing = np.isnan(landmarks).any(-1)
    weights = (
        np.asarray(rows[LANDMARK_WEIGHTS])
        if LANDMARK_WEIGHTS in rows.column_names
        else np.ones(missing.shape)
    )
    weights = np.where(missing, weights * trust, weights)
    filled = np.where(missing[..., None], points, landmarks)
    return with_weights(add_point_column(rows, "landmarks", filled), weights)


def label_faces(
    faces: Dataset, teachers: Mapping[str, Sequence[FrozenTeacher]], scheme: LandmarkScheme
) -> Dataset:
    """Unlabeled faces with the teachers' points, weighted by how well the views agree.

    A point that stays where it is when the picture is mirrored, moved, turned or scaled, and for
    every teacher, is trusted, one that wanders is not: with its spread s, the root mean square
    distance of the views' points from their mean in longer sides of the face box, it counts
    1 / (1 + (s / t)^2), where t is the median of s within `TOLERANCE` and `MOST_TOLERANCE`.

    Faces whose five points are known (`points5`) are left out where the teachers' points are
    further than `POINTS5_TOLERANCE` from them, on the mean.

    Args:
        faces: as `load_unlabeled` gives them.
        teachers: by KD-Loss's names.
        scheme: the landmarks.

    Returns:
        The faces on which the teacher agrees with itself, with `landmarks` (their tight `box` is
        the training box), the teachers' columns, and `weights` (N,) of 0 to 1.
    """
    points = ask_in_views(faces, teachers, scheme)
    first = next(iter(points.values()))
    weights, agreed = trust(first)
    fits = fits_points5(first.mean(1), faces, scheme)
    kept = np.flatnonzero(agreed & fits)
    logger.info(
        "pseudo-labels for %d of %d unlabeled faces: the teachers' views agree on %d, of which "
        "%d do not fit their points5; the mean weight of a point is %.2f",
        len(kept),
        len(faces),
        agreed.sum(),
        agreed.sum() - len(kept),
        weights[kept].mean() if len(kept) else 0.0,
    )
    if not len(kept):
        raise KDLandmarksError(
            f"the teacher's views agree on none of {len(faces)} unlabeled faces: train the teacher "
            "longer, or give faces more like its training faces"
        )
    means = {name: found[kept].mean(1) for name, found in points.items()}
    return with_points(faces.select(kept), means, weights[kept])


def ask_in_views(
    faces: Dataset, teachers: Mapping[str, Sequence[FrozenTeacher]], scheme: LandmarkScheme
) -> dict[str, np.ndarray]:
    """What the teachers say of unlabeled faces: their points (faces, views, N, 2) in photo pixels.

    They are in the order of KD-Loss's names, the teacher whose points are targets first.

    Raises:
        KDLandmarksError: without a teacher.
    """
    names = [name for name in TEACHER_COLUMNS if name in teachers]
    if not names:
        raise KDLandmarksError(
            "unlabeled faces need a teacher: give the student a KD-Loss (student.loss.name kd) "
            "that uses one, or leave unlabeled.source out"
        )
    boxes = box_array(faces)
    for number in range(BOX_ROUNDS):
        label = f"boxes of unlabeled faces, round {number + 1}"
        found = predict_views(faces, boxes, teachers[names[0]][0], scheme, [View()], label)
        boxes = np.stack([tight_box(points) for points in found[:, 0]])
    points = {}
    for name in names:
        some = teachers[name]
        wanted = VIEWS_OF_UNLABELED // len(some) if name == names[0] else 0
        views = draw_views(max(VIEWS_OF_LABELED, wanted))
        points[name] = predict_by_all(faces, boxes, some, scheme, views, f"{name} teacher's points")
    return points


def trust(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How much each point counts, and on which faces views agree; see `label_faces`.

    Args:
        points: (faces, views, N, 2), in photo pixels.

    Returns:
        Weights (faces, N) of 0 to 1, and (faces,) of truth values.
    """
    wandering = spread(points)
    usual = min(float(np.median(wandering)), MOST_TOLERANCE)
    weights = agreement(wandering, max(TOLERANCE, usual))
    return weights, weights.mean(1) >= LEAST_AGREEMENT


def with_points(faces: Dataset, points: Mapping[str, np.ndarray], weights: np.ndarray) -> Dataset:
    """Faces with the teachers' points (faces, N, 2) as columns; the first ones are the targets.

    The targets' tight boxes are the training boxes, and `weights` (faces, N) their weights.
    """
    targets = next(iter(points.values()))
    rows = replace_boxes(faces, [tight_box(face).tolist() for face in targets])
    rows = add_point_column(rows, "landmarks", targets)
    for name, found in points.items():
        rows = add_point_column(rows, TEACHER_COLUMNS[name], found)
    return with_weights(rows, weights)


def fits_points5(points: np.ndarray, faces: Dataset, scheme: LandmarkScheme) -> np.ndarray:
    """Which faces' points (faces, N, 2) fit the five given ones, or have none given: (faces,)."""
    fits = np.ones(len(faces), bool)
    if "points5" not in faces.column_names:
        return fits
    given = point_array(faces, "points5")
    for face in np.flatnonzero(np.isfinite(given).all((1, 2))):
        try:
            found = five_points(points[face], scheme)
        except KDLandmarksError as error:
            logger.warning("points5 are not looked at: %s", error)
            return fits
        away = np.linalg.norm(found - given[face], axis=-1).mean()
        between_eyes = np.linalg.norm(given[face, 0] - given[face, 1])
        fits[face] = away <= POINTS5_TOLERANCE * between_eyes
    return fits


def spread(points: np.ndarray) -> np.ndarray:
    """How far views lie apart: (faces, views, N, 2) in pixels to (faces, N) in sides of the box."""
    mean = points.mean(1)
    distance = np.sqrt(((points - mean[:, None]) ** 2).sum(-1).mean(1))
    return distance / np.ptp(mean, axis=1).max(-1)[:, None]


def agreement(wandering: np.ndarray, tolerance: float) -> np.ndarray:
    """How far each landmark is to be trusted, (faces, N) of 0 to 1; see `label_faces`.

    Args:
        wandering: (faces, N), their `spread`.
        tolerance: that at which a landmark counts half.
    """
    return 1 / (1 + (wandering / tolerance) ** 2)
