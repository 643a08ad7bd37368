"""`kd-landmarks video` and `kd-landmarks webcam`, and the same in Python: `kd_landmarks.track`."""

import json
import subprocess
import sys
from itertools import islice

import cv2
import numpy as np
import pytest
from clips import cut_off, what_is_in, write_clip
from detectors import save_detector
from full_disk import full_disk
from PIL import Image
from typer.testing import CliRunner

import kd_landmarks
from kd_landmarks import FaceLandmarkPipeline, KDLandmarksError
from kd_landmarks.cli import app
from kd_landmarks.inference.video import window
from kd_landmarks.inference.video.reader import VideoReader
from kd_landmarks.schemes import get_scheme
from kd_landmarks.synthetic import generate_face

RATE = 20.0
SIZE = (320, 240)
UNEVEN = [0.0, 0.05, 0.1, 0.7, 0.75, 1.5, 1.55, 2.0]


def shot(number):
    picture = Image.new("RGB", SIZE, (90, 110, 90))
    face = Image.fromarray(generate_face(0, size=130).image)
    picture.paste(face, (20 + 6 * number, 60))
    return np.asarray(picture)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """It answers an even spread over the box that it is given."""
    grid = np.stack(np.meshgrid(np.linspace(0.15, 0.85, 17), np.linspace(0.15, 0.85, 4)), -1)
    folder = tmp_path_factory.mktemp("model") / "grid"
    return str(save_detector(folder, get_scheme("ibug68"), grid.reshape(68, 2)))


@pytest.fixture(scope="module")
def detect(model):
    return FaceLandmarkPipeline(model, device="cpu")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_clip(
        tmp_path_factory.mktemp("clip") / "clip.mp4", [shot(number) for number in range(8)], RATE
    )


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def lines_of(path):
    return [json.loads(line) for line in path.open()]


@pytest.mark.parametrize("name", ["drawn.mp4", "drawn.webm"])
def test_the_command_draws_and_lists_the_faces(clip, model, tmp_path, name):
    table = tmp_path / "table/points.jsonl"
    result = run("video", clip, tmp_path / name, "--json", table, "--model", model)
    assert result.exit_code == 0, result.output
    assert "1 face followed in 8 frames" in result.output
    lines = lines_of(table)
    assert [line["frame"] for line in lines] == list(range(8))
    assert lines[3]["time"] == pytest.approx(3 / RATE)
    assert {face["track"] for line in lines for face in line["faces"]} == {0}
    drawn, plain = (
        [frame.pixels.astype(int) for frame in VideoReader(path)]
        for path in (tmp_path / name, clip)
    )
    assert len(drawn) == 8
    changed = np.abs(drawn[4] - plain[4]).max(-1) > 100
    x, y = np.array(lines[4]["faces"][0]["keypoints"]).mean(0).round().astype(int)
    assert changed[y - 40 : y + 40, x - 40 : x + 40].any()
    assert not changed[:30].any()


def test_times_and_sound_are_the_sources(model, tmp_path):
    source = write_clip(
        tmp_path / "a.mp4", [shot(number) for number in range(8)], RATE, times=UNEVEN, sound="aac"
    )
    out, table = tmp_path / "b.mp4", tmp_path / "b.jsonl"
    result = run("video", source, out, "--json", table, "--model", model)
    assert result.exit_code == 0, result.output
    codecs, times = what_is_in(out)
    assert codecs == {"video": "h264", "audio": "aac"}
    np.testing.assert_allclose(times, UNEVEN, atol=1e-3)
    np.testing.assert_allclose([line["time"] for line in lines_of(table)], UNEVEN, atol=1e-3)


