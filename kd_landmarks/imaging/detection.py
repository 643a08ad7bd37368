"""Finding the faces of photos, by YuNet or by any other detector."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from ..errors import KDLandmarksError
from ..utils.values import number
from .boxes import part_of_boxes
from .pixels import shrunken
from .yunet import LEVELS, MIN_SCORE, find_faces

# A face of fewer pixels shows nothing.
SMALLEST_BOX = 2.0
# YuNet's box ends at the chin and the sides of the face as the points' does, but takes the forehead
# in: this share of its height lies above the brows (the median over the 2,012 training faces of
# 300W at hand; benchmarks/detector_boxes.py).
FOREHEAD = 0.25

FaceDetector = Callable[[np.ndarray], Any]
"""Finds the faces of a photo.

Takes an RGB uint8 array (height, width, 3); answers with boxes (faces, 4) as x0, y0, x1, y1 in its
pixels, tight around each face's points, or (faces, 5) with each face's roll in degrees, or with
such boxes and their scores (faces,). With an attribute `longest_side` that is not None it gets
larger photos shrunk to that many pixels or less.
"""


class YuNet:
    """The package's face detector: small and quick.

    Faces of 10 % of the photo's longer side are found at once, and smaller ones, down to 1 %, where
    there is a hint of them. Turned ones, of 8 % or more, are looked for where no upright one is
    sure.

    Args:
        min_score: from 0 to 1; lower finds more faces, and more false ones.
        smallest_face: longer side in pixels of the smallest faces to find, at least 12 of the
            photo as it is; None as above. It costs time: about 0.1 seconds for a picture in which
            such a face has 12 pixels and which has a megapixel.
    """

    def __init__(self, min_score: float = MIN_SCORE, smallest_face: float | None = None) -> None:
        self.min_score = number("min_score", min_score, most=1)
        self.smallest_face = (
            None if smallest_face is None else number("smallest_face", smallest_face, least=1.0)
        )
        # Shrunken by whole numbers, a photo has at least half of this.
        self.longest_side = 2 * LEVELS[-1] if smallest_face is None else None

    def __call__(self, photo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (faces, 5) tight around the faces' points, the surest first, and scores."""
        boxes, scores = find_faces(photo, self.min_score, self.smallest_face)
        return points_boxes(boxes), scores


def points_boxes(boxes: np.ndarray) -> np.ndarray:
    """YuNet's boxes (faces, 5) to those of the faces' points: from the brows down."""
    boxes = np.array(boxes, dtype=np.float64)
    forehead = FOREHEAD * (boxes[:, 3] - boxes[:, 1])
    roll = np.radians(boxes[:, 4])
    # The center moves down the face by half of what its box loses on top.
    moved = np.column_stack([-np.sin(roll), np.cos(roll) - 1]) * forehead[:, None] / 2
    boxes[:, 1] += forehead
    boxes[:, :4] += np.tile(moved, 2)
    return boxes


def detect_faces(
    photo: Image.Image, detector: FaceDetector, part: Sequence[float] | None = None
) -> tuple[np.ndarray, list[Any]]:
    """The faces of an upright photo by any detector.

    Args:
        photo: of any mode.
        detector: see `FaceDetector`.
        part: of YuNet's boxes, which are those of whole faces, that the landmarks take up, as a
            network's `face_box`; None for all of them. Other detectors' boxes are the landmarks'.

    Returns:
        boxes (faces, 4) or (faces, 5) float64 in photo pixels, the surest first, and a score per
        face, None where the detector has none; without boxes that lie outside the photo or span
        less than two pixels.

    Raises:
        KDLandmarksError: for an answer that is none.
    """
    longest = getattr(detector, "longest_side", None)
    shrink = 1 if longest is None else max(1, -(-max(photo.size) // longest))
    answer = detector(np.asarray(shrunken(photo, shrink)))
    boxes, scores = answer if isinstance(answer, tuple) else (answer, None)
    try:
        found = np.array(boxes, dtype=np.float64)
        found = found if found.size else np.empty((0, 4))
        if found.ndim != 2 or found.shape[1] not in (4, 5):
            raise ValueError(f"its boxes have the shape {found.shape}")
        known = [None] * len(found) if scores is None else [float(score) for score in scores]
    except (TypeError, ValueError) as error:
        raise KDLandmarksError(
            "the face detector is to answer with boxes (faces, 4 or 5), or with boxes and scores "
            f"(faces,): {error}"
        ) from error
    sure = [score for score in known if score is not None]
    if len(known) != len(found) or not (np.isfinite(found).all() and np.isfinite(sure).all()):
        raise KDLandmarksError(
            f"the face detector answers with {len(found)} boxes and {len(known)} scores, or with "
            "numbers that are not finite"
        )
    found[:, :4] = (found[:, :4] + 0.5) * shrink - 0.5
    if part is not None and isinstance(detector, YuNet):
        found = part_of_boxes(found, part)
    low, high = found[:, :2], found[:, 2:4]
    inside = (low < (photo.width - 1, photo.height - 1)).all(1) & (high > 0).all(1)
    seen = np.flatnonzero(inside & (high - low >= SMALLEST_BOX).all(1)).tolist()
    seen.sort(key=lambda index: -(known[index] or 0.0))
    return found[seen], [known[index] for index in seen]
