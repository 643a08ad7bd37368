"""Errors are what the definitions say, and exact however the faces were fed."""

import json
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest
import torch

from kd_landmarks.errors import KDLandmarksError
from kd_landmarks.evaluation.metrics import (
    LandmarkEvaluator,
    auc,
    bootstrap_interval,
    ced,
    failure_rate,
    gain_interval,
    nme,
    summarize,
)
from kd_landmarks.schemes import LandmarkScheme, get_scheme

FIVE = LandmarkScheme(
    name="five",
    names=("left_eye", "right_eye", "nose", "left_mouth", "right_mouth"),
    flip_permutation=(1, 0, 2, 4, 3),
    eye_corners=(0, 1),
    pupils=((0, 3), (1, 4)),
    outlines=(),
)
# A face 60 px wide and 80 px high; eyes 60 px apart, "pupils" 50 px.
FACE = np.array([[[0, 0], [60, 0], [30, 40], [10, 80], [50, 80]]], dtype=float)
OFF = FACE + np.array([3, 4])


@pytest.mark.parametrize(
    ("normalizer", "percent"),
    [
        ("inter_ocular", 100 * 5 / 60),
        ("inter_pupil", 100 * 5 / 50),
        ("box", 100 * 5 / np.sqrt(60 * 80)),
        # crop of 80 x 100 px stretched to a square
        ("inter_ocular_stretched", 100 * np.hypot(3 / 80, 4 / 100) / (60 / 80)),
    ],
)
def test_normalizers(normalizer, percent):
    np.testing.assert_allclose(nme(OFF, FACE, FIVE, normalizer), [percent])


def test_nme_is_the_mean_point_distance_of_each_face():
    predictions = np.concatenate([FACE, FACE, FACE])
    predictions[1, 2] += [0, 30]
    predictions[2] += [0, -6]
    targets = np.repeat(FACE, 3, axis=0)
    np.testing.assert_allclose(nme(predictions, targets, FIVE), [0, 100 * 30 / 5 / 60, 10])


def test_nme_takes_one_face_and_the_name_of_its_scheme():
    truth = np.random.default_rng(0).normal(size=(2, 68, 2))
    errors = nme(truth + 1, truth, "ibug68")
    assert errors.shape == (2,)
    assert nme(truth[1] + 1, truth[1]) == errors[1]
    assert nme(torch.tensor(truth[1] + 1), torch.tensor(truth[1])) == errors[1]
    with pytest.raises(KDLandmarksError, match="unknown scheme 'ibug'"):
        nme(truth, truth, "ibug")
    with pytest.raises(KDLandmarksError, match=r"\(68, 2\).*\(2, 68, 2\)"):
        nme(truth[0], truth)


def test_nme_needs_no_heavy_library():
    code = "import sys, kd_landmarks, numpy\n"
    code += "points = numpy.random.default_rng(0).normal(size=(68, 2))\n"
    code += "assert kd_landmarks.nme(points, points) == 0\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not {"torch", "scipy", "transformers", "datasets"} & set(done.stdout.split())


@pytest.mark.parametrize("normalizer", ["inter_ocular", "inter_pupil", "box"])
def test_nme_does_not_depend_on_the_size_of_the_photo(normalizer):
    np.testing.assert_allclose(
        nme(7 * OFF + 100, 7 * FACE + 100, FIVE, normalizer), nme(OFF, FACE, FIVE, normalizer)
    )


def test_built_in_schemes_use_the_published_corners(rng):
    for name, corners in (("ibug68", (36, 45)), ("wflw98", (60, 72)), ("cofw29", (8, 9))):
        scheme = get_scheme(name)
        targets = rng.uniform(0, 200, (4, scheme.num_landmarks, 2))
        length = np.linalg.norm(targets[:, corners[0]] - targets[:, corners[1]], axis=-1)
        np.testing.assert_allclose(nme(targets + np.array([3, 4]), targets, scheme), 500 / length)
    targets = rng.uniform(0, 200, (4, 98, 2))
    length = np.linalg.norm(targets[:, 96] - targets[:, 97], axis=-1)
    errors = nme(targets + np.array([3, 4]), targets, get_scheme("wflw98"), "inter_pupil")
    np.testing.assert_allclose(errors, 500 / length)


