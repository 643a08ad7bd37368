"""A frame with its time, as a drawing and as a line of JSON."""

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...imaging.drawing import draw_landmarks
from ...schemes import LandmarkScheme
from ..results import Face


@dataclass(frozen=True)
class VideoFrame:
    """A frame.

    Attributes:
        number: from 0.
        time: in seconds from the beginning, later than the frame before.
        pixels: (height, width, 3) uint8, RGB.
    """

    number: int
    time: float
    pixels: NDArray[np.uint8]

    def drawn(
        self, faces: list[Face], scheme: LandmarkScheme, below: list[Face] | None = None
    ) -> NDArray[np.uint8]:
        """Its pixels with faces drawn, of the same size; others in another color below them."""
        if not faces:
            return self.pixels
        points, unsure = (
            [getattr(face, name) for face in faces] for name in ("keypoints", "unsure")
        )
        others = [face.keypoints for face in below] if below else None
        drawn = draw_landmarks(
            self.pixels, points, scheme, reference=others, unsure=unsure, min_size=1
        )
        return np.asarray(drawn)

    def line(self, faces: list[Face], with_measures: bool = False) -> str:
        """A JSON line: `frame`, `time` in seconds, `faces` with their `track`."""
        told = [face.to_dict(with_measures) for face in faces]
        values = {"frame": self.number, "time": round(self.time, 4), "faces": told}
        return json.dumps(values) + "\n"
