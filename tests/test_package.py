"""The package as it is built and installed."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

USE_IT = """
import numpy as np
import kd_landmarks
from kd_landmarks.synthetic import generate_face
from kd_landmarks.training.recipe import load_recipe
from kd_landmarks.schemes import SCHEMES, get_scheme
from transformers import AutoConfig, AutoModelForKeypointDetection

assert "site-packages" in kd_landmarks.__file__, kd_landmarks.__file__
assert [get_scheme(name).num_landmarks for name in SCHEMES] == [68, 98, 29]
assert load_recipe("300w").student.head == "integral"
face = generate_face(3)
model = kd_landmarks.KDLandmarksForKeypointDetection(kd_landmarks.KDLandmarksConfig()).eval()
processor = kd_landmarks.KDLandmarksImageProcessor()
box = [*face.landmarks.min(0), *face.landmarks.max(0)]
outputs = model(**processor(face.image, boxes=box, return_tensors="pt"))
found = processor.post_process_keypoint_detection(outputs, boxes=box)[0][0]["keypoints"]
assert found.shape == (68, 2)
faces = kd_landmarks.FaceLandmarkPipeline()(face.image, boxes=box)
assert faces[0]["keypoints"].shape == (68, 2)
print("works", kd_landmarks.__version__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel that `python -m build` makes, by way of the source distribution."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--outdir", str(folder), str(REPOSITORY)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {"kd_landmarks/training/recipes/300w.yaml", "kd_landmarks/schemes/wflw98.png"} <= set(
        names
    )
    assert "kd_landmarks/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"kd_landmarks"}
    own = "kd_landmarks/weights/mobilenetv2-300w/"
    for name in ("model.safetensors", "config.json", "preprocessor_config.json", "README.md"):
        assert own + name in names


@pytest.mark.slow
def test_the_wheel_works_in_an_empty_environment(wheel, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = str(tmp_path / "venv/bin/python")
    subprocess.run([python, "-m", "pip", "install", "-q", str(wheel)], check=True, timeout=1500)
    done = subprocess.run(
        [python, "-c", USE_IT], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("works 0.")
