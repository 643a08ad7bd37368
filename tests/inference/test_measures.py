"""Eyes, mouth, pose, chips and masks, told by points."""

import csv
import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from clips import write_clip
from detectors import save_detector
from PIL import Image
from typer.testing import CliRunner

from kd_landmarks import Face, KDLandmarksError, get_scheme
from kd_landmarks.cli import app
from kd_landmarks.inference.alignment import align_face
from kd_landmarks.inference.head_pose import HeadPose
from kd_landmarks.inference.measures import (
    MEASURES,
    aligned_chip,
    eye_aspect_ratio,
    face_outline,
    five_points,
    head_pose,
    interocular,
    measured,
    mouth_aspect_ratio,
)
from kd_landmarks.schemes import LandmarkScheme
from kd_landmarks.synthetic.drawing import draw_face
from kd_landmarks.synthetic.parameters import FaceParameters

SCHEMES = ("ibug68", "wflw98", "cofw29")
RATIOS = (eye_aspect_ratio, mouth_aspect_ratio)
ALL = (*RATIOS, head_pose, interocular, five_points)


def drawn(scheme="ibug68", seed=0, **parameters):
    """A generic face at rest but for what is said of it."""
    face = replace(FaceParameters(), **parameters)
    return draw_face(seed, 128, clean=True, parameters=face).landmarks[scheme]


def as_face(points, scheme="ibug68"):
    return Face(points, None, None, None, [0, 0, 9, 9], None, scheme=get_scheme(scheme))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    points = drawn() / 128
    return save_detector(tmp_path_factory.mktemp("model") / "face", get_scheme("ibug68"), points)


# --- eyes and mouth


def test_the_ratio_is_that_of_the_paper():
    points = np.zeros((68, 2))
    points[36:42] = [(0, 0), (3, -2), (6, -1), (10, 0), (7, 2), (2, 1)]
    points[42:48] = [(20, 5), (23, 5), (26, 5), (30, 5), (26, 5), (23, 5)]
    points[60:68] = [(0, 0), (2, -1), (4, -2), (6, -3), (8, 0), (6, 3), (4, 2), (2, 1)]
    eyes = eye_aspect_ratio(points)
    first = np.hypot(1, 3) + np.hypot(1, 3)
    assert eyes.left == pytest.approx(first / (2 * 10))
    assert eyes.right == 0
    assert mouth_aspect_ratio(points) == pytest.approx((2 + 4 + 6) / 3 / 8)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_open_and_shut_are_told_apart(scheme):
    wink = eye_aspect_ratio(drawn(scheme, eye_open_left=0.0), scheme)
    assert wink.left < 0.2 < wink.right
    assert 0.25 < eye_aspect_ratio(drawn(scheme), scheme).left < 0.4
    shut, wide = (mouth_aspect_ratio(drawn(scheme, mouth_open=open_), scheme) for open_ in (0, 0.3))
    assert shut < 0.1
    assert wide > 0.4


def test_size_place_and_roll_change_no_ratio():
    points = drawn(mouth_open=0.2)
    turn = 7 * np.array([[np.cos(1), -np.sin(1)], [np.sin(1), np.cos(1)]])
    moved = points @ turn.T + 500
    np.testing.assert_allclose(eye_aspect_ratio(moved), eye_aspect_ratio(points), rtol=1e-4)
    assert mouth_aspect_ratio(moved) == pytest.approx(mouth_aspect_ratio(points), rel=1e-4)


# --- pose


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_frontal_face_is_near_zero(scheme):
    assert np.abs(head_pose(drawn(scheme), scheme)).max() < 6


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("angle", ["yaw", "pitch", "roll"])
@pytest.mark.parametrize("degrees", [-20, 20])
def test_the_angles_have_the_signs_that_are_told(scheme, angle, degrees):
    """Those of the drawing: a nose to the right, a look up, a lean clockwise are positive."""
    points = drawn(scheme, **{angle: np.radians(degrees)})
    found = head_pose(points, scheme)
    assert isinstance(found, HeadPose)
    assert abs(getattr(found, angle) - degrees) < 8
    others = {name: value for name, value in found._asdict().items() if name != angle}
    assert max(map(abs, others.values())) < 6
    if angle == "yaw":  # and the drawing's are right: the nose is nearer to the far eye
        tip = as_face(points, scheme).point("nose_tip")[0]
        outer = [
            as_face(points, scheme).point(f"{side}_eye_outer")[0] for side in ("left", "right")
        ]
        assert (tip > np.mean(outer)) == (degrees > 0)