def test_bad_faces_are_named():
    faces = np.repeat(FACE, 4, axis=0)
    coinciding, broken = faces.copy(), faces.copy()
    coinciding[2, 1] = coinciding[2, 0]
    broken[3, 1, 0] = np.nan
    with pytest.raises(KDLandmarksError, match=r"inter_ocular.* face 2 is 0"):
        nme(faces, coinciding, FIVE)
    with pytest.raises(KDLandmarksError, match="target of face 3"):
        nme(faces, broken, FIVE)
    with pytest.raises(KDLandmarksError, match="prediction of face 3"):
        nme(broken, faces, FIVE)
    with pytest.raises(KDLandmarksError, match=r"five needs \(faces, 5, 2\)"):
        nme(faces[:, :4], faces[:, :4], FIVE)
    with pytest.raises(KDLandmarksError, match=r"'iod'.*inter_pupil"):
        nme(faces, faces, FIVE, "iod")


def test_landmarks_that_are_not_there_are_left_out():
    targets = np.repeat(FACE, 3, axis=0)
    predictions = targets + np.array([3.0, 4.0])
    predictions[:, 2] += 100
    full = nme(predictions, targets, FIVE)
    gaps = targets.copy()
    gaps[1, 2] = np.nan
    errors = nme(predictions, gaps, FIVE)
    np.testing.assert_array_equal(errors[[0, 2]], full[[0, 2]])
    assert errors[1] == pytest.approx(100 * 5 / np.linalg.norm(FACE[0, 0] - FACE[0, 1]))
    # what is predicted there does not matter
    predictions[1, 2] = np.nan
    np.testing.assert_array_equal(nme(predictions, gaps, FIVE), errors)
    gaps[1, 0] = np.nan
    with pytest.raises(KDLandmarksError, match=r"inter_ocular.*face 1 needs landmarks.*'box'"):
        nme(predictions, gaps, FIVE)
    extent = np.nanmax(gaps[1], axis=0) - np.nanmin(gaps[1], axis=0)
    boxed = nme(predictions, gaps, FIVE, "box")
    assert boxed[1] == pytest.approx(100 * 5 / np.sqrt(extent.prod()))
    gaps[1] = np.nan
    with pytest.raises(KDLandmarksError, match="none of the landmarks of face 1"):
        nme(predictions, gaps, FIVE, "box")


def test_failure_rate_counts_errors_above_the_threshold():
    assert failure_rate([1, 8, 8.1, 20], 8) == 50
    assert failure_rate([1, 2], 8) == 0
    assert failure_rate([1, np.inf], 8) == 50


def test_auc_is_the_integral_of_the_step_curve():
    # share of faces: 0 to error 2, 1/4 to 5, 3/4 from there to 10
    errors = [2, 5, 5, 30]
    assert auc(errors, 10) == pytest.approx((3 * 0.25 + 5 * 0.75) / 10)
    assert auc([0, 0], 8) == 1
    assert auc([9, np.inf], 8) == 0


def test_auc_and_ced_agree(rng):
    errors = rng.gamma(3, 1.5, 500)
    x, y = ced(errors, 8)
    assert auc(errors, 8) == pytest.approx(np.sum(np.diff(x) * y[:-1]) / 8)
    assert (x[0], x[-1]) == (0, 8)
    assert y[-1] == pytest.approx(1 - failure_rate(errors, 8) / 100)


def test_ced_is_the_share_of_faces_up_to_each_error():
    x, y = ced([5, 2, 30, 5], 10)
    np.testing.assert_array_equal(x, [0, 2, 5, 5, 10])
    np.testing.assert_array_equal(y, [0, 0.25, 0.75, 0.75, 0.75])


@pytest.mark.parametrize("measure", [lambda e, t: failure_rate(e, t), lambda e, t: auc(e, t), ced])
def test_curves_refuse_what_they_cannot_measure(measure):
    with pytest.raises(KDLandmarksError, match="no errors"):
        measure([], 8)
    with pytest.raises(KDLandmarksError, match="face 1 is NaN"):
        measure([1, np.nan], 8)
    with pytest.raises(KDLandmarksError, match="threshold is 0"):
        measure([1], 0)


