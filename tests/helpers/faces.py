"""Generated faces and their crops, for the tests of data, augmentation and training crops."""

import json

import numpy as np
from datasets import Array2D
from PIL import Image

from kd_landmarks.data.augmentation import AugmentationSettings
from kd_landmarks.data.crops import POINT_COLUMNS, FaceCrops
from kd_landmarks.schemes import get_scheme
from kd_landmarks.synthetic import generate_face, generated_dataset

SCHEME = get_scheme("ibug68")
STILL = {
    **dict.fromkeys(("rotation", "shift", "flip", "brightness", "contrast", "saturation"), 0.0),
    **dict.fromkeys(("gray", "blur", "low_resolution", "occlusion"), 0.0),
    **dict.fromkeys(("scale", "stretch"), 1.0),
}
"""No augmentation at all; tests turn on what they are about."""
TUNED = set(AugmentationSettings.model_fields)
"""What recipes can set; the rest are constants of the class."""
GEOMETRY = {
    "rotation": {"rotation": 60.0},
    "scale": {"scale": 1.4},
    "stretch": {"stretch": 1.3},
    "shift": {"shift": 0.15},
    "flip": {"flip": 1.0},
    "all": {"rotation": 45.0, "scale": 1.2, "stretch": 1.15, "shift": 0.06, "flip": 0.5},
}


def settings(**strengths):
    values = STILL | strengths
    fixed = {name: value for name, value in values.items() if name not in TUNED}
    kind = type("Still", (AugmentationSettings,), {"__module__": __name__, **fixed})
    return kind(**{name: value for name, value in values.items() if name in TUNED})


def write_lines(folder, numbers, size=96, points=lambda landmarks: landmarks, name="faces.jsonl"):
    """Generated faces as PNGs and JSON lines in a new folder; returns the lines' values."""
    folder.mkdir()
    lines = []
    for number in numbers:
        face = generate_face(number, size=size)
        Image.fromarray(face.image).save(folder / f"{number}.png")
        placed = points(face.landmarks).round(2).tolist()
        lines.append({"image": f"{number}.png", "landmarks": placed})
    rewrite_lines(folder / name, lines)
    return lines


def rewrite_lines(file, lines):
    """JSON lines with other values."""
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def face_rows():
    """Six faces, with targets of all three kinds beside the ground truth."""
    rows = generated_dataset(6, 3, "ibug68", 96)
    truth = np.asarray(rows["landmarks"], dtype=np.float32)
    for offset, column in enumerate(POINT_COLUMNS[1:], start=1):
        feature = Array2D((68, 2), "float32")
        rows = rows.add_column(column, (truth + offset).tolist(), feature=feature)
    return rows


def crops_of(rows, augmentation=None, **options):
    options = {"keep": False, "flip_permutation": SCHEME.flip_permutation} | options
    return FaceCrops(rows, options.pop("image_size", 64), augmentation=augmentation, **options)
