"""The network that comes with the package, and checkpoints of half the size."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_networks import SIDE, small_network
from transformers import AutoImageProcessor, AutoModelForKeypointDetection, pipeline

import kd_landmarks
from kd_landmarks import (
    FaceLandmarkPipeline,
    KDLandmarksError,
    KDLandmarksForKeypointDetection,
    KDLandmarksImageProcessor,
)
from kd_landmarks.inference import checkpoints as weights
from kd_landmarks.models.compact import save_compact
from kd_landmarks.models.loading import load_detector
from kd_landmarks.schemes import get_scheme
from kd_landmarks.synthetic import generate_face

MEGABYTE = 1_000_000
PROCESSOR = KDLandmarksImageProcessor(size=SIDE)


# --- half the size


@pytest.mark.parametrize("head", ["integral", "linear"])
def test_a_compact_checkpoint_has_half_the_size_and_the_same_answers(tmp_path, head):
    model = small_network(head, spread=0.1, noise=30)
    processor = KDLandmarksImageProcessor(crop_margin=1.3)
    model.save_pretrained(tmp_path / "full")
    assert save_compact(model, processor, tmp_path / "compact") == tmp_path / "compact"
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("full", "compact")]
    assert sizes[1] < 0.52 * sizes[0]  # what remains is the names of the tensors
    pictures = torch.randn(8, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    expected = model(pictures)
    assert expected.keypoints.std(0).max() > 0.01  # it does look at them
    for loader in (KDLandmarksForKeypointDetection, AutoModelForKeypointDetection):
        again = loader.from_pretrained(tmp_path / "compact")
        assert {value.dtype for value in again.parameters()} == {torch.float32}
        found = again(pictures)
        assert (found.keypoints - expected.keypoints).abs().max() < 1e-3
        assert not torch.equal(found.keypoints, expected.keypoints)
    assert AutoImageProcessor.from_pretrained(tmp_path / "compact").crop_margin == 1.3


def test_wide_matrices_can_have_a_quarter_of_the_size(tmp_path):
    model = small_network(noise=30)
    with torch.no_grad():  # what a quarter cannot hold gets a half
        model.backbone.blocks[4][0].conv_pw.weight[3, 2] = 1000.0
    save_compact(model, PROCESSOR, tmp_path, float8_from=1000)
    kinds = {name: value.dtype for name, value in load_file(tmp_path / "model.safetensors").items()}
    assert kinds["backbone.blocks.4.0.conv_pw.weight"] == torch.float16
    for name, value in model.named_parameters():
        if "conv_pw" in name and "blocks.4.0" not in name:
            wide = value.numel() >= 1000
            assert kinds[name] == (torch.float8_e4m3fn if wide else torch.float16), name
    assert set(kinds.values()) == {torch.float8_e4m3fn, torch.float16, torch.int64}
    theirs = KDLandmarksForKeypointDetection.from_pretrained(tmp_path)
    for again in (theirs, load_detector(tmp_path)[0]):
        for name, value in again.named_parameters():
            assert value.dtype == torch.float32
            exact = model.get_parameter(name)
            assert ((value - exact).abs() <= exact.abs() / 16 + 2**-10).all(), name


def test_saving_compactly_leaves_the_model_as_it_is(tmp_path):
    model = small_network(noise=30).half()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    save_compact(model, KDLandmarksImageProcessor(), tmp_path)
    assert model.dtype == torch.float16
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert KDLandmarksForKeypointDetection.from_pretrained(tmp_path).dtype == torch.float32


@pytest.mark.parametrize("value", [1e6, float("nan")])
def test_weights_that_halves_cannot_hold_are_refused_by_name(tmp_path, value):
    model = small_network(noise=30)
    model.head.merge[2].running_var[3] = value
    with pytest.raises(KDLandmarksError, match=r"^head.merge.2.running_var of 1 tensors"):
        save_compact(model, KDLandmarksImageProcessor(), tmp_path / "compact")
    assert not (tmp_path / "compact").exists()


# --- what comes with the package


def test_a_missing_network_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "DEFAULT_FOLDER", tmp_path / "student")
    for fails in (weights.default_checkpoint, FaceLandmarkPipeline):
        with pytest.raises(KDLandmarksError, match=r"no config.json, model.safetensors, .*model="):
            fails()
    save_compact(small_network(noise=30), PROCESSOR, tmp_path / "student")
    assert weights.default_checkpoint() == str(tmp_path / "student")
    made = FaceLandmarkPipeline(backend="torch")
    assert made.backend.model.config.backbone == "test_efficientnet"
    (tmp_path / "student/model.safetensors").unlink()
    with pytest.raises(KDLandmarksError, match=r"incomplete: no model.safetensors in .*student"):
        weights.default_checkpoint()


@pytest.fixture
def bundled():
    return kd_landmarks.default_checkpoint()


def test_the_packages_own_network_loads_offline_in_every_way(bundled):
    face = generate_face(3)
    box = [*face.landmarks.min(0), *face.landmarks.max(0)]
    model = KDLandmarksForKeypointDetection.from_pretrained(bundled)
    processor = KDLandmarksImageProcessor.from_pretrained(bundled)
    with torch.no_grad():
        outputs = model(**processor(face.image, boxes=box, return_tensors="pt"))
    [[by_hand]] = processor.post_process_keypoint_detection(outputs, boxes=box)
    assert by_hand["keypoints"].shape == (68, 2)
    for made in (
        FaceLandmarkPipeline(device="cpu"),
        pipeline("keypoint-detection", model=bundled, device="cpu"),
        pipeline("keypoint-detection", device="cpu"),
    ):
        [found] = made(face.image, boxes=box)
        np.testing.assert_allclose(found["keypoints"], by_hand["keypoints"], atol=0.01)


def test_the_packages_own_network_is_small_named_and_described(bundled):
    folder = weights.DEFAULT_FOLDER
    files = {
        file.relative_to(folder).as_posix(): file.stat().st_size
        for file in folder.rglob("*")
        if file.is_file()
    }
    assert files.keys() == {
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "README.md",
        "metrics.json",
        "onnx/model.onnx",
        "onnx/model_int8.onnx",
    }
    assert files["model.safetensors"] <= 8 * MEGABYTE
    model = KDLandmarksForKeypointDetection.from_pretrained(bundled)
    assert model.num_parameters() <= 2_000_000
    assert model.config.role == "student"
    assert model.config.scheme == get_scheme("ibug68").to_dict()


def test_the_packages_own_network_finds_a_drawn_face(bundled):
    """It has seen photos alone: roughly will do, and the middle of the box would not."""
    scheme = get_scheme("ibug68")
    detect = FaceLandmarkPipeline(device="cpu")
    for number in range(4):
        face = generate_face(number)
        box = [*face.landmarks.min(0), *face.landmarks.max(0)]
        [found] = detect(face.image, boxes=box)
        error = np.linalg.norm(found["keypoints"] - face.landmarks, axis=1).mean()
        left, right = scheme.eye_corners
        assert error < 0.15 * np.linalg.norm(face.landmarks[left] - face.landmarks[right])
