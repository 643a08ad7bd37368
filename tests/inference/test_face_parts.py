"""Landmarks of a part of the face, as one's own may be: they are found in whole faces' boxes."""

import json
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
from detectors import save_detector
from PIL import Image

from kd_landmarks import FaceLandmarkPipeline, get_scheme
from kd_landmarks.data.columns import box_array, point_array
from kd_landmarks.data.detector_boxes import usual_part, with_detected_boxes
from kd_landmarks.data.rows import build_rows
from kd_landmarks.evaluation.evaluate import evaluate
from kd_landmarks.evaluation.predictions import Predictions
from kd_landmarks.imaging.boxes import part_of_boxes, tight_box
from kd_landmarks.inference.checkpoints import default_checkpoint
from kd_landmarks.inference.measures import five_points
from kd_landmarks.inference.tracking import FaceTracker
from kd_landmarks.models.loading import load_detector
from kd_landmarks.schemes import LandmarkScheme
from kd_landmarks.training.transfer import match_landmarks

IBUG = get_scheme("ibug68")
FIVE = LandmarkScheme.from_dict(
    {
        "name": "mine",
        "names": ["left", "right", "middle", "low_left", "low_right"],
        "flip_pairs": [[0, 1], [3, 4]],
    }
)
PHOTO = Image.open(files("kd_landmarks.demo") / "examples/astronaut.jpg").convert("RGB")


class FivePoints:
    """The package's student that tells five points, and sees its usual crop in their box."""

    def __init__(self, backend, part, times):
        self.name, self.source, self._backend = backend.name, backend.source, backend
        margin = backend.description.crop_margin * times
        self.description = replace(
            backend.description, crop_margin=margin, scheme=FIVE, calibration=None, face_box=part
        )

    def run(self, pixels):
        points, scores = self._backend.run(pixels)
        five = np.stack([five_points(face, IBUG) for face in points.astype(float)])
        return five.astype(np.float32), scores[:, :5]


@pytest.fixture(scope="module")
def truth():
    [face] = FaceLandmarkPipeline()(PHOTO)
    return face["keypoints"].astype(float)


@pytest.fixture(scope="module")
def rows(truth, tmp_path_factory):
    """The one face six times, with five landmarks."""
    file = tmp_path_factory.mktemp("photo") / "photo.png"
    PHOTO.save(file)
    five = five_points(truth, IBUG)
    face = {"image": str(file), "landmarks": five, "photo": "photo"}
    raw = ({**face, "source": f"{number}"} for number in range(6))
    return build_rows(raw, FIVE, box="gt", origin="rows")


@pytest.fixture(scope="module")
def detect(truth, rows):
    sides = [np.ptp(points, axis=0).max() for points in (truth, five_points(truth, IBUG))]
    backend = FaceLandmarkPipeline().backend
    return FaceLandmarkPipeline(FivePoints(backend, usual_part(rows), sides[0] / sides[1]))


def test_a_part_of_a_box_turns_with_it():
    box = np.array([[10.0, 20.0, 30.0, 60.0]])
    assert part_of_boxes(box, (0, 0, 1, 1)).tolist() == box.tolist()
    assert part_of_boxes(box, (0.5, 0.25, 1, 0.75)).tolist() == [[20, 30, 30, 50]]
    # Held upright, the part lies to the right of the middle; turned by a quarter, below it.
    turned = part_of_boxes(np.array([[10.0, 20.0, 30.0, 60.0, 90.0]]), (0.5, 0.25, 1, 0.75))
    np.testing.assert_allclose(turned, [[15, 35, 25, 55, 90]])


def test_where_landmarks_lie_in_a_found_face_is_learned(rows, truth):
    part = usual_part(rows)
    [face] = FaceLandmarkPipeline().find_faces(PHOTO)[0]
    box = tight_box(five_points(truth, IBUG))
    np.testing.assert_allclose(part_of_boxes(face[None, :4], part)[0], box, atol=0.5)


def test_landmarks_of_the_whole_face_are_in_its_box(rows, truth):
    whole = rows.remove_columns(["landmarks", "box"])
    boxes = [tight_box(truth).tolist()] * len(rows)
    assert usual_part(whole.add_column("box", boxes)) is None


def test_faces_that_are_not_found_tell_nothing(rows):
    assert usual_part(rows.select(range(4))) is None


@pytest.mark.parametrize("shift", [0, 0.15])
def test_they_are_found_where_they_are_in_their_own_box(detect, truth, shift):
    """Also where they lie elsewhere in the face than they use to."""
    five = five_points(truth, IBUG)
    part = np.add(detect.backend.description.face_box, shift)
    backend = FivePoints(detect.backend._backend, tuple(part), 1)
    backend.description = replace(detect.backend.description, face_box=tuple(part))
    [face] = FaceLandmarkPipeline(backend)(PHOTO)
    eyes = np.linalg.norm(five[0] - five[1])
    assert np.linalg.norm(face["keypoints"] - five, axis=1).mean() < 0.03 * eyes


def test_they_are_followed_as_one_face(detect):
    tracker = FaceTracker(detect, detect_every=3)
    assert [[face.track for face in tracker(PHOTO, time)] for time in range(7)] == [[0]] * 7


def test_they_are_measured_in_a_detectors_boxes(rows, detect):
    found, missed = with_detected_boxes(rows, part=detect.backend.description.face_box)
    assert (len(found), missed) == (6, [])


def test_they_are_measured_in_the_boxes_that_predict_comes_to(rows, truth, tmp_path, monkeypatch):
    """Here a look is off by a fifth of what its box is."""
    PHOTO.save(tmp_path / "photo.png")
    face = {"image": "photo.png", "landmarks": five_points(truth, IBUG).tolist()}
    (tmp_path / "faces.jsonl").write_text(json.dumps(face))
    model = save_detector(tmp_path / "model", FIVE, np.zeros((5, 2), np.float32))
    config = json.loads((model / "config.json").read_text())
    config["face_box"] = np.add(usual_part(rows), 0.15).tolist()
    (model / "config.json").write_text(json.dumps(config))

    def look(_model, _processor, faces, **_):
        points, boxes = point_array(faces, "landmarks"), box_array(faces)
        middle = (points.min(1) + points.max(1)) / 2
        away = (boxes[:, :2] + boxes[:, 2:4]) / 2 - middle
        return Predictions(points + away[:, None] / 5, None)

    def error():
        return evaluate(model, tmp_path, box="detector", normalizer="box").result.nme

    monkeypatch.setattr("kd_landmarks.evaluation.evaluate.predict_rows", look)
    assert error() < 0.5
    monkeypatch.setattr("kd_landmarks.evaluation.evaluate.LOOKS", 0)
    assert error() > 3


def test_landmarks_are_matched_in_the_box_of_the_checkpoints_own(rows):
    """In five points' box the package's student sees a third of a face."""
    matched = match_landmarks(*load_detector(default_checkpoint()), rows)
    assert matched[2:] == [30, 48, 54]
    assert 36 <= matched[0] < 42 <= matched[1] < 48
