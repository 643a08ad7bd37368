"""Confidence: a probability that holds, fitted on faces with ground truth."""

import json

import numpy as np
import pytest

from kd_landmarks.errors import KDLandmarksError
from kd_landmarks.inference.confidence import Calibration, fit_calibration

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
    for low in np.arange(0, 1, 0.2):
        inside = (sure >= low) & (sure < low + 0.2)
        if inside.sum() > 200:
            assert sure[inside].mean() == pytest.approx(right[inside].mean(), abs=0.05)


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
    with pytest.raises(KDLandmarksError, match="for 12 landmarks"):
        drawn(1)[2](np.zeros((2, 5)))
