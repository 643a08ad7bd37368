"""The detector: what goes in and out, how it starts, that files bring it back, what is refused."""

import pytest
import timm
import torch
from huggingface_hub.errors import StrictDataclassError
from small_networks import assert_same_network
from torch import nn
from transformers import AutoConfig, AutoModelForKeypointDetection

from kd_landmarks.errors import KDLandmarksError
from kd_landmarks.models import (
    KDLandmarksConfig,
    KDLandmarksForKeypointDetection,
    KDLandmarksImageProcessor,
    modeling_kd_landmarks,
)
from kd_landmarks.models.loading import load_detector
from kd_landmarks.schemes import get_scheme

TINY = "test_efficientnet"  # timm's smallest: 0.1 M parameters
SCHEME = get_scheme("ibug68")
HEADS = pytest.mark.parametrize("head", ["integral", "linear"])


def detector(head="integral", **settings):
    torch.manual_seed(0)
    settings = {"backbone": TINY, "image_size": 64, "num_landmarks": 7} | settings
    return KDLandmarksForKeypointDetection(KDLandmarksConfig(head=head, **settings)).eval()


def pictures(count=3, side=64):
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(1))


# --- in and out


@HEADS
def test_keypoints_per_face_and_scores_where_there_are_maps(head):
    output = detector(head)(pictures())
    assert output.keypoints.shape == (3, 7, 2)
    assert output.loss is None
    if head == "integral":
        assert output.scores.shape == (3, 7)
        assert ((output.scores >= 0) & (output.scores <= 1)).all()
    else:
        assert output.scores is None


@HEADS
def test_an_untrained_detector_answers_with_the_crops_center(head):
    keypoints = detector(head)(pictures()).keypoints
    torch.testing.assert_close(keypoints, torch.full_like(keypoints, 0.5), atol=0.05, rtol=0)


def test_the_default_students_have_the_published_sizes():
    def count(head):
        model = KDLandmarksForKeypointDetection(KDLandmarksConfig(head=head))
        return sum(value.numel() for value in model.parameters())

    assert (count("integral"), count("linear")) == (1_872_164, 2_398_088)


@HEADS
def test_labels_give_the_mean_absolute_difference(head):
    model, labels = detector(head), torch.rand(3, 7, 2)
    output = model(pictures(), labels=labels)
    torch.testing.assert_close(output.loss, (output.keypoints - labels).abs().mean())
    output.loss.backward()
    assert all(value.grad is not None for value in model.parameters())


@HEADS
def test_a_plain_tuple_has_the_same_values(head):
    model = detector(head)
    named = model(pictures(), labels=torch.zeros(3, 7, 2))
    plain = model(pictures(), labels=torch.zeros(3, 7, 2), return_dict=False)
    assert isinstance(plain, tuple)
    assert len(plain) == len(named) == (3 if head == "integral" else 2)
    for mine, other in zip(plain, named.values(), strict=True):
        assert torch.equal(mine, other)


# --- the integral head


class Fixed(nn.Module):
    """Landmark maps made by hand, whatever goes in."""

    def __init__(self, maps):
        super().__init__()
        self.register_buffer("maps", maps)

    def forward(self, features):
        return self.maps


def answer(maps, head_range=1.1):
    """The integral head's answer to landmark maps (N, cells, cells)."""
    side = 8 * maps.shape[-1]
    model = detector(num_landmarks=len(maps), head_range=head_range, image_size=side)
    model.head.maps = Fixed(maps[None])
    output = model(torch.zeros(1, 3, side, side))
    return output.keypoints[0], output.scores[0]


@pytest.mark.parametrize("head_range", [1.0, 1.1, 2.0])
def test_a_point_lies_where_its_map_peaks(head_range):
    cells = [(0, 0), (15, 15), (3, 12), (8, 7)]
    maps = torch.zeros(4, 16, 16)
    for index, (x, y) in enumerate(cells):
        maps[index, y, x] = 50.0
    keypoints, scores = answer(maps, head_range)
    expected = 0.5 + head_range * ((torch.tensor(cells) + 0.5) / 16 - 0.5)
    torch.testing.assert_close(keypoints, expected)
    torch.testing.assert_close(scores, torch.ones(4), atol=1e-3, rtol=0)
    if head_range > 1:  # the outermost cells reach beyond the crop
        assert keypoints.min() < 0
        assert keypoints.max() > 1


def test_a_point_lies_between_cells_where_its_map_says_so():
    maps = torch.full((1, 8, 8), -50.0)
    maps[0, 2, 4:6] = torch.tensor([0.75, 0.25]).log()
    keypoints, _ = answer(maps, head_range=1.0)
    torch.testing.assert_close(keypoints, torch.tensor([[(4.25 + 0.5) / 8, 2.5 / 8]]))