@pytest.mark.parametrize("ending", [".mp4", ".webm", ".avi", ".mkv", ".ts"])
def test_what_can_be_read_of_a_cut_off_clip_is_kept(model, tmp_path, ending):
    noise = np.random.default_rng(0)
    frames = [
        noise.normal(shot(number // 4), 9).clip(0, 255).astype(np.uint8) for number in range(40)
    ]
    source = cut_off(write_clip(tmp_path / f"a{ending}", frames, RATE), 0.5)
    out, table = tmp_path / "b.mp4", tmp_path / "b.jsonl"
    result = run("video", source, out, "--json", table, "--model", model)
    assert result.exit_code == 1, result.output
    done = len(what_is_in(out)[1])
    assert 10 < done < 30
    assert len(lines_of(table)) == done
    assert f"{source}: {done} of " in result.output
    assert "cut off" in result.output


def test_an_odd_size_is_told_and_the_points_stay_in_place(model, tmp_path):
    frames = [shot(number)[:-1, :-1] for number in range(3)]
    source = write_clip(tmp_path / "a.mkv", frames, RATE)
    tables = {}
    for ending, size in ((".mp4", (320, 240)), (".webm", (319, 239))):
        out, table = tmp_path / f"b{ending}", tmp_path / f"{ending}.jsonl"
        result = run("video", source, out, "--json", table, "--model", model)
        assert result.exit_code == 0, result.output
        assert ("320 x 240" in result.output) == (ending == ".mp4")
        info = VideoReader(out).info
        assert (info.width, info.height) == size
        tables[ending] = table.read_text()
    assert tables[".mp4"] == tables[".webm"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["./nowhere.mp4", "{new}/out.mp4"], "nowhere.mp4"),
        (["{text}", "{new}/out.mp4"], "is not a video of a known kind"),
        (["{clip}", "out.gif"], "out.gif"),
        (["{clip}", "out.avi"], "out.avi"),
        (["{clip}", "{clip}"], "would replace the input"),
        (["{clip}", "/dev/null/out.mp4"], "cannot write /dev/null/out.mp4"),
        (
            ["{clip}", "{new}/out.mp4", "--json", "/dev/null/a.jsonl"],
            "cannot write /dev/null/a.jsonl",
        ),
        (["{clip}", "{new}/out.mp4", "--json", "{new}"], "is a folder"),
        (["{clip}", "{new}/" + "x" * 300 + ".mp4"], "xxx"),
        (["{clip}", "{new}/out.mp4", "--json", "{new}/" + "x" * 300], "xxx"),
    ],
)
def test_bad_videos_end_with_one_clear_message_before_any_work(
    clip, model, tmp_path, monkeypatch, words, message
):
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "new").mkdir()
    places = {"clip": clip, "text": tmp_path / "text.mp4", "new": tmp_path / "new"}
    monkeypatch.setattr(kd_landmarks.inference.tracking.FaceTracker, "__call__", None)  # no work
    result = run("video", *(word.format(**places) for word in words), "--model", model)
    assert result.exit_code == 2
    assert result.output.count("error: ") == 1
    assert message in result.output
    assert not list((tmp_path / "new").iterdir())


@pytest.mark.parametrize("ending", [".mp4", ".webm"])
def test_a_full_disk_is_told_with_what_was_written(model, tmp_path, ending):
    noise = np.random.default_rng(0)
    frames = [noise.integers(0, 255, (240, 320, 3), np.uint8) for _ in range(40)]
    source = write_clip(tmp_path / "a.avi", frames, RATE, codec="mjpeg")
    out = tmp_path / "out" / f"a{ending}"
    with full_disk(600_000):
        result = run("video", source, out, "--model", model)
    assert result.exit_code == 2
    assert f"cannot write {out}" in result.output
    assert "frames" in result.output
    assert not list(out.parent.iterdir())


def test_a_full_disk_names_the_file_that_found_no_room(model, clip, tmp_path):
    result = run("video", clip, tmp_path / "a.webm", "--json", "/dev/full", "--model", model)
    assert result.exit_code == 2
    assert "cannot write /dev/full" in result.output
    assert not list(tmp_path.iterdir())


# --- in Python


def test_a_clip_is_tracked_in_a_loop(clip, detect):
    found = list(kd_landmarks.track(clip, detect))
    assert [frame.number for frame, _ in found] == list(range(8))
    assert [[face["track"] for face in faces] for _, faces in found] == [[0]] * 8
    frame, faces = found[3]
    assert frame.time == pytest.approx(3 / RATE)
    assert (np.asarray(faces.plot(frame.pixels)) != frame.pixels).any()
    assert len(list(kd_landmarks.track(clip.read_bytes(), detect))) == 8


def test_a_cut_off_clip_warns_behind_its_last_frame(tmp_path, detect, caplog):
    source = cut_off(write_clip(tmp_path / "a.mkv", [shot(0)] * 30, RATE), 0.8)
    found = list(kd_landmarks.track(str(source), detect))
    assert 0 < len(found) < 30
    assert f"{len(found)} of about 30 frames" in caplog.text


