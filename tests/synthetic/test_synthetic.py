"""Generated faces: the same for ever, exact points, every scheme from one face, varied."""

import os
from dataclasses import replace

import numpy as np
import pytest

from kd_landmarks.errors import KDLandmarksError
from kd_landmarks.synthetic import generate_face, generated_dataset
from kd_landmarks.synthetic.drawing import draw_face
from kd_landmarks.synthetic.geometry import Camera, HeadSurface
from kd_landmarks.synthetic.landmarks import FaceCurves
from kd_landmarks.synthetic.parameters import FaceParameters, sample_parameters
from kd_landmarks.synthetic.processes import faces_drawn_by

SIZES = {"ibug68": 68, "wflw98": 98, "cofw29": 29}
SEEDS = range(24)


@pytest.fixture(scope="module")
def drawings():
    return [draw_face(seed, 96) for seed in SEEDS]


def clean_face(seed, size=256, **changes):
    """A face as its seed paints it, with nothing before it and the shape that a test asks for."""
    return draw_face(seed, size, clean=True, parameters=replace(FaceParameters(), **changes))


def patch(image, point, radius=1):
    x, y = np.round(point).astype(int)
    return image[y - radius : y + radius + 1, x - radius : x + radius + 1].reshape(-1, 3)


@pytest.mark.parametrize("scheme", SIZES)
@pytest.mark.parametrize("size", [96, 160])
def test_a_face_has_the_promised_shapes(scheme, size):
    face = generate_face(3, scheme, size)
    assert face.image.shape == (size, size, 3)
    assert face.image.dtype == np.uint8
    assert face.landmarks.shape == (SIZES[scheme], 2)
    assert face.landmarks.dtype == np.float32
    assert face.visible.shape == (SIZES[scheme],)
    assert face.visible.dtype == np.uint8
    assert set(np.unique(face.visible)) <= {0, 1}
    assert np.isfinite(face.landmarks).all()


def test_a_seed_draws_the_same_face_again_and_another_seed_another():
    first, again, other = generate_face(11), generate_face(11), generate_face(12)
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.landmarks, again.landmarks)
    np.testing.assert_array_equal(first.visible, again.visible)
    assert np.abs(first.image.astype(int) - other.image).mean() > 5
    assert np.abs(first.landmarks - other.landmarks).max() > 2


def test_every_scheme_sees_the_same_picture():
    faces = [generate_face(5, scheme) for scheme in SIZES]
    for face in faces[1:]:
        np.testing.assert_array_equal(face.image, faces[0].image)


def test_the_points_that_schemes_share_are_the_same_points(drawings):
    for drawing in drawings:
        ibug, wflw, cofw = (drawing.landmarks[name] for name in SIZES)
        shared = [
            (slice(0, 17), slice(0, 33, 2)),  # outline: every second
            (slice(17, 22), slice(33, 38)),  # upper lines of the brows
            (slice(22, 27), slice(42, 47)),
            (slice(27, 36), slice(51, 60)),  # nose
            ([36, 39, 42, 45], [60, 64, 68, 72]),  # corners of the eyes
            (slice(48, 68), slice(76, 96)),  # mouth
        ]
        for of_68, of_98 in shared:
            np.testing.assert_array_equal(ibug[of_68], wflw[of_98])
        corners = [0, 1, 8, 9, 10, 11, 20, 21, 22, 23, 24, 25, 26, 27, 28]
        of_68 = [17, 26, 36, 45, 39, 42, 30, 33, 48, 54, 51, 62, 66, 57, 8]
        np.testing.assert_array_equal(cofw[corners], ibug[of_68])
        np.testing.assert_array_equal(cofw[[12, 13, 14, 15]], wflw[[62, 66, 70, 74]])
        np.testing.assert_array_equal(cofw[[16, 17]], wflw[[96, 97]])
        np.testing.assert_array_equal(cofw[[4, 6]], wflw[[35, 44]])


