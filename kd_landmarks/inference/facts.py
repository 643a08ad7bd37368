"""What a checkpoint's own files tell of it, read without torch and without its weights."""

import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import KDLandmarksError, shown
from ..imaging.crop_settings import check_settings
from ..utils.parsing import MOST_JSON, parse_json, parse_yaml, read_json_object, read_text
from .checkpoints import CONFIG, METRICS, PROCESSOR, WEIGHTS, CheckpointFiles

CARD = "README.md"
SCORE_COLUMNS = ("NME %", "FR8 %", "FR10 %", "AUC8", "AUC10")
"""What a table calls the fields of scores."""
_SCORES = ("nme", "failure_rate_8", "failure_rate_10", "auc_8", "auc_10")
# Bytes of the largest weights file that config.json can describe.
_MOST_WEIGHTS = 2**34
# Batch normalizations keep these beside their parameters.
_BUFFERS = ("running_mean", "running_var", "num_batches_tracked", "mean_shape")


@dataclass(frozen=True)
class Facts:
    """See the module.

    Attributes:
        folder: where the files are.
        config: of config.json.
        crop_margin: side of the crop in longer sides of the face box.
        parameters: their number.
        megabytes: of the weights file.
        precision: of the weights in the file, such as float16.
        metrics: of metrics.json; empty without.
        license: of the weights, as the card in the folder says; None where none does.
    """

    folder: Path
    config: Mapping[str, Any]
    crop_margin: float
    parameters: int
    megabytes: float
    precision: str
    metrics: Mapping[str, Any]
    license: str | None

    def rows(self) -> list[tuple[str, ...]]:
        """A row a test: name, normalizer, box, faces and the cells of `SCORE_COLUMNS`.

        Raises:
            KDLandmarksError: for a metrics.json with other figures.
        """
        tests = self.metrics.get("tests", {})
        try:
            return [
                (
                    str(name),
                    str(test["normalizer"]),
                    str(test["box"]),
                    str(test["faces"]),
                    *score_cells(test),
                )
                for name, test in tests.items()
            ]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise KDLandmarksError(
                f"invalid figures in {self.folder / METRICS}: {error!r}: remove the file, or write "
                "it anew with `kd-landmarks evaluate --json`"
            ) from error


def score_cells(scores: Mapping[str, Any]) -> tuple[str, ...]:
    """The cells of `SCORE_COLUMNS`, from the fields of an `ErrorSummary`."""
    digits = (2, 2, 2, 3, 3)
    return tuple(f"{scores[name]:.{places}f}" for name, places in zip(_SCORES, digits, strict=True))


def read_facts(files: CheckpointFiles) -> Facts:
    """The facts of a checkpoint.

    Raises:
        KDLandmarksError: for what is not a kd-landmarks checkpoint, and for broken files.
    """
    path = files.path(CONFIG, MOST_JSON)
    config, processor = (
        read_json_object(file) for file in (path, files.path(PROCESSOR, MOST_JSON))
    )
    if config.get("model_type") != "kd_landmarks":
        raise KDLandmarksError(
            f"{files.source} is not a kd-landmarks checkpoint: its model_type is "
            f"{shown(config.get('model_type'))}"
        )
    margin = processor.get("crop_margin")
    try:
        check_settings({"crop_margin": margin, "image_size": config.get("image_size")})
    except ValueError as error:
        raise KDLandmarksError(f"{files.source}: {error}") from error
    if margin is None:
        raise KDLandmarksError(f"{PROCESSOR} of {files.source} has no crop_margin")
    weights = files.path(WEIGHTS, _MOST_WEIGHTS)
    parameters, precision = count_parameters(weights)
    metrics = path.parent / METRICS
    return Facts(
        folder=path.parent,
        config=config,
        crop_margin=margin,
        parameters=parameters,
        megabytes=os.path.getsize(weights) / 1e6,
        precision=precision,
        metrics=read_json_object(metrics) if metrics.is_file() else {},
        license=_license(path.parent / CARD),
    )


def _license(card: Path) -> str | None:
    """The license in the YAML at the head of a card; other texts say none."""
    if not card.is_file():
        return None
    try:
        head = read_text(card, MOST_JSON).partition("---\n")[2].partition("\n---")[0]
        told = parse_yaml(head, str(card), types=False)
    except KDLandmarksError:
        return None
    if not isinstance(told, dict):
        return None
    name, link = told.get("license_name") or told.get("license"), told.get("license_link")
    if not isinstance(name, str):
        return None
    return f"{name:.100} ({link:.200})" if isinstance(link, str) else f"{name:.100}"


def count_parameters(weights: Path) -> tuple[int, str]:
    """The number of parameters in a .safetensors file, and their types, from its header.

    The format: eight bytes for the header's length, then JSON of names, types and shapes
    (huggingface/safetensors, "Format").

    Raises:
        KDLandmarksError: for a broken file.
    """
    try:
        with weights.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > MOST_JSON:
                raise ValueError(f"its header has {length} bytes")
            header = parse_json(file.read(length), f"the header of {weights}")
        tensors = {
            name: tensor
            for name, tensor in header.items()
            if name != "__metadata__" and not name.endswith(_BUFFERS)
        }
        count = sum(math.prod(tensor["shape"]) for tensor in tensors.values())
        kinds = {_TYPES.get(tensor["dtype"], str(tensor["dtype"])) for tensor in tensors.values()}
    except KDLandmarksError:
        raise
    except (AttributeError, KeyError, OSError, struct.error, TypeError, ValueError) as error:
        raise KDLandmarksError(f"cannot read {weights}: {error}") from error
    return count, " and ".join(sorted(kinds))


_TYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn"}
