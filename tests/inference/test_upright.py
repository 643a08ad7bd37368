"""Turned faces are answered as upright ones are, in the pixels of their photo."""

from importlib.resources import files

import numpy as np
import pytest
import torch
from detectors import save_detector
from PIL import Image

from kd_landmarks import (
    FaceLandmarkPipeline,
    KDLandmarksError,
    KDLandmarksImageProcessor,
    get_scheme,
)
from kd_landmarks.imaging.boxes import tight_box
from kd_landmarks.imaging.crop import (
    Square,
    check_box,
    square_crop,
    to_crop_units,
    to_photo_pixels,
    upright_box,
)
from kd_landmarks.imaging.pixels import cut_square
from kd_landmarks.inference.tracking import FaceTracker
from kd_landmarks.inference.upright import face_roll
from kd_landmarks.synthetic import generate_face

SCHEME = get_scheme("ibug68")
PHOTOS = files("kd_landmarks.demo") / "examples"


def turned(photo, degrees):
    """A photo turned clockwise, with all of it in the picture, and where its pixels went."""
    picture = photo.rotate(-degrees, Image.Resampling.BICUBIC, expand=True)
    angle = np.radians(degrees)
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])

    def moved(points):
        middle, center = (np.array(one.size) / 2 - 0.5 for one in (photo, picture))
        return (points - middle) @ matrix + center

    return picture, moved


@pytest.fixture(scope="module")
def detect():
    return FaceLandmarkPipeline()


@pytest.fixture(scope="module")
def portrait(detect):
    """A photo of one real face, its points, and the distance of its eyes."""
    photo = Image.open(PHOTOS / "astronaut.jpg").convert("RGB")
    photo.thumbnail((320, 320))
    points = detect(photo)[0]["keypoints"].astype(float)
    return photo, points, np.linalg.norm(np.subtract(*points[list(SCHEME.eye_corners)]))


# --- the crop


@pytest.mark.parametrize("roll", [0.0, 30.0, -90.0, 180.0, 247.5])
@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_points_go_to_a_turned_crop_and_back(roll, kind, rng):
    square, points = Square(40, -10, 91, roll), kind(rng.uniform(-50, 200, (7, 2)))
    back = to_photo_pixels(to_crop_units(points, square), square)
    np.testing.assert_allclose(back, points, atol=1e-9)
    center = kind(np.array([[40 + 45.0, -10 + 45.0]]))
    np.testing.assert_allclose(to_crop_units(center, square), [[0.5, 0.5]], atol=1e-9)