def test_points_come_in_the_order_of_the_schemes():
    for seed in range(6):
        points = clean_face(seed, mouth_open=0.15).landmarks
        ibug, wflw, cofw = points["ibug68"], points["wflw98"], points["cofw29"]
        left_to_right = [range(17, 27), range(31, 36), range(48, 55), range(60, 65)]
        for run in [*left_to_right, [36, 37, 38, 39, 42, 43, 44, 45], range(0, 9)]:
            assert (np.diff(ibug[list(run), 0]) > -1.5).all(), run
        assert (np.diff(ibug[0:9, 1]) > 0).all()
        assert (np.diff(ibug[8:17, 1]) < 0).all()
        assert ibug[8, 1] == ibug[:, 1].max()
        assert (np.diff(ibug[27:31, 1]) > 0).all()
        for upper, lower in ([37, 41], [38, 40], [43, 47], [44, 46], [62, 66], [51, 57], [51, 62]):
            assert ibug[upper, 1] < ibug[lower, 1]
        # The lower line of each of WFLW's brows runs back below its upper line.
        for upper, lower in ([37, 38], [34, 41], [42, 50], [45, 47]):
            assert wflw[upper, 1] < wflw[lower, 1]
        for upper, lower in ([4, 5], [6, 7], [12, 16], [16, 13], [20, 21], [21, 24], [27, 28]):
            assert cofw[upper, 1] < cofw[lower, 1]
        for left, right in ([0, 2], [2, 3], [3, 1], [8, 10], [10, 11], [11, 9], [18, 20], [20, 19]):
            assert cofw[left, 0] < cofw[right, 0]


def test_pupils_are_dark_between_the_whites_of_the_eyes():
    for seed in range(6):
        face = clean_face(seed, size=320, eye_open_left=1.4, eye_open_right=1.4)
        points = face.landmarks["wflw98"]
        for pupil, corners in ((96, (60, 64)), (97, (68, 72))):
            dark = patch(face.image, points[pupil], 0).mean()
            for corner in corners:
                beside = points[pupil] + 0.62 * (points[corner] - points[pupil])
                assert dark < 0.7 * patch(face.image, beside).mean()


def test_lips_and_brows_are_drawn_where_their_points_are():
    for seed in range(6):
        face = clean_face(seed, size=320)
        image, points = face.image.astype(float), face.landmarks["wflw98"]
        lip = patch(image, 0.5 * (points[85] + points[94])).mean(axis=0)
        skin = patch(image, points[16] + 0.45 * (points[85] - points[16])).mean(axis=0)
        assert np.abs(lip / lip.sum() - skin / skin.sum()).max() > 0.01
        for upper, lower in ((35, 40), (44, 48)):
            brow = patch(image, 0.5 * (points[upper] + points[lower])).mean()
            assert brow < 0.92 * patch(image, points[upper] - [0, 12]).mean()


def test_an_open_mouth_is_dark_inside_and_lower():
    shut, wide = clean_face(2), clean_face(2, mouth_open=0.3)
    inner = wide.landmarks["ibug68"][[62, 66]]
    assert np.diff(inner[:, 1])[0] > 15
    assert abs(np.diff(shut.landmarks["ibug68"][[62, 66], 1])[0]) < 1


