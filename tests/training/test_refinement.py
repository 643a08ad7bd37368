"""A refinement starts as what the network's own errors teach."""

import numpy as np
import pytest
import torch
from faces import SCHEME, face_rows

from kd_landmarks.evaluation.predictions import predict_rows
from kd_landmarks.inference.checkpoints import default_checkpoint
from kd_landmarks.models import KDLandmarksConfig, KDLandmarksForKeypointDetection
from kd_landmarks.models.loading import load_detector
from kd_landmarks.models.modeling_kd_landmarks import ShapeRefinement
from kd_landmarks.synthetic import generated_dataset
from kd_landmarks.training.refinement import fit_refinement, start_refinement


def shapes(rng, faces=400):
    """Faces as a shape model draws them, in crop units, each its own frame."""
    rows = np.asarray(generated_dataset(faces, 5, "ibug68", 96)["landmarks"]) / 96
    turn = rng.uniform(-0.5, 0.5, faces)
    matrix = np.stack([np.cos(turn), -np.sin(turn), np.sin(turn), np.cos(turn)], -1)
    return (rows - 0.5) @ matrix.reshape(-1, 2, 2) * rng.uniform(0.5, 1.5, (faces, 1, 1)) + 0.5


def started(points):
    layer = ShapeRefinement(68)
    mean = points[0] - points[0].mean(0)
    mean = (mean + mean[list(SCHEME.flip_permutation)] * [-1, 1]) / 2
    layer.mean_shape.copy_(torch.from_numpy(mean / np.linalg.norm(mean)))
    return layer


def test_noise_of_each_point_is_cleaned_by_the_others(rng):
    truth = shapes(rng)
    size = np.linalg.norm(truth - truth.mean(1, keepdims=True), axis=(1, 2))[:, None, None]
    found = truth + 0.004 * size * rng.normal(0, 1, truth.shape)
    layer = started(truth)
    fit_refinement(layer, found[:300], truth[:300], np.ones((300, 68)), SCHEME)
    with torch.no_grad():
        refined = layer(torch.from_numpy(found[300:]).float()).numpy()
    before, after = (
        np.linalg.norm(p - truth[300:], axis=-1).mean() for p in (found[300:], refined)
    )
    assert after < 0.8 * before
    # The map has no side: a mirrored face is refined to the mirrored points.
    flip = list(SCHEME.flip_permutation)
    with torch.no_grad():
        mirrored = layer(torch.from_numpy(found[300:, flip] * [-1, 1]).float()).numpy()
    np.testing.assert_allclose(mirrored, refined[:, flip] * [-1, 1], atol=1e-4)


def test_landmarks_that_are_not_there_teach_nothing_and_the_others_of_their_face_do(rng):
    truth = shapes(rng, 400)
    found = truth + 0.01 * rng.normal(0, 1, truth.shape)
    weights = np.ones(truth.shape[:2])
    weights[200:, :9] = 0
    broken = truth.copy()
    broken[200:, :9] = 0  # what stands for landmarks that nobody has labeled
    layers = [started(truth) for _ in range(3)]
    fit_refinement(layers[0], found, truth, weights, SCHEME)
    fit_refinement(layers[1], found, broken, weights, SCHEME)
    fit_refinement(layers[2], found[:200], truth[:200], weights[:200], SCHEME)
    maps = [layer.linear.weight for layer in layers]
    torch.testing.assert_close(maps[0], maps[1])
    nose = slice(2 * 30, 2 * 31)
    assert not torch.allclose(maps[0][nose], maps[2][nose], rtol=0.05)


def test_a_landmark_that_no_face_shows_stays_where_it_is(rng):
    truth = shapes(rng, 100)
    layer = started(truth)
    weights = np.ones(truth.shape[:2])
    weights[:, [0, 16]] = 0
    found = truth + 0.01 * rng.normal(0, 1, truth.shape)
    fit_refinement(layer, found, truth, weights, SCHEME)
    assert not layer.linear.weight[:2].any()
    assert not layer.linear.bias[:2].any()
    assert layer.linear.weight[2:4].any()