def test_bootstrap_interval_of_a_mean(rng):
    errors = rng.normal(4, 1, 400)
    mean, low, high = bootstrap_interval(errors)
    assert mean == errors.mean()
    half = 1.96 * errors.std() / 20
    assert (low, high) == (
        pytest.approx(mean - half, abs=0.01),
        pytest.approx(mean + half, abs=0.01),
    )
    assert bootstrap_interval(errors) == (mean, low, high)


def test_the_gain_is_of_pairs(rng):
    without = rng.normal(4, 1, 400)
    mean, low, high = gain_interval(without, 0.9 * without)
    assert mean == pytest.approx(10)
    assert low < mean < high
    for other in ([1], without[:-1]):
        with pytest.raises(KDLandmarksError, match=f"400 errors without and {len(other)} with"):
            gain_interval(without, other)
    with pytest.raises(KDLandmarksError, match="all 0: there is nothing to gain"):
        gain_interval([0, 0], [1, 1])


def test_a_face_alone_is_called_so():
    flat = np.stack([np.arange(5.0), np.zeros(5)], axis=-1)
    with pytest.raises(KDLandmarksError, match=r"of the face is 0: .* or lie on one line"):
        nme(flat, flat, FIVE, "box")
    both = np.stack([FACE.reshape(5, 2), flat])
    with pytest.raises(KDLandmarksError, match="of face 1 is 0"):
        nme(both, both, FIVE, "box")


@pytest.fixture
def faces(rng):
    targets = FACE + rng.normal(0, 3, (7, 5, 2))
    return targets + rng.normal(0, 4, (7, 5, 2)), targets


def test_evaluator_is_exact_in_any_order_and_batching(faces):
    predictions, targets = faces
    errors = nme(predictions, targets, FIVE)
    subsets = ["helen", "lfpw", "lfpw", "afw", "helen", "helen", "lfpw"]
    evaluator = LandmarkEvaluator(FIVE)
    for rows in ([6, 2, 4], [0], [5, 1, 3]):
        groups = {"subset": [subsets[i] for i in rows]}
        evaluator.update(np.array(rows), predictions[rows], targets[rows], groups)
    result = evaluator.compute(expected=7)
    np.testing.assert_array_equal(result.errors, errors)
    assert result.nme == pytest.approx(errors.mean())
    assert (result.faces, result.normalizer) == (7, "inter_ocular")
    assert result.failure_rate_8 == failure_rate(errors, 8)
    assert result.failure_rate_10 == failure_rate(errors, 10)
    assert (result.auc_8, result.auc_10) == (auc(errors, 8), auc(errors, 10))
    assert set(result.groups["subset"]) == {"afw", "helen", "lfpw"}
    assert result.groups["subset"]["lfpw"] == summarize(errors[[1, 2, 6]])


def test_evaluator_takes_torch_tensors_of_any_type(faces):
    predictions, targets = faces
    for dtype in (torch.float64, torch.bfloat16):
        given = [torch.tensor(x, dtype=dtype, requires_grad=True) for x in (predictions, targets)]
        evaluator = LandmarkEvaluator(FIVE, "box")
        evaluator.update(torch.arange(7), *given)
        expected = nme(*(x.detach().double().numpy() for x in given), FIVE, "box")
        np.testing.assert_array_equal(evaluator.compute().errors, expected)


def test_a_face_that_comes_twice_counts_once(faces):
    predictions, targets = faces
    evaluator = LandmarkEvaluator(FIVE)
    evaluator.update(range(7), predictions, targets)
    once = evaluator.compute()
    evaluator.update([0, 1], predictions[:2], targets[:2])
    assert evaluator.compute(expected=7) == once


def test_missing_and_surplus_faces_are_named(faces):
    predictions, targets = faces
    evaluator = LandmarkEvaluator(FIVE)
    with pytest.raises(KDLandmarksError, match="no errors"):
        evaluator.compute()
    evaluator.update([0, 1, 3, 4, 6], predictions[:5], targets[:5])
    with pytest.raises(KDLandmarksError, match=r"2 faces of 7 .*: indices 2, 5;"):
        evaluator.compute(expected=7)
    evaluator.update([2, 5], predictions[:2], targets[:2])
    with pytest.raises(KDLandmarksError, match=r"1 faces .* 6 expected: indices 6"):
        evaluator.compute(expected=6)


