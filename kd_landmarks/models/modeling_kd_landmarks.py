"""Facial landmark detector: a timm backbone and a linear or integral (soft-argmax) head."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.utils import ModelOutput

from .configuration_kd_landmarks import KDLandmarksConfig


@dataclass
class KDLandmarksOutput(ModelOutput):
    """What the detector returns.

    Args:
        loss (`torch.FloatTensor` of shape `(1,)`, *optional*): L1 to `labels`, where given.
        keypoints (`torch.FloatTensor` of shape `(batch_size, num_landmarks, 2)`):
            x, y in crop units: 0 to 1 spans the crop, points may lie outside.
        scores (`torch.FloatTensor` of shape `(batch_size, num_landmarks)`, *optional*):
            0 to 1, how concentrated each landmark's map is: 1 − its standard deviation / that of an
            even map. Not calibrated. The linear head has none.
        maps (`torch.FloatTensor` of shape `(batch_size, num_landmarks, height, width)`):
            only with `output_maps=True`: log-probabilities of each landmark over the cells of a map
            that spans `config.head_range` crop sides. The linear head has none.
    """

    loss: Tensor | None = None
    keypoints: Tensor | None = None
    scores: Tensor | None = None
    maps: Tensor | None = None


class LinearHead(nn.Module):
    """Dropout and one linear layer on pooled features (the paper, section 3.3)."""

    def __init__(self, in_features: int, config: KDLandmarksConfig) -> None:
        super().__init__()
        self.dropout = nn.Dropout(config.dropout)
        self.linear = nn.Linear(in_features, 2 * config.num_landmarks)

    def forward(self, features: Tensor) -> tuple[Tensor, None, None]:
        """(batch, in_features) to keypoints (batch, N, 2) in crop units; no scores, no maps."""
        return self.linear(self.dropout(features)).unflatten(-1, (-1, 2)), None, None


class ShapeRefinement(nn.Module):
    """Corrects each point by what the others say of where it must be.

    In the face's own frame, that of the mean face laid on the points by moving, turning and scaling
    it, least squares, a linear layer turns the points' deviations from the mean face into a
    correction. Points that are moved, turned and scaled have their correction turned and scaled
    alike. An untrained layer corrects nothing.
    """

    mean_shape: Tensor

    def __init__(self, num_landmarks: int) -> None:
        super().__init__()
        # Centered, with a sum of squares of 1; all 0 until a training sets it.
        self.register_buffer("mean_shape", torch.zeros(num_landmarks, 2))
        self.linear = nn.Linear(2 * num_landmarks, 2 * num_landmarks)

    def own_frame(self, keypoints: Tensor) -> tuple[Tensor, Tensor]:
        """Deviations (batch, N, 2) from the mean face, and the (batch, 2, 2) way back.

        With points and mean face as complex numbers z and m, the factor that turns and scales m
        onto z is a = conj(m) z: the deviations are z / a - m, and the way back multiplies by a,
        as the matrix [[Re a, Im a], [-Im a, Re a]] does to rows of x and y.
        """
        shape = keypoints - keypoints.mean(1, keepdim=True)
        mean = self.mean_shape.float()
        turned = torch.stack([-mean[:, 1], mean[:, 0]], -1)
        basis = torch.stack([mean, turned, -turned, mean], -1)
        back = (shape.flatten(1) @ basis.flatten(0, 1)).unflatten(-1, (2, 2))
        # |a|², which is 0 for points in one place, as untrained maps give them: they have no frame.
        size = (back**2).sum((1, 2), keepdim=True).clamp_min(1e-6) / 2
        return shape @ back.mT / size - mean, back

    def forward(self, keypoints: Tensor) -> Tensor:
        """Points (batch, N, 2) in crop units to better ones; in float32."""
        with torch.autocast(keypoints.device.type, enabled=False):
            deviations, back = self.own_frame(keypoints)
            # Points are float32 also in a network of half precision.
            weight, bias = self.linear.weight.float(), self.linear.bias.float()
            correction = F.linear(deviations.flatten(1), weight, bias).unflatten(1, (-1, 2))
            return keypoints + correction @ back


class IntegralHead(nn.Module):
    """Merges feature maps from coarse to fine into one map per landmark and takes its mean.

    Each feature map goes to `head_channels` by 1x1 convolution; from the coarsest: upsample twice,
    add the next finer. A separable 3x3 convolution and a 1x1 convolution give the landmark maps.
    """

    def __init__(self, in_channels: list[int], config: KDLandmarksConfig) -> None:
        super().__init__()
        width = config.head_channels
        self.span = config.head_range
        self.lateral = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width))
            for channels in in_channels
        )
        self.merge = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
            nn.Conv2d(width, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU6(),
        )
        self.maps = nn.Conv2d(width, config.num_landmarks, 1)
        self.refinement = ShapeRefinement(config.num_landmarks) if config.refinement else None

    def forward(self, features: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Feature maps, finest first, to keypoints (batch, N, 2), scores (batch, N) and raw maps.

        Softmax and expectation run in float32 whatever the features are.
        """
        lateral = [layer(feature) for layer, feature in zip(self.lateral, features, strict=True)]
        merged = lateral[-1]
        for finer in reversed(lateral[:-1]):
            merged = finer + F.interpolate(merged, scale_factor=2.0, mode="bilinear")
        maps = self.maps(self.merge(merged)).float()
        height, width = maps.shape[-2:]
        weights = maps.flatten(2).softmax(-1).unflatten(-1, (height, width))
        mean_x, var_x = _moments(weights.sum(2), width)
        mean_y, var_y = _moments(weights.sum(3), height)
        # The maps span `head_range` crop sides around the crop's center.
        keypoints = 0.5 + self.span * (torch.stack([mean_x, mean_y], -1) - 0.5)
        if self.refinement is not None:
            keypoints = self.refinement(keypoints)
        even = (1 - 1 / width**2) / 12 + (1 - 1 / height**2) / 12
        scores = 1 - ((var_x + var_y) / max(even, 1e-6)).clamp(1e-12, 1.0).sqrt()
        return keypoints, scores, maps


