"""Building a network from a recipe's section, with the weights that it starts from."""

import logging
import os
from functools import cache
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers.utils.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from ..errors import KDLandmarksError, reason
from ..inference.checkpoints import default_checkpoint
from ..inference.hub_checkpoints import cached_or_reachable
from ..models import KDLandmarksConfig, KDLandmarksForKeypointDetection, KDLandmarksImageProcessor
from ..models.loading import landmark_names, load_detector
from ..models.modeling_kd_landmarks import drop_unused_stages
from ..schemes import LandmarkScheme
from ..utils.hub_patience import patient_hub
from .recipe_settings import PACKAGE, STAGES, NetworkSettings, Recipe
from .run_folder import stage_is_finished

logger = logging.getLogger(__name__)

REFINEMENT = "head.refinement."


def build_network(
    settings: NetworkSettings, scheme: LandmarkScheme, stage: str, crop_margin: float
) -> tuple[KDLandmarksForKeypointDetection, KDLandmarksImageProcessor]:
    """A network ready for training, with its image processor.

    Args:
        settings: the recipe's section.
        scheme: its landmarks.
        stage: what is trained; a baseline is a student.
        crop_margin: kept in the processor, so that the checkpoint knows its crop.

    Raises:
        KDLandmarksError: for a backbone that timm does not know or that does not suit the head, and
            for weights that cannot be had or do not fit.
    """
    fields = ("backbone", "head", "image_size", "head_channels")
    role = "student" if stage == "baseline" else stage
    try:
        config = KDLandmarksConfig(
            role=role,  # type: ignore[arg-type]  # checked by the strict configuration
            num_landmarks=scheme.num_landmarks,
            scheme=scheme.to_dict(),
            head_strides=list(settings.head_strides),
            refinement=settings.refinement and settings.head == "integral",
            **{field: getattr(settings, field) for field in fields},
        )
        model = KDLandmarksForKeypointDetection(config)
    except Exception as error:  # strict configs raise a family of their own, of two lines
        why = str(error).splitlines()[-1].strip().removeprefix("ValueError: ")
        raise KDLandmarksError(f"cannot build the {stage}: {why}") from error
    _check_forward(model)
    if settings.init:
        _start_from_checkpoint(model, settings.init)
    elif settings.backbone_weights != "none":
        _start_from_imagenet(model, settings)
    cfg = timm.get_pretrained_cfg(settings.backbone)
    processor = KDLandmarksImageProcessor(
        size={"height": config.image_size, "width": config.image_size},
        image_mean=list(cfg.mean if cfg else IMAGENET_DEFAULT_MEAN),
        image_std=list(cfg.std if cfg else IMAGENET_DEFAULT_STD),
        crop_margin=crop_margin,
    )
    return model, processor


def check_networks(recipe: Recipe, scheme: LandmarkScheme, folder: Path) -> None:
    """Build every network that is still to be trained, since the last one comes after hours.

    Args:
        recipe: of the run.
        scheme: its landmarks.
        folder: of the run.

    Raises:
        KDLandmarksError: as `build_network`, and for a start from a stage that is no earlier one.
    """
    trained = [stage for stage in STAGES if stage_is_finished(folder, stage)]
    for stage in STAGES:
        if stage in trained or stage not in recipe.stages:
            continue
        settings = getattr(recipe, stage)
        if settings.init in STAGES:
            if settings.init not in trained or settings.init not in STAGES[: STAGES.index(stage)]:
                raise KDLandmarksError(
                    f"{stage}.init is {settings.init}, which this run does not train before: name "
                    "an earlier stage, or a checkpoint"
                )
            other = getattr(recipe, settings.init).backbone
            if other != settings.backbone:
                raise KDLandmarksError(
                    f"{stage} has the backbone {settings.backbone} and starts from "
                    f"{settings.init}, which has {other}: give both the same"
                )
            # Its weights are not there yet.
            settings = settings.model_copy(update={"init": None, "backbone_weights": "none"})
        build_network(with_place_of_start(settings, folder), scheme, stage, recipe.data.crop_margin)
        trained.append(stage)


def with_place_of_start(settings: NetworkSettings, folder: Path) -> NetworkSettings:
    """A stage's settings with the folder of its start instead of a word for it."""
    if settings.init == PACKAGE:
        return settings.model_copy(update={"init": default_checkpoint()})
    if settings.init in STAGES:
        return settings.model_copy(update={"init": str(folder / settings.init)})
    return settings


def _check_forward(model: KDLandmarksForKeypointDetection) -> None:
    """Some backbones take one size of picture only, others give feature maps channels last."""
    config = model.config
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, 3, config.image_size, config.image_size))
    except Exception as error:
        raise KDLandmarksError(
            f"the backbone {config.backbone!r} does not run with image_size={config.image_size} "
            f"and head={config.head!r} ({error}): choose another size, head or backbone"
        ) from error
    model.train()


