"""Loading a finished detector from a folder or the Hub, with messages that help.

Checkpoints may come from anybody: nothing is unpickled, no code of theirs is run, and what cannot
be a kd-landmarks detector is refused before memory is spent on it.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from ..errors import KDLandmarksError, shown
from ..inference.checkpoints import (
    CONFIG,
    PROCESSOR,
    WEIGHTS,
    CheckpointFiles,
    HubDownError,
    find_checkpoint,
)
from ..inference.confidence import Calibration
from ..schemes import LandmarkScheme, get_scheme
from ..utils.parsing import MOST_JSON, parse_json, read_text
from . import KDLandmarksConfig, KDLandmarksForKeypointDetection, KDLandmarksImageProcessor

# Bytes of a weights file beyond its tensors: their names and places.
MAX_HEADER = 2**24
LARGEST_FLOAT = 8
# The code that a pushed repository brings, for those who have not installed the package.
AUTO_CLASSES: dict[str, Any] = {
    "AutoConfig": KDLandmarksConfig,
    "AutoModelForKeypointDetection": KDLandmarksForKeypointDetection,
    "AutoImageProcessor": KDLandmarksImageProcessor,
}


def load_detector(
    source: str | Path, revision: str | None = None
) -> tuple[KDLandmarksForKeypointDetection, KDLandmarksImageProcessor]:
    """A detector in evaluation mode and its image processor.

    Weights that are stored as float16, to take half the room, are float32 here: the arithmetic of
    float16 is slow on CPUs, and less exact.

    Args:
        source: a folder written by `save_pretrained`, or a Hub id.
        revision: of a Hub id.

    Raises:
        KDLandmarksError: if there is no such checkpoint, it is another kind of model, its values
            are absurd, or its weights do not fit them, are not finite or not safetensors; if it is
            on a Hub that cannot be asked within seconds, and its cache has no earlier one.
    """
    files = find_checkpoint(source, revision)
    try:
        return _load(files)
    except HubDownError as error:
        from ..inference.hub_checkpoints import cached_checkpoint

        # All files of the commit before: some of each would not go together.
        earlier = cached_checkpoint(files.source, revision, error)
        if earlier is None:
            raise
        return _load(earlier)


def _load(
    files: CheckpointFiles,
) -> tuple[KDLandmarksForKeypointDetection, KDLandmarksImageProcessor]:
    config = load_config(files)
    processor = load_processor(files, config)
    tensors = _tensors(files, config)
    config.name_or_path = files.source
    # A network draws its first weights at random: what is drawn after it shall not depend on that.
    with torch.random.fork_rng(devices=[]):
        model = KDLandmarksForKeypointDetection(config)
    model.load_state_dict(tensors)
    return model.eval(), processor


def load_config(files: CheckpointFiles) -> KDLandmarksConfig:
    """The configuration of a checkpoint, of which only what ours have is read.

    Raises:
        KDLandmarksError: if it is not a detector's, or its values are invalid.
    """
    values = _read_ours(files, CONFIG, "model_type", KDLandmarksConfig.model_type)
    known = {name: values[name] for name in KDLandmarksConfig.__annotations__ if name in values}
    try:
        config = KDLandmarksConfig(**known)
        if config.scheme is not None:
            get_scheme(config.scheme)
        if config.confidence is not None:
            Calibration.from_dict(config.confidence, config.num_landmarks)
    except Exception as error:  # strict configs raise a family of their own, over several lines
        raise _not_meant(CONFIG, files, error) from error
    return config


def load_processor(files: CheckpointFiles, config: KDLandmarksConfig) -> KDLandmarksImageProcessor:
    """The image processor of a checkpoint, of which only what ours have is read.

    Args:
        files: of the checkpoint.
        config: of the network that it makes pictures for.

    Raises:
        KDLandmarksError: if it is another's, its values are invalid, or it makes other pictures
            than training and exported models do.
    """
    kind = KDLandmarksImageProcessor.__name__
    values = _read_ours(files, PROCESSOR, "image_processor_type", kind)
    try:
        processor = KDLandmarksImageProcessor.from_dict(values)
        check_pictures(processor, config)
        if not processor.do_normalize:
            raise ValueError(f"do_normalize is False, where the network of {CONFIG} needs True")
    except Exception as error:  # whatever strange values lead to
        raise _not_meant(PROCESSOR, files, error) from error
    return processor


def check_pictures(processor: KDLandmarksImageProcessor, config: KDLandmarksConfig) -> None:
    """Refuse a processor that makes other pictures than training does.

    Raises:
        ValueError: naming what differs.
    """
    side = config.image_size
    wanted = {
        "size.height": (processor.size["height"], side),
        "size.width": (processor.size["width"], side),
        "resample": (int(processor.resample), int(KDLandmarksImageProcessor.resample)),
        "rescale_factor": (round(255 * processor.rescale_factor, 3) / 255, 1 / 255),
    }
    for name in ("do_convert_rgb", "do_resize", "do_rescale"):
        wanted[name] = (getattr(processor, name), True)
    for name, (stated, right) in wanted.items():
        if stated != right:
            raise ValueError(f"{name} is {stated}, where the network of {CONFIG} needs {right}")


def _not_meant(name: str, files: CheckpointFiles, error: Exception) -> KDLandmarksError:
    # Strict configurations wrap the reason into sentences of their own.
    reason = " ".join(str(error.__cause__ or error).split()).rstrip(".")
    return KDLandmarksError(
        f"{name} of {files.source} is invalid: {reason}. Fix it there, or ask for the file "
        "that was saved with the weights"
    )


def detector_scheme(model: KDLandmarksForKeypointDetection, source: str | Path) -> LandmarkScheme:
    """The landmark scheme that a detector carries in its configuration.

    Raises:
        KDLandmarksError: if it carries none, or a broken one.
    """
    if model.config.scheme is None:
        raise KDLandmarksError(
            f"{source} does not say what its {model.config.num_landmarks} landmarks are: set "
            "config.scheme = get_scheme(NAME).to_dict() and save it again"
        )
    return get_scheme(model.config.scheme)


def landmark_names(model: KDLandmarksForKeypointDetection) -> tuple[str, ...]:
    """What a detector's landmarks are called; empty where it does not say."""
    return tuple((model.config.scheme or {}).get("names", ()))


