"""A small data set in Parquet, in uneven files and row groups, for the tests of streaming."""

import json
from pathlib import Path

import pytest
from PIL import Image

from kd_landmarks.data import convert_rows
from kd_landmarks.data.convert import convert
from kd_landmarks.schemes import get_scheme
from kd_landmarks.synthetic import generate_face

SCHEME = get_scheme("ibug68")
TRAIN_FACES, TEST_FACES = 43, 6


def write_lines(folder: Path) -> Path:
    """Generated faces as JSON lines; some photos are of two faces."""
    (folder / "images").mkdir(parents=True)
    lines = []
    for number in range(TRAIN_FACES + TEST_FACES):
        face = generate_face(number, size=96)
        name = f"images/{number}.png"
        Image.fromarray(face.image).save(folder / name)
        line = {"image": name, "landmarks": face.landmarks.tolist(), "photo": str(number // 2)}
        line["box"] = [*face.landmarks.min(0).tolist(), *face.landmarks.max(0).tolist()]
        lines.append(json.dumps(line | {"subset": "ab"[number % 2]}) + "\n")
    (folder / "train.jsonl").write_text("".join(lines[:TRAIN_FACES]))
    (folder / "test.jsonl").write_text("".join(lines[TRAIN_FACES:]))
    return folder


def write_parquet(folder: Path) -> Path:
    """The same as Parquet: files of up to 10 faces, row groups of up to 3."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convert_rows, "SHARD_FACES", 10)
        patch.setattr(convert_rows, "GROUP_FACES", 3)
        convert("own", write_lines(folder / "lines"), folder / "parquet", scheme=SCHEME)
    return folder / "parquet"