def test_maps_are_log_probabilities_and_only_there_when_asked_for():
    maps = torch.randn(2, 8, 8)
    model = detector(num_landmarks=2, image_size=64)
    model.head.maps = Fixed(maps[None])
    assert model(torch.zeros(1, 3, 64, 64)).maps is None
    output = model(torch.zeros(1, 3, 64, 64), output_maps=True)
    torch.testing.assert_close(output.maps.exp().sum((-1, -2)), torch.ones(1, 2))
    difference = output.maps[0] - maps
    torch.testing.assert_close(difference, difference[:, :1, :1].expand_as(maps))
    assert detector("linear")(pictures(), output_maps=True).maps is None


def test_scores_fall_as_maps_spread_down_to_none_for_an_even_map():
    grid = torch.arange(16.0) - 7.5
    squares = grid[:, None] ** 2 + grid[None] ** 2
    maps = torch.stack([-squares / (2 * sigma**2) for sigma in (0.5, 1, 2, 4)] + [0 * squares])
    _, scores = answer(maps)
    assert (scores[:-1] > scores[1:]).all()
    assert scores[0] > 0.85
    assert scores[-1] == pytest.approx(0, abs=1e-5)


def test_half_precision_maps_lose_no_precision_in_the_expectation():
    maps = torch.zeros(1, 128, 128)
    maps[0, 100, 27] = 20.0
    full, half = answer(maps)[0], answer(maps.half())[0]
    assert half.dtype == torch.float32
    assert torch.equal(half, full)


# --- weights


@HEADS
def test_the_backbone_starts_as_timm_makes_it(head):
    shape = {"features_only": True, "out_indices": (2, 3, 4)}
    mine = detector(head).backbone.state_dict()
    torch.manual_seed(0)
    theirs = timm.create_model(TINY, **(shape if head == "integral" else {"num_classes": 0}))
    assert mine.keys() == theirs.state_dict().keys()
    assert all(torch.equal(mine[name], value) for name, value in theirs.state_dict().items())


@HEADS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_files_bring_the_same_detector_back(tmp_path, head, dtype):
    model = detector(head, scheme=SCHEME.to_dict(), num_landmarks=68, head_range=1.25).to(dtype)
    for value in model.buffers():  # away from what initialization gives
        if value.is_floating_point():
            value.uniform_(0.5, 1.5)
    model.save_pretrained(tmp_path)
    again = KDLandmarksForKeypointDetection.from_pretrained(tmp_path)
    assert again.dtype == dtype
    assert not again.training
    assert_same_network(again, model, pictures().to(dtype))
    assert again.config.to_diff_dict() == model.config.to_diff_dict()
    assert again.config.scheme == SCHEME.to_dict()
    assert again.config.id2label[30] == SCHEME.names[30]


def test_auto_classes_find_model_and_config(tmp_path):
    model = detector(role="tough_teacher")
    model.save_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    assert isinstance(config, KDLandmarksConfig)
    assert (config.role, config.head_strides) == ("tough_teacher", [8, 16, 32])
    again = AutoModelForKeypointDetection.from_pretrained(tmp_path)
    assert isinstance(again, KDLandmarksForKeypointDetection)
    assert_same_network(again, model, pictures())
    assert isinstance(
        AutoModelForKeypointDetection.from_config(config), KDLandmarksForKeypointDetection
    )


def test_other_landmarks_bring_their_names_and_no_calibration(tmp_path):
    sure = {"tolerance": 0.03, "slope": -1.0, "intercepts": [1.0] * 68}
    own = detector(scheme=SCHEME.to_dict(), num_landmarks=68, confidence=sure)
    own.save_pretrained(tmp_path)
    wflw = get_scheme("wflw98")
    other = KDLandmarksForKeypointDetection.from_pretrained(
        tmp_path, num_landmarks=98, scheme=wflw.to_dict(), ignore_mismatched_sizes=True
    )
    assert other.config.id2label == dict(enumerate(wflw.names))
    assert other.config.confidence is None
    unnamed = KDLandmarksConfig.from_pretrained(tmp_path, num_landmarks=5, scheme=None)
    assert len(unnamed.id2label) != 68
    with pytest.raises(StrictDataclassError, match="names 68 points: give both"):
        KDLandmarksForKeypointDetection.from_pretrained(tmp_path, num_landmarks=98)


# --- refused


def test_an_unknown_backbone_is_refused_with_near_names():
    with pytest.raises(ValueError, match=r"no backbone 'mobilenetv2_10': .*mobilenetv2_100"):
        detector(backbone="mobilenetv2_10")


