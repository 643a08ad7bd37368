"""Draw README's animated picture, examples/landmarks.webp, from the package's own example photos.

python examples/make_animation.py
"""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from kd_landmarks import FaceLandmarkPipeline
from kd_landmarks.demo.examples import FOLDER

SIDE = 256
FRAMES, STILL = 24, 6
MOST_TURN = 28.0


def main() -> None:
    """The faces without their points, then with them, while the photos swing."""
    detect = FaceLandmarkPipeline()
    photos = [Image.open(FOLDER / name) for name in ("astronaut.jpg", "grace_hopper.jpg")]
    boxes = [detect(photo)[0].box for photo in photos]
    angles = MOST_TURN * np.sin(np.linspace(0, 2 * np.pi, FRAMES, endpoint=False))
    bare = [
        Image.fromarray(
            np.hstack(
                [
                    turned(np.asarray(photo.convert("RGB")), box, sign * angle)
                    for photo, box, sign in zip(photos, boxes, (1, -1), strict=True)
                ]
            )
        )
        for angle in angles
    ]
    drawn = [detect(frame).plot() for frame in bare]
    frames = [bare[0]] * STILL + [Image.blend(bare[0], drawn[0], step / 4) for step in (1, 2, 3)]
    frames += drawn + [drawn[0]] * STILL
    path = Path(__file__).with_name("landmarks.webp")
    frames[0].save(
        path, save_all=True, append_images=frames[1:], duration=80, loop=0, quality=45, method=6
    )
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def turned(photo: np.ndarray, box: list[float], angle: float) -> np.ndarray:
    """A square around a face, the photo turned around it."""
    x0, y0, x1, y1 = box
    matrix = cv2.getRotationMatrix2D(((x0 + x1) / 2, (y0 + y1) / 2), angle, SIDE / 2 / (y1 - y0))
    matrix[:, 2] += SIDE / 2 - np.array([(x0 + x1) / 2, (y0 + y1) / 2])
    return cv2.warpAffine(
        photo, matrix, (SIDE, SIDE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )


if __name__ == "__main__":
    main()
