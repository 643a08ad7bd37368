"""Values that cannot be meant: one line that names the value, and what there is."""

import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
from clips import write_clip
from typer.testing import CliRunner

from kd_landmarks import FaceLandmarkPipeline, KDLandmarksError
from kd_landmarks.cli import app
from kd_landmarks.demo.networks import Networks
from kd_landmarks.evaluation.evaluate import evaluate_detector
from kd_landmarks.evaluation.metrics import NORMALIZERS, nme
from kd_landmarks.imaging.detection import YuNet
from kd_landmarks.inference.backends import BACKENDS
from kd_landmarks.inference.backends.onnx import OnnxBackend
from kd_landmarks.inference.export import export_onnx
from kd_landmarks.inference.smoothing import Smoothing
from kd_landmarks.inference.tracking import FaceTracker
from kd_landmarks.schemes import get_scheme
from kd_landmarks.utils.environment import checked_device, devices
from kd_landmarks.utils.values import ending, number, one_of, whole

NAN, INF = float("nan"), float("inf")
PHOTO = np.full((40, 40, 3), 100, np.uint8)
NOWHERE = ["cuda:99", "banana", "", 99, 3.5, True, [], "meta", "x" * 10**6]
NO_COUNT = [0, -1, "x", 2.5, True, NAN, [], 10**1000 * -1]
NO_NUMBER = [-1, "0.5", NAN, INF, True, [], 10**1000]


def refused(message, work):
    with pytest.raises(KDLandmarksError, match=message) as caught:
        work()
    assert len(str(caught.value)) <= 500
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def detect(noise_checkpoint):
    return FaceLandmarkPipeline(noise_checkpoint, device="cpu")


# --- Python


@pytest.mark.parametrize("device", NOWHERE)
def test_a_device_that_is_not_there_is_told_with_those_that_are(device):
    refused(
        f"device=.* is not available: give one of .*{devices()[-1]}", lambda: checked_device(device)
    )
    refused("device=", lambda: Networks(device))
    # Before anything is loaded: there is no such checkpoint.
    refused("device=", lambda: FaceLandmarkPipeline("/nowhere", device=device))


def test_devices_that_are_there_are_taken(detect):
    assert checked_device(None) is None
    for device in ("cpu", -1, torch.device("cpu"), *devices()):
        assert checked_device(device).type in ("cpu", devices()[0].partition(":")[0])


@pytest.mark.parametrize("value", NO_COUNT)
def test_counts_are_whole_and_positive(detect, value):
    for call in (
        lambda: detect(PHOTO, boxes=[], batch_size=value),
        lambda: detect([PHOTO, PHOTO], batch_size=value),
        lambda: FaceLandmarkPipeline("/nowhere", batch_size=value),
    ):
        refused("batch_size=.*: give a whole number, 1 or more", call)
    refused("detect_every=", lambda: FaceTracker(detect, detect_every=value))
    refused("threads=", lambda: OnnxBackend("/nowhere.onnx", threads=value))
    rows = list(range(3))
    scheme = get_scheme("ibug68")
    refused("batch_size=", lambda: evaluate_detector(0, 0, rows, scheme, batch_size=value))
    if value != 0:
        for call in (
            lambda: detect([PHOTO, PHOTO], num_workers=value),
            lambda: FaceLandmarkPipeline("/nowhere", num_workers=value),
        ):
            refused("num_workers=.*: give a whole number, 0 or more", call)


@pytest.mark.parametrize("value", NO_NUMBER)
def test_numbers_are_finite_and_in_range(detect, value):
    refused("min_score=.*: give a number, from 0 to 1", lambda: YuNet(value))
    refused("steadiness=.*: give a number, 0 or more", lambda: Smoothing(value))
    refused("follow=", lambda: Smoothing(follow=value))
    refused("timeout=", lambda: detect(PHOTO, boxes=[], timeout=value))


@pytest.mark.parametrize("value", ["x", 5, [], "x" * 10**6])
def test_words_are_those_that_there_are(value, detect):
    backends = f"backend=.*: give one of {', '.join(BACKENDS)}"
    refused(backends, lambda: FaceLandmarkPipeline("/nowhere", backend=value))
    normalizers = f"normalizer=.*: give one of {', '.join(NORMALIZERS)}"
    points, scheme = np.zeros((1, 68, 2)), get_scheme("ibug68")
    refused(normalizers, lambda: nme(points, points, scheme, value))
    refused(normalizers, lambda: evaluate_detector(0, 0, [0], scheme, normalizer=value))
    refused("dtype=.*: give", lambda: FaceLandmarkPipeline("/nowhere", dtype=value))


