"""What smoothing buys in video and what it costs: jitter of resting faces, lag of moving ones.

    python benchmarks/steadiness.py --data "$KD_LANDMARKS_DATA"

Ten faces of 300W common are made into video of 30 frames a second: resting under fresh noise in
every frame, and moving to and fro across the picture. Jitter is how far a point moves from frame to
frame though the face rests; lag is the delay at which the points fit the face's way best. Both for
points as they are and for three settings of the smoothing, as `FaceTracker` follows faces: YuNet
every ten frames, the points' own box in between.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image
from record import print_table, record

from kd_landmarks import FaceLandmarkPipeline, load_rows
from kd_landmarks.data.columns import evenly_spaced
from kd_landmarks.data.photos import Photos
from kd_landmarks.inference.smoothing import Smoothing
from kd_landmarks.inference.tracking import FaceTracker
from kd_landmarks.schemes import get_scheme

SCHEME = get_scheme("ibug68")
FACES = 10
RATE = 30
FRAMES = 75
# The first frames, in which smoothing has no past to average, do not count.
WARM_UP = 15
# Gray levels, as a webcam has them in a dim room.
NOISE = 8.0
SIZE = 320
# To and fro by this share of the picture, once in so many seconds.
SWING, PERIOD = 0.12, 2.0
LAGS = np.arange(0, 0.3, 0.002)
SETTINGS = {
    "none": Smoothing(steadiness=0),
    "calmer: 0.5 s": Smoothing(steadiness=0.5),
    "default: 0.25 s": Smoothing(),
    "quicker: 0.1 s": Smoothing(steadiness=0.1),
}
SEED = 0


def main(data: Annotated[Path, typer.Option(help="Folder with 300w/.")]) -> None:
    """Follow, measure, print and record."""
    rows = load_rows(data / "300w", "common", scheme=SCHEME)
    photos = Photos(rows)
    detect = FaceLandmarkPipeline(device="cpu")
    jitter: dict[str, list[float]] = {name: [] for name in SETTINGS}
    lag: dict[str, list[float]] = {name: [] for name in SETTINGS}
    for index in evenly_spaced(len(rows), FACES):
        photo = photos.open(index).convert("RGB").resize((SIZE, SIZE))
        still = np.zeros(FRAMES)
        way = SWING * SIZE * np.sin(2 * np.pi * np.arange(FRAMES) / RATE / PERIOD)
        for name, setting in SETTINGS.items():
            points, side = follow(detect, setting, photo, still)
            steps = np.linalg.norm(np.diff(points[WARM_UP:], axis=0), axis=-1)
            jitter[name].append(100 * float(steps.mean()) / side)
            points, _ = follow(detect, setting, photo, way)
            lag[name].append(1000 * delay(points[:, :, 0].mean(axis=1)))
    measured = {
        name: {"jitter": float(np.mean(jitter[name])), "lag_ms": float(np.median(lag[name]))}
        for name in SETTINGS
    }
    print_table(
        ("smoothing", "jitter, % of the face's side", "lag, ms"),
        [
            (name, f"{found['jitter']:.3f}", f"{found['lag_ms']:.0f}")
            for name, found in measured.items()
        ],
    )
    told = {"faces": FACES, "frames_per_second": RATE, "noise": NOISE}
    print(record("steadiness", {**told, "smoothing": measured}, SEED))


def follow(
    detect: FaceLandmarkPipeline, setting: Smoothing, photo: Image.Image, way: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """A face's points (frames, N, 2) along a way to the right, and the longer side of its box."""
    tracker = FaceTracker(detect, setting)
    rng = np.random.default_rng(SEED)
    found = []
    for number, shift in enumerate(way):
        moved = photo.transform(
            photo.size, Image.Transform.AFFINE, (1, 0, -shift, 0, 1, 0), Image.Resampling.BICUBIC
        )
        frame = np.asarray(moved) + rng.normal(0, NOISE, (SIZE, SIZE, 3))
        faces = tracker(frame.clip(0, 255).round().astype(np.uint8), number / RATE)
        if not faces:
            raise SystemExit(f"the face was lost in frame {number}")
        found.append(faces[0]["keypoints"])
    points = np.stack(found).astype(np.float64)
    return points, float(np.ptp(points[-1], axis=0).max())


def delay(path: NDArray[np.float64]) -> float:
    """Seconds by which a measured x of each frame trails behind the swing that was shown."""
    times = np.arange(len(path)) / RATE
    misfit = []
    for seconds in LAGS:
        shown = np.sin(2 * np.pi * (times[WARM_UP:] - seconds) / PERIOD)
        basis = np.stack([shown, np.ones_like(shown)], axis=1)
        misfit.append(np.linalg.lstsq(basis, path[WARM_UP:], rcond=None)[1].sum())
    return float(LAGS[int(np.argmin(misfit))])


if __name__ == "__main__":
    typer.run(main)