def _start_from_checkpoint(model: KDLandmarksForKeypointDetection, source: str) -> None:
    """Copy a checkpoint's weights; a head for other landmarks is left to `adopt_landmarks`.

    As many landmarks may be others, or in another order: their mean face is another one, too.
    """
    other, _ = load_detector(source)
    theirs, own = _of_same_strides(other, model), model.state_dict()
    if landmark_names(other) != landmark_names(model):
        own = {name: value for name, value in own.items() if not name.startswith(REFINEMENT)}
    fitting = {
        name: value
        for name, value in theirs.items()
        if name in own and own[name].shape == value.shape
    }
    missing = [name for name in own if name.startswith("backbone.") and name not in fitting]
    if missing:
        raise KDLandmarksError(
            f"the checkpoint {source} does not fit the backbone {model.config.backbone!r}: "
            f"{len(missing)} tensors such as {missing[0]} differ"
        )
    model.load_state_dict(fitting, strict=False)
    model.config.derived_from = list(other.config.derived_from)
    last = (REFINEMENT, "head.maps.", "head.linear.")
    if any(name not in fitting and not name.startswith(last) for name in own):
        there = other.config
        _warn_once(
            f"the head of {source} does not fit, and a part of the new one starts at random: "
            f"there it is {there.head}, head_strides {list(there.head_strides)}, head_channels "
            f"{there.head_channels}"
        )


@cache
def _warn_once(message: str) -> None:
    logger.warning(message)


def _of_same_strides(
    other: KDLandmarksForKeypointDetection, model: KDLandmarksForKeypointDetection
) -> dict[str, Tensor]:
    """Another detector's weights; what reads a feature map has the name that it has in `model`."""
    lateral = "head.lateral."
    weights = other.state_dict()
    named = {name: value for name, value in weights.items() if not name.startswith(lateral)}
    for index, stride in enumerate(model.config.head_strides):
        if stride in other.config.head_strides:
            start = f"{lateral}{other.config.head_strides.index(stride)}."
            named |= {
                f"{lateral}{index}.{name.removeprefix(start)}": value
                for name, value in weights.items()
                if name.startswith(start)
            }
    return named


def _start_from_imagenet(model: KDLandmarksForKeypointDetection, settings: NetworkSettings) -> None:
    """Load ImageNet weights into the backbone: timm's own from the Hub, or a file's."""
    name, weights = settings.backbone, settings.backbone_weights
    overlay: dict[str, Any] | None = None
    if weights != "imagenet":
        if not os.path.isfile(weights):
            raise KDLandmarksError(
                f"backbone_weights={weights!r} is not a file: give `imagenet`, `none` or a "
                ".safetensors file with timm's parameter names"
            )
        if not weights.endswith(".safetensors"):
            raise KDLandmarksError(f"backbone_weights={weights!r} must be a .safetensors file")
        overlay = {"file": weights}
    elif not timm.is_model_pretrained(name):
        raise KDLandmarksError(
            f"timm has no ImageNet weights for {name!r}: train from scratch with "
            "backbone_weights none, or give a .safetensors file"
        )
    if settings.head == "linear":
        shape: dict[str, Any] = {"num_classes": 0}
    else:
        shape = {"features_only": True, "out_indices": model.backbone.feature_info.out_indices}
    try:
        known = timm.get_pretrained_cfg(name)
        hub_id = known.hf_hub_id if weights == "imagenet" and known else None
        cached = cached_or_reachable(hub_id) if hub_id else None
        if cached:
            overlay = {"state_dict": load_file(cached)}
        with patient_hub():
            loaded = timm.create_model(
                name, pretrained=True, pretrained_cfg_overlay=overlay, **shape
            )
    except Exception as error:
        if weights != "imagenet":
            raise KDLandmarksError(
                f"{weights} does not fit the backbone {name!r}: {reason(error)}"
            ) from error
        raise KDLandmarksError(
            f"cannot get timm's ImageNet weights for {name!r} from the Hub "
            f"({reason(error)}). Offline, give a file for each network to train "
            "(--student.backbone_weights FILE.safetensors, --tough_teacher.backbone_weights FILE), "
            "train from scratch (--student.backbone_weights none), or start the student from a "
            "kd-landmarks checkpoint (--init FOLDER)"
        ) from error
    if settings.head == "integral":
        drop_unused_stages(loaded)
    if weights != "imagenet" and not _holds_first_layer(load_file(weights), loaded):
        raise KDLandmarksError(
            f"{weights} holds none of the parameters of {name!r}: it needs timm's parameter names"
        )
    model.backbone.load_state_dict(loaded.state_dict())


def _holds_first_layer(tensors: dict[str, Tensor], backbone: nn.Module) -> bool:
    """timm skips unknown names silently for some architectures: the first layer tells."""
    first = next(iter(backbone.parameters()))
    same = (value for value in tensors.values() if value.shape == first.shape)
    return any(torch.equal(value.to(first.dtype), first) for value in same)
