"""Labeled faces with other boxes: those of a face detector, and those of faces held upright."""

from collections.abc import Sequence

import numpy as np
from datasets import (
    Dataset,
    List,
    Value,
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
)
from tqdm.auto import tqdm

from ..errors import KDLandmarksError
from ..imaging.boxes import overlaps, shared_areas, tight_box
from ..imaging.crop import upright_box
from ..imaging.detection import FaceDetector, YuNet, detect_faces
from ..inference.upright import face_roll
from ..schemes import LandmarkScheme
from .columns import box_array, evenly_spaced, point_array
from .photos import Photos

# A found box belongs to the labeled face that it shares this much with, of both together. Boxes of
# other faces in the photo stay far below.
LEAST_OVERLAP = 0.3
# Faces that the detector is asked for, to learn where landmarks of one's own lie in its boxes, and
# those that it has to find.
ASKED_FACES, LEAST_FACES = 100, 5
# Landmarks of the whole face share this much with the detector's box; 300W's about 0.8.
SAME_BOX = 0.6


def with_detected_boxes(
    rows: Dataset,
    detector: FaceDetector | None = None,
    progress: bool = False,
    part: Sequence[float] | None = None,
) -> tuple[Dataset, list[str]]:
    """The faces that a detector finds, with its boxes, and the others.

    Of several boxes in a photo that one is taken which shares most with the labeled face.

    Args:
        rows: in the row format.
        detector: None for `YuNet()`.
        progress: show a progress bar on stderr.
        part: of its boxes that the landmarks take up; see `detect_faces`.

    Returns:
        The found rows, `box` the detector's with its roll, and the `source` of each face that was
        not found.

    Raises:
        KDLandmarksError: if no face is found at all.
    """
    detector = YuNet() if detector is None else detector
    photos = Photos(rows)
    kept, boxes, missed = [], [], []
    for index, points in enumerate(
        tqdm(point_array(rows, "landmarks"), "finding faces", leave=False, disable=not progress)
    ):
        found, _ = detect_faces(photos.open(index), detector, part)
        shared = overlaps(found, tight_box(points))
        if not len(shared) or shared.max() < LEAST_OVERLAP:
            missed.append(photos.sources[index])
            continue
        kept.append(index)
        box = found[shared.argmax()]
        boxes.append(np.pad(box, (0, 5 - len(box))).tolist())
    if not kept:
        raise KDLandmarksError(
            f"the face detector finds none of the {len(rows)} faces: its boxes go from brows to "
            "chin, so measure landmarks of a part of the face in the box of their own (gt)"
        )
    return replace_boxes(rows.select(kept), boxes), missed


def usual_part(rows: Dataset) -> list[float] | None:
    """Where labeled faces' boxes lie in the face detector's: the median over some faces.

    Returns:
        x0, y0, x1, y1 as a network's `face_box`; None where they are about the same boxes, and
        where the detector finds too few of the faces to tell.
    """
    chosen = rows.select(evenly_spaced(len(rows), ASKED_FACES))
    photos, detector, parts = Photos(chosen), YuNet(), []
    for index, box in enumerate(box_array(chosen)[:, :4]):
        found, _ = detect_faces(photos.open(index), detector)
        shared, _, area = shared_areas(found, box)
        if not len(found) or shared.max() < area / 2:
            continue
        x0, y0, x1, y1, *_ = found[shared.argmax()]
        parts.append((box - [x0, y0, x0, y0]) / np.tile([x1 - x0, y1 - y0], 2))
    if len(parts) < LEAST_FACES:
        return None
    part = np.median(parts, axis=0)
    same = overlaps(part[None], np.array([0.0, 0.0, 1.0, 1.0]))[0] > SAME_BOX
    return None if same else part.round(3).tolist()


def with_upright_boxes(rows: Dataset, scheme: LandmarkScheme) -> Dataset:
    """Faces with the boxes that hold them upright: tight around their landmarks, with their roll.

    A face without eye corners or lips keeps its tight box as it stands.

    Args:
        rows: in the row format.
        scheme: of their landmarks.

    Raises:
        KDLandmarksError: for a scheme that does not say how a face is turned.
    """
    if face_roll(np.zeros((scheme.num_landmarks, 2)), scheme) is None:
        raise KDLandmarksError(
            f"scheme {scheme.name} has no outline outer_lips, which tells how a face is "
            "turned: give another box"
        )
    boxes = []
    for points in point_array(rows, "landmarks"):
        there = points[~np.isnan(points).any(axis=1)]
        boxes.append(upright_box(there, face_roll(points, scheme) or 0.0).tolist())
    return replace_boxes(rows, boxes)


def replace_boxes(rows: Dataset, boxes: list[list[float]]) -> Dataset:
    """Rows with other boxes, all of four numbers or all of five."""
    feature = List(Value("float32"), length=len(boxes[0]))
    shown = not are_progress_bars_disabled()
    disable_progress_bars()  # of rows that are copied, in no time
    try:
        return rows.remove_columns("box").add_column("box", boxes, feature=feature)
    finally:
        if shown:
            enable_progress_bars()
