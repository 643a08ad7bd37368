"""Loading a finished detector from a folder or the Hub, with messages that help.

Checkpoints may come from anybody: nothing is unpickled, no code of theirs is run, and what cannot
be a detector of ours is refused before memory is spent on it.
"""

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from .checkpoint_files import (
    CONFIG,
    PROCESSOR,
    WEIGHTS,
    CheckpointFiles,
    HubDownError,
    cached_checkpoint,
    cached_or_reachable,
    find_checkpoint,
)
from .errors import KDLandmarksError
from .models import KDLandmarksConfig, KDLandmarksForKeypointDetection, KDLandmarksImageProcessor
from .models.configuration_kd_landmarks import MAX_IMAGE_SIZE
from .schemes import LandmarkScheme, get_scheme

__all__ = [
    "cached_or_reachable",
    "check_same_landmarks",
    "detector_scheme",
    "load_config",
    "load_detector",
    "load_processor",
]

# Bytes of a JSON file; the largest that config.json's limits allow has 0.3 million.
MAX_JSON = 2**22
# Bytes of a weights file beyond its tensors: their names and places.
MAX_HEADER = 2**24
LARGEST_FLOAT = 8
# The code that a repository of ours brings, for those who have not installed the package.
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
            are absurd, or its weights do not fit them or are not safetensors; if it is on a Hub
            that cannot be asked within seconds, and its cache has no earlier one.
    """
    files = find_checkpoint(source, revision)
    try:
        return _load(files)
    except HubDownError as error:
        # All files of the commit before: some of each would not go together.
        earlier = cached_checkpoint(files.source, revision, error)
        if earlier is None:
            raise
        return _load(earlier)


def _load(
    files: CheckpointFiles,
) -> tuple[KDLandmarksForKeypointDetection, KDLandmarksImageProcessor]:
    config = load_config(files)
    processor = load_processor(files)
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
        KDLandmarksError: if it is no detector's, or its values cannot be meant.
    """
    values = _read_ours(files, CONFIG, "model_type", KDLandmarksConfig.model_type)
    known = {name: values[name] for name in KDLandmarksConfig.__annotations__ if name in values}
    try:
        return KDLandmarksConfig(**known)
    except Exception as error:  # strict configs raise a family of their own, over several lines
        reason = " ".join(str(error).split())
        raise KDLandmarksError(f"{CONFIG} of {files.source} cannot be meant: {reason}") from error


def load_processor(files: CheckpointFiles) -> KDLandmarksImageProcessor:
    """The image processor of a checkpoint, of which only what ours have is read.

    Raises:
        KDLandmarksError: if it is another's, or its values cannot be meant.
    """
    kind = KDLandmarksImageProcessor.__name__
    values = _read_ours(files, PROCESSOR, "image_processor_type", kind)
    names = KDLandmarksImageProcessor.valid_kwargs.__annotations__
    known = {name: value for name, value in values.items() if name in names}
    try:
        processor = KDLandmarksImageProcessor(**known)
        size = (processor.size["height"], processor.size["width"])
        numbers = [processor.rescale_factor, *processor.image_mean, *processor.image_std]
        sound = len(numbers) == 7 and all(map(math.isfinite, numbers)) and all(numbers[4:])
    except Exception as error:  # whatever strange values lead to
        raise KDLandmarksError(f"{PROCESSOR} of {files.source} cannot be meant: {error}") from error
    if not sound or not all(1 <= side <= MAX_IMAGE_SIZE for side in size):
        raise KDLandmarksError(
            f"{PROCESSOR} of {files.source} cannot be meant: it makes pictures of {size[0]} x "
            f"{size[1]} pixels, scaled with {numbers}"
        )
    return processor


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


def check_same_landmarks(
    model: KDLandmarksForKeypointDetection, scheme: LandmarkScheme, source: str | Path
) -> None:
    """Refuse a detector of other landmarks than the scheme's.

    Raises:
        KDLandmarksError: naming both schemes.
    """
    theirs = (model.config.scheme or {}).get("name", f"{model.config.num_landmarks} points")
    if list((model.config.scheme or {}).get("names", ())) != list(scheme.names):
        raise KDLandmarksError(
            f"{source} detects the landmarks of {theirs}, not of {scheme.name}: give a checkpoint "
            "of that scheme"
        )


def _read_ours(files: CheckpointFiles, name: str, field: str, kind: str) -> dict[str, Any]:
    """A JSON file that says in `field` that it is ours, and names no code but ours."""
    try:
        values = json.loads(files.path(name, MAX_JSON).read_text(encoding="utf-8"))
    except KDLandmarksError:
        raise
    except Exception as error:  # the disk's, the network's, the parser's
        raise KDLandmarksError(f"cannot read {name} of {files.source}: {error}") from error
    if not isinstance(values, dict):
        raise KDLandmarksError(f"{name} of {files.source} is no mapping of names to values")
    if values.get(field) != kind:
        raise KDLandmarksError(
            f"{files.source} is no detector of ours: its {field} is {values.get(field)!r}, not "
            f"{kind!r}"
        )
    _refuse_other_code(values, files.source)
    return values


def _refuse_other_code(values: dict[str, Any], source: str) -> None:
    """Refuse files that name other code than ours, which would not be run anyway."""
    named = values.get("auto_map") or {}
    ours = {
        auto: f"{real.__module__.rpartition('.')[2]}.{real.__name__}"
        for auto, real in AUTO_CLASSES.items()
    }
    pairs = named.items() if isinstance(named, dict) else [("auto_map", named)]
    for auto, reference in pairs:
        if reference != ours.get(auto):
            raise KDLandmarksError(
                f"{source} is no detector of ours: it asks for code of its own, {reference!r} as "
                f"{auto}"
            )


def _tensors(files: CheckpointFiles, config: KDLandmarksConfig) -> dict[str, torch.Tensor]:
    """The weights, once their names and shapes are those of the configured network."""
    source = files.source
    try:
        with torch.device("meta"):  # takes no memory
            network = KDLandmarksForKeypointDetection(config)
    except Exception as error:  # timm's architectures have errors of every kind
        raise KDLandmarksError(f"{CONFIG} of {source} cannot be meant: {error}") from error
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    enough = LARGEST_FLOAT * sum(map(math.prod, wanted.values())) + MAX_HEADER
    try:
        with safe_open(files.path(WEIGHTS, enough), framework="pt") as weights:
            names = weights.keys()
            there = {name: tuple(weights.get_slice(name).get_shape()) for name in names}
            _check_fit(wanted, there, source)
            return {name: weights.get_tensor(name) for name in wanted}
    except KDLandmarksError:
        raise
    except Exception as error:  # the disk's, the network's, the parser's
        raise KDLandmarksError(f"cannot read {WEIGHTS} of {source}: {error}") from error


def _check_fit(
    wanted: dict[str, tuple[int, ...]], there: dict[str, tuple[int, ...]], source: str
) -> None:
    """Refuse weights of another network."""
    missing, unknown = wanted.keys() - there.keys(), there.keys() - wanted.keys()
    if missing:
        raise KDLandmarksError(
            f"{source} is no detector of ours: it lacks {len(missing)} of its tensors, such as "
            f"{min(missing)}"
        )
    other = [name for name in wanted if wanted[name] != there[name]]
    if other or unknown:
        example = other[0] if other else min(unknown)
        raise KDLandmarksError(
            f"{WEIGHTS} of {source} does not fit its {CONFIG}: {example} is {there[example]} and "
            f"should be {wanted.get(example, 'absent')}"
        )