@pytest.mark.parametrize("yaw", [-45, -25, 0, 25, 45])
def test_the_outline_lies_on_the_edge_of_the_drawn_face_on_the_side_turned_away(yaw):
    parameters = replace(FaceParameters(), yaw=np.deg2rad(yaw))
    face = draw_face(4, 256, clean=True, parameters=parameters)
    points = face.landmarks["wflw98"]
    surface = HeadSurface(parameters)
    camera = Camera.of(parameters)
    seen = camera.project(surface.points(FaceCurves(surface).contour(camera)))
    # Of every place on the cheek at the height of a contour point none lies further out than
    # the point, to 0.03 outer eye corner distances.
    side = -1 if yaw < 0 else 1
    far = slice(4, 12) if side < 0 else slice(21, 29)
    angle = np.linspace(side * 0.45, side * 1.45, 200)
    for at, address in zip(seen[far], FaceCurves(surface).contour(camera)[far], strict=True):
        level = np.stack([angle, np.full(200, address[1])], axis=-1)
        across = camera.project(surface.points(level))[:, 0]
        assert (side * across).max() <= side * at[0] + 0.03
    assert (points >= 0).all()
    assert (points < 256).all()


def test_turning_the_head_moves_the_nose_towards_the_side_it_turns_to():
    def nose(yaw):
        points = clean_face(1, yaw=np.deg2rad(yaw)).landmarks["ibug68"]
        left, right = np.abs(points[30, 0] - points[[36, 45], 0])
        return (left - right) / (left + right)

    places = [nose(yaw) for yaw in (-40, -20, 0, 20, 40)]
    assert (np.diff(places) > 0.15).all()
    assert abs(places[2]) < 0.02


def test_turned_heads_are_turned_to_both_sides():
    yaws = np.rad2deg([draw_face(seed, 64, head_turned=True).parameters.yaw for seed in range(12)])
    assert (np.abs(yaws) >= 25).all()
    assert (np.abs(yaws) <= 75).all()
    assert {-1.0, 1.0} == set(np.sign(yaws))
    straight, away = (generate_face(5, size=64, head_turned=turned) for turned in (False, True))
    assert not np.allclose(straight.landmarks, away.landmarks, atol=2)
    rows = generated_dataset(2, 0, "ibug68", 64, cache=False, heads_turned=True)
    again = [generate_face(seed, size=64, head_turned=True).landmarks for seed in range(2)]
    np.testing.assert_array_equal(rows["landmarks"], again)


def test_what_lies_before_a_face_hides_points_and_a_clean_face_shows_all(drawings):
    frontal = clean_face(3)
    assert all(flags.all() for flags in frontal.visible.values())
    hidden = [1 - drawing.visible["ibug68"].mean() for drawing in drawings]
    assert 0.005 < np.mean(hidden) < 0.25


def test_the_box_leaves_room_around_the_face(drawings):
    sides = []
    for drawing in drawings:
        points = drawing.landmarks["ibug68"]
        low, high = points.min(axis=0), points.max(axis=0)
        sides.append((high - low).max() / 96)
        center = 0.5 * (low + high) / 96
        assert (np.abs(center - 0.5) < 0.08).all()
    assert np.abs(np.array(sides) * 1.8 - 1).max() < 0.12
    assert np.std(sides) > 0.01


def test_a_larger_picture_has_the_same_points_larger():
    small, large = generate_face(9, size=96), generate_face(9, size=192)
    np.testing.assert_allclose(2 * (small.landmarks + 0.5), large.landmarks + 0.5, atol=1e-3)


def test_faces_differ_in_pose_expression_and_color(drawings):
    drawn = [sample_parameters(np.random.default_rng((seed, 0))) for seed in range(400)]
    yaw, pitch, roll = (
        np.rad2deg([getattr(p, n) for p in drawn]) for n in ("yaw", "pitch", "roll")
    )
    for angles, largest in ((yaw, 50), (pitch, 25), (roll, 30)):
        assert np.abs(angles).max() <= largest + 1e-6
        assert np.abs(angles).max() > 0.7 * largest
        assert (angles < 0).mean() == pytest.approx(0.5, abs=0.1)
    assert np.mean([p.mouth_open > 0.1 for p in drawn]) > 0.08
    assert np.mean([p.eye_open_left < 0.3 for p in drawn]) > 0.02
    faces = np.stack([drawing.image.mean(axis=(0, 1)) for drawing in drawings])
    assert (faces.std(axis=0) > 15).all()


