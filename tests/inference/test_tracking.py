"""Faces of a video: one number for one face, steady points, and a new start at a cut."""

import json

import numpy as np
import pytest
from clips import write_clip
from detectors import save_detector
from PIL import Image
from typer.testing import CliRunner

from kd_landmarks import FaceLandmarkPipeline, KDLandmarksError
from kd_landmarks.cli import app
from kd_landmarks.imaging.boxes import tight_box
from kd_landmarks.inference.smoothing import Smoothing
from kd_landmarks.inference.tracking import FaceTracker
from kd_landmarks.inference.video import VideoInfo, VideoReader, VideoWriter
from kd_landmarks.schemes import get_scheme
from kd_landmarks.synthetic import generate_face

SCHEME = get_scheme("ibug68")
SIZE = (400, 300)
RATE = 20.0


@pytest.fixture(scope="module")
def detect(tmp_path_factory):
    """It answers an even spread over the box that it is given."""
    grid = np.stack(np.meshgrid(np.linspace(0.15, 0.85, 17), np.linspace(0.15, 0.85, 4)), -1)
    folder = tmp_path_factory.mktemp("model") / "grid"
    return FaceLandmarkPipeline(save_detector(folder, SCHEME, grid.reshape(68, 2)), device="cpu")


def frame(places, shade=90):
    """A picture with drawn faces, by number, at places."""
    picture = Image.new("RGB", SIZE, (shade, shade + 20, shade))
    for number, (x, y) in places.items():
        picture.paste(Image.fromarray(generate_face(number, size=130).image), (round(x), round(y)))
    return picture


def run(tracker, frames):
    return [tracker(picture, number / RATE) for number, picture in enumerate(frames)]


def moving(count, number=0, start=20, speed=6, shade=90):
    return [frame({number: (start + speed * step, 60)}, shade) for step in range(count)]


def numbers(found):
    return [[face["track"] for face in faces] for faces in found]


def test_a_face_keeps_its_number_while_it_moves(detect):
    found = run(FaceTracker(detect, detect_every=5), moving(16))
    assert numbers(found) == [[0]] * 16
    # The answer itself stays in its box: the detector takes it along.
    centers = [face["keypoints"].mean(0) for (face,) in found]
    corner = np.array([20, 60])
    truth = tight_box(generate_face(0, size=130).landmarks + corner).reshape(2, 2).mean(0)
    assert np.abs(centers[0] - truth).max() < 15
    assert np.abs(centers[15] - truth - [6 * 15, 0]).max() < 40


def test_between_detections_nothing_is_searched(detect):
    calls = []

    def counted(photo):
        calls.append(photo.shape)
        return detect.detector(photo)

    counting = FaceLandmarkPipeline(detect.backend, detector=counted)
    run(FaceTracker(counting, detect_every=4), moving(9))
    assert len(calls) == 3


def test_faces_come_and_go(detect):
    both = {0: (10, 60), 1: (240, 60)}
    frames = [frame({0: (10, 60)})] * 2 + [frame(both)] * 2 + [frame({1: (240, 60)})] * 2
    found = run(FaceTracker(detect, detect_every=1), frames)
    assert numbers(found) == [[0], [0], [0, 1], [0, 1], [1], [1]]


def test_at_a_cut_everything_starts_anew(detect):
    frames = moving(4, start=100, speed=0) + moving(4, number=1, start=100, speed=0, shade=220)
    found = run(FaceTracker(detect, detect_every=100), frames)
    assert numbers(found) == [[0]] * 4 + [[1]] * 4


def test_without_a_face_there_is_none_and_it_goes_on_looking(detect):
    frames = [frame({})] * 3 + moving(2)
    assert numbers(run(FaceTracker(detect, detect_every=100), frames)) == [[], [], [], [0], [0]]


