"""The shape model softens as the method says, in any frame, and survives its file."""

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from kd_landmarks.errors import KDLandmarksError
from kd_landmarks.evaluation.metrics import nme
from kd_landmarks.schemes import get_scheme
from kd_landmarks.training.shape_model import WEIGHTS_NAME, ShapeModel


def similarity(points, angle=0.7, scale=3.0, shift=(40.0, -7.0)):
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return scale * points @ turn.T + shift


@pytest.fixture
def shapes(rng):
    """200 faces of 12 points with three ways to vary and a little noise."""
    mean = rng.normal(0, 1, (12, 2))
    modes = rng.normal(0, 1, (3, 12, 2))
    coefficients = rng.normal(0, [0.3, 0.2, 0.1], (200, 3))
    return mean + np.einsum("mk,knd->mnd", coefficients, modes) + rng.normal(0, 0.01, (200, 12, 2))


def test_aligned_softening_commutes_with_similarities(shapes):
    model = ShapeModel.fit(shapes)
    np.testing.assert_allclose(
        model.soften(similarity(shapes)), similarity(model.soften(shapes)), atol=1e-10
    )


def test_aligned_fit_ignores_the_frame_of_each_shape(shapes, rng):
    moved = np.stack(
        [
            similarity(s, rng.uniform(-3, 3), rng.uniform(0.1, 9), rng.normal(0, 50, 2))
            for s in shapes
        ]
    )
    still, free = ShapeModel.fit(shapes), ShapeModel.fit(moved)
    assert free.num_components == still.num_components
    np.testing.assert_allclose(free.soften(shapes), still.soften(shapes), atol=1e-8)


def test_alignment_never_reflects(shapes):
    model = ShapeModel.fit(shapes)
    mirrored = shapes * [-1, 1]
    distance = np.abs(model.soften(mirrored) - mirrored).mean()
    assert distance > 3 * np.abs(model.soften(shapes) - shapes).mean()


def test_unaligned_softening_is_pca_of_the_coordinates(shapes):
    model = ShapeModel.fit(shapes, 0.9, aligned=False)
    vectors = shapes.reshape(200, -1)
    covariance = np.cov(vectors.T)
    values, components = np.linalg.eigh(covariance)
    values, components = values[::-1], components[:, ::-1]
    count = int(np.argmax(np.cumsum(values) / values.sum() >= 0.9)) + 1
    assert model.num_components == count
    assert model.explained == pytest.approx(values[:count].sum() / values.sum())
    b = (vectors - vectors.mean(0)) @ components[:, :count]
    limit = 3 * np.sqrt(values[:count])
    soft = vectors.mean(0) + np.clip(b, -limit, limit) @ components[:, :count].T
    np.testing.assert_allclose(model.soften(shapes), soft.reshape(shapes.shape), atol=1e-10)


def test_coefficients_are_clipped_to_three_standard_deviations(shapes):
    model = ShapeModel.fit(shapes, aligned=False)
    direction = model.components[0].reshape(12, 2)
    sd = model.standard_deviations[0]
    for given, kept in ((2.9, 2.9), (5, 3), (-8, -3)):
        soft = model.soften(model.mean + given * sd * direction)
        np.testing.assert_allclose(soft, model.mean + kept * sd * direction, atol=1e-10)


@pytest.mark.parametrize("aligned", [True, False])
def test_more_variance_is_nearer_and_all_of_it_is_exact(shapes, aligned):
    models = [ShapeModel.fit(shapes, share, aligned) for share in (0.5, 0.9, 0.999)]
    assert all(m.explained >= m.retained_variance for m in models)
    counts = [m.num_components for m in models]
    assert counts == sorted(set(counts))
    distances = [np.abs(m.soften(shapes) - shapes).mean() for m in models]
    assert distances == sorted(distances, reverse=True)
    everything = ShapeModel.fit(shapes, 1.0, aligned)
    assert everything.explained == pytest.approx(1)
    typical = shapes[:1] * 0.5 + shapes[1:2] * 0.5
    np.testing.assert_allclose(everything.soften(typical), typical, atol=1e-8)


@pytest.mark.parametrize("share", [0.6, 0.9, 1.0])
def test_a_reduced_model_is_the_one_fitted_so(shapes, share):
    whole, fitted = ShapeModel.fit(shapes, 0.9999), ShapeModel.fit(shapes, share)
    reduced = whole.reduced(share)
    if share < 1:
        assert reduced.num_components == fitted.num_components
        assert reduced.explained == pytest.approx(fitted.explained)
        np.testing.assert_allclose(reduced.soften(shapes), fitted.soften(shapes), atol=1e-9)
    else:
        assert reduced.num_components == whole.num_components
    with pytest.raises(KDLandmarksError, match="retained_variance is 0"):
        whole.reduced(0)


def test_soften_keeps_shape_and_type(shapes):
    model = ShapeModel.fit(shapes)
    one = model.soften(shapes[0])
    np.testing.assert_allclose(model.soften(shapes[:6].reshape(2, 3, 12, 2))[0, 0], one, atol=1e-12)
    assert model.soften(shapes.astype(np.float32)).dtype == np.float32
    assert model.soften(np.round(100 * shapes).astype(int)).dtype == np.float64
    assert model.soften(shapes[:0]).shape == (0, 12, 2)


@pytest.mark.parametrize("aligned", [True, False])
def test_round_trip_through_a_folder_is_exact(shapes, aligned, tmp_path):
    model = ShapeModel.fit(shapes, 0.87, aligned)
    model.save_pretrained(tmp_path / "run" / "model")
    again = ShapeModel.from_pretrained(tmp_path / "run" / "model")
    assert (again.aligned, again.retained_variance, again.explained) == (
        aligned,
        0.87,
        model.explained,
    )
    np.testing.assert_array_equal(again.soften(shapes), model.soften(shapes))


