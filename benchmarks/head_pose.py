"""How exact the head's pose is that points tell: on generated faces, whose pose is known.

    python benchmarks/head_pose.py --data "$KD_LANDMARKS_DATA"

The generic face that the pose is told by (`kd_landmarks.inference.head_pose`) was not fitted to the
head that draws these, and neither was the package's student, whose points stand beside the exact
ones. Errors are mean absolute differences in degrees, by how far the head is turned. Photos of 300W
have no known pose: there it is told how their faces lie in the mean, which is about frontal, and
how far the pose of the student's points is from that of the annotated ones.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image
from record import print_table, record

from kd_landmarks import FaceLandmarkPipeline, load_rows
from kd_landmarks.data.columns import point_array
from kd_landmarks.data.photos import Photos
from kd_landmarks.inference.measures import head_pose
from kd_landmarks.synthetic.drawing import draw_face

FACES = 400
SIZE = 256
FIRST_SEED = 500_000
ANGLES = ("yaw", "pitch", "roll")
# Bounds of the drawn yaw in degrees; the first is what the package promises.
TURNED = {"up to 45": (0, 45), "up to 15": (0, 15), "15 to 30": (15, 30), "30 to 45": (30, 45),
          "45 to 75": (45, 75)}  # fmt: skip


def main(data: Annotated[Path, typer.Option(help="Folder with 300w/.")]) -> None:
    """Draw, detect, tell poses, print and record."""
    detect = FaceLandmarkPipeline(device="cpu")
    drawn, told = drawn_poses(detect)
    away = np.abs(drawn[:, 0])
    errors: dict[str, dict[str, dict[str, float | int]]] = {}
    for source, poses in told.items():
        for name, (low, high) in TURNED.items():
            some = (away >= low) & (away < high)
            mean = np.abs(poses - drawn)[some].mean(axis=0).tolist()
            found = {"faces": int(some.sum()), **dict(zip(ANGLES, mean, strict=True))}
            errors.setdefault(source, {})[name] = found
    print_table(
        ("points", "yaw drawn, degrees", "faces", *ANGLES),
        [
            (source, name, found["faces"], *(f"{found[angle]:.2f}" for angle in ANGLES))
            for source, groups in errors.items()
            for name, found in groups.items()
        ],
    )
    photos = photo_poses(detect, data)
    print_table(
        ("300W common", *ANGLES),
        [(name, *(f"{found[angle]:.2f}" for angle in ANGLES)) for name, found in photos.items()],
    )
    print(record("head_pose", {"size": SIZE, "drawn": errors, "300w_common": photos}, FIRST_SEED))


def drawn_poses(
    detect: FaceLandmarkPipeline,
) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    """Poses in degrees (faces, 3): as drawn, and told by exact and by detected points.

    Half of the faces are turned by 25 to 75 degrees, the others as those of `generate_face`.
    """
    drawn, exact, detected = [], [], []
    for seed in range(FIRST_SEED, FIRST_SEED + FACES):
        face = draw_face(seed, SIZE, head_turned=seed % 2 == 0)
        points = face.landmarks["ibug68"]
        pose = face.parameters
        drawn.append(np.degrees([pose.yaw, pose.pitch, pose.roll]))
        exact.append(head_pose(points))
        box = [*points.min(axis=0).tolist(), *points.max(axis=0).tolist()]
        detected.append(detect(Image.fromarray(face.image), boxes=[box])[0].head_pose())
    return np.array(drawn), {"exact": np.array(exact), "student's": np.array(detected)}


def photo_poses(detect: FaceLandmarkPipeline, data: Path) -> dict[str, dict[str, float]]:
    """Of 300W common: the median pose, its spread, and what the student's points differ."""
    rows = load_rows(data / "300w", "common", scheme=detect.scheme)
    photos = Photos(rows)
    truth = np.array([head_pose(points) for points in point_array(rows, "landmarks")])
    found = []
    for number, box in enumerate(rows["box"]):
        found.append(detect(photos.open(number), boxes=[list(box)])[0].head_pose())
    values = {
        "median": np.median(truth, axis=0),
        "standard deviation": truth.std(axis=0),
        "student's against annotated": np.abs(np.array(found) - truth).mean(axis=0),
    }
    return {
        name: dict(zip(ANGLES, numbers.tolist(), strict=True)) for name, numbers in values.items()
    }


if __name__ == "__main__":
    typer.run(main)
