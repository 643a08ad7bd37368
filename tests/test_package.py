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
from kd_landmarks.schemes import SCHEMES, get_scheme

assert "site-packages" in kd_landmarks.__file__, kd_landmarks.__file__
assert [get_scheme(name).num_landmarks for name in SCHEMES] == [68, 98, 29]
photo = np.zeros((128, 128, 3), np.uint8)
faces = kd_landmarks.FaceLandmarkPipeline()(photo, boxes=[20, 20, 100, 100])
assert faces[0]["keypoints"].shape == (68, 2)
assert kd_landmarks.FaceLandmarkPipeline(dtype="int8")(photo) == []
try:
    kd_landmarks.KDLandmarksConfig
except ImportError as error:
    assert "kd-landmarks[train]" in str(error)
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
    licenses = {name.partition(".dist-info/licenses/")[2] for name in names}
    weights = "kd_landmarks/models/weights/LICENSE"
    assert {"LICENSE", weights, "kd_landmarks/imaging/yunet.LICENSE"} <= licenses
    assert weights in names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"kd_landmarks"}
    own = "kd_landmarks/models/weights/mobilenetv2-300w/"
    files = ("model.safetensors", "config.json", "preprocessor_config.json", "README.md")
    for name in (*files, "onnx/model.onnx", "onnx/model_int8.onnx"):
        assert own + name in names
    assert {"kd_landmarks/imaging/yunet.onnx", "kd_landmarks/imaging/yunet.LICENSE"} <= set(names)


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
