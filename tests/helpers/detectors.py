"""Tiny checkpoints whose answer is known, faces to measure them on, and the command that does."""

import json

import numpy as np
import torch
from PIL import Image
from typer.testing import CliRunner

from kd_landmarks.cli import app
from kd_landmarks.models import (
    KDLandmarksConfig,
    KDLandmarksForKeypointDetection,
    KDLandmarksImageProcessor,
)
from kd_landmarks.synthetic import generate_face

MARGIN = 1.4


def save_detector(folder, scheme, points, dtype=torch.float32):
    """Save a detector of `scheme` that answers `points` (N, 2), in crop units, to every face."""
    config = KDLandmarksConfig(
        backbone="test_efficientnet",
        head="linear",
        image_size=32,
        num_landmarks=scheme.num_landmarks,
        scheme=scheme.to_dict(),
    )
    model = KDLandmarksForKeypointDetection(config)
    with torch.no_grad():
        model.head.linear.weight.zero_()
        model.head.linear.bias.copy_(torch.as_tensor(points).flatten())
    model.to(dtype).save_pretrained(folder)
    size = {"height": config.image_size, "width": config.image_size}
    KDLandmarksImageProcessor(size=size, crop_margin=MARGIN).save_pretrained(folder)
    return folder


def write_faces(folder, numbers=range(4), **fields):
    """Generated faces as `test.jsonl`, `fields` one value per face; their points (faces, N, 2)."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    lines, points = [], []
    for place, number in enumerate(numbers):
        face = generate_face(number, size=96)
        Image.fromarray(face.image).save(folder / f"images/{place}.png")
        values = {name: values[place] for name, values in fields.items()}
        line = {"image": f"images/{place}.png", "landmarks": face.landmarks.tolist()} | values
        lines.append(json.dumps(line))
        points.append(face.landmarks)
    (folder / "test.jsonl").write_text("\n".join(lines))
    return np.stack(points)


def evaluate(*words):
    """Run `kd-landmarks evaluate`: its result, with exit_code and output."""
    return CliRunner().invoke(app, ["evaluate", *map(str, words)])
