"""Steady points: calm at rest, close behind in motion, and forgetful at a cut."""

import numpy as np
import pytest

from kd_landmarks.errors import KDLandmarksError
from kd_landmarks.inference.smoothing import PointSmoother, Smoothing

FACE = np.random.default_rng(0).uniform(100, 200, (68, 2))
RATE = 30


def run(frames, smoothing=None):
    smoother = PointSmoother(smoothing)
    return np.stack([smoother(points, number / RATE) for number, points in enumerate(frames)])


def still(count=300, noise=0.8):
    return FACE + np.random.default_rng(1).normal(0, noise, (count, 68, 2))


def test_a_resting_face_is_held_steady():
    found = run(still())[60:]
    assert np.diff(found, axis=0).std() < 0.25 * np.diff(still(), axis=0).std()
    assert np.abs(found.mean(0) - FACE).max() < 0.3


def test_a_moving_face_is_followed():
    """One side of the face a second: behind by less than two frames."""
    path = FACE + 100 * np.arange(90)[:, None, None] / RATE * [1, 0]
    behind = (path - run(path))[45:, :, 0]
    assert 0 < behind.max() < 2 * 100 / RATE


def test_longer_averaging_is_calmer_and_more_following_lags_less():
    jitter = [np.diff(run(still(), Smoothing(s))[60:], axis=0).std() for s in (0, 0.1, 0.4)]
    assert jitter[0] > jitter[1] > jitter[2]
    path = FACE + 100 * np.arange(90)[:, None, None] / RATE
    lag = [np.abs(path - run(path, Smoothing(follow=f)))[-1].max() for f in (0, 3, 30)]
    assert lag[0] > lag[1] > lag[2]


def test_the_size_of_the_face_does_not_matter():
    np.testing.assert_allclose(run(5 * still()), 5 * run(still()), rtol=1e-9)


def test_nothing_is_smoothed_without_steadiness():
    np.testing.assert_array_equal(run(still(9), Smoothing(steadiness=0)), still(9))


def test_after_a_reset_the_past_is_forgotten():
    smoother = PointSmoother()
    smoother(FACE, 0.0)
    smoother.reset()
    np.testing.assert_array_equal(smoother(FACE[:5] + 900, 0.0), FACE[:5] + 900)


@pytest.mark.parametrize("steadiness", [0, 0.25])
def test_what_is_done_to_points_changes_no_later_ones(steadiness):
    frames, wanted = still(4).copy(), run(still(4), Smoothing(steadiness))
    smoother, found = PointSmoother(Smoothing(steadiness)), []
    for number, points in enumerate(frames):
        smoothed = smoother(points, number / RATE)
        found.append(smoothed.copy())
        smoothed += 100
        points += 100
    np.testing.assert_array_equal(found, wanted)


def test_nonsense_is_refused():
    with pytest.raises(KDLandmarksError, match="steadiness=-1"):
        Smoothing(steadiness=-1)
    smoother = PointSmoother()
    smoother(FACE, 1.0)
    with pytest.raises(KDLandmarksError, match=r"a frame at 1.0 s follows one at 1.0 s"):
        smoother(FACE, 1.0)
    with pytest.raises(KDLandmarksError, match=r"shape \(5, 2\), those before \(68, 2\)"):
        smoother(FACE[:5], 2.0)
