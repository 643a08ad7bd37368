"""MediaPipe's FaceMesh: 468 points, or 478 with --refine (attention on eyes and lips).

Where it follows a face from frame to frame, only its landmark network runs: that is its landmark
step.
"""

import sys
from pathlib import Path

import mediapipe
import numpy as np
from harness import run
from mediapipe.python.solutions.face_mesh import FaceMesh


class MediaPipe:
    """FaceMesh on single photos, and following a face."""

    def __init__(self, refine: bool) -> None:
        self.points = 478 if refine else 468
        self.refine = refine
        self.single = self._mesh(True)

    def _mesh(self, static: bool) -> FaceMesh:
        return FaceMesh(static_image_mode=static, max_num_faces=1, refine_landmarks=self.refine)

    def find(self, photo: np.ndarray) -> "np.ndarray | None":
        """Detection and landmarks."""
        return self._points(self.single, photo)

    def face(self, photo: np.ndarray) -> "FaceMesh | None":
        """A mesh that already follows the face."""
        mesh = self._mesh(False)
        return None if self._points(mesh, photo) is None else mesh

    def step(self, photo: np.ndarray, face: FaceMesh) -> "np.ndarray | None":
        """The next frame of the same face."""
        return self._points(face, photo)

    def disk(self) -> int:
        """Bytes of the landmark network."""
        name = "face_landmark_with_attention.tflite" if self.refine else "face_landmark.tflite"
        modules = Path(mediapipe.__file__).parent / "modules/face_landmark"
        return (modules / name).stat().st_size

    def _points(self, mesh: FaceMesh, photo: np.ndarray) -> "np.ndarray | None":
        found = mesh.process(photo).multi_face_landmarks
        if not found:
            return None
        height, width = photo.shape[:2]
        points = [(point.x * width, point.y * height) for point in found[0].landmark]
        return np.array(points) - 0.5


if __name__ == "__main__":
    refine = "--refine" in sys.argv
    run(MediaPipe(refine))
