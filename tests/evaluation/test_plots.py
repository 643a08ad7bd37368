"""Pictures show what they were given, where it is."""

import sys
from contextlib import nullcontext

import numpy as np
import pytest
from PIL import Image

from kd_landmarks.errors import KDLandmarksError
from kd_landmarks.evaluation import plots
from kd_landmarks.evaluation.plots import plot_ced
from kd_landmarks.imaging.drawing import (
    BACKGROUND,
    POINTS_COLOR,
    REFERENCE_COLOR,
    contact_sheet,
    draw_landmarks,
)
from kd_landmarks.schemes import LandmarkScheme, Outline

FIVE = LandmarkScheme(
    name="five",
    names=("left_eye", "right_eye", "nose", "left_mouth", "right_mouth"),
    flip_permutation=(1, 0, 2, 4, 3),
    eye_corners=(0, 1),
    pupils=((0,), (1,)),
    outlines=(Outline("mouth", (3, 4)),),
)
POINTS = np.array([[20, 30], [80, 30], [50, 60], [30, 90], [70, 90]], dtype=float)
PAPER = np.zeros((120, 100, 3), np.uint8)


def center_of(picture, color):
    """Weighted mean position (x, y) of a color's share of an otherwise black picture."""
    weight = np.asarray(picture, float) @ np.asarray(color, float)
    y, x = np.mgrid[: weight.shape[0], : weight.shape[1]]
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


@pytest.mark.parametrize("min_size", [1, 480, 500])
def test_dots_lie_on_their_points_at_any_enlargement(min_size):
    points = np.full((5, 2), [37.25, 61.5])
    picture = draw_landmarks(PAPER, points, FIVE, min_size=min_size)
    scale = max(1, min_size / 120)
    assert picture.size == (round(100 * scale), round(120 * scale))
    np.testing.assert_allclose(
        center_of(picture, POINTS_COLOR), (points[0] + 0.5) * scale - 0.5, atol=0.15
    )


def test_outlines_join_their_points():
    canvas = np.asarray(draw_landmarks(PAPER, POINTS, FIVE, min_size=1))
    assert canvas[90, 50, 1] > 0.8 * POINTS_COLOR[1]  # between the corners of the mouth
    assert canvas[30, 50, 1] == 0  # no outline joins the eyes


def test_several_faces_and_a_reference_below_them():
    moved = POINTS + np.array([0, 20])
    picture = draw_landmarks(PAPER, [POINTS, moved - 10], FIVE, reference=moved, min_size=1)
    canvas = np.asarray(picture)
    assert canvas[30, 20].tolist() == list(POINTS_COLOR)
    assert canvas[40, 10].tolist() == list(POINTS_COLOR)
    assert canvas[50, 20].tolist() == list(REFERENCE_COLOR)
    same = np.asarray(draw_landmarks(PAPER, POINTS, FIVE, reference=POINTS, min_size=1))
    assert same[30, 20].tolist() == list(POINTS_COLOR)


def test_points_outside_the_photo_are_no_error_and_the_image_stays_as_it_was():
    image = Image.new("L", (100, 120))
    outside = POINTS.copy()
    outside[0] = [-1e12, 50]
    assert draw_landmarks(image, outside, FIVE, min_size=1).mode == "RGB"
    assert np.asarray(image).max() == 0
    draw_landmarks(PAPER, POINTS, FIVE, min_size=1)
    assert PAPER.max() == 0


def test_landmarks_that_are_not_there_are_not_drawn():
    gaps = POINTS.copy()
    gaps[1] = np.nan
    away = POINTS + 1000
    drawn = np.asarray(draw_landmarks(PAPER, away, FIVE, reference=gaps, min_size=1))
    for point, there in zip(POINTS.astype(int), [True, False, True, True, True], strict=True):
        assert (drawn[point[1], point[0]].tolist() == list(REFERENCE_COLOR)) is there


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(KDLandmarksError, match=r"\(4, 2\).*five"):
        draw_landmarks(PAPER, POINTS[:4], FIVE)
    with pytest.raises(KDLandmarksError, match="not finite"):
        draw_landmarks(PAPER, POINTS * np.nan, FIVE)
    with pytest.raises(KDLandmarksError, match="float64"):
        draw_landmarks(PAPER / 255, POINTS, FIVE)
    with pytest.raises(KDLandmarksError, match=r"shape \(0, 5, 3\)"):
        draw_landmarks(np.zeros((0, 5, 3), np.uint8), POINTS, FIVE)
    with pytest.raises(KDLandmarksError, match=r"unsure is \(5,\), not \(2, 5\)"):
        draw_landmarks(PAPER, np.stack([POINTS, POINTS]), FIVE, unsure=np.zeros(5))
    with pytest.raises(KDLandmarksError, match="0 images"):
        contact_sheet([])
    with pytest.raises(KDLandmarksError, match="no curves"):
        plot_ced({}, "never.png")


def test_contact_sheet_lays_images_out_row_by_row():
    colors = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    images = [Image.new("RGB", (20, 10), color) for color in colors]
    images[1] = images[1].resize((10, 10))
    sheet = contact_sheet(images, columns=2)
    assert sheet.size == (44, 24)
    assert [sheet.getpixel(at) for at in ((10, 5), (34, 5), (10, 19))] == colors
    assert sheet.getpixel((25, 5)) == BACKGROUND  # the narrow image is centered in its cell
    assert sheet.getpixel((34, 19)) == BACKGROUND
    assert contact_sheet(images[:1], columns=4).size == (20, 10)


@pytest.mark.parametrize("name", [r"$\foo$", "a$b$", "_hidden", "100 %"])
def test_curves_may_have_any_name(tmp_path, monkeypatch, name):
    drawn = []
    monkeypatch.setattr(
        plots.Figure, "savefig", lambda figure, *words, **_: drawn.append(figure), raising=True
    )
    monkeypatch.setattr(plots, "new_file", nullcontext)
    plot_ced({name: [1.0, 2.0]}, tmp_path / "ced.png", title=name)
    figure = drawn[0]
    figure.canvas.draw()  # which reads formulas
    (text,) = figure.axes[0].get_legend().get_texts()
    assert text.get_text().replace("\\$", "$").strip().startswith(f"{name} (NME 1.50 %, AUC10 0.8")


def test_plot_ced_writes_a_picture_without_pyplot(tmp_path, rng):
    curves = {"student": rng.gamma(3, 1, 50), "with a lost face": [2.0, np.inf]}
    path = plot_ced(curves, tmp_path / "new" / "ced.png", title="300W common")
    shown = np.asarray(Image.open(path).convert("RGB"))
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) > 10
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()
