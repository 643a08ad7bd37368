"""What commands write: whole or not at all, and never in the place of what was there before."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from clips import write_clip
from detectors import save_detector, write_faces
from full_disk import full_disk
from PIL import Image
from typer.testing import CliRunner

from kd_landmarks import KDLandmarksError
from kd_landmarks.cli import app
from kd_landmarks.evaluation import calibrate as calibration
from kd_landmarks.imaging.output import is_drawing
from kd_landmarks.inference import tables as prediction
from kd_landmarks.inference.confidence import Calibration
from kd_landmarks.inference.video.reader import VideoReader
from kd_landmarks.inference.video.writer import check_frames
from kd_landmarks.models.loading import load_detector
from kd_landmarks.schemes import get_scheme
from kd_landmarks.utils.files import new_file

SCHEME = get_scheme("ibug68")
REPOSITORY = Path(__file__).resolve().parents[2]
EARLIER = b"earlier, and good"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    points = np.linspace(0.3, 0.7, 136).reshape(68, 2)
    return save_detector(tmp_path_factory.mktemp("model") / "line", SCHEME, points)


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    write_faces(folder)
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory, faces):
    face = np.asarray(Image.open(faces / "images/0.png").convert("RGB").resize((320, 320)))
    noise = np.random.default_rng(0)
    frames = [np.uint8(noise.normal(face, 20).clip(0, 255)) for _ in range(25)]
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", frames, 25)


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.parametrize("between", ["=", " "])
def test_outputs_may_begin_at_home(faces, model, tmp_path, monkeypatch, between):
    """Shells leave the ~ of --output=~/x to the program."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    words = f"--output{between}~/a.csv --draw{between}~/drawn".split(" ")
    done = run("predict", faces / "images/0.png", "--model", model, *words)
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in (tmp_path / "home").iterdir()) == ["a.csv", "drawn"]
    assert not (tmp_path / "~").exists()


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


COMMANDS = {
    "predict --output": ("predict", "{photo}", "--output", "{out}/a.jsonl", "--model", "{model}"),
    "predict --output csv": ("predict", "{photo}", "--output", "{out}/a.csv", "--model", "{model}"),
    "predict --draw": ("predict", "{photo}", "--draw", "{out}", "--model", "{model}"),
    "video mp4": ("video", "{clip}", "{out}/a.mp4", "--model", "{model}"),
    "video webm": ("video", "{clip}", "{out}/a.webm", "--model", "{model}"),
    "video --json": (
        "video", "{clip}", "{scratch}/v.webm", "--json", "{out}/a.jsonl", "--model", "{model}",
    ),
    "export onnx": ("export", "--output", "{out}/a.onnx", "--model", "{model}"),
    "card": ("card", "{model}", "--output", "{out}/README.md"),
    "evaluate --json": (
        "evaluate", "--data", "{faces}", "--json", "{out}/a.json", "--model", "{model}",
    ),
    "evaluate --plots": ("evaluate", "--data", "{faces}", "--plots", "{out}", "--model", "{model}"),
    "inspect --plots": ("inspect", "{faces}", "--plots", "{out}", "--model", "{model}"),
    "convert": ("convert", "own", "{faces}", "--scheme", "ibug68", "--output", "{out}/new"),
}  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_leaves_what_was_there(tmp_path, model, faces, clip, name):
    out = tmp_path / "out"
    out.mkdir()
    places = {"photo": faces / "images/0.png", "out": out, "model": model, "faces": faces}
    words = [word.format(**places, clip=clip, scratch=tmp_path) for word in COMMANDS[name]]
    earlier = {}
    for word in words:
        path = Path(word)
        if path.parent == out and path.suffix:
            path.write_bytes(EARLIER)
            earlier[path.name] = EARLIER
    # JSON of a video's frames fits where its pictures do not.
    with full_disk(300 if "--json" in name or "--output" in name or name == "card" else 2000):
        result = run(*words)
    assert result.exit_code == 2, result.output
    assert result.output.count("error: ") == 1
    assert "cannot write" in result.output
    assert files_of(out) == earlier


def test_calibrating_on_a_full_disk_leaves_the_checkpoint(tmp_path, model, monkeypatch):
    found = Calibration(0.03, -1.0, (0.5,) * 68)
    monkeypatch.setattr(calibration, "scores_and_errors", lambda *_: ())
    monkeypatch.setattr(calibration, "fit_calibration", lambda *_: found)
    folder = shutil.copytree(model, tmp_path / "model")
    detector = load_detector(folder)
    before = files_of(folder)
    with full_disk(200), pytest.raises(KDLandmarksError, match=r"cannot write .*config\.json"):
        calibration.calibrate_checkpoint(folder, *detector, None)
    assert files_of(folder) == before
    # As in the Hub's cache, whose files are read under other names too.
    shared = (folder / "config.json").rename(tmp_path / "shared.json")
    (folder / "config.json").symlink_to(shared)
    calibration.calibrate_checkpoint(folder, *detector, None)
    assert shared.read_bytes() == before["config.json"]
    assert json.loads((folder / "config.json").read_text())["confidence"]["slope"] == -1


