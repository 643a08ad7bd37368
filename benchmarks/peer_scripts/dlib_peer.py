"""dlib's 68 points by regression trees, in the boxes of its own detector, which they need."""

from pathlib import Path
from typing import Any

import dlib
import numpy as np
from harness import run

MODEL = (
    Path(__file__).parent / ".cache/dlib-data/usr/share/dlib/shape_predictor_68_face_landmarks.dat"
)


class Dlib:
    """HOG detector and shape predictor."""

    points = 68

    def __init__(self) -> None:
        self.detector = dlib.get_frontal_face_detector()
        self.predictor = dlib.shape_predictor(str(MODEL))

    def find(self, photo: np.ndarray) -> "np.ndarray | None":
        """Detection and landmarks."""
        face = self.face(photo)
        return None if face is None else self.step(photo, face)

    def face(self, photo: np.ndarray) -> Any:
        """The surest box; photos are doubled, as its examples do, to find smaller faces."""
        boxes, scores, _ = self.detector.run(photo, 1)
        return boxes[int(np.argmax(scores))] if len(boxes) else None

    def step(self, photo: np.ndarray, face: Any) -> np.ndarray:
        """The regression."""
        shape = self.predictor(photo, face)
        return np.array([(point.x, point.y) for point in shape.parts()], dtype=np.float64)

    def disk(self) -> int:
        """Bytes of the trees."""
        return MODEL.stat().st_size


if __name__ == "__main__":
    run(Dlib())