def test_points_are_held_steady(detect):
    """A detector whose boxes tremble makes points that tremble."""
    rng = np.random.default_rng(0)

    def trembling(photo):
        return np.array([[100.0, 80, 200, 200]]) + rng.normal(0, 3, 4)

    shaky = FaceLandmarkPipeline(detect.backend, detector=trembling)
    frames = [frame({0: (100, 60)})] * 40
    jitter = {}
    for steadiness in (0.0, 0.3):
        tracker = FaceTracker(shaky, Smoothing(steadiness), detect_every=1)
        # Every frame's box is the detector's: a tracker that follows would settle by itself.
        found = []
        for number, picture in enumerate(frames):
            for track in tracker._tracks:
                track.box = trembling(None)[0]
            found.append(tracker(picture, number / RATE)[0]["keypoints"])
        jitter[steadiness] = np.diff(found, axis=0)[10:].std()
    assert jitter[0.3] < 0.5 * jitter[0.0]


def test_a_detection_interval_below_one_is_refused(detect):
    with pytest.raises(KDLandmarksError, match="detect_every=0"):
        FaceTracker(detect, detect_every=0)


# --- files


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "clip.avi"
    writer = VideoWriter(path, VideoInfo(RATE, *SIZE, 0))
    for picture in moving(8):
        writer.write(np.asarray(picture))
    writer.close()
    return path


def test_a_video_comes_back_as_it_was_written(clip):
    reader = VideoReader(clip)
    assert (reader.info.rate, reader.info.width, reader.info.height) == (RATE, *SIZE)
    frames = list(reader)
    assert len(frames) == 8
    for found, picture in zip(frames, moving(8), strict=True):
        assert np.abs(found.astype(int) - np.asarray(picture)).mean() < 4


@pytest.mark.parametrize("name", ["drawn.mp4", "drawn.avi", "drawn.webm"])
def test_the_command_draws_and_lists_the_faces(clip, detect, tmp_path, name):
    model = detect.backend.source
    words = ["video", clip, tmp_path / name, "--json", tmp_path / "table/points.jsonl"]
    result = CliRunner().invoke(app, [*map(str, words), "--model", str(model)])
    assert result.exit_code == 0, result.output
    assert "1 face followed in 8 frames" in result.output
    lines = [json.loads(line) for line in (tmp_path / "table/points.jsonl").open()]
    assert [line["frame"] for line in lines] == list(range(8))
    assert lines[3]["time"] == pytest.approx(3 / RATE)
    assert {face["track"] for line in lines for face in line["faces"]} == {0}
    drawn, plain = (list(VideoReader(path)) for path in (tmp_path / name, clip))
    assert len(drawn) == 8
    changed = np.abs(drawn[4].astype(int) - plain[4]).max(-1) > 100
    x, y = np.array(lines[4]["faces"][0]["keypoints"]).mean(0).round().astype(int)
    assert changed[y - 40 : y + 40, x - 40 : x + 40].any()
    assert not changed[:30].any()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["./nowhere.mp4", "out.mp4"], "there is no video"),
        (["{text}", "out.mp4"], "is not a video of a known kind"),
        (["{clip}", "out.gif"], "must end with .mp4 or .avi"),
        (["{clip}", "{clip}"], "would replace the input"),
        (["{clip}", "/dev/null/out.mp4"], "cannot write"),
    ],
)
def test_bad_videos_end_with_one_clear_message(clip, detect, tmp_path, words, message):
    (tmp_path / "text.mp4").write_text("MP4")
    places = {"clip": clip, "text": tmp_path / "text.mp4"}
    model = str(detect.backend.source)
    result = CliRunner().invoke(
        app, ["video", *(word.format(**places) for word in words), "--model", model]
    )
    assert result.exit_code == 2
    assert result.output.count("error: ") == 1
    assert message in result.output


def test_frames_of_too_many_pixels_are_refused(tmp_path, monkeypatch):
    clip = write_clip(tmp_path / "clip.avi", [np.zeros((48, 64, 3), np.uint8)], 5)
    assert VideoReader(clip).info.width == 64
    monkeypatch.setenv("KD_LANDMARKS_MAX_MEGAPIXELS", "0.003")
    with pytest.raises(KDLandmarksError, match="64 x 48 pixels"):
        VideoReader(clip)