@pytest.mark.parametrize("ending", [".mp4", ".webm"])
def test_lost_frames_are_found(tmp_path, clip, ending):
    frames = [frame.pixels for frame in VideoReader(clip)]
    whole = write_clip(tmp_path / f"a{ending}", frames, 25)
    check_frames(whole, 25)
    cut = tmp_path / f"cut{ending}"
    for share in (0.2, 0.6, 0.95):
        cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * share)])
        with pytest.raises(OSError, match="of 25 frames"):
            check_frames(cut, 25)
    with pytest.raises(OSError, match="of 26 frames"):
        check_frames(whole, 26)


# --- no output is an input, or another output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("predict {photo} --draw {dir}", "was not drawn by this command|replace the input"),
        ("predict {photo} --draw {link}", "was not drawn by this command|replace the input"),
        ("predict {dir}/p.jsonl --output {dir}/./p.jsonl", "replace the input"),
        ("video {clip} {hard}", "replace the input"),
        ("video {clip} {dir}/b.mp4 --json {clip}", "replace the input"),
        ("video {clip} {dir}/b.mp4 --json {dir}/./b.mp4", "are the same file"),
        ("export --output {dir}/weights.xml --model {model}", "is there without"),
        ("export --output {dir}/to-config.onnx --model {model}", "replace the input"),
        ("predict {photo} --output {dir}/to-config.jsonl --model {model}", "replace the input"),
        ("card {model} --output {dir}/README.md", "was not drawn by this command"),
        ("evaluate --data {dir} --json {dir}/test.jsonl --model {model}", "file of the data in"),
        ("evaluate --data {dir} --json {model}/config.json --model {model}", "replace the input"),
        ("card {model} --output {model}/config.json", "replace the input"),
        ("card {model} --output {model}/model.safetensors", "replace the input"),
        ("evaluate --data {dir}/test.jsonl --json {dir}/test.jsonl --model {model}", "replace the"),
        ("convert own {dir} --scheme ibug68 --output {dir}/new", "outside of it"),
        ("convert own {dir} --scheme ibug68 --output {link}/new", "outside of it"),
    ],
)
def test_nothing_is_written_over_an_input(tmp_path, model, clip, words, said):
    folder = tmp_path / "data"
    write_faces(folder)
    (folder / "p.jsonl").write_bytes((folder / "images/0.png").read_bytes())
    (folder / "a.mp4").write_bytes(clip.read_bytes())
    (tmp_path / "link").symlink_to(folder)
    (folder / "weights.bin").write_bytes(b"of another program")
    Image.new("RGB", (8, 8)).save(folder / "ibug68.png")
    for ending in ("onnx", "jsonl"):
        (folder / f"to-config.{ending}").symlink_to(model / "config.json")
    (tmp_path / "hard.mp4").hardlink_to(folder / "a.mp4")
    (folder / "0.png").write_bytes((folder / "images/0.png").read_bytes())
    places = {
        "dir": folder, "photo": folder / "0.png", "link": tmp_path / "link", "model": model,
        "clip": folder / "a.mp4", "hard": tmp_path / "hard.mp4",
    }  # fmt: skip
    before = files_of(folder) | files_of(model)
    result = run(*words.format(**places).split())
    assert result.exit_code == 2, result.output
    assert result.output.count("error: ") == 1
    assert re.search(said, result.output), result.output
    assert files_of(folder) | files_of(model) == before


