"""Faces of any size and turn: what is found, how exactly, and how soon, beside MediaPipe.

    bash benchmarks/peer_scripts/setup.sh
    python benchmarks/any_photo.py --data "$KD_LANDMARKS_DATA"

With the package's student, its face detector, and no boxes:

- sizes: faces of 300W's training photos, in frames of 1 to 3 times the face (gray around what the
  data do not hold) and from 200 to 6,000 pixels: whether there is exactly one answer, and how far
  its points are from those at the size in the middle, in percent of the distance of the eyes;
- turns: the same photos turned by 0 to 345 degrees, error against the ground truth;
- counts: the faces of 300W common (554), of WFLW's crops (106), and of whole photos, there
  beside what the finest picture alone shows;
- time: a portrait in 640 x 480, each process pinned to one core, and a photo of 12 megapixels
  beyond decoding.
"""

import os
import statistics
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from numpy.typing import NDArray
from peers import CACHE, timed, write_frames
from PIL import Image
from record import print_table, record
from tqdm.auto import tqdm

from kd_landmarks import FaceLandmarkPipeline, default_checkpoint, load_rows
from kd_landmarks.data.columns import box_array, evenly_spaced, point_array
from kd_landmarks.data.photos import Photos
from kd_landmarks.imaging.detection import YuNet, detect_faces
from kd_landmarks.imaging.photo_folders import photo_files
from kd_landmarks.imaging.photos import load_photo
from kd_landmarks.imaging.yunet import LEVELS, MIN_SCORE, _yunet
from kd_landmarks.inference.checkpoints import INT8_FILE
from kd_landmarks.inference.measures import interocular
from kd_landmarks.schemes import get_scheme

SCHEME = get_scheme("ibug68")
FACES = 60
FRAMES = (1.0, 1.2, 1.4, 2.0, 3.0)
SIZES = (200, 320, 640, 1280, 1600, 2560, 6000)
MIDDLE = 640
TURNS = range(0, 360, 15)
GRAY = (118, 118, 118)
SEED = 0


def main(data: Annotated[Path, typer.Option(help="Folder with 300w/ and wflw/.")]) -> None:
    """Look, print and record."""
    rows = load_rows(data / "300w", "train", scheme=SCHEME)
    rows = rows.select(evenly_spaced(len(rows), FACES))
    detect = FaceLandmarkPipeline()
    measured: dict[str, Any] = {
        "sizes": sizes(detect, rows),
        "turns": turns(detect, rows),
        "counts": counts(data),
        "times": times(data),
    }
    print_table(
        ("frame", *(f"{size} px" for size in SIZES), "farthest, % of eyes"),
        [
            (frame, *(f"{found['one'][str(size)]}" for size in SIZES), f"{found['farthest']:.1f}")
            for frame, found in measured["sizes"].items()
        ],
    )
    print(f"\nof {FACES} faces those with exactly one answer\n")
    print_table(
        ("degrees", "NME %", "median", "not found", "above 10 %"),
        [
            (turn, f"{one['nme']:.2f}", f"{one['median']:.2f}", one["missed"], one["failed"])
            for turn, one in measured["turns"].items()
        ],
    )
    print()
    print_table(("faces of", "found", "before"), [(*one,) for one in measured["counts"]])
    print()
    print_table(
        ("one core", "ms"), [(name, f"{value:.1f}") for name, value in measured["times"].items()]
    )
    print(record("any_photo", measured, SEED))


def frame_of(photo: Image.Image, box: NDArray[np.float64], times: float) -> Image.Image:
    """The square of so many times the face's longer side, gray where the photo ends."""
    side = round(times * float((box[2:] - box[:2]).max()))
    left, top = np.round((box[:2] + box[2:]) / 2 - side / 2).astype(int).tolist()
    frame = Image.new("RGB", (side, side), GRAY)
    frame.paste(photo, (-left, -top))
    return frame


def sizes(detect: FaceLandmarkPipeline, rows: Any) -> dict[str, Any]:
    """Of each frame: at each size how many faces have one answer; the farthest of the points."""
    photos, boxes = Photos(rows), box_array(rows)
    found: dict[str, Any] = {}
    for times in tqdm(FRAMES, "sizes", leave=False):
        one = dict.fromkeys(map(str, SIZES), 0)
        far: list[float] = []
        for index in range(len(rows)):
            frame = frame_of(photos.open(index).convert("RGB"), boxes[index], times)
            answers = {}
            for size in SIZES:
                answer = detect(frame.resize((size, size), Image.Resampling.BICUBIC))
                one[str(size)] += len(answer) == 1
                if answer:
                    answers[size] = (answer[0]["keypoints"] + 0.5) / size
            middle = answers.get(MIDDLE)
            if middle is not None:
                eyes = interocular(middle, SCHEME)
                away = [np.linalg.norm(x - middle, axis=1).mean() for x in answers.values()]
                far.append(100 * float(max(away) / eyes))
        median = statistics.median(far or [0.0])
        found[f"{times:g}"] = {"one": one, "farthest": max(far, default=0.0), "median": median}
    return found


