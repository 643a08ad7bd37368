"""Networks ready for training: the weights that they start from, and what is refused beforehand."""

import re

import numpy as np
import pytest
import timm
import torch
from detectors import MARGIN, save_detector
from huggingface_hub import constants
from safetensors.torch import save_file

from kd_landmarks import default_checkpoint
from kd_landmarks.data.crops import crop_points
from kd_landmarks.errors import KDLandmarksError
from kd_landmarks.evaluation.evaluate import evaluate_detector
from kd_landmarks.models import (
    KDLandmarksConfig,
    KDLandmarksForKeypointDetection,
    KDLandmarksImageProcessor,
)
from kd_landmarks.models.loading import load_detector
from kd_landmarks.schemes import LandmarkScheme, get_scheme
from kd_landmarks.synthetic import generated_dataset
from kd_landmarks.training.networks import build_network
from kd_landmarks.training.recipe_settings import NetworkSettings
from kd_landmarks.training.transfer import adopt_landmarks

TINY = "test_efficientnet"  # timm's smallest: 0.1 M parameters
SCHEME = get_scheme("ibug68")
HEADS = pytest.mark.parametrize("head", ["integral", "linear"])


def timm_tensors(name=TINY):
    """Random weights with timm's names for a whole classifier, statistics and all."""
    tensors = timm.create_model(name, num_classes=11).state_dict()
    return {
        name: torch.rand_like(value) if value.is_floating_point() else value
        for name, value in tensors.items()
    }


def network(**settings):
    settings = {"backbone": TINY, "image_size": 64} | settings
    return build_network(NetworkSettings(**settings), SCHEME, "student", 1.3)


@HEADS
def test_backbone_weights_from_a_file_arrive_and_stay(tmp_path, head):
    tensors = timm_tensors()
    save_file(tensors, tmp_path / "weights.safetensors")
    model, processor = network(head=head, backbone_weights=str(tmp_path / "weights.safetensors"))
    for name, value in model.backbone.state_dict().items():
        assert torch.equal(value, tensors[name]), name
    assert processor.crop_margin == 1.3
    assert processor.size == {"height": 64, "width": 64}
    assert tuple(processor.image_mean) == timm.get_pretrained_cfg(TINY).mean
    assert model.config.scheme == SCHEME.to_dict()
    model.save_pretrained(tmp_path / "saved")
    again = KDLandmarksForKeypointDetection.from_pretrained(tmp_path / "saved")
    assert torch.equal(again.backbone.state_dict()["conv_stem.weight"], tensors["conv_stem.weight"])


def test_a_checkpoint_of_other_landmarks_starts_the_backbone(tmp_path):
    config = KDLandmarksConfig(backbone=TINY, image_size=64, num_landmarks=5)
    other = KDLandmarksForKeypointDetection(config)
    with torch.no_grad():
        for value in other.parameters():
            value.uniform_(-1, 1)
    other.save_pretrained(tmp_path)
    KDLandmarksImageProcessor(size=64).save_pretrained(tmp_path)
    model, _ = network(init=str(tmp_path))
    mine, theirs = model.state_dict(), other.state_dict()
    assert model.config.num_landmarks == 68
    for name in mine:
        if name.startswith("head.refinement."):
            assert name not in theirs
            continue
        same = mine[name].shape == theirs[name].shape
        assert same or name.startswith("head.maps.")
        assert not same or torch.equal(mine[name], theirs[name])
    with pytest.raises(KDLandmarksError, match="does not fit the backbone 'test_resnet'"):
        network(backbone="test_resnet", init=str(tmp_path))


def test_a_checkpoints_head_is_taken_over_stride_by_stride(tmp_path, caplog):
    other = KDLandmarksForKeypointDetection(
        KDLandmarksConfig(backbone=TINY, image_size=64, head_strides=[4, 8, 16, 32])
    )
    other.save_pretrained(tmp_path)
    KDLandmarksImageProcessor(size=64).save_pretrained(tmp_path)
    model, _ = network(init=str(tmp_path), head_strides=(8, 16))
    for mine, theirs in zip(model.head.lateral, other.head.lateral[1:3], strict=True):
        assert torch.equal(mine[0].weight, theirs[0].weight)
    assert not caplog.text
    network(init=str(tmp_path), head_channels=16)
    assert "a part of the new one starts at random" in caplog.text
    assert "head_strides [4, 8, 16, 32], head_channels 96" in caplog.text