def check_same_landmarks(
    model: KDLandmarksForKeypointDetection, scheme: LandmarkScheme, source: str | Path
) -> None:
    """Refuse a detector of other landmarks than the scheme's.

    Raises:
        KDLandmarksError: naming both schemes.
    """
    theirs = (model.config.scheme or {}).get("name", f"{model.config.num_landmarks} points")
    if landmark_names(model) != tuple(scheme.names):
        raise KDLandmarksError(
            f"{source} detects the landmarks of {theirs}, not of {scheme.name}: give a checkpoint "
            "of that scheme"
        )


def _read_ours(files: CheckpointFiles, name: str, field: str, kind: str) -> dict[str, Any]:
    """A JSON file that says in `field` that it is ours, and names no code but ours."""
    try:
        text = read_text(files.path(name, MOST_JSON), MOST_JSON)
    except KDLandmarksError:
        raise
    except Exception as error:  # the network's
        raise KDLandmarksError(f"cannot read {name} of {files.source}: {error}") from error
    values = parse_json(text, f"{name} of {files.source}")
    if not isinstance(values, dict):
        raise KDLandmarksError(
            f"{name} of {files.source} holds {shown(values)}, no mapping of names to values"
        )
    if values.get(field) != kind:
        raise KDLandmarksError(
            f"{files.source} is not a kd-landmarks checkpoint: its {field} is "
            f"{shown(values.get(field))}, not {kind!r}"
        )
    _refuse_other_code(values, files.source)
    return values


def _refuse_other_code(values: dict[str, Any], source: str) -> None:
    """Refuse files that name other code than ours, which would not be run anyway."""
    named = values.get("auto_map") or {}
    ours = _flat_references()
    pairs = named.items() if isinstance(named, dict) else [("auto_map", named)]
    for auto, reference in pairs:
        if reference != ours.get(auto):
            raise KDLandmarksError(
                f"{source} is not a kd-landmarks checkpoint: it asks for code of its own, "
                f"{shown(reference)} as {shown(auto)}"
            )


def auto_maps() -> tuple[dict[str, str], dict[str, str]]:
    """`auto_map` of a pushed config.json and preprocessor_config.json: which code reads them."""
    ours = _flat_references()
    processor = {"AutoImageProcessor": ours.pop("AutoImageProcessor")}
    return ours, processor


def _flat_references() -> dict[str, str]:
    """Auto classes to the modules and classes that a pushed repository has for them."""
    return {
        auto: f"{real.__module__.rpartition('.')[2]}.{real.__name__}"
        for auto, real in AUTO_CLASSES.items()
    }


def _tensors(files: CheckpointFiles, config: KDLandmarksConfig) -> dict[str, torch.Tensor]:
    """The weights, once their names and shapes are those of the configured network."""
    source = files.source
    try:
        with torch.device("meta"):  # takes no memory
            network = KDLandmarksForKeypointDetection(config)
    except Exception as error:  # timm's architectures have errors of every kind
        raise KDLandmarksError(f"{CONFIG} of {source} is invalid: {error}") from error
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    enough = LARGEST_FLOAT * sum(map(math.prod, wanted.values())) + MAX_HEADER
    try:
        with safe_open(files.path(WEIGHTS, enough), framework="pt") as weights:
            names = weights.keys()
            there = {name: tuple(weights.get_slice(name).get_shape()) for name in names}
            _check_fit(wanted, there, source)
            tensors = {name: weights.get_tensor(name) for name in wanted}
    except KDLandmarksError:
        raise
    except Exception as error:  # the disk's, the network's, the parser's
        raise KDLandmarksError(f"cannot read {WEIGHTS} of {source}: {error}") from error
    check_weights(tensors, source)
    return tensors


def check_weights(tensors: Mapping[str, torch.Tensor], source: str) -> None:
    """Refuse weights that are not finite: layers such as ReLU can hide them, and points come out.

    Args:
        tensors: by their names.
        source: where they are from.

    Raises:
        KDLandmarksError: naming the tensor.
    """
    for name, tensor in tensors.items():
        if not tensor.float().isfinite().all():  # as they are computed with
            raise KDLandmarksError(
                f"the weights of {source} are broken: {name} has numbers that are not finite; "
                "take an earlier checkpoint"
            )


def _check_fit(
    wanted: dict[str, tuple[int, ...]], there: dict[str, tuple[int, ...]], source: str
) -> None:
    """Refuse weights of another network."""
    missing, unknown = wanted.keys() - there.keys(), there.keys() - wanted.keys()
    if missing:
        raise KDLandmarksError(
            f"{source} is not a kd-landmarks checkpoint: it lacks {len(missing)} of its tensors, "
            f"such as {min(missing)}"
        )
    other = [name for name in wanted if wanted[name] != there[name]]
    if other or unknown:
        example = other[0] if other else min(unknown)
        raise KDLandmarksError(
            f"{WEIGHTS} of {source} does not fit its {CONFIG}: {example} is {there[example]} and "
            f"should be {wanted.get(example, 'absent')}"
        )