@pytest.mark.parametrize("source", [None, 1.5, True, [], {}, "nowhere.mp4", b"hello", -1])
def test_what_is_no_video_is_refused_at_once(source, detect):
    with pytest.raises(KDLandmarksError):
        kd_landmarks.track(source, detect)


WITHOUT = """
import sys
sys.modules["av"] = None
import kd_landmarks
from typer.testing import CliRunner
from kd_landmarks.cli import app
try:
    kd_landmarks.track(sys.argv[1])
except ImportError as error:
    print(error)
print(CliRunner().invoke(app, ["video", sys.argv[1], "new.mp4"]).output.strip())
"""


def test_without_av_a_line_says_what_to_install(clip, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(clip)],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        assert "needs av: pip install 'kd-landmarks[video]'" in line
    assert len(done.stdout.splitlines()) == 2
    assert not list(tmp_path.iterdir())


# --- cameras and windows


class FakeCamera:
    """OpenCV's VideoCapture, of a camera that gives six frames."""

    def __init__(self, number):
        self.number, self.given, self.released = number, 0, False

    def isOpened(self):
        return self.number == 0

    def read(self):
        self.given += 1
        return (True, shot(self.given)[..., ::-1]) if self.given <= 6 else (False, None)

    def release(self):
        self.released = True


@pytest.fixture
def camera(monkeypatch):
    made = []

    def make(number):
        made.append(FakeCamera(number))
        return made[-1]

    monkeypatch.setattr(cv2, "VideoCapture", make)
    return made


def test_a_camera_is_tracked_until_the_loop_ends(camera, detect):
    frames = kd_landmarks.track(0, detect)
    found = list(islice(frames, 4))
    frames.close()
    assert camera[0].released
    assert [[face["track"] for face in faces] for _, faces in found] == [[0]] * 4
    times = [frame.time for frame, _ in found]
    assert times == sorted(set(times))


def test_a_camera_that_is_unplugged_ends_with_an_error(camera, detect):
    with pytest.raises(KDLandmarksError, match="camera 0"):
        list(kd_landmarks.track(0, detect))
    assert camera[0].released


def test_a_camera_that_is_not_there_is_named(camera, detect):
    with pytest.raises(KDLandmarksError, match="camera 7"):
        kd_landmarks.track(7, detect)


@pytest.fixture
def screen(monkeypatch):
    """A display, and an OpenCV with windows; a window that is closed at its fourth frame."""
    shown = []
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  GUI:   QT5")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(cv2, "namedWindow", lambda *_: None)
    monkeypatch.setattr(cv2, "imshow", lambda _, pixels: shown.append(pixels))
    monkeypatch.setattr(cv2, "waitKey", lambda _: -1)
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: float(len(shown) < 4))
    monkeypatch.setattr(cv2, "destroyAllWindows", lambda: None)
    return shown


def test_the_webcam_is_shown_until_its_window_is_closed(camera, screen, model):
    result = run("webcam", "--model", model)
    assert result.exit_code == 0, result.output
    assert len(screen) == 4
    assert camera[0].released
    drawn = np.abs(screen[2].astype(int) - shot(3)[..., ::-1]).max(-1) > 100
    assert drawn.any()
    assert "4 frames" in result.output


@pytest.mark.parametrize("key", ["q", "\x1b"])
def test_a_key_ends_the_webcam(camera, screen, model, monkeypatch, key):
    monkeypatch.setattr(cv2, "waitKey", lambda _: ord(key))
    assert run("webcam", "--model", model).exit_code == 0
    assert len(screen) == 1


def test_the_webcam_says_what_shows_a_window(camera, screen, model, monkeypatch):
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(window.sys, "platform", "linux")
    result = run("webcam", "--model", model)
    assert result.exit_code == 2
    assert "DISPLAY" in result.output
    assert "kd-landmarks demo" in result.output
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  GUI:    NONE  ")
    result = run("webcam", "--model", model)
    assert result.exit_code == 2
    assert "pip install opencv-python" in result.output
    assert result.output.count("\n") == 1
    assert not camera


def test_the_webcam_that_is_not_there_is_named(camera, screen, model):
    result = run("webcam", "--camera", "3", "--model", model)
    assert result.exit_code == 2
    assert "camera 3" in result.output