def _moments(weights: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """Mean and variance of the cell centers, in shares of the map, under weights (…, cells)."""
    centers = (torch.arange(cells, device=weights.device, dtype=weights.dtype) + 0.5) / cells
    mean = (weights * centers).sum(-1)
    return mean, (weights * (centers - mean.unsqueeze(-1)) ** 2).sum(-1)


class KDLandmarksPreTrainedModel(PreTrainedModel):
    """Loading, saving and initialization."""

    config: KDLandmarksConfig
    # Modules, which torch types as Tensor | Module; timm's have attributes of their own.
    backbone: Any
    head: Any
    config_class = KDLandmarksConfig
    base_model_prefix = "backbone"
    main_input_name = "pixel_values"
    input_modalities = ["image"]  # noqa: RUF012 - transformers' own convention
    supports_gradient_checkpointing = False
    hub_revision: str | None = None
    """Of the Hub's files that it was loaded from: the image processor's are of the same."""

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """As transformers does it, from safetensors alone: pickled weights may run code.

        Raises:
            ValueError: for `use_safetensors=False`.
            OSError: if there are no safetensors.
        """
        if kwargs.get("use_safetensors") is False:
            raise ValueError(
                "use_safetensors=False would unpickle weights, which may run code: convert them "
                "to safetensors"
            )
        loaded = super().from_pretrained(*args, **kwargs | {"use_safetensors": True})
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        model.hub_revision = kwargs.get("revision")
        return loaded

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Initialize the head's layers alone: timm initializes its backbones itself."""
        if not any(module is layer for layer in self.head.modules()):
            return
        if isinstance(module, ShapeRefinement):
            init.zeros_(module.linear.weight)
            init.zeros_(module.linear.bias)
            init.zeros_(module.mean_shape)
        elif isinstance(module, nn.Linear):
            init.normal_(module.weight, std=0.01)
            # An untrained detector answers with the crop's center.
            init.constant_(module.bias, 0.5)
        elif isinstance(module, nn.Conv2d):
            # The landmark maps start nearly even: the crop's center, and no saturated softmax.
            last = module.bias is not None
            init.normal_(module.weight, std=0.01 if last else module.weight[0].numel() ** -0.5)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            init.ones_(module.weight)
            init.zeros_(module.bias)
            for name, value in module.named_buffers():
                (init.ones_ if name == "running_var" else init.zeros_)(value)


class KDLandmarksForKeypointDetection(KDLandmarksPreTrainedModel):
    """A facial landmark detector for square face crops.

    Example:

    ```python
    >>> import torch
    >>> from kd_landmarks import KDLandmarksConfig, KDLandmarksForKeypointDetection

    >>> model = KDLandmarksForKeypointDetection(KDLandmarksConfig()).eval()
    >>> model(torch.zeros(1, 3, 128, 128)).keypoints.shape
    torch.Size([1, 68, 2])

    ```
    """

    def __init__(self, config: KDLandmarksConfig) -> None:
        """Build the network with untrained weights; nothing is downloaded.

        Raises:
            ValueError: if timm does not know `config.backbone`, or it has no feature maps at
                `config.head_strides`.
        """
        super().__init__(config)
        if config.head == "linear":
            self.backbone = create_backbone(config.backbone, num_classes=0)
            # Some timm models widen their features once more before the classifier.
            width = getattr(self.backbone, "head_hidden_size", None) or self.backbone.num_features
            self.head = LinearHead(width, config)
        else:
            indices = feature_indices(config.backbone, config.head_strides)
            self.backbone = create_backbone(
                config.backbone, features_only=True, out_indices=indices
            )
            drop_unused_stages(self.backbone)
            self.head = IntegralHead(self.backbone.feature_info.channels(), config)
        self.post_init()

    def forward(
        self,
        pixel_values: Tensor,
        labels: Tensor | None = None,
        output_maps: bool = False,
        return_dict: bool | None = None,
    ) -> KDLandmarksOutput | tuple:
        """Detect the landmarks of face crops.

        Args:
            pixel_values: (batch, 3, image_size, image_size) as `KDLandmarksImageProcessor` gives
                them.
            labels: (batch, N, 2) ground truth in crop units; the loss is their mean absolute
                difference. KD-Loss lives in `kd_landmarks.losses.kd`.
            output_maps: whether to return the integral head's maps as well.
            return_dict: False for a plain tuple.

        Returns:
            `KDLandmarksOutput`: keypoints (batch, N, 2) in crop units, scores (batch, N) or None.

        Raises:
            ValueError: for labels of another shape than the keypoints'.
        """
        keypoints, scores, maps = self.head(self.backbone(pixel_values))
        keypoints = keypoints.float()
        loss = None
        if labels is not None:
            if labels.shape != keypoints.shape:
                raise ValueError(
                    f"labels are {tuple(labels.shape)}, the keypoints {tuple(keypoints.shape)}: "
                    "give x, y of each landmark of each face"
                )
            there = ~labels.isnan()
            away = (keypoints - labels.float().nan_to_num()).abs() * there
            loss = away.sum() / there.sum().clamp(min=1)
        if not output_maps or maps is None:
            log_maps = None
        else:
            log_maps = maps.flatten(2).log_softmax(-1).unflatten(-1, maps.shape[-2:])
        output = KDLandmarksOutput(loss=loss, keypoints=keypoints, scores=scores, maps=log_maps)
        return_dict = self.config.return_dict if return_dict is None else return_dict
        return output if return_dict else output.to_tuple()


def create_backbone(name: str, **kwargs: Any) -> Any:
    """An untrained timm model.

    Raises:
        ValueError: if timm has none of that name, with the nearest names that it has.
    """
    if not timm.is_model(name):
        from difflib import get_close_matches

        near = get_close_matches(name, timm.list_models(), n=3)
        hint = f"did you mean {', '.join(near)}?" if near else "see timm.list_models()"
        raise ValueError(f"timm {timm.__version__} knows no backbone {name!r}: {hint}")
    return timm.create_model(name, pretrained=False, **kwargs)


def feature_indices(name: str, strides: Sequence[int]) -> tuple[int, ...]:
    """Which of a backbone's feature maps have the given strides.

    Raises:
        ValueError: if one is missing, naming the strides that the backbone has.
    """
    try:
        with torch.device("meta"):
            available = create_backbone(name, features_only=True).feature_info.reduction()
    except (RuntimeError, AttributeError, NotImplementedError) as error:
        raise ValueError(
            f"the backbone {name!r} gives no feature maps, which head='integral' needs: "
            "use head='linear' or another backbone"
        ) from error
    missing = [stride for stride in strides if stride not in available]
    if missing:
        raise ValueError(
            f"the backbone {name!r} has feature maps of strides {sorted(set(available))}, not of "
            f"{missing}: choose head_strides among them"
        )
    return tuple(available.index(stride) for stride in strides)


def drop_unused_stages(backbone: Any) -> None:
    """Cut off what lies behind the last feature map.

    timm does so for most architectures; its EfficientNet and MobileNet families would compute, and
    keep, stages that nothing reads.
    """
    room, _, number = backbone.feature_info.module_name()[-1].partition(".")
    if room == "blocks" and isinstance(getattr(backbone, "blocks", None), nn.Sequential):
        backbone.blocks = backbone.blocks[: int(number.split(".")[0]) + 1]


__all__ = [
    "KDLandmarksForKeypointDetection",
    "KDLandmarksOutput",
    "KDLandmarksPreTrainedModel",
]