def turns(detect: FaceLandmarkPipeline, rows: Any) -> dict[str, Any]:
    """Of each turn of the photos the error, without boxes."""
    photos, truth = Photos(rows), point_array(rows, "landmarks")
    found = {}
    for degrees in tqdm(TURNS, "turns", leave=False):
        errors, missed = [], 0
        for index, points in enumerate(truth):
            photo = photos.open(index).convert("RGB")
            turned = photo.rotate(-degrees, Image.Resampling.BICUBIC, expand=True)
            angle = np.radians(degrees)
            matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
            middle, center = (np.array(one.size) / 2 - 0.5 for one in (photo, turned))
            moved = (points - middle) @ matrix + center
            eyes = interocular(moved, SCHEME)
            away = [
                100 * float(np.linalg.norm(face["keypoints"] - moved, axis=1).mean() / eyes)
                for face in detect(turned)
            ]
            # The face nearest to the labeled one; farther than the eyes are apart is another one.
            if away and min(away) < 100:
                errors.append(min(away))
            else:
                missed += 1
        found[str(degrees)] = {
            "nme": float(np.mean(errors)),
            "median": float(np.median(errors)),
            "missed": missed,
            "failed": sum(error > 10 for error in errors),
        }
    return found


def counts(data: Path) -> list[tuple[str, int, int | str]]:
    """Faces that are found: of labeled crops those of the label, of whole photos all."""
    found: list[tuple[str, int, int | str]] = []
    for name, path, split in (
        ("300W common", "300w", "common"),
        ("WFLW, 106 faces", "wflw/faces.jsonl", None),
    ):
        rows = load_rows(data / path, split, scheme=SCHEME)
        photos, truth, count = Photos(rows), point_array(rows, "landmarks"), 0
        for index, points in enumerate(tqdm(truth, name, leave=False)):
            boxes, _ = detect_faces(photos.open(index), YuNet())
            middle = points.mean(axis=0)
            inside = (boxes[:, :2] < middle).all(1) & (middle < boxes[:, 2:4]).all(1)
            count += bool(inside.any())
        found.append((name, count, ""))
    for folder in ("300W", "WFLW"):
        files = photo_files(data / "official_layout" / folder)
        now, finest = (
            sum(len(detect_faces(load_photo(file), detector)[0]) for file in files)
            for detector in (YuNet(), alone)
        )
        found.append((f"whole photos of {folder}", now, finest))
    return found


def alone(photo: NDArray[np.uint8]) -> NDArray[np.float64]:
    """As the package did before: one look at the finest picture."""
    scale = min(1.0, LEVELS[-1] / max(photo.shape[:2]))
    size = [round(side * scale) for side in photo.shape[1::-1]]
    small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    return _yunet(small, MIN_SCORE)[0] / scale


def times(data: Path) -> dict[str, float]:
    """Milliseconds of whole answers."""
    folder = CACHE / "frames"
    write_frames(data, folder)
    small = str(Path(default_checkpoint()) / INT8_FILE)
    ours = [sys.executable, "ours.py", "--backend", "onnxruntime"]
    found = {
        f"portrait of 640 x 480: {name}": timed(command, folder, threads=1)["photo_ms"]
        for name, command in (
            ("float32", ours),
            ("int8", [*ours, "--file", small]),
            (
                "MediaPipe, 478 points",
                [str(CACHE / "mediapipe/bin/python"), "mediapipe_peer.py", "--refine"],
            ),
        )
    }
    return found | {"12 megapixels, beyond decoding: float32": large_photo(data)}


def large_photo(data: Path) -> float:
    """Milliseconds of a decoded photo of 4,000 x 3,000 pixels, on one core."""
    rows = load_rows(data / "300w", "train", scheme=SCHEME)
    cv2.setNumThreads(1)
    detect, photos, took = FaceLandmarkPipeline(), Photos(rows), []
    os.sched_setaffinity(0, {0})
    for index in evenly_spaced(len(rows), 10):
        photo = Image.new("RGB", (4000, 3000), GRAY)
        photo.paste(photos.open(index).convert("RGB").resize((1500, 1500)), (1200, 700))
        start = time.perf_counter()
        detect(photo)
        took.append(1000 * (time.perf_counter() - start))
    return statistics.median(took[2:])


if __name__ == "__main__":
    typer.run(main)
