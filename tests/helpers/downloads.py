"""Small data sets on disk, laid out like the real ones, and the command that converts them."""

import hashlib
import json
from pathlib import Path

import h5py
import numpy as np
from PIL import Image
from typer.testing import CliRunner

from kd_landmarks.cli import app
from kd_landmarks.schemes import LandmarkScheme
from kd_landmarks.synthetic import generate_face

WFLW_LISTS = "WFLW_annotations/list_98pt_rect_attr_train_test"
WFLW_ATTRIBUTES = ("pose", "expression", "illumination", "make_up", "occlusion", "blur")
FIVE = LandmarkScheme.from_dict(
    {
        "name": "five",
        "names": ["left_eye", "right_eye", "nose", "left_mouth", "right_mouth"],
        "flip_pairs": [[0, 1], [3, 4]],
        "eye_corners": [0, 1],
        "pupils": [[0], [1]],
    }
)


def face(count: int, shift: float = 0.0) -> np.ndarray:
    """Points of an ellipse, with three decimals like the files'."""
    angle = np.linspace(0, 6, count)
    return np.round(np.stack([40 + 20 * np.cos(angle), 30 + 15 * np.sin(angle)], 1) + shift, 3)


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (90, 70), (200, 30, 90)).save(path)


def pts(points: np.ndarray) -> str:
    lines = "\n".join(f"{x:.6f} {y:.6f}" for x, y in points)
    return f"version: 1\nn_points:  {len(points)}\n{{\n{lines}\n}}\n"


def wflw_line(points: np.ndarray, name: str) -> str:
    numbers = " ".join(f"{value:.6f}" for value in points.ravel())
    return f"{numbers} 18 12 64 49 1 0 1 0 0 1 {name}"


def write_cofw(path: Path, suffix: str, pictures: list[np.ndarray], occluded: np.ndarray) -> None:
    """A `.mat` file as MATLAB 7.3 writes it: HDF5, cells by reference, each array transposed."""
    count = len(pictures)
    labels = [
        np.concatenate([*(face(29, shift) + 1).T, occluded]) for shift in range(count)
    ]  # 29 x, 29 y, 29 occlusions; pixels counted from 1
    with h5py.File(path, "w") as file:
        cells = file.create_dataset(f"Is{suffix}", (1, count), dtype=h5py.ref_dtype)
        for index, pixels in enumerate(pictures):
            stored = file.create_dataset(f"#refs#/{index}", data=pixels.T)
            cells[0, index] = stored.ref
        file[f"phis{suffix}"] = np.array(labels, dtype=np.float64).T
        file[f"bboxes{suffix}"] = np.array([[11.0, 6.0, 60.0, 50.0]] * count).T


def write_300w(root: Path) -> Path:
    """Eight faces in all parts of 300W."""
    names = (
        "afw/123456_1.jpg",
        "afw/123456_2.JPG",
        "helen/trainset/100032540_1.jpg",
        "lfpw/trainset/image_0001.png",
        "helen/testset/296814969_3.jpg",
        "lfpw/testset/image_0001.png",
        "lfpw/testset/image_0002.png",
        "ibug/image_092 _01.jpg",
    )
    for shift, name in enumerate(names):
        picture(root / name)
        (root / name).with_suffix(".pts").write_text(pts(face(68, shift)))
    return root


def write_drawn_300w(root: Path) -> Path:
    """Drawn faces, 41 to train with and 5 to test on, laid out like 300W."""
    for number in range(46):
        drawn = generate_face(number, size=128)
        part = "helen/testset" if number % 8 == 7 else "helen/trainset"
        file = root / part / f"{number}_1.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(drawn.image).save(file, quality=95)
        file.with_suffix(".pts").write_text(pts(drawn.landmarks + 1))
    return root


def write_wflw(root: Path) -> Path:
    """One face for training and two of one photo for testing."""
    (root / WFLW_LISTS).mkdir(parents=True)
    names = ("1--Ball/1_Ball_2.jpg", "0--Parade/0_Parade_1.jpg", "0--Parade/0_Parade_1.jpg")
    for name in names:
        picture(root / "WFLW_images" / name)
    lines = [wflw_line(face(98, shift), name) + "\n" for shift, name in enumerate(names)]
    (root / WFLW_LISTS / "list_98pt_rect_attr_train.txt").write_text(lines[0])
    (root / WFLW_LISTS / "list_98pt_rect_attr_test.txt").write_text("".join(lines[1:]))
    return root


def write_cofw_folder(root: Path) -> Path:
    """A gray and a color photo for training, and one for testing."""
    root.mkdir()
    rng = np.random.default_rng(29)
    gray = rng.integers(0, 255, (70, 90), dtype=np.uint8)
    color = rng.integers(0, 255, (60, 100, 3), dtype=np.uint8)
    occluded = np.zeros(29)
    occluded[[0, 7]] = 1
    write_cofw(root / "COFW_train_color.mat", "Tr", [gray, color], occluded)
    write_cofw(root / "COFW_test_color.mat", "T", [color], occluded)
    return root


def write_own(root: Path) -> Path:
    """Five faces of one's own as JSON lines in two files; the first has no box."""
    rng = np.random.default_rng(5)
    (root / "images").mkdir(parents=True)
    lines = []
    for number in range(5):
        pixels = rng.integers(0, 255, (70, 90, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "images" / f"{number}.png")
        line = {"image": f"images/{number}.png", "landmarks": face(5, number).tolist()}
        line |= {"visible": [1, 1, 1, 0, 1], "attributes": {"beard": number}, "subset": "lab"}
        lines.append(line | {"box": [5, 5, 80, 60] if number else None})
    write_lines(root / "train.jsonl", lines[:3])
    write_lines(root / "test_common.jsonl", lines[3:])
    return root


def write_lines(path: Path, lines: list[dict]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def read_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def files_of(folder: Path) -> dict[str, str]:
    """Every file of a folder by its path, with the digest of its bytes."""
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def convert_command(*words):
    """Run `kd-landmarks convert`: its result, with exit_code and output."""
    return CliRunner().invoke(app, ["convert", *map(str, words)])
