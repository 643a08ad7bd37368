"""Five points and face chips: the face upright, eyes and mouth where recognition wants them."""

import numpy as np
import pytest
import torch
from blobs import centroid, draw_blob
from PIL import Image

from kd_landmarks.errors import KDLandmarksError
from kd_landmarks.inference.alignment import ARCFACE_POINTS, align_face, similarity
from kd_landmarks.inference.measures import five_points


def turned(points, degrees, scale, shift):
    factor = scale * np.exp(1j * np.radians(degrees))
    moved = factor * (points @ np.array([1, 1j])) + complex(*shift)
    return np.stack([moved.real, moved.imag], -1)


def face(degrees=20.0, scale=1.7, shift=(90.0, 40.0)):
    """68 points whose five lie exactly where a turned, scaled ArcFace face has them."""
    five = turned(ARCFACE_POINTS, degrees, scale, shift)
    points = np.zeros((68, 2))
    for group, place in zip((range(36, 42), range(42, 48), [30], [48], [54]), five, strict=True):
        points[list(group)] = place
    return points


def test_a_similarity_is_found_exactly():
    points = np.random.default_rng(0).normal(size=(9, 2))
    matrix = similarity(points, turned(points, 130, 0.3, (5, -7)))
    np.testing.assert_allclose(
        points @ matrix[:, :2].T + matrix[:, 2], turned(points, 130, 0.3, (5, -7))
    )
    with pytest.raises(KDLandmarksError, match="not all the same"):
        similarity(np.ones((5, 2)), ARCFACE_POINTS)


@pytest.mark.parametrize("size", [112, 224])
@pytest.mark.parametrize(("degrees", "scale"), [(0, 1.0), (20, 1.7), (-75, 2.5), (8, 7.3)])
@pytest.mark.parametrize("point", range(5))
def test_a_dot_on_a_point_comes_to_its_place(point, degrees, scale, size):
    points = five_points(face(degrees, scale, shift=(450, 350)))
    place = points[point]
    photo = draw_blob(*place, 3 * scale, width=1500, height=1500)
    chip = np.asarray(align_face(Image.fromarray(photo), points, size))
    wanted = (ARCFACE_POINTS[point] + 0.5) * size / 112 - 0.5

    found = centroid(torch.from_numpy(chip.copy()).permute(2, 0, 1).float()).numpy()
    assert chip.shape == (size, size, 3)
    np.testing.assert_allclose(found, wanted, atol=0.1)


def test_outside_the_photo_a_chip_is_black():
    chip = np.asarray(
        align_face(Image.new("L", (100, 100), 200), five_points(face(shift=(0, 0))), 112)
    )
    assert chip[0, 0].max() == 0 or chip[-1, -1].max() == 0
    assert chip.max() == 200
