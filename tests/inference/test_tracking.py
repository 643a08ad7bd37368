"""Faces of a video: one number for one face, steady points, and a new start at a cut."""

import re

import numpy as np
import pytest
import torch
from detectors import save_detector
from PIL import Image, ImageCms

from kd_landmarks import FaceLandmarkPipeline, KDLandmarksError
from kd_landmarks.imaging.boxes import tight_box
from kd_landmarks.inference.smoothing import Smoothing
from kd_landmarks.inference.tracking import FaceTracker
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


def test_a_face_that_goes_does_not_leave_its_number_to_the_one_beside_it(detect):
    boxes = [[100, 100, 200, 200], [150, 100, 250, 200]]
    detector = lambda photo: boxes  # noqa: E731
    tracker = FaceTracker(FaceLandmarkPipeline(detect.backend, detector=detector), detect_every=1)
    picture = frame({})
    assert numbers([tracker(picture, 0.0)]) == [[0, 1]]
    boxes[:] = [[148, 100, 248, 200]]
    assert numbers([tracker(picture, 0.1)]) == [[1]]


def test_boxes_are_around_the_points(detect):
    for faces in run(FaceTracker(detect, detect_every=5), moving(8)):
        for face in faces:
            np.testing.assert_allclose(face["box"], tight_box(face["keypoints"]), atol=1e-3)


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


@pytest.mark.parametrize(
    "kind", ["floats", "uint16", "tensor", "PIL", "gray", "LAB", "path", "bytes"]
)
def test_a_frame_is_any_photo_that_the_pipeline_takes(detect, tmp_path, kind):
    picture = frame({0: (100, 60)})
    array = np.asarray(picture)
    path = tmp_path / "frame.png"
    picture.save(path)
    given = {
        "floats": array / 255,
        "uint16": array.astype(np.uint16) * 257,
        "tensor": torch.from_numpy(array.copy()).permute(2, 0, 1),
        "PIL": picture,
        "gray": np.asarray(picture.convert("L")),
        "LAB": ImageCms.profileToProfile(
            picture,
            ImageCms.createProfile("sRGB"),
            ImageCms.createProfile("LAB"),
            outputMode="LAB",
        ),
        "path": path,
        "bytes": path.read_bytes(),
    }[kind]
    [face] = FaceTracker(detect)(given, 0.0)
    [expected] = detect(picture.convert("L") if kind == "gray" else picture)
    np.testing.assert_allclose(face["keypoints"], expected["keypoints"], atol=0.5)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (np.full((40, 40, 3), 7.0), "7"),
        (np.zeros((2, 40, 40, 3), np.uint8), "(2, 40, 40, 3)"),
        (np.zeros((40, 40, 3), complex), "complex"),
        ("nowhere.png", "nowhere.png"),
        (3, "3"),
        (None, "None"),
    ],
)
def test_a_frame_that_is_no_photo_is_refused_and_the_next_goes_on(detect, given, named):
    tracker = FaceTracker(detect)
    with pytest.raises(KDLandmarksError, match=re.escape(named)):
        tracker(given, 0.0)
    assert numbers([tracker(frame({0: (100, 60)}), 0.0)]) == [[0]]


@pytest.mark.parametrize("time", [float("nan"), float("inf"), "1", None])
def test_a_time_that_is_none_is_refused(detect, time):
    with pytest.raises(KDLandmarksError, match="time="):
        FaceTracker(detect)(frame({}), time)


def test_a_time_that_does_not_move_on_is_refused_without_faces_too(detect):
    tracker = FaceTracker(detect)
    tracker(frame({}), 1.0)
    with pytest.raises(KDLandmarksError, match=r"time=0\.5"):
        tracker(frame({}), 0.5)
    tracker.reset()
    tracker(frame({}), 0.5)


def test_what_comes_back_can_be_drawn_on_the_frame(detect):
    picture = frame({0: (100, 60)})
    faces = FaceTracker(detect)(picture, 0.0)
    assert (faces.size, faces.scheme, faces.photo) == (SIZE, detect.scheme, None)
    assert (np.asarray(faces.plot(picture)) != np.asarray(picture)).any()
    assert FaceTracker(detect)(frame({}), 0.0).size == SIZE


def test_frames_of_another_size_are_a_new_start(detect):
    """A box of the larger frame may lie outside of the smaller one."""
    tracker = FaceTracker(detect, detect_every=100)
    [face] = tracker(frame({0: (260, 150)}), 0.0)
    small = Image.new("RGB", (200, 150), (90, 110, 90))
    small.paste(Image.fromarray(generate_face(0, size=130).image), (20, 10))
    [again] = tracker(small, 0.1)
    assert again["track"] != face["track"]
    assert again["keypoints"].max(0)[0] < 200
