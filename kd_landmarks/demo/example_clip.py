"""The example clip: a drawn face that turns its head, blinks and speaks.

    python -m kd_landmarks.demo.example_clip

writes the file that the demo shows, `examples/drawn_face.webm`; the package carries it, since
drawing takes some seconds.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..inference.video.reader import VideoInfo
from ..inference.video.writer import VideoWriter
from ..synthetic.drawing import draw_face
from ..synthetic.parameters import FaceParameters
from .examples import CLIP

SEED = 12
RATE, FRAMES = 20, 100
DRAWN, SIDE = 400, 360
"""Pixels of the drawn picture, and of the part of it that the camera shows."""


def frames() -> Iterator[NDArray[np.uint8]]:
    """The frames (SIDE, SIDE, 3), RGB."""
    person = draw_face(SEED, 32).parameters
    for number in range(FRAMES):
        time = number / RATE
        face = draw_face(SEED, DRAWN, clean=True, parameters=_at(person, time)).image
        room = (DRAWN - SIDE) / 2
        left = round(room * (1 + np.sin(2 * np.pi * time / 2.5)))
        top = round(room * (1 + np.cos(2 * np.pi * time / 5)))
        yield face[top : top + SIDE, left : left + SIDE]


def _at(person: FaceParameters, time: float) -> FaceParameters:
    """What the face does after so many seconds."""
    swing = np.sin(2 * np.pi * time / 5)
    blink = min(1.0, 5 * min(abs(time - 0.8), abs(time - 3.2)))
    speech = max(0.0, np.sin(2 * np.pi * (time - 1.2) / 1.3)) if 1.2 < time < 4.4 else 0.0
    return replace(
        person,
        yaw=float(np.deg2rad(28) * swing),
        pitch=float(np.deg2rad(8) * np.sin(2 * np.pi * time / 2.5)),
        roll=float(np.deg2rad(10) * np.sin(2 * np.pi * time / 5 + 1)),
        mouth_open=0.3 * speech,
        smile=0.3,
        frown=0.0,
        eye_open_left=blink,
        eye_open_right=blink,
    )


def write(path: Path) -> None:
    """Write the clip as WebM."""
    with closing(VideoWriter(path, VideoInfo(rate=RATE, width=SIDE, height=SIDE))) as writer:
        for number, frame in enumerate(frames()):
            writer.write(frame, number / RATE)


if __name__ == "__main__":
    write(CLIP)
