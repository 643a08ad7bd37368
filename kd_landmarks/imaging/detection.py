"""Finding faces in photos: YuNet, in OpenCV.

yunet.onnx is face_detection_yunet_2023mar.onnx of OpenCV Zoo; its license lies beside it.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from ..errors import KDLandmarksError
from ..utils.values import number
from .pixels import shrunken

# YuNet finds faces of about 10 to 300 pixels: larger photos are shrunk to this longer side.
LONGEST_SIDE = 1280
SMALLEST_SIDE = 64
MIN_SCORE = 0.6
# OpenCV's default for overlapping boxes of one face.
MAX_OVERLAP = 0.3
# Candidates before overlapping ones are dropped: a small number would lose faces of a crowd.
CANDIDATES = 5000
# A face of fewer pixels shows nothing.
SMALLEST_BOX = 2.0
# YuNet's box ends at the chin and the sides of the face as the points' does, but takes the forehead
# in: this share of its height lies above the brows (the median over the 2,012 training faces of
# 300W at hand; benchmarks/detector_boxes.py).
FOREHEAD = 0.25

FaceDetector = Callable[[np.ndarray], Any]
"""Finds the faces of a photo.

Takes an RGB uint8 array (height, width, 3); answers with boxes (faces, 4) as x0, y0, x1, y1 in its
pixels, tight around each face's points, or with such boxes and their scores (faces,). With an
attribute `longest_side` it gets larger photos shrunk to that many pixels or less.
"""


class YuNet:
    """The package's face detector: small, quick, for upright faces.

    Args:
        min_score: from 0 to 1; lower finds more faces, and more false ones.
    """

    longest_side = LONGEST_SIDE

    def __init__(self, min_score: float = MIN_SCORE) -> None:
        self.min_score = number("min_score", min_score, most=1)

    def __call__(self, photo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Boxes tight around the faces' points, the surest first, and scores from 0 to 1."""
        boxes, scores = find_faces(photo, self.min_score)
        return points_boxes(boxes), scores


def points_boxes(boxes: np.ndarray) -> np.ndarray:
    """YuNet's boxes (faces, 4) to those of the faces' points: from the brows down."""
    boxes = np.array(boxes, dtype=np.float64)
    boxes[:, 1] += FOREHEAD * (boxes[:, 3] - boxes[:, 1])
    return boxes


def detect_faces(photo: Image.Image, detector: FaceDetector) -> tuple[np.ndarray, list[Any]]:
    """The faces of an upright photo by any detector.

    Args:
        photo: of any mode.
        detector: see `FaceDetector`.

    Returns:
        boxes (faces, 4) float64 in photo pixels and a score per face, None where the detector has
        none; without boxes that lie outside the photo or span less than two pixels.

    Raises:
        KDLandmarksError: for an answer that is none.
    """
    longest = getattr(detector, "longest_side", None)
    shrink = 1 if longest is None else max(1, -(-max(photo.size) // longest))
    answer = detector(np.asarray(shrunken(photo, shrink)))
    boxes, scores = answer if isinstance(answer, tuple) else (answer, None)
    try:
        found = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
        known = [None] * len(found) if scores is None else [float(score) for score in scores]
    except (TypeError, ValueError) as error:
        raise KDLandmarksError(
            "the face detector is to answer with boxes (faces, 4), or with boxes and scores "
            f"(faces,): {error}"
        ) from error
    sure = [score for score in known if score is not None]
    if len(known) != len(found) or not (np.isfinite(found).all() and np.isfinite(sure).all()):
        raise KDLandmarksError(
            f"the face detector answers with {len(found)} boxes and {len(known)} scores, or with "
            "numbers that are not finite"
        )
    found = (found + 0.5) * shrink - 0.5
    low, high = found[:, :2], found[:, 2:]
    inside = (low < (photo.width - 1, photo.height - 1)).all(1) & (high > 0).all(1)
    seen = np.flatnonzero(inside & (high - low >= SMALLEST_BOX).all(1)).tolist()
    return found[seen], [known[index] for index in seen]


def find_faces(photo: np.ndarray, min_score: float = MIN_SCORE) -> tuple[np.ndarray, np.ndarray]:
    """The faces of a photo, the surest first.

    Args:
        photo: RGB uint8 (height, width, 3).
        min_score: from 0 to 1; lower finds more faces, and more false ones.

    Returns:
        boxes (faces, 4) float64 as x0, y0, x1, y1 in photo pixels, and their scores (faces,).
    """
    height, width = photo.shape[:2]
    shrink = min(1.0, LONGEST_SIDE / max(height, width))
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    pixels = cv2.cvtColor(photo, cv2.COLOR_RGB2BGR)
    if shrink < 1:
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    # OpenCV 4.14 finds faces far outside of pictures that are narrower than the network's stride.
    right, bottom = (max(0, SMALLEST_SIDE - side) for side in size)
    pixels = cv2.copyMakeBorder(pixels, 0, bottom, 0, right, cv2.BORDER_CONSTANT)
    detector = _detector()
    detector.setInputSize(pixels.shape[1::-1])
    detector.setScoreThreshold(min_score)
    found = detector.detect(pixels)[1]
    if found is None:
        return np.empty((0, 4)), np.empty(0)
    found = found[np.argsort(-found[:, 14], kind="stable")].astype(np.float64)
    corner, extent = found[:, :2], found[:, 2:4]
    inside = (extent > 0).all(1) & (corner < size).all(1) & (corner + extent > 0).all(1)
    # Edges in the shrunk picture to pixel centers of the photo.
    edges = np.concatenate([corner, corner + extent], axis=1)[inside]
    scale = np.array([width / size[0], height / size[1]] * 2)
    return edges * scale - 0.5, found[inside, 14]


MODEL = Path(__file__).with_name("yunet.onnx")

# OpenCV's detector is told a photo's size and then looks: each thread has one of its own. One that
# came along with a fork would wait for threads that did not.
_here = threading.local()


def _detector() -> cv2.FaceDetectorYN:
    if getattr(_here, "process", None) != os.getpid():
        _here.process = os.getpid()
        _here.detector = cv2.FaceDetectorYN.create(
            str(MODEL), "", (320, 320), MIN_SCORE, MAX_OVERLAP, CANDIDATES
        )
    return _here.detector
