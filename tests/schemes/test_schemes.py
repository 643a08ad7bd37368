"""Schemes: every built-in is consistent and right on real faces; one's own comes from YAML."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from kd_landmarks.errors import KDLandmarksError
from kd_landmarks.schemes import SCHEMES, LandmarkScheme, get_scheme
from kd_landmarks.schemes.conversion import convert_98_to_68

OWN = """
name: five
names: [left_eye, right_eye, nose_tip, left_mouth_corner, right_mouth_corner]
flip_pairs: [[0, 1], [3, 4]]
eye_corners: [0, 1]
pupils: [[0], [1]]
outlines:
  - {name: mouth, indices: [3, 4]}
"""


def faces(path: Path, field: str = "landmarks") -> np.ndarray:
    rows = map(json.loads, path.read_text().splitlines())
    return np.array([row[field] for row in rows if row[field] is not None])


@pytest.mark.parametrize(("name", "count"), [("ibug68", 68), ("wflw98", 98), ("cofw29", 29)])
def test_built_ins_survive_json_and_know_their_size(name, count):
    scheme = get_scheme(name)
    assert scheme.num_landmarks == count
    assert LandmarkScheme.from_dict(json.loads(json.dumps(scheme.to_dict()))) == scheme
    assert get_scheme(scheme) is scheme
    assert get_scheme(scheme.to_dict()) == scheme


@pytest.mark.parametrize("name", SCHEMES)
def test_names_of_sides_agree_with_the_flip(name):
    scheme = get_scheme(name)
    side = {"left": "right", "right": "left"}
    for index, partner in enumerate(scheme.flip_permutation):
        first, _, rest = scheme.names[index].partition("_")
        first_of_partner, _, rest_of_partner = scheme.names[partner].partition("_")
        assert first_of_partner == side.get(first, first)
        assert rest.rstrip("0123456789") == rest_of_partner.rstrip("0123456789")


@pytest.mark.parametrize(
    ("name", "corners", "pupils"),
    [
        ("ibug68", (36, 45), (tuple(range(36, 42)), tuple(range(42, 48)))),
        ("wflw98", (60, 72), ((96,), (97,))),
        ("cofw29", (8, 9), ((16,), (17,))),
    ],
)
def test_normalizer_points_are_those_of_the_protocols(name, corners, pupils):
    scheme = get_scheme(name)
    assert scheme.eye_corners == corners
    assert scheme.pupils == pupils


@pytest.mark.parametrize(
    ("name", "file", "field"),
    [
        ("ibug68", "300w/train.jsonl", "landmarks"),
        ("wflw98", "wflw/faces.jsonl", "landmarks_98"),
        ("cofw29", "lfpw29/lfpw29.jsonl", "landmarks"),
    ],
)
def test_the_flip_is_the_best_partner_of_every_point_on_real_faces(data_root, name, file, field):
    """Each point of the mirrored average face lies nearest to the partner that the scheme names."""
    scheme = get_scheme(name)
    shapes = faces(data_root / file, field)
    shapes = shapes - shapes.mean(1, keepdims=True)
    left, right = scheme.eye_corners
    across = shapes[:, right] - shapes[:, left]
    # Undo each face's roll and size, so that the mean is upright and its mirror axis is x = 0.
    size = np.linalg.norm(across, axis=1)
    cos, sin = (across / size[:, None]).T
    upright = np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], 1)
    # The median, for the profiles among WFLW's 87 faces would tilt a mean.
    mean = np.median(np.einsum("mij,mnj->mni", upright, shapes / size[:, None, None]), axis=0)
    mirrored = (mean * [-1, 1])[list(scheme.flip_permutation)]
    # In inter-ocular distances.
    assert np.linalg.norm(mirrored - mean, axis=-1).max() < 0.1
    distance = np.linalg.norm((mean * [-1, 1])[:, None] - mean[None], axis=-1)
    assert distance.argmin(0).tolist() == list(scheme.flip_permutation)


@pytest.mark.parametrize(
    ("name", "file", "field"),
    [
        ("ibug68", "300w/test_common.jsonl", "landmarks"),
        ("wflw98", "wflw/faces.jsonl", "landmarks_98"),
        ("cofw29", "lfpw29/lfpw29.jsonl", "landmarks"),
    ],
)
def test_left_is_the_left_of_the_image_on_real_faces(data_root, name, file, field):
    scheme = get_scheme(name)
    mean = faces(data_root / file, field).mean(0)
    left = [i for i, point in enumerate(scheme.names) if point.startswith("left_")]
    partners = [scheme.flip_permutation[i] for i in left]
    assert (mean[left, 0] < mean[partners, 0]).all()
    assert mean[scheme.eye_corners[0], 0] < mean[scheme.eye_corners[1], 0]
    pupil_left, pupil_right = (mean[list(points)].mean(0) for points in scheme.pupils)
    assert mean[scheme.eye_corners[0], 0] < pupil_left[0] < pupil_right[0]
    assert pupil_right[0] < mean[scheme.eye_corners[1], 0]


def test_68_points_from_98_are_those_of_the_published_faces(data_root):
    path = data_root / "wflw" / "faces.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows = [row for row in rows if row["landmarks_98"] is not None]
    wflw = np.array([row["landmarks_98"] for row in rows])
    ibug = np.array([row["landmarks_68"] for row in rows])
    converted = convert_98_to_68(wflw)
    assert converted.shape == (87, 68, 2)
    eyelids = [37, 38, 40, 41, 43, 44, 46, 47]
    copies = [i for i in range(68) if i not in eyelids]
    assert (converted[:, copies] == ibug[:, copies]).all()
    # The file's numbers are rounded to 0.001 px.
    np.testing.assert_allclose(converted[:, eyelids], ibug[:, eyelids], rtol=0, atol=1.1e-3)


def test_68_from_98_keeps_kind_dtype_and_order(rng):
    points = rng.normal(size=(3, 4, 98, 2)).astype(np.float32)
    converted = convert_98_to_68(points)
    assert converted.dtype == np.float32
    assert torch.equal(convert_98_to_68(torch.from_numpy(points)), torch.from_numpy(converted))
    wflw, ibug = get_scheme("wflw98"), get_scheme("ibug68")
    for ours, theirs in ((ibug.eye_corners[0], wflw.eye_corners[0]), (8, 16), (30, 54), (54, 82)):
        np.testing.assert_array_equal(converted[..., ours, :], points[..., theirs, :])


def test_68_from_98_commutes_with_the_mirror(rng):
    """The table keeps sides apart: mirroring before or after the conversion gives the same face."""
    wflw, ibug = get_scheme("wflw98"), get_scheme("ibug68")
    points = rng.normal(size=(98, 2))
    before = convert_98_to_68((points * [-1, 1])[list(wflw.flip_permutation)])
    after = (convert_98_to_68(points) * [-1, 1])[list(ibug.flip_permutation)]
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("shape", [(68, 2), (98, 3), (98,)])
def test_68_from_98_refuses_other_shapes(shape):
    with pytest.raises(KDLandmarksError, match=r"shape \(" + str(shape[0])):
        convert_98_to_68(np.zeros(shape))


def test_a_scheme_of_ones_own_comes_from_yaml(tmp_path):
    path = tmp_path / "five.yaml"
    path.write_text(OWN)
    scheme = get_scheme(str(path))
    assert scheme.flip_permutation == (1, 0, 2, 4, 3)
    assert scheme.outlines[0].indices == (3, 4)
    assert get_scheme(path) == scheme
    path.write_text(
        OWN.replace("flip_pairs: [[0, 1], [3, 4]]", "flip_permutation: [1, 0, 2, 4, 3]")
    )
    assert get_scheme(path) == scheme


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: five", "name: ''", "'name' ''"),
        ("name: five", "name: ../five", "'name' '../five' becomes the name of a file"),
        ("name: five", "name: 2024-01-01", r"'name' datetime.date\(2024, 1, 1\)"),
        ("nose_tip", "'nose\ttip'", "'names', value 'nose\\\\ttip'"),
        ("nose_tip", "2024-01-01", "'names', value datetime.date"),
        ("nose_tip", "x" * 200, "'names', value 'xxx.*1 to 128 characters"),
        ("name: mouth", "name: " + "x" * 200, "'outlines', value"),
        ("[[0, 1], [3, 4]]", "[[true, 1], [3, 4]]", "'flip_pairs', value True"),
        ("[[0], [1]]", "{0: 1}", "'pupils' is {0: 1}: give it a list"),
        ("indices: [3, 4]", "indices: [-1, 4]", "'outlines.mouth', value -1"),
        ("name: five", "name: five\n2024-01-01: 1", "unknown scheme field '2024-01-01'"),
        ("names: [", "names: [" + "x, " * 3000, "has 3005 names"),
        ("name: five", "title: five", "unknown scheme field 'title'"),
        ("name: five\n", "", "'name' is missing"),
        ("left_eye, right_eye", "eye, eye", r"'names', value \['eye'\]"),
        ("[[0, 1], [3, 4]]", "[[0, 1], [3, 5]]", "'flip_pairs', value 5"),
        ("[[0, 1], [3, 4]]", "[[0, 1], [1, 4]]", "'flip_pairs', value 1"),
        ("[[0, 1], [3, 4]]", "[[0, 1], [3]]", r"'flip_pairs', value \[3\]"),
        ("flip_pairs: [[0, 1], [3, 4]]", "", "'flip_pairs' and 'flip_permutation'"),
        ("flip_pairs: [[0, 1], [3, 4]]", "flip_permutation: [1, 2, 0, 4, 3]", "point 0 goes to 1"),
        ("flip_pairs: [[0, 1], [3, 4]]", "flip_permutation: [1, 0, 2]", "3 entries for 5 names"),
        ("eye_corners: [0, 1]", "eye_corners: [0, 2]", "'eye_corners'.*must swap"),
        ("eye_corners: [0, 1]", "eye_corners: [0, 9]", "'eye_corners', value 9"),
        ("eye_corners: [0, 1]", "eye_corners: left", "'eye_corners' is 'left'"),
        ("[[0], [1]]", "[[0], [3]]", "'pupils'.*must swap"),
        ("[[0], [1]]", "[[0], [1.5]]", "'pupils', value 1.5"),
        ("indices: [3, 4]", "indices: [3, 7]", "'outlines.mouth', value 7"),
        ("indices: [3, 4]", "points: [3, 4]", "'outlines', value"),
        ("names: [", "names: [[", "is not YAML"),
    ],
)
def test_a_bad_yaml_scheme_is_refused_by_file_field_and_value(tmp_path, old, new, message):
    path = tmp_path / "five.yaml"
    assert old in OWN
    path.write_text(OWN.replace(old, new))
    with pytest.raises(KDLandmarksError, match=message) as caught:
        get_scheme(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("spec", [3, None, ["x"] * 10**5, "x" * 10**5, {"name": "x" * 10**5}])
def test_what_is_no_scheme_is_told_in_few_words(spec):
    with pytest.raises(KDLandmarksError, match="scheme") as caught:
        get_scheme(spec)
    assert len(str(caught.value)) <= 500


def test_an_unknown_scheme_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(KDLandmarksError, match=r"'ibug86'.*ibug68, wflw98, cofw29"):
        get_scheme("ibug86")
    with pytest.raises(KDLandmarksError, match=r"cannot read .*missing\.yaml"):
        get_scheme(tmp_path / "missing.yaml")