@pytest.mark.parametrize("roll", [30.0, 90.0, 180.0, 300.0])
@pytest.mark.parametrize("side", [81, 401])
def test_a_dot_is_found_at_its_place_in_a_turned_crop(roll, side):
    dot = np.array([210.0, 230.0])
    square = Square(195 - side // 2, 240 - side // 2, side, roll)
    y, x = np.mgrid[:500, :520]
    spot = 255 * np.exp(-((x - dot[0]) ** 2 + (y - dot[1]) ** 2) / 50)
    picture = np.asarray(cut_square(Image.fromarray(spot.astype(np.uint8)), square), float)[..., 0]
    assert picture.shape == (side, side)
    y, x = np.mgrid[:side, :side]
    found = np.array([(x * picture).sum(), (y * picture).sum()]) / picture.sum()
    np.testing.assert_allclose((found + 0.5) / side, to_crop_units(dot, square), atol=0.4 / side)


def test_a_quarter_is_exact(rng):
    photo = Image.fromarray(rng.integers(0, 256, (90, 80, 3), dtype=np.uint8))
    upright, quarter = (np.asarray(cut_square(photo, Square(10, 20, 41, r))) for r in (0.0, 90.0))
    # A face that is turned clockwise by 90 degrees is turned back the other way.
    difference = np.abs(np.rot90(upright).astype(int) - quarter)
    assert difference.max() <= 1


def test_the_processor_cuts_turned_faces_alike(rng):
    face = generate_face(5, size=160)
    photo, moved = turned(Image.fromarray(face.image), 140)
    box = upright_box(moved(face.landmarks), 140.0)
    processor = KDLandmarksImageProcessor(size={"height": 96, "width": 96}, do_normalize=False)
    pixels = 255 * processor(photo, boxes=box, return_tensors="pt")["pixel_values"][0]
    square = square_crop(box, processor.crop_margin)
    own = cut_square(photo, square).resize((96, 96), Image.Resampling.BILINEAR)
    difference = np.abs(pixels.permute(1, 2, 0).numpy() - np.asarray(own, float))
    assert difference.mean() < 2
    straight = processor(face.image, boxes=tight_box(face.landmarks), return_tensors="pt")
    close = np.abs((255 * straight["pixel_values"][0] - pixels)[:, 20:-20, 20:-20].numpy())
    assert close.mean() < 8


def test_the_box_of_a_turned_face_is_that_of_the_face_held_upright(rng):
    points = rng.normal(size=(68, 2)) * (20, 30) + 200
    x0, y0, x1, y1, roll = upright_box(points, 0.0)
    np.testing.assert_allclose([x0, y0, x1, y1, roll], [*tight_box(points), 0])
    angle = np.radians(50)
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    box = upright_box(points @ matrix, 50.0)
    np.testing.assert_allclose(box[2:4] - box[:2], tight_box(points)[2:] - tight_box(points)[:2])


def test_the_box_of_points_on_a_line_has_an_area():
    assert upright_box(np.array([[30.0, 40], [70, 40]]), 0.0).tolist() == [30, 39.5, 70, 40.5, 0]


def test_a_box_has_four_numbers_or_five():
    assert check_box([1, 2, 3, 4, 90]).tolist() == [1, 2, 3, 4, 90]
    for box in (
        [1, 2, 3],
        [1, 2, 3, 4, 5, 6],
        [1, 2, 3, 4, float("nan")],
        [1, 2, 3, 10**400],
        [0, 0, 1e300, 9],
    ):
        with pytest.raises(ValueError, match="a face box is four"):
            check_box(box)


# --- the roll


@pytest.mark.parametrize("degrees", [-170, -60, 0, 25, 90, 179])
def test_the_roll_is_clockwise(degrees):
    face = generate_face(2, size=200)
    own = face_roll(face.landmarks, SCHEME)
    _, moved = turned(Image.new("RGB", (200, 200)), degrees)
    found = face_roll(moved(face.landmarks), SCHEME)
    assert (found - own - degrees + 180) % 360 - 180 == pytest.approx(0, abs=1e-4)


# --- in the pipeline


@pytest.mark.parametrize("degrees", [45, 90, 135, 180, 225, 270, 315])
@pytest.mark.parametrize("given", [False, True])
def test_a_turned_photo_gives_the_same_points(detect, portrait, degrees, given):
    photo, points, eyes = portrait
    picture, moved = turned(photo, degrees)
    faces = detect(picture, boxes=tight_box(moved(points)) if given else None)
    assert len(faces) == 1
    away = np.linalg.norm(faces[0]["keypoints"] - moved(points), axis=1).mean()
    assert away < 0.05 * eyes
    assert faces[0]["face_confidence"] > 0.75
    assert len(faces[0]["box"]) == 4


def test_an_upright_face_is_looked_at_once(detect, portrait, monkeypatch):
    calls = []
    run = detect.backend.run
    monkeypatch.setattr(
        detect.backend, "run", lambda pixels: calls.append(len(pixels)) or run(pixels)
    )
    detect(portrait[0])
    assert calls == [1]


def test_a_face_is_followed_upside_down(detect, portrait):
    photo, points, eyes = portrait
    tracker = FaceTracker(detect, None, detect_every=100)
    for number, degrees in enumerate(range(0, 190, 10)):
        picture, moved = turned(photo, degrees)
        [face] = tracker(picture, number / 10)
        assert np.linalg.norm(face["keypoints"] - moved(points), axis=1).mean() < 0.06 * eyes


@pytest.mark.parametrize("shift", [(0.3, 0), (0, -0.3), (-0.25, 0.25)])
def test_a_face_aside_in_its_box_is_cut_again(detect, portrait, shift):
    photo, points, eyes = portrait
    box = tight_box(points)
    side = (box[2:] - box[:2]).max()
    [face] = detect(photo, boxes=box + side * np.array(shift * 2))
    assert np.linalg.norm(face["keypoints"] - points, axis=1).mean() < 0.03 * eyes


def test_points_that_coincide_are_answered_as_they_are(tmp_path):
    detect = FaceLandmarkPipeline(save_detector(tmp_path / "one", SCHEME, np.full((68, 2), 0.5)))
    [face] = detect(np.zeros((300, 300, 3), np.uint8), boxes=[[90, 80, 210, 200]])
    np.testing.assert_allclose(face["keypoints"], [[150, 140]] * 68, atol=0.6)


def test_crops_without_a_face_are_not_sure(detect, rng):
    box, sure = [60, 60, 240, 240], 0
    for cells in (3, 6, 12, 24, 48) * 4:
        noise = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        [face] = detect(noise.resize((300, 300), Image.Resampling.BICUBIC), boxes=box)
        sure += face["face_confidence"] >= detect.min_confidence
    assert sure <= 1


def test_found_faces_that_are_not_sure_are_left_out():
    plain = Image.new("RGB", (300, 300), (90, 120, 90))
    found = FaceLandmarkPipeline(detector=lambda pixels: [[60, 60, 240, 240]])
    assert found(plain) == []
    found.min_confidence = 0.0
    assert len(found(plain)) == 1
    with pytest.raises(KDLandmarksError, match="min_confidence=2"):
        FaceLandmarkPipeline(min_confidence=2)


@pytest.mark.parametrize("size", [200, 640, 1280, 3000])
@pytest.mark.parametrize("times", [1.0, 1.3, 3.0])
def test_a_face_that_fills_the_frame_is_found_at_any_size(detect, portrait, size, times):
    photo, points, _ = portrait
    x0, y0, x1, y1 = tight_box(points)
    half = times * max(x1 - x0, y1 - y0) / 2
    left, top = (x0 + x1) / 2 - half, (y0 + y1) / 2 - half
    frame = photo.crop([round(edge) for edge in (left, top, left + 2 * half, top + 2 * half)])
    scale = size / frame.width
    [face] = detect(frame.resize((size, size), Image.Resampling.BICUBIC))
    moved = (points - [round(left), round(top)] + 0.5) * scale - 0.5
    eyes = np.linalg.norm(np.subtract(*moved[list(SCHEME.eye_corners)]))
    assert np.linalg.norm(face["keypoints"] - moved, axis=1).mean() < 0.05 * eyes
