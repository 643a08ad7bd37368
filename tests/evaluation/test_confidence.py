"""Confidence: a probability that holds, fitted on faces with ground truth."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from detectors import save_detector, write_faces
from typer.testing import CliRunner

from kd_landmarks import FaceLandmarkPipeline
from kd_landmarks.cli import app
from kd_landmarks.data.loading import load_rows
from kd_landmarks.errors import KDLandmarksError
from kd_landmarks.evaluation.calibrate import fit_calibration, scores_and_errors
from kd_landmarks.inference import upright
from kd_landmarks.inference.checkpoints import ONNX_FILE
from kd_landmarks.inference.confidence import Calibration
from kd_landmarks.inference.export import export_onnx
from kd_landmarks.models.loading import load_detector
from kd_landmarks.schemes import get_scheme
from kd_landmarks.synthetic import generate_face

LANDMARKS = 12


def drawn(faces, slope=-4.0, seed=0):
    """Scores, and errors that are right as often as a known calibration says."""
    rng = np.random.default_rng(seed)
    intercepts = np.linspace(-8.5, -6.0, LANDMARKS)
    spread = np.exp(rng.normal(-1.8, 0.25, (faces, LANDMARKS)))
    chance = 1 / (1 + np.exp(-(intercepts + slope * np.log(spread))))
    errors = np.where(rng.random(chance.shape) < chance, 0.01, 0.2)
    return 1 - spread, errors, Calibration(0.03, slope, tuple(intercepts))


def test_the_calibration_that_made_the_faces_is_found():
    scores, errors, truth = drawn(6000)
    found = fit_calibration(scores, errors)
    assert found.tolerance == 0.03
    assert found.slope == pytest.approx(truth.slope, rel=0.05)
    np.testing.assert_allclose(found(scores), truth(scores), atol=0.04)


def test_probabilities_hold_on_other_faces():
    found = fit_calibration(*drawn(1500)[:2])
    scores, errors, _ = drawn(1500, seed=1)
    sure, right = found(scores), errors <= 0.03
    checked = 0
    for low in np.arange(0, 1, 0.2):
        inside = (sure >= low) & (sure < low + 0.2)
        if inside.sum() > 200:
            checked += 1
            assert sure[inside].mean() == pytest.approx(right[inside].mean(), abs=0.05)
    assert checked >= 3


def test_more_spread_is_less_sure_and_all_is_between_none_and_certain():
    _, _, calibration = drawn(1)
    sure = calibration(np.repeat(np.linspace(0, 1, 50)[:, None], LANDMARKS, 1))
    assert (np.diff(sure, axis=0) >= 0).all()
    assert sure.min() >= 0
    assert sure.max() <= 1


def test_few_faces_leave_a_landmark_near_the_others():
    scores, errors, _ = drawn(3)
    errors[:, 4] = 0.01  # always right, three times
    assert fit_calibration(scores, errors)(scores)[:, 4].max() < 0.999


def test_nothing_is_learned_of_landmarks_that_are_not_there():
    scores, errors, _ = drawn(400)
    gaps = errors.copy()
    gaps[::2, 3] = np.nan
    found = fit_calibration(scores, gaps)
    kept = fit_calibration(scores[1::2], errors[1::2])(scores)
    np.testing.assert_allclose(found(scores)[:, 3], kept[:, 3], atol=0.06)
    whole = fit_calibration(scores, errors)(scores)
    np.testing.assert_allclose(np.delete(found(scores) - whole, 3, axis=1), 0, atol=0.01)


def test_it_survives_json():
    _, _, calibration = drawn(1)
    assert Calibration.from_dict(json.loads(json.dumps(calibration.to_dict()))) == calibration


@pytest.mark.parametrize(
    "change",
    [
        {"slope": 1.0},
        {"slope": float("nan")},
        {"tolerance": 0},
        {"intercepts": "many"},
        {"slope": None},
    ],
)
def test_what_is_no_calibration_is_refused(change):
    _, _, calibration = drawn(1)
    with pytest.raises(KDLandmarksError, match="confidence"):
        Calibration.from_dict(calibration.to_dict() | change)


def test_faces_that_teach_nothing_are_refused():
    scores, errors, _ = drawn(50)
    with pytest.raises(KDLandmarksError, match="all of the points are within"):
        fit_calibration(scores, errors * 0)
    with pytest.raises(KDLandmarksError, match="none of the points are within"):
        fit_calibration(scores, errors + 1)
    with pytest.raises(KDLandmarksError, match="do not fit"):
        fit_calibration(scores, errors[:, :3])
    with pytest.raises(KDLandmarksError, match="of more spread are not further off"):
        fit_calibration(scores, 0.06 - 2 * (1 - scores) * 0.1)
    # A slope that a configuration could not hold.
    scores = 0.5 + 1e-9 * np.arange(40)[:, None]
    with pytest.raises(KDLandmarksError, match="tells next to nothing of its error"):
        fit_calibration(scores, np.where(np.arange(40) % 3 < np.arange(40) / 13, 0.0, 1.0)[:, None])
    with pytest.raises(KDLandmarksError, match="for 12 landmarks"):
        drawn(1)[2](np.zeros((2, 5)))


# --- the command


def calibrate(*words):
    return CliRunner().invoke(app, ["calibrate", *map(str, words)])


def test_the_command_teaches_a_checkpoint_and_changes_nothing_else(noise_checkpoint, tmp_path):
    folder = shutil.copytree(noise_checkpoint, tmp_path / "network")
    before = json.loads((folder / "config.json").read_text())
    write_faces(tmp_path / "faces", numbers=range(12))
    result = calibrate(folder, "--data", tmp_path / "faces")
    assert result.exit_code == 0, result.output
    assert "12 faces: a point counts as right within 3 %" in result.output
    after = json.loads((folder / "config.json").read_text())
    found = Calibration.from_dict(after["confidence"])
    assert after | {"confidence": None} == before
    assert {file.name for file in folder.iterdir()} == {
        file.name for file in noise_checkpoint.iterdir()
    }
    [face] = FaceLandmarkPipeline(folder, device="cpu")(
        generate_face(1).image, boxes=[5, 5, 90, 90]
    )
    np.testing.assert_allclose(face["confidence"], found(face["scores"]), rtol=1e-5)


def test_what_it_learns_from_are_the_pipelines_points(noise_checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(upright, "DOUBTFUL", 0.0)  # one look, as in training
    monkeypatch.setattr(upright, "TURNED", 181.0)
    truth = write_faces(tmp_path, numbers=range(3))
    scheme = get_scheme("ibug68")
    rows = load_rows(tmp_path, scheme=scheme)
    scores, errors = scores_and_errors(*load_detector(noise_checkpoint), rows)
    detect = FaceLandmarkPipeline(noise_checkpoint, device="cpu")
    for number, points in enumerate(truth):
        box = np.concatenate([points.min(0), points.max(0)])
        [face] = detect(str(tmp_path / f"images/{number}.png"), boxes=box)
        away = np.linalg.norm(face["keypoints"] - points, axis=1) / (box[2:] - box[:2]).max()
        np.testing.assert_allclose(errors[number], away, atol=2e-3)
        np.testing.assert_allclose(scores[number], face["scores"], atol=1e-3)


def test_what_cannot_be_calibrated_ends_with_one_clear_message(tmp_path):
    scheme = get_scheme("ibug68")
    write_faces(tmp_path / "faces")
    folder = save_detector(tmp_path / "linear", scheme, np.zeros((68, 2)))
    for place, message in (
        (folder, "a linear head has no maps"),
        (tmp_path / "x", "is not a folder"),
    ):
        result = calibrate(place, "--data", tmp_path / "faces")
        assert (result.exit_code, message in result.output) == (2, True), result.output
        assert "Traceback" not in result.output


def test_the_checkpoints_onnx_file_is_calibrated_too(noise_checkpoint, tmp_path):
    folder = shutil.copytree(noise_checkpoint, tmp_path / "network")
    (folder / "onnx").mkdir()
    export_onnx(*load_detector(folder), folder / ONNX_FILE)
    before = FaceLandmarkPipeline(folder, backend="onnxruntime").backend.description
    write_faces(tmp_path / "faces", numbers=range(12))
    assert calibrate(folder, "--data", tmp_path / "faces").exit_code == 0
    onnx, plain = (
        FaceLandmarkPipeline(folder, backend=backend).backend.description
        for backend in ("onnxruntime", "torch")
    )
    assert onnx.calibration == plain.calibration != before.calibration
    assert replace(onnx, calibration=None) == replace(before, calibration=None)


def test_scores_that_are_all_the_same_teach_nothing():
    with pytest.raises(KDLandmarksError, match="all scores are the same"):
        fit_calibration(np.full((20, 5), 0.5), drawn(20)[1][:, :5])