@HEADS
def test_a_checkpoint_of_other_landmarks_starts_the_head_at_the_nearest_ones(tmp_path, head):
    wflw = get_scheme("wflw98")
    rows = generated_dataset(12, scheme="wflw98", cache=False)
    student = default_checkpoint()
    if head == "linear":  # one that always says the mean shape
        shapes = crop_points(generated_dataset(12, cache=False), "landmarks", MARGIN)
        student = save_detector(tmp_path, SCHEME, shapes.mean(axis=0))
    other, processor = load_detector(student)
    settings = NetworkSettings(
        **{name: getattr(other.config, name) for name in ("backbone", "head", "image_size")},
        head_strides=tuple(other.config.head_strides),
        head_channels=other.config.head_channels,
        init=str(student),
    )
    model, _ = build_network(settings, wflw, "student", processor.crop_margin)
    matched = adopt_landmarks(model, str(student), rows, wflw)
    # Every other point of WFLW's jaw is one of iBUG's; so are the mouth's.
    assert np.mean(np.array(matched[:33:2]) == range(17)) > 0.8
    # On closed mouths the lips' inner points lie on one another.
    assert np.mean(np.array(matched[76:96]) == range(48, 68)) > 0.6
    faces = evaluate_detector(model, processor, rows, wflw)
    assert faces.result.nme < (12 if head == "integral" else 40)
    same, _ = build_network(settings, SCHEME, "student", processor.crop_margin)
    assert adopt_landmarks(same, str(student), rows, SCHEME) is None
    # What starts from a released network has its terms.
    assert same.config.derived_from == ([] if head == "linear" else ["mobilenetv2-300w"])


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("gone.safetensors", None, "gone.safetensors"),
        ("weights.pth", b"PK", "must be a .safetensors file"),
        ("text.safetensors", b"no tensors at all", "does not fit the backbone 'test_efficientnet'"),
        ("other.safetensors", {"stem.conv.weight": torch.rand(4, 3, 3, 3)}, "test_efficientnet"),
        (
            "shapes.safetensors",
            {"conv_stem.weight": torch.rand(5, 3, 3, 3)},
            "does not fit the backbone 'test_efficientnet'",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path, name, content, complaint):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        save_file(content, path)
    with pytest.raises(KDLandmarksError, match=re.escape(complaint)) as caught:
        network(backbone_weights=str(path))
    assert str(path) in str(caught.value)


# --- ImageNet weights from the Hub (conftest.py puts it out of reach)


def test_without_the_hub_the_message_says_what_else_can_be_done():
    with pytest.raises(KDLandmarksError) as caught:
        network(backbone_weights="imagenet")
    for part in ("from the Hub", "offline mode", ".safetensors", "--init", "backbone_weights none"):
        assert part in str(caught.value)
    with pytest.raises(KDLandmarksError, match="nobody/nothing is neither here nor in the Hub's"):
        load_detector("nobody/nothing")


@HEADS
def test_weights_in_the_hubs_cache_need_no_network(tmp_path, monkeypatch, head):
    tensors = timm_tensors()
    repository = timm.get_pretrained_cfg(TINY).hf_hub_id
    folder = tmp_path / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0" * 40)
    (folder / "snapshots" / ("0" * 40)).mkdir(parents=True)
    tensors["classifier.weight"] = torch.rand(1000, tensors["classifier.weight"].shape[1])
    tensors["classifier.bias"] = torch.rand(1000)
    save_file(tensors, folder / "snapshots" / ("0" * 40) / "model.safetensors")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    model, _ = network(head=head)
    for name, value in model.backbone.state_dict().items():
        assert torch.equal(value, tensors[name]), name


def test_a_backbone_without_pretrained_weights_is_named():
    name = next(name for name in timm.list_models("dark*") if not timm.is_model_pretrained(name))
    with pytest.raises(KDLandmarksError, match=f"no ImageNet weights for '{name}'"):
        network(backbone=name)


# --- refused


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"backbone": "mobilnet_v2_100"}, r"no backbone 'mobilnet_v2_100': .*mobilenetv2_100"),
        ({"backbone": "test_vit"}, r"strides \[16\], not of \[8, 32\]: choose head_strides"),
        ({"image_size": 100}, "image_size=100 must be a multiple"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings, complaint):
    with pytest.raises(KDLandmarksError, match=f"(?s)cannot build the student: .*{complaint}"):
        network(backbone_weights="none", **settings)


@pytest.mark.parametrize(
    ("backbone", "head", "image_size"),
    [("vit_tiny_patch16_224", "linear", 64), ("swin_tiny_patch4_window7_224", "integral", 224)],
    ids=["takes one size alone", "gives channels last"],
)
def test_a_backbone_that_cannot_run_is_refused_before_training(backbone, head, image_size):
    with pytest.raises(KDLandmarksError, match=f"'{backbone}' does not run with"):
        network(backbone=backbone, head=head, image_size=image_size, backbone_weights="none")


def test_as_many_landmarks_in_another_order_have_a_mean_face_of_their_own():
    flip = tuple(67 - index for index in reversed(SCHEME.flip_permutation))
    other = LandmarkScheme("reversed", SCHEME.names[::-1], flip)
    student = default_checkpoint()
    config = load_detector(student)[0].config
    settings = NetworkSettings(
        backbone=config.backbone,
        image_size=config.image_size,
        head_strides=tuple(config.head_strides),
        head_channels=config.head_channels,
        init=student,
    )
    same, _ = build_network(settings, SCHEME, "student", MARGIN)
    model, _ = build_network(settings, other, "student", MARGIN)
    assert same.head.refinement.mean_shape.any()
    assert not model.head.refinement.mean_shape.any()