@pytest.mark.parametrize("roll", [-170, -90, 60, 135, 180])
def test_a_head_may_lean_all_around(roll):
    turn = np.radians(roll)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = drawn()
    found, upright = head_pose(points @ rotation.T), head_pose(points)
    assert abs((found.roll - upright.roll - roll + 180) % 360 - 180) < 0.1
    np.testing.assert_allclose(found[:2], upright[:2], atol=0.1)


def test_poses_are_exact_enough_up_to_45_degrees():
    found, told = [], []
    for seed in range(60):
        face = draw_face(seed, 64, clean=True)
        pose = face.parameters
        told.append(np.degrees([pose.yaw, pose.pitch, pose.roll]))
        found.append(head_pose(face.landmarks["ibug68"]))
    some = np.abs(told)[:, 0] <= 45
    assert (np.abs(np.array(found) - told)[some].mean(0) < 6).all()


def test_a_mirror_mirrors_the_pose():
    points = drawn(seed=4, yaw=0.4, pitch=0.1, roll=0.2)
    mirrored = points[list(get_scheme("ibug68").flip_permutation)] * [-1, 1]
    pose = head_pose(points)
    np.testing.assert_allclose(head_pose(mirrored), [-pose.yaw, pose.pitch, -pose.roll], atol=1e-3)


def test_where_a_face_is_in_its_photo_changes_nothing():
    points = drawn(yaw=0.3).astype(np.float64)
    np.testing.assert_allclose(head_pose(9 * points + 4000), head_pose(points), atol=1e-6)


# --- lengths, points, chips, masks


@pytest.mark.parametrize("scheme", SCHEMES)
def test_five_points_lie_where_they_are_called(scheme):
    points = drawn(scheme)
    left, right, nose, *mouth = five_points(points, scheme)
    assert left[0] < nose[0] < right[0]
    assert max(left[1], right[1]) < nose[1] < mouth[0][1]
    assert mouth[0][0] < nose[0] < mouth[1][0]
    eyes = points[list(get_scheme(scheme).eye_corners)]
    assert interocular(points, scheme) == pytest.approx(np.linalg.norm(eyes[0] - eyes[1]))


def test_a_chip_is_cut_from_whatever_is_a_photo(tmp_path):
    face = draw_face(0, 128, clean=True)
    points, photo = face.landmarks["ibug68"], Image.fromarray(face.image)
    photo.save(tmp_path / "photo.png")
    wanted = np.asarray(align_face(photo, five_points(points)))
    assert wanted.shape == (112, 112, 3)
    for given in (photo, face.image, tmp_path / "photo.png", (tmp_path / "photo.png").read_bytes()):
        np.testing.assert_array_equal(np.asarray(aligned_chip(given, points)), wanted)
    assert aligned_chip(photo, face.landmarks["wflw98"], "wflw98", size=64).size == (64, 64)
    for size in (0, 1.5):
        with pytest.raises(KDLandmarksError, match=f"size={size}"):
            aligned_chip(photo, points, size=size)


@pytest.mark.parametrize("scheme", ["ibug68", "wflw98"])
def test_a_mask_holds_the_points_and_little_else(scheme):
    points = drawn(scheme)
    mask = face_outline(points, (140, 128), scheme)
    assert mask.shape == (128, 140)
    assert mask.dtype == bool
    x, y = np.rint(points).astype(int).T
    assert mask[y, x].all()
    area = cv2.contourArea(cv2.convexHull(points))
    assert area < mask.sum() < area + 2 * np.ptp(points, axis=0).sum()
    assert not face_outline(points + 500, (140, 128), scheme).any()
    assert face_outline(points * 1e30 - 5e31, (140, 128), scheme).shape == (128, 140)
    for size in (7, (0, 4), (4, "5"), (1, 2, 3)):
        with pytest.raises(KDLandmarksError):
            face_outline(points, size, scheme)


# --- faces, tables and what is invalid


def test_a_face_has_them_as_methods():
    points = drawn()
    face, photo = as_face(points), Image.new("RGB", (128, 128))
    for function in ALL:
        np.testing.assert_array_equal(getattr(face, function.__name__)(), function(points))
    np.testing.assert_array_equal(face.face_outline((128, 90)), face_outline(points, (128, 90)))
    assert face.aligned_chip(photo).size == (112, 112)
    told = face.to_dict(with_measures=True)["measures"]
    assert list(told) == list(MEASURES)
    assert json.loads(json.dumps(told)) == told == measured(points)
    assert told["left_eye_aspect_ratio"] == pytest.approx(eye_aspect_ratio(points).left, abs=1e-4)
    assert told["yaw"] == pytest.approx(head_pose(points).yaw, abs=1e-2)
    nameless = Face(points, None, None, None, [0, 0, 9, 9], None)
    with pytest.raises(KDLandmarksError, match="does not name its landmarks"):
        nameless.head_pose()