def test_outputs_are_looked_at_before_torch_is_loaded(tmp_path, faces, clip):
    code = """
import json, sys
from typer.testing import CliRunner
from kd_landmarks.cli import app
for words in json.loads(sys.argv[1]):
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2 and "replace the input" in result.output, result.output
    assert "torch" not in sys.modules, words
"""
    photo, data = faces / "images/0.png", faces / "test.jsonl"
    commands = [
        ["predict", photo, "--draw", photo.parent],
        ["video", clip, clip],
        ["evaluate", "--data", data, "--json", data],
        [
            "card",
            "--output",
            REPOSITORY / "kd_landmarks/models/weights/mobilenetv2-300w/config.json",
        ],
    ]
    words = json.dumps([[str(word) for word in command] for command in commands])
    done = subprocess.run(
        [sys.executable, "-c", code, words],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_drawings_replace_drawings_and_nothing_else(tmp_path, model, faces):
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.png").write_bytes((faces / "images/0.png").read_bytes())
    words = ("predict", photos, "--draw", photos / "drawn", "--model", model)
    for _ in range(2):  # the second time there is a drawing below the folder of photos
        result = run(*words)
        assert result.exit_code == 0, result.output
        assert "in 1 photo," in result.output
    assert [path.name for path in (photos / "drawn").iterdir()] == ["a.png"]
    assert is_drawing(photos / "drawn/a.png", "predict")
    assert not is_drawing(photos / "drawn/a.png", "plots")
    assert not is_drawing(photos / "a.png")
    Image.new("RGB", (8, 8)).save(photos / "drawn/a.png")  # somebody's own
    before = (photos / "drawn/a.png").read_bytes()
    result = run("predict", photos / "a.png", "--draw", photos / "drawn", "--model", model)
    assert result.exit_code == 2
    assert "was not drawn by this command" in result.output
    assert (photos / "drawn/a.png").read_bytes() == before


def test_plots_replace_no_foreign_picture(tmp_path, model, faces):
    Image.new("RGB", (8, 8)).save(tmp_path / "ced.png")
    before = files_of(tmp_path)
    result = run("evaluate", "--data", faces, "--plots", tmp_path, "--model", model)
    assert result.exit_code == 2
    assert "was not drawn by this command" in result.output
    assert files_of(tmp_path) == before


# --- stopped in the middle


def test_what_is_stopped_is_kept_beside_the_target(tmp_path, caplog):
    target = tmp_path / "a.jsonl"
    target.write_text("earlier")
    for number in ("", "-2"):
        with pytest.raises(KeyboardInterrupt):
            stopped(target)
        assert (tmp_path / f"a.partial{number}.jsonl").read_text() == "half"
    assert target.read_text() == "earlier"
    assert "a.partial.jsonl" in caplog.text


def test_photos_that_were_done_when_somebody_stopped_are_kept(tmp_path, model, faces, monkeypatch):
    every = prediction.predict_photos

    def some(detect, photos, batch_size):
        yield from every(detect, photos[:3], batch_size)
        raise KeyboardInterrupt

    monkeypatch.setattr(prediction, "predict_photos", some)
    result = run("predict", faces, "--output", tmp_path / "a.jsonl", "--model", model)
    assert result.exit_code not in (0, 2)
    assert list(files_of(tmp_path)) == ["a.partial.jsonl"]
    lines = (tmp_path / "a.partial.jsonl").read_text().splitlines()
    assert [Path(json.loads(line)["image"]).name for line in lines] == ["0.png", "1.png", "2.png"]


def test_a_video_without_a_frame_is_none(tmp_path, model, clip, monkeypatch):
    monkeypatch.setattr(VideoReader, "_packets", lambda _: iter(()))
    out = tmp_path / "a.mp4"
    out.write_bytes(EARLIER)
    result = run("video", clip, out, "--json", tmp_path / "a.jsonl", "--model", model)
    assert result.exit_code == 2
    assert "has no frame" in result.output
    assert files_of(tmp_path) == {"a.mp4": EARLIER}


def stopped(target):
    with new_file(target, keep=True) as partial:
        partial.write_text("half")
        raise KeyboardInterrupt


@pytest.mark.slow
def test_a_command_that_is_killed_leaves_the_earlier_file(tmp_path, model, clip):
    out = tmp_path / "a.mp4"
    out.write_bytes(EARLIER)
    frames = [frame.pixels for frame in VideoReader(clip)]
    long = write_clip(tmp_path / "long.mp4", frames * 40, 25)
    words = [sys.executable, "-m", "kd_landmarks", "video", long, out, "--model", model]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
        with subprocess.Popen(list(map(str, words)), env=environment, stderr=-1) as process:
            end = time.monotonic() + 120
            while not list(tmp_path.glob(".a.*.partial.mp4")) and time.monotonic() < end:
                time.sleep(0.1)
            process.send_signal(number)
            process.communicate(timeout=60)
        assert process.returncode != 0
        assert out.read_bytes() == EARLIER
        for partial in tmp_path.glob(".a.*.partial.mp4"):
            assert number == signal.SIGKILL
            partial.unlink()


def test_json_of_an_evaluation_is_whole(tmp_path, model, faces):
    result = run("evaluate", "--data", faces, "--json", tmp_path / "a.json", "--model", model)
    assert result.exit_code == 0, result.output
    assert "versions" in json.loads((tmp_path / "a.json").read_text())