def test_missing_damaged_and_foreign_files_are_named(shapes, tmp_path):
    with pytest.raises(KDLandmarksError, match=WEIGHTS_NAME):
        ShapeModel.from_pretrained(tmp_path)
    path = ShapeModel.fit(shapes).save_pretrained(tmp_path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(KDLandmarksError, match="damaged or no shape model"):
        ShapeModel.from_pretrained(tmp_path)
    save_file({"weight": np.zeros(3)}, path)
    with pytest.raises(KDLandmarksError, match="no shape model"):
        ShapeModel.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("tensors", "settings"),
    [
        ({"mean": np.zeros((5, 2))}, {}),
        ({"mean": np.zeros((12, 3))}, {}),
        ({"mean": np.zeros(0)}, {}),
        ({"mean": np.full((12, 2), np.nan)}, {}),
        ({"mean": np.zeros((12, 2), np.float32)}, {}),
        ({"components": np.zeros((3, 24)) + np.inf}, {}),
        ({"components": np.zeros((3, 24)) + 1e300}, {}),
        ({"components": np.zeros((0, 24))}, {}),
        ({"components": np.zeros(())}, {}),
        ({"standard_deviations": -np.ones(3)}, {}),
        ({"standard_deviations": np.ones(99)}, {}),
        ({"evil": np.ones(1)}, {}),
        ({}, {"format": "x" * 10**5}),
        ({}, {"explained": "nan"}),
        ({}, {"explained": "much"}),
        ({}, {"retained_variance": "-1"}),
        ({}, {"aligned": "perhaps"}),
    ],
    ids=range(17),
)
def test_a_file_of_other_values_is_refused(shapes, tmp_path, tensors, settings):
    path = ShapeModel.fit(shapes).save_pretrained(tmp_path)
    with safe_open(path, framework="numpy") as file:
        sound = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        told = file.metadata()
    save_file(sound | tensors, path, told | settings)
    with pytest.raises(KDLandmarksError, match=f"{WEIGHTS_NAME} is damaged or no") as caught:
        ShapeModel.from_pretrained(tmp_path)
    assert len(str(caught.value)) <= 510


@pytest.mark.parametrize("share", [0, -0.1, 1.01, 90, float("nan")])
def test_retained_variance_must_be_a_share(shapes, share):
    with pytest.raises(KDLandmarksError, match="retained_variance"):
        ShapeModel.fit(shapes, share)


def test_bad_shapes_are_refused(shapes):
    with pytest.raises(KDLandmarksError, match="at least 2"):
        ShapeModel.fit(shapes[:1])
    with pytest.raises(KDLandmarksError, match="at least 2"):
        ShapeModel.fit(shapes[0])
    with pytest.raises(KDLandmarksError, match="alike"):
        ShapeModel.fit(np.repeat(shapes[:1], 5, axis=0))
    model = ShapeModel.fit(shapes)
    with pytest.raises(KDLandmarksError, match=r"\(200, 11, 2\).*12, 2"):
        model.soften(shapes[:, :-1])
    broken = shapes.copy()
    broken[17, 3] = np.nan
    with pytest.raises(KDLandmarksError, match="shape 17 is not finite"):
        ShapeModel.fit(broken)
    for gone in (np.inf, np.nan):  # a number that is none; all but one landmark missing
        broken[17, 1:] = gone
        with pytest.raises(KDLandmarksError, match="shape 17 is not finite"):
            model.soften(broken)
    broken[17] = 5.0
    for action in (ShapeModel.fit, model.soften):
        with pytest.raises(KDLandmarksError, match="shape 17 cannot be aligned"):
            action(broken)


@pytest.mark.parametrize("aligned", [True, False])
def test_landmarks_that_are_not_there_are_judged_by_the_others(shapes, aligned):
    model = ShapeModel.fit(shapes, 0.999, aligned=aligned)
    known = similarity(shapes[:20]) if aligned else shapes[:20].copy()
    gaps = known.copy()
    gaps[:, [2, 7]] = np.nan
    soft, whole = model.soften(gaps), model.soften(known)
    assert (np.isnan(soft) == np.isnan(gaps)).all()
    seen = ~np.isnan(gaps).any(-1)
    assert seen.sum() == 200
    size = np.abs(known - known.mean(1, keepdims=True)).mean()
    assert np.linalg.norm(soft[seen] - whole[seen], axis=-1).mean() < 0.02 * size
    np.testing.assert_allclose(model.soften(gaps[3]), soft[3])


def read_points(path):
    return np.array([json.loads(line)["landmarks"] for line in path.open()])


def crop_units(points):
    """The square crop of 1.25 x the longer side of the tight box, about its center."""
    low, high = points.min(1), points.max(1)
    side = 1.25 * (high - low).max(-1)
    corner = (low + high) / 2 - side[:, None] / 2
    return (points - corner[:, None]) / side[:, None, None]


@pytest.mark.parametrize(
    ("retained_variance", "aligned", "expected"),
    [
        (0.80, True, 3.42),
        (0.90, True, 2.58),
        (0.97, True, 1.47),
        (0.80, False, 6.99),
        (0.90, False, 4.78),
        (0.97, False, 2.82),
    ],
)
def test_soft_against_hard_landmarks_on_300w(data_root, retained_variance, aligned, expected):
    train = crop_units(read_points(data_root / "300w/train.jsonl"))
    test = crop_units(read_points(data_root / "300w/test_common.jsonl"))
    soft = ShapeModel.fit(train, retained_variance, aligned).soften(test)
    assert nme(soft, test, get_scheme("ibug68")).mean() == pytest.approx(expected, abs=0.006)