def test_points_in_one_place_teach_nothing_and_end_no_training(rng):
    truth = shapes(rng, 40)
    layer = started(truth)
    fit_refinement(layer, np.full_like(truth, 0.5), truth, np.ones((40, 68)), SCHEME)
    assert torch.isfinite(layer.linear.weight).all()


def test_a_network_that_starts_anew_has_the_mean_face_and_corrects_nothing():
    config = KDLandmarksConfig(backbone="test_efficientnet", image_size=64, refinement=True)
    model = KDLandmarksForKeypointDetection(config)
    _, processor = load_detector(default_checkpoint())
    start_refinement(model, processor, face_rows(), SCHEME, "landmarks", fitted=False)
    layer = model.head.refinement
    assert layer.mean_shape.norm().item() == pytest.approx(1, abs=1e-5)
    assert layer.mean_shape.mean(0).abs().max() < 1e-6
    assert layer.mean_shape[8, 1] > layer.mean_shape[27, 1]  # chin below the eyes: upright
    assert not layer.linear.weight.any()
    before = layer.mean_shape.clone()
    others = generated_dataset(8, 9, "ibug68", 96)
    start_refinement(model, processor, others, SCHEME, "landmarks", fitted=True)
    assert torch.equal(layer.mean_shape, before)  # of a checkpoint that has one: its own


@pytest.mark.parametrize("target", ["landmarks", "soft_landmarks"])
def test_a_network_that_detects_starts_with_the_map_of_its_errors(target):
    released, processor = load_detector(default_checkpoint())
    plain, model = (
        KDLandmarksForKeypointDetection(
            KDLandmarksConfig(**released.config.to_dict() | {"refinement": refinement})
        )
        for refinement in (False, True)
    )
    plain.load_state_dict(released.state_dict(), strict=False)
    model.load_state_dict(plain.state_dict(), strict=False)
    model.train()
    rows = face_rows()
    if target == "soft_landmarks":  # so far from the truth that it matters
        far = (np.asarray(rows["landmarks"]) + 10).tolist()
        kind = rows.features[target]
        rows = rows.remove_columns(target).add_column(target, far, feature=kind)
    truth = np.asarray(rows[target])

    def error(network):
        found = predict_rows(network, processor, rows).points
        return np.linalg.norm(found - truth, axis=-1).mean()

    before = error(plain)
    start_refinement(model, processor, rows, SCHEME, target, fitted=True)
    assert error(model) < 0.9 * before
    assert model.training
    assert model.head.refinement is not None


def test_where_no_face_has_all_landmarks_the_mean_face_is_that_of_each():
    rows = face_rows()
    points = np.asarray(rows["landmarks"], dtype=np.float32)
    points[np.arange(len(points)), np.arange(len(points))] = np.nan
    feature = rows.features["landmarks"]
    gaps = rows.remove_columns("landmarks").add_column(
        "landmarks", points.tolist(), feature=feature
    )
    means = []
    for some in (rows, gaps):
        config = KDLandmarksConfig(backbone="test_efficientnet", image_size=64, refinement=True)
        model = KDLandmarksForKeypointDetection(config)
        _, processor = load_detector(default_checkpoint())
        start_refinement(model, processor, some, SCHEME, "landmarks", fitted=False)
        means.append(model.head.refinement.mean_shape.numpy())
    np.testing.assert_allclose(*means, atol=0.02)


def test_a_landmark_that_no_face_has_is_no_nan():
    rows = face_rows()
    points = np.asarray(rows["landmarks"], dtype=np.float32)
    points[:, 0] = np.nan
    feature = rows.features["landmarks"]
    rows = rows.remove_columns("landmarks").add_column(
        "landmarks", points.tolist(), feature=feature
    )
    config = KDLandmarksConfig(backbone="test_efficientnet", image_size=64, refinement=True)
    model = KDLandmarksForKeypointDetection(config)
    _, processor = load_detector(default_checkpoint())
    start_refinement(model, processor, rows, SCHEME, "landmarks", fitted=False)
    assert model.head.refinement.mean_shape.isfinite().all()