def test_a_backbone_without_maps_at_the_heads_strides_is_refused(monkeypatch):
    with pytest.raises(ValueError, match=r"strides \[16\], not of \[8, 32\]"):
        detector(backbone="test_vit")
    with pytest.raises(ValueError, match=r"not of \[64\]: choose head_strides"):
        detector(head_strides=(16, 32, 64))

    def without_maps(name, **kwargs):
        raise RuntimeError("features_only not implemented")

    monkeypatch.setattr(modeling_kd_landmarks, "create_backbone", without_maps)
    with pytest.raises(ValueError, match=f"'{TINY}' gives no feature maps.*use head='linear'"):
        detector()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_landmarks", 1_000_000),
        ("num_landmarks", 0),
        ("num_landmarks", True),
        ("derived_from", ["a"] * 65),
        ("derived_from", ["](http://elsewhere)"]),
        ("derived_from", [""]),
        ("face_box", [0, 0, 1]),
        ("face_box", [0.5, 0, 0.5, 1]),
        ("face_box", [0, 0, 1, float("nan")]),
        ("image_size", -128),
        ("image_size", 1_000_000),
        ("image_size", 100),
        ("image_size", 128.5),
        ("head_channels", 10**9),
        ("head_strides", [8, 24]),
        ("head_strides", []),
        ("head_range", 0.0),
        ("head_range", float("nan")),
        ("dropout", 1.0),
        ("dropout", -0.1),
        ("head", "softmax"),
        ("role", "headmaster"),
        ("backbone", None),
    ],
)
def test_configs_that_cannot_be_meant_are_refused_by_name(field, value):
    with pytest.raises(StrictDataclassError, match=field):
        KDLandmarksConfig(**{field: value})


def test_a_scheme_of_other_size_is_refused_by_name():
    with pytest.raises(StrictDataclassError, match=r"num_landmarks=5, .*'ibug68' names 68 points"):
        KDLandmarksConfig(num_landmarks=5, scheme=SCHEME.to_dict())


def test_a_hostile_config_file_is_refused_without_spending_memory(tmp_path):
    detector().save_pretrained(tmp_path)
    KDLandmarksImageProcessor().save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    file.write_text(file.read_text().replace('"num_landmarks": 7', '"num_landmarks": 100000000'))
    with pytest.raises(KDLandmarksError, match="num_landmarks=100000000 must lie between"):
        load_detector(tmp_path)


@pytest.mark.parametrize("backbone", ["mobilenetv2_050", "mobilenetv3_small_050", "resnet10t"])
def test_no_parameter_is_left_unused(backbone):
    model = KDLandmarksForKeypointDetection(
        KDLandmarksConfig(backbone=backbone, head_strides=[4, 8, 16], image_size=64)
    )
    model(torch.randn(2, 3, 64, 64), labels=torch.rand(2, 68, 2)).loss.backward()
    assert [name for name, value in model.named_parameters() if value.grad is None] == []


# --- the refinement of points by one another


def refining(points=7, seed=0):
    """A refinement with a mean face and a map of some size."""
    layer = modeling_kd_landmarks.ShapeRefinement(points)
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(points, 2, generator=generator)
    mean -= mean.mean(0)
    layer.mean_shape.copy_(mean / mean.norm())
    with torch.no_grad():
        layer.linear.weight.copy_(0.1 * torch.randn(2 * points, 2 * points, generator=generator))
        layer.linear.bias.copy_(0.01 * torch.randn(2 * points, generator=generator))
    return layer


def test_the_refinement_moves_turns_and_scales_with_the_face():
    layer = refining()
    points = layer.mean_shape + 0.05 * torch.randn(4, 7, 2)
    angle, scale, shift = 0.7, 1.8, torch.tensor([0.3, -0.4])
    cosine, sine = scale * torch.tensor([angle]).cos(), scale * torch.tensor([angle]).sin()
    turn = torch.stack([torch.cat([cosine, sine]), torch.cat([-sine, cosine])])
    refined = layer(points)
    assert (refined - points).abs().max() > 1e-3
    torch.testing.assert_close(layer(points @ turn + shift), refined @ turn + shift)


def test_the_mean_face_deviates_from_itself_by_nothing():
    layer = refining()
    deviations, _ = layer.own_frame(3 * layer.mean_shape[None] + 0.5)
    torch.testing.assert_close(deviations, torch.zeros_like(deviations))


def test_an_untrained_refinement_changes_nothing_and_stays_finite():
    plain, refined = (detector(refinement=some) for some in (False, True))
    refined.load_state_dict(plain.state_dict(), strict=False)
    found = refined(pictures()).keypoints
    torch.testing.assert_close(found, plain(pictures()).keypoints)
    refined.head.refinement.mean_shape.copy_(refining().mean_shape)
    points = torch.full((2, 7, 2), 0.5, requires_grad=True)  # all in one place: no frame
    refined.head.refinement(points).sum().backward()
    assert torch.isfinite(points.grad).all()


def test_a_refinement_survives_its_file(tmp_path):
    model = detector(refinement=True)
    model.head.refinement.load_state_dict(refining().state_dict())
    model.save_pretrained(tmp_path)
    again = KDLandmarksForKeypointDetection.from_pretrained(tmp_path).eval()
    assert_same_network(model, again, pictures())


def test_a_linear_head_has_no_refinement():
    with pytest.raises(StrictDataclassError, match="refinement"):
        KDLandmarksConfig(head="linear", refinement=True)