def test_good_values_are_taken(detect, tmp_path):
    for options in ({"batch_size": np.int64(2)}, {"num_workers": 0}, {"timeout": 5}):
        assert detect([PHOTO, PHOTO], boxes=[[], []], **options) == [[], []]
    file = export_onnx(
        detect.backend.model, detect.backend.image_processor, tmp_path / "small.onnx"
    )
    assert FaceLandmarkPipeline(OnnxBackend(file, threads=1))(PHOTO, boxes=[]) == []
    assert (whole("x", np.int32(3)), number("x", np.float32(0.5)), one_of("x", "a", "ab")) == (
        3,
        0.5,
        "a",
    )
    assert ending("OUT", tmp_path / "A.MP4", (".mp4",)) == ".mp4"


# --- commands

COMMANDS = [
    ("predict a.jpg --device banana", "device='banana' is not available: give one of"),
    ("predict a.jpg --device cuda:99", "device='cuda:99' is not available: give one of"),
    ("video a.mp4 b.mp4 --device ''", "device='' is not available"),
]
LIGHT_COMMANDS = [
    ("predict a.jpg --batch-size 0", "'--batch-size'"),
    ("predict a.jpg --batch-size x", "'--batch-size'"),
    ("predict a.jpg --batch-size 99999999999999999999", "'--batch-size'"),
    ("evaluate --data a --batch-size 99999999999999999999", "'--batch-size'"),
    ("info ''", "it is empty"),
    ("predict a.jpg --min-score nan", "'--min-score'"),
    ("predict a.jpg --min-score 7", "'--min-score'"),
    ("predict a.jpg --output a.txt", "--output a.txt: its name must end with .jsonl or .csv"),
    ("predict a.jpg --model ''", "'--model': it is empty"),
    ("video a.mp4 b.gif", "OUT b.gif: its name must end with .mp4 or .webm"),
    ("video a.mp4 b.mp4 --steadiness nan", "'--steadiness'"),
    ("video a.mp4 b.mp4 --steadiness -1", "'--steadiness'"),
    ("video a.mp4 b.mp4 --follow inf", "'--follow': inf"),
    ("video a.mp4 b.mp4 --detect-every 0", "'--detect-every'"),
    ("evaluate --data a --box tight", "--box='tight': give one of"),
    ("evaluate --data a --normalizer iod", "--normalizer='iod': give one of inter_ocular, "),
    ("evaluate --data a --batch-size -3", "'--batch-size'"),
    ("evaluate", ""),
    ("evaluate --split a", "'--data'"),
    ("export --output a.pt", "--output a.pt: its name must end with .onnx or .xml"),
    ("export --output a.onnx --faces 0", "'--faces'"),
    ("calibrate a --data b --faces nan", "'--faces'"),
    ("convert lfw a --output b", "='lfw': give one of 300w, wflw, cofw, own"),
    ("convert own a --output b --crop-margin inf", "'--crop-margin'"),
    ("demo --port 0", "'--port'"),
    ("demo --host no.such.host.test", "cannot listen on 'no.such.host.test'"),
    ("banana", "'banana'"),
    ("--banana", "--banana"),
    ("predict a.jpg --banana", "--banana"),
]


def words(line):
    return ["" if word == "''" else word for word in line.split()]


def check(line, message):
    result = CliRunner().invoke(app, words(line))
    assert result.exit_code == 2, (line, result.output)
    told = result.output.splitlines()
    if message:  # else the help is printed
        assert len(told) == 1, told
        assert told[0].startswith("error: "), told
        assert message in told[0], told


@pytest.mark.parametrize(("line", "message"), COMMANDS)
def test_commands_refuse_a_device_that_is_not_there(line, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jpg").touch()
    write_clip(tmp_path / "a.mp4", [np.zeros((64, 64, 3), np.uint8)], 10)
    check(line, message)
    assert {file.name for file in tmp_path.iterdir()} == {"a.jpg", "a.mp4"}


@pytest.mark.parametrize(("line", "message"), LIGHT_COMMANDS)
def test_commands_refuse_what_cannot_be_meant(line, message):
    check(line, message)


def test_a_port_in_use_is_told_before_anything_is_loaded(monkeypatch):
    monkeypatch.setattr("kd_landmarks.cli.demo.set_up_logging", lambda **_: pytest.fail("too late"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        check(f"demo --port {port}", f"cannot listen on '127.0.0.1', port {port}")


def test_torch_is_not_imported_to_refuse_values():
    code = f"""
import sys
from typer.testing import CliRunner
from kd_landmarks.cli import app
for line in {[words(line) for line, _ in LIGHT_COMMANDS]!r}:
    result = CliRunner().invoke(app, line)
    assert result.exit_code == 2, (line, result.output)
    assert not {{"torch", "transformers"}} & set(sys.modules), line
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
