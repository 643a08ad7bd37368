"""YuNet over a pyramid of pictures: faces of all sizes, the small pictures first.

yunet.onnx is face_detection_yunet_2023mar.onnx of OpenCV Zoo; its license lies beside it.

YuNet finds faces of about 10 to 300 pixels, in a time that grows with the picture: a face that
fills a large one is lost, and is found at once in a small one. So the smallest picture is looked at
first, and a finer one only where the last left something open: nothing was found, something was
nearly found, or the smallest face found is so small that others may have been lost.
"""

import math
import os
import threading
from pathlib import Path

import cv2
import numpy as np

from .boxes import shared_areas

# The longer sides of the smallest and of the finest picture; each is twice the one before.
LEVELS = (128, 1280)
SMALLEST_SIDE = 64
MIN_SCORE = 0.6
# What may be a face: a finer picture tells.
HINT = 0.2
# Pixels of the smallest face found below which others may have been too small to be found.
SMALL = 24.0
# Pixels of the smallest face that YuNet can be relied on to find.
FINDS = 12.0
# Of two boxes of a face that one is kept whose picture showed it nearest to this many pixels.
BEST = 80.0
# Shared area over the smaller box's area from which two boxes are of one face.
SAME_FACE = 0.6
# OpenCV's default for overlapping boxes of one face in one picture.
MAX_OVERLAP = 0.3
# Candidates before overlapping ones are dropped: a small number would lose faces of a crowd.
CANDIDATES = 5000
# Where no upright face is sure, the picture is turned by these angles. A box of the picture as it
# is may lie beside a turned face.
SURE = 0.87
TURNS = (45, 90, 135, 180, 225, 270, 315)
TURNED_SIDE = 160
SAME_TURNED = 0.3
# A large picture is looked at in pieces of this side. What is larger than their overlap has been
# found in the picture before, of half the size.
TILE = 1280
OVERLAP = 128

MODEL = Path(__file__).with_name("yunet.onnx")