def test_columns_must_be_as_long_as_the_batch(faces):
    predictions, targets = faces
    evaluator = LandmarkEvaluator(FIVE)
    with pytest.raises(KDLandmarksError, match="index has 6 values for a batch of 7"):
        evaluator.update(range(6), predictions, targets)
    with pytest.raises(KDLandmarksError, match="subset has 1 values"):
        evaluator.update(range(7), predictions, targets, {"subset": ["helen"]})


def test_result_is_json_ready_and_unrounded(faces):
    evaluator = LandmarkEvaluator(FIVE)
    evaluator.update(torch.arange(7), *faces, {"pose": torch.tensor([0, 1, 0, 1, 1, 0, 0])})
    result = evaluator.compute()
    read = json.loads(json.dumps(result.to_dict()))
    assert read == asdict(result)
    assert read["nme"] == result.nme
    assert read["groups"]["pose"].keys() == {"0", "1"}


TWO_PROCESSES = """
import json, sys
import numpy as np, torch
from accelerate import Accelerator
from kd_landmarks.evaluation.metrics import LandmarkEvaluator
from kd_landmarks.schemes import get_scheme

torch.set_num_threads(1)
folder = sys.argv[1]
faces = np.load(f"{folder}/faces.npz")
rows = [(i, faces["predictions"][i], faces["targets"][i]) for i in range(7)]
accelerator = Accelerator(cpu=True)
loader = accelerator.prepare(torch.utils.data.DataLoader(rows, batch_size=2))
shared, own = (LandmarkEvaluator(get_scheme(f"{folder}/five.yaml")) for _ in range(2))
for index, predictions, targets in loader:
    shared.update(*accelerator.gather_for_metrics((index, predictions, targets)))
    own.update(index, predictions, targets, {"parity": [int(i) % 2 for i in index]})
alone = own.compute().faces
own.gather()
report = {
    "alone": alone,
    "processes": accelerator.num_processes,
    "shared": shared.compute(expected=7).to_dict(),
    "own": own.compute(expected=7).to_dict(),
}
with open(f"{folder}/{accelerator.process_index}.json", "w") as file:
    json.dump(report, file)
accelerator.end_training()
"""


def test_two_processes_measure_what_one_does(faces, tmp_path):
    predictions, targets = faces
    np.savez(tmp_path / "faces.npz", predictions=predictions, targets=targets)
    (tmp_path / "five.yaml").write_text(json.dumps(FIVE.to_dict()))  # JSON is YAML
    script = tmp_path / "evaluate.py"
    script.write_text(TWO_PROCESSES)
    # `accelerate launch --cpu --num_processes 2` starts a single process (accelerate 1.15).
    launch = "-m torch.distributed.run --standalone --nproc_per_node 2"
    command = [sys.executable, *launch.split(), str(script), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr

    evaluator = LandmarkEvaluator(FIVE)
    evaluator.update(range(7), predictions, targets, {"parity": [i % 2 for i in range(7)]})
    expected = evaluator.compute(expected=7).to_dict()
    for process in range(2):
        report = json.loads((tmp_path / f"{process}.json").read_text())
        assert report["processes"] == 2
        assert report["alone"] < 7
        for name in ("shared", "own"):
            np.testing.assert_allclose(report[name]["errors"], expected["errors"], atol=1e-6)
            assert report[name]["nme"] == pytest.approx(expected["nme"], abs=1e-6)
            assert report[name]["auc_8"] == pytest.approx(expected["auc_8"], abs=1e-6)
        parity = report["own"]["groups"]["parity"]
        assert parity.keys() == {"0", "1"}
        for value, summary in expected["groups"]["parity"].items():
            assert parity[value] == pytest.approx(summary, abs=1e-6)


def test_the_evaluator_takes_a_schemes_name_and_no_unknown_normalizer():
    assert LandmarkEvaluator("wflw98").normalizer == get_scheme("wflw98").normalizer
    with pytest.raises(KDLandmarksError, match="normalizer='shoe size': give one of"):
        LandmarkEvaluator("ibug68", "shoe size")
