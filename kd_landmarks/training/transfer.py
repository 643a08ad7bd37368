"""Starting from a detector of other landmarks: what it knows of a face is most of the way."""

from typing import Any

import numpy as np
from datasets import Dataset

from ..data.columns import box_array, evenly_spaced, longer_sides, point_array
from ..data.detector_boxes import replace_boxes
from ..evaluation.predictions import predict_rows
from ..imaging.boxes import overlaps, tight_box
from ..models import KDLandmarksForKeypointDetection, KDLandmarksImageProcessor
from ..models.loading import landmark_names, load_detector
from ..schemes import LandmarkScheme
from .pseudo_labels import BOX_ROUNDS

# Faces on which landmarks are matched: enough for the mean over them to settle.
MATCHED_FACES = 100
# Points were found in their own box where both share this much: no further round is needed.
SETTLED = 0.75


def adopt_landmarks(
    model: KDLandmarksForKeypointDetection, source: str, rows: Dataset, scheme: LandmarkScheme
) -> list[int] | None:
    """Give a new head, landmark by landmark, the weights of the nearest one of a checkpoint.

    Args:
        model: freshly built; its backbone has the checkpoint's weights already.
        source: the checkpoint: a folder or a Hub id.
        rows: training faces, on which the checkpoint's points are compared with the true ones.
        scheme: of rows and model.

    Returns:
        For each landmark the checkpoint's one that it starts as; None, and nothing is done, where
        both have the same landmarks, or heads of another kind or width.
    """
    other, processor = load_detector(source)
    if landmark_names(other) == tuple(scheme.names):
        return None
    theirs, ours = (_last_layer(one).state_dict() for one in (other, model))
    if other.config.head != model.config.head or any(
        theirs[name].shape[1:] != value.shape[1:] for name, value in ours.items()
    ):
        return None
    matched = match_landmarks(other, processor, rows)
    for name, value in ours.items():
        # The linear head has two rows for each landmark, the integral one has one.
        rows_of = theirs[name].unflatten(0, (other.config.num_landmarks, -1))
        value.copy_(rows_of[matched].flatten(0, 1))
    return matched


def _last_layer(model: KDLandmarksForKeypointDetection) -> Any:
    """What makes each landmark of its own."""
    return model.head.linear if model.config.head == "linear" else model.head.maps


def match_landmarks(
    model: KDLandmarksForKeypointDetection, processor: KDLandmarksImageProcessor, rows: Dataset
) -> list[int]:
    """For each landmark of rows the detector's nearest one, on the mean over some faces.

    The detector sees them in the boxes of its own points, which may be far from those of the rows'.

    Args:
        model: a detector of any landmarks.
        processor: its image processor.
        rows: faces in the row format.
    """
    faces = rows.select(evenly_spaced(len(rows), MATCHED_FACES))
    truth = point_array(faces, "landmarks")
    sides = longer_sides(box_array(faces))[:, None, None]
    points = predict_rows(model, processor, faces).points
    for _ in range(BOX_ROUNDS):
        own = np.stack([tight_box(one) for one in points])
        shared = [
            overlaps(one[None], box)[0] for one, box in zip(own, box_array(faces), strict=True)
        ]
        if np.median(shared) > SETTLED:
            break
        faces = replace_boxes(faces, own.tolist())
        points = predict_rows(model, processor, faces).points
    away = np.linalg.norm(points[:, :, None] - truth[:, None], axis=-1) / sides
    away[:, :, np.isnan(away).all(axis=(0, 1))] = 0  # on none of these faces
    return np.nanmean(away, axis=0).argmin(axis=0).tolist()