@pytest.mark.parametrize("function", ALL)
def test_invalid_points_are_refused_by_what_is_wrong(function):
    points = drawn().astype(np.float64)
    with pytest.raises(KDLandmarksError, match=r"\(67, 2\).*ibug68"):
        function(points[:67])
    with pytest.raises(KDLandmarksError, match=r"\(1, 68, 2\)"):
        function(points[None])
    with pytest.raises(KDLandmarksError, match="wflw98"):
        function(points, "wflw98")
    with pytest.raises(KDLandmarksError, match="no numbers"):
        function([["a", "b"]])
    with pytest.raises(KDLandmarksError, match="unknown scheme 'ibug'"):
        function(points, "ibug")
    with pytest.raises(KDLandmarksError, match="scheme=None"):
        function(points, None)
    for value in (np.nan, np.inf):
        points[40, 1] = value
        with pytest.raises(KDLandmarksError, match=r"point 40 \(left_eye_4\)"):
            function(points)


def test_a_scheme_without_the_part_is_refused_by_its_name():
    few = LandmarkScheme("few", ("a", "b"), (1, 0), (0, 1), ((0,), (1,)))
    points = np.array([[0.0, 0.0], [1.0, 0.0]])
    for function, name in zip(
        (*RATIOS, head_pose, five_points),
        ("left_eye", "inner_lips", "left_eye_outer", "nose_tip"),
        strict=True,
    ):
        with pytest.raises(KDLandmarksError, match=f"scheme few has no .*{name}"):
            function(points, few)
    with pytest.raises(KDLandmarksError, match="cofw29 has no part jaw"):
        face_outline(drawn("cofw29"), (9, 9), "cofw29")


def test_points_that_coincide_have_no_measures():
    points = np.zeros((68, 2))
    for function in (*RATIOS, head_pose):
        with pytest.raises(KDLandmarksError):
            function(points)
    assert set(measured(points).values()) == {None}
    with pytest.raises(KDLandmarksError, match="all the same"):
        aligned_chip(Image.new("L", (9, 9)), points)


# --- in the commands


def run(*words):
    return CliRunner().invoke(app, [*map(str, words)])


def test_predict_tells_measures_when_asked(model, tmp_path):
    Image.fromarray(draw_face(3, 160, clean=True).image).save(tmp_path / "face.png")
    for options in ([], ["--measures"]):
        words = ("predict", tmp_path / "face.png", "--model", model, *options, "--output")
        for kind in ("csv", "jsonl", "json"):
            result = run(*words, tmp_path / f"points.{kind}")
            assert result.exit_code == 0, result.output
        (row,) = csv.DictReader((tmp_path / "points.csv").open())
        (line,) = map(json.loads, (tmp_path / "points.jsonl").open())
        (coco,) = json.loads((tmp_path / "points.json").read_text())["annotations"]
        for face in (line["faces"][0], coco):
            assert ("measures" in face) == bool(options)
        assert len(row) == 8 + 136 + (6 if options else 0)
    told = line["faces"][0]["measures"]
    assert coco["measures"] == told == {name: float(row[name]) for name in MEASURES}


def test_video_tells_measures_when_asked(model, tmp_path):
    frames = [np.pad(draw_face(3, 160, clean=True).image, ((40, 40), (40, 40), (0, 0)))] * 3
    write_clip(tmp_path / "in.mp4", frames, 20)
    words = ("video", tmp_path / "in.mp4", tmp_path / "out.mp4", "--model", model)
    assert run(*words, "--json", tmp_path / "a.jsonl").exit_code == 0
    assert run(*words, "--json", tmp_path / "b.jsonl", "--measures").exit_code == 0
    plain, told = (
        [json.loads(line)["faces"][0] for line in (tmp_path / name).open()]
        for name in ("a.jsonl", "b.jsonl")
    )
    assert all("measures" not in face for face in plain)
    assert all(list(face["measures"]) == list(MEASURES) for face in told)
    result = run(*words, "--measures")
    assert result.exit_code == 2
    assert "--json" in result.output


def test_a_detector_without_eyes_is_refused_before_the_work(tmp_path):
    few = LandmarkScheme("few", ("a", "b"), (1, 0), (0, 1), ((0,), (1,)))
    other = save_detector(tmp_path / "few", few, np.array([[0.2, 0.2], [0.8, 0.2]]))
    Image.new("RGB", (64, 64)).save(tmp_path / "photo.png")
    result = run("predict", tmp_path / "photo.png", "--model", other, "--measures")
    assert result.exit_code == 2
    assert "scheme few has no part left_eye" in result.output