def find_faces(
    photo: np.ndarray, min_score: float = MIN_SCORE, smallest_face: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The faces of a photo, the surest first.

    Args:
        photo: RGB uint8 (height, width, 3).
        min_score: from 0 to 1; lower finds more faces, and more false ones.
        smallest_face: longer side in pixels of the faces to look for everywhere in the photo; None
            for what small pictures show or hint at.

    Returns:
        boxes (faces, 5) float64, x0, y0, x1, y1 in photo pixels and the roll in degrees of the
        picture that shows the face upright, forehead included; and their scores (faces,).
    """
    longest = max(photo.shape[:2])
    found = np.empty((0, _COLUMNS))
    for side in _sides(longest, smallest_face):
        scale = side / longest
        seen = _seen(_resized(photo, scale), scale, min(HINT, min_score))
        sure = seen[:, _SCORE] >= min_score
        found = _one_each(np.concatenate([found, seen[sure]]))
        hints = [box for box in seen[~sure] if not _same(found, box).any()]
        # The smallest one found, in the pixels of this picture.
        small = len(found) and scale * (found[:, 2:4] - found[:, :2]).max(1).min() < SMALL
        if smallest_face is None and len(found) and not hints and not small:
            break
    if not len(found) or found[:, _SCORE].max() < SURE:
        turned = _turned_faces(photo, min(1.0, TURNED_SIDE / longest), min_score)
        found[:, _MISFIT] = 1 - found[:, _SCORE]
        found = _one_each(np.concatenate([found, turned]), SAME_TURNED)
    found = found[np.argsort(-found[:, _SCORE], kind="stable")]
    boxes = np.column_stack([found[:, :4] - 0.5, found[:, _ROLL]])  # edges to pixel centers
    return boxes, found[:, _SCORE]


# Columns of what is found: the box's edges in the photo, and these.
_SCORE, _ROLL, _MISFIT, _COLUMNS = 4, 5, 6, 7


def _sides(longest: int, smallest_face: float | None) -> list[int]:
    """The longer sides of the pictures to look at, each at most twice the one before."""
    finest = LEVELS[-1] if smallest_face is None else math.ceil(longest * FINDS / smallest_face)
    finest = min(finest, longest)
    count = max(0, math.ceil(math.log2(finest / LEVELS[0])))
    return [*(LEVELS[0] * 2**level for level in range(count)), finest]


def _resized(photo: np.ndarray, scale: float) -> np.ndarray:
    if scale == 1:
        return photo
    size = [max(1, round(side * scale)) for side in photo.shape[1::-1]]
    return cv2.resize(photo, size, interpolation=cv2.INTER_AREA)


def _seen(picture: np.ndarray, scale: float, min_score: float) -> np.ndarray:
    """What YuNet sees in a picture of the photo, in pieces where it is large, in photo pixels."""
    height, width = picture.shape[:2]
    parts = [np.empty((0, _COLUMNS))]
    for top in _starts(height):
        for left in _starts(width):
            piece = picture[top : top + TILE, left : left + TILE]
            boxes, scores = _yunet(piece, min_score)
            boxes += (left, top, left, top)
            misfit = np.abs(np.log((boxes[:, 2:] - boxes[:, :2]).max(1) / BEST))
            parts.append(np.column_stack([boxes / scale, scores, np.zeros(len(boxes)), misfit]))
    return np.concatenate(parts)


def _starts(side: int) -> range:
    """Where the pieces of a side begin."""
    return range(0, max(1, side - OVERLAP), TILE - OVERLAP)


def _yunet(picture: np.ndarray, min_score: float) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (faces, 4), the edges in the pixels of an RGB picture, and scores (faces,)."""
    height, width = picture.shape[:2]
    picture = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    # OpenCV 4.14 finds faces far outside of pictures that are narrower than the network's stride.
    right, bottom = (max(0, SMALLEST_SIDE - side) for side in (width, height))
    picture = cv2.copyMakeBorder(picture, 0, bottom, 0, right, cv2.BORDER_CONSTANT)
    detector = _detector()
    detector.setInputSize(picture.shape[1::-1])
    detector.setScoreThreshold(min_score)
    found = detector.detect(picture)[1]
    if found is None:
        return np.empty((0, 4)), np.empty(0)
    found = found.astype(np.float64)
    corner, extent = found[:, :2], found[:, 2:4]
    inside = (extent > 0).all(1) & (corner < (width, height)).all(1) & (corner + extent > 0).all(1)
    return np.concatenate([corner, corner + extent], axis=1)[inside], found[inside, 14]


def _one_each(found: np.ndarray, least: float = SAME_FACE) -> np.ndarray:
    """One box a face: of several that one whose picture suited the detector best."""
    kept: list[np.ndarray] = []
    for box in found[np.argsort(found[:, _MISFIT], kind="stable")]:
        if not kept or not _same(np.array(kept), box, least).any():
            kept.append(box)
    return np.array(kept).reshape(-1, _COLUMNS)


def _same(found: np.ndarray, box: np.ndarray, least: float = SAME_FACE) -> np.ndarray:
    """Of each found box (faces, columns), whether it is another one's face."""
    shared, areas, area = shared_areas(found, box)
    return shared > least * np.minimum(areas, area)


def _turned_faces(photo: np.ndarray, scale: float, min_score: float) -> np.ndarray:
    """The faces of the photo turned by each of `TURNS`, in their best turn."""
    small = _resized(photo, scale)
    height, width = small.shape[:2]
    middle = np.array([width / 2, height / 2])
    parts = [np.empty((0, _COLUMNS))]
    for turn in TURNS:
        cosine, sine = math.cos(math.radians(turn)), math.sin(math.radians(turn))
        # A point of the turned picture is a point of the small one turned back by the face's roll.
        matrix = np.array([[cosine, sine], [-sine, cosine]])
        size = np.abs(matrix) @ (width, height)
        shift = size / 2 - matrix @ middle
        turned = cv2.warpAffine(
            small, np.column_stack([matrix, shift]), [math.ceil(side) for side in size]
        )
        boxes, scores = _yunet(turned, min_score)
        center, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
        center = (center - shift) @ matrix  # the inverse is the transposed matrix
        boxes = np.concatenate([center - half, center + half], axis=1) / scale
        parts.append(np.column_stack([boxes, scores, np.full(len(boxes), turn), 1 - scores]))
    return _one_each(np.concatenate(parts))


# OpenCV's detector is told a photo's size and then looks: each thread has one of its own. One that
# came along with a fork would wait for threads that did not.
_here = threading.local()


def _detector() -> cv2.FaceDetectorYN:
    if getattr(_here, "process", None) != os.getpid():
        _here.process = os.getpid()
        _here.detector = cv2.FaceDetectorYN.create(
            str(MODEL), "", (320, 320), HINT, MAX_OVERLAP, CANDIDATES
        )
    return _here.detector