def test_a_dataset_has_the_columns_of_the_package():
    rows = generated_dataset(3, seed=2, scheme="wflw98", size=64)
    assert len(rows) == 3
    names = ["image", "landmarks", "box", "scheme", "subset", "photo", "source", "visible"]
    assert rows.column_names == names
    assert len(set(rows["photo"])) == 3
    assert rows["subset"] == ["generated"] * 3
    assert rows["scheme"] == ["wflw98"] * 3
    row = rows.with_format("numpy")[1]
    face_seed = int(row["source"].removeprefix("generated:"))
    face = generate_face(face_seed, "wflw98", 64)
    np.testing.assert_array_equal(np.asarray(rows[1]["image"]), face.image)
    np.testing.assert_array_equal(row["landmarks"], face.landmarks)
    np.testing.assert_array_equal(row["visible"], face.visible)
    tight = [*face.landmarks.min(axis=0), *face.landmarks.max(axis=0)]
    np.testing.assert_array_equal(row["box"], tight)


def test_a_dataset_does_not_depend_on_the_number_of_processes():
    alone, together = (
        generated_dataset(230, seed=1, size=32, num_proc=n, cache=False) for n in (None, 2)
    )
    assert alone["source"] == together["source"]
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(np.asarray(one["image"]), np.asarray(other["image"]))
        assert one["landmarks"] == other["landmarks"]


def test_drawing_on_several_cores_does_not_fork(monkeypatch):
    """What a fork takes along of other threads' locks stays locked."""
    monkeypatch.delattr(os, "fork")
    assert len(generated_dataset(200, size=32, num_proc=2, cache=False)) == 200


def test_a_process_that_ends_before_its_faces_are_drawn_is_told_of():
    with (
        pytest.raises(KDLandmarksError, match="a process that generates faces died"),
        faces_drawn_by(2, os._exit) as columns,
    ):
        columns([3, 4])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"scheme": "ibug69"}, "ibug69"),
        ({"size": 8}, "size=8"),
        ({"size": 5000}, "size=5000"),
        ({"size": 160.0}, "size=160.0"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": "a"}, "seed='a'"),
        ({"seed": 2**63}, "seed=9223372036854775808"),
        ({"count": 0}, "count=0"),
        ({"count": 2.5}, "count=2.5"),
        ({"num_proc": 0}, "num_proc=0"),
    ],
)
def test_bad_values_are_refused_by_name(arguments, named):
    with pytest.raises(KDLandmarksError, match=named):
        generated_dataset(**{"count": 1, **arguments})
    if not {"count", "num_proc"} & set(arguments):
        with pytest.raises(KDLandmarksError, match=named):
            generate_face(**{"seed": 0, **arguments})


def test_numpys_numbers_are_numbers():
    whole = {"seed": np.int32(400), "size": np.int64(64)}
    face = generate_face(**whole)
    np.testing.assert_array_equal(face.image, generate_face(400, size=64).image)
    [row] = generated_dataset(np.int32(1), **whole, cache=False)
    assert row["source"] == "generated:4000000000"


def test_a_seed_whose_faces_have_no_number_is_refused():
    with pytest.raises(KDLandmarksError, match="seed=1000000000000: give a whole number from 0"):
        generated_dataset(1, seed=10**12)


def test_a_dataset_is_drawn_once_and_then_read_from_the_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path))
    first = generated_dataset(3, seed=5, size=64)
    monkeypatch.setattr("kd_landmarks.synthetic.draw_face", None)
    again = generated_dataset(3, seed=5, size=64)
    assert again[2]["source"] == "generated:50000002"
    np.testing.assert_array_equal(again[1]["image"], first[1]["image"])
    with pytest.raises(TypeError):
        generated_dataset(3, seed=5, size=64, cache=False)
    with pytest.raises(TypeError):
        generated_dataset(3, seed=6, size=64)
