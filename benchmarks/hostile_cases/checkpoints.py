"""Damaged checkpoints and exported files, each loaded and asked for the points of a face."""

import json
import shutil
import struct
import sys
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import onnx
import torch
from safetensors.torch import load_file, save_file

from kd_landmarks import FaceLandmarkPipeline
from kd_landmarks.inference.backends.onnx import METADATA, OnnxBackend
from kd_landmarks.inference.export import export_onnx
from kd_landmarks.models.loading import load_detector

from . import Case, Try
from .damage import STRANGE, cut, flipped, other_value, scratch, strange_texts

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "helpers"))
from small_networks import save_small

CONFIG, PROCESSOR, WEIGHTS = "config.json", "preprocessor_config.json", "model.safetensors"
PHOTO = np.full((96, 128, 3), 100, np.uint8)
BOX = [[30, 20, 90, 80]]


@cache
def sound() -> Path:
    """A small detector."""
    return save_small(Path(scratch(), "small"), spread=0.2, noise=5)


@cache
def exported() -> Path:
    """The same as ONNX."""
    return export_onnx(*load_detector(sound()), sound() / "small.onnx")


def load(folder: Path) -> None:
    """Load a checkpoint and detect with it."""
    _check(FaceLandmarkPipeline(folder, device="cpu")(PHOTO, boxes=BOX))


def load_onnx(file: Path) -> None:
    """Load an export and detect with it."""
    _check(FaceLandmarkPipeline(OnnxBackend(file, threads=1))(PHOTO, boxes=BOX))


def _check(faces: list[Any]) -> None:
    for face in faces:
        for name in ("keypoints", "scores", "confidence"):
            if face[name] is not None and not np.isfinite(face[name]).all():
                raise ArithmeticError(f"{name} that are not finite")


def cases() -> list[Case]:
    """All of them."""
    found = []
    for name in (CONFIG, PROCESSOR):
        values = json.loads((sound() / name).read_text(encoding="utf-8"))
        for key in values:
            for number in range(2):
                found.append(Case(f"{name}: {key}, {number}", partial(_one_value, name, key)))
        for number in range(20):
            found.append(Case(f"{name}: any value, {number}", partial(_any_value, name)))
        for what, content in strange_texts().items():
            found.append(Case(f"{name}: {what}", partial(_content, name, content)))
        for number in range(6):
            found.append(Case(f"{name}: bits flipped, {number}", partial(_bytes, name, flipped)))
            found.append(Case(f"{name}: cut, {number}", partial(_bytes, name, cut)))
    for name in (CONFIG, PROCESSOR, WEIGHTS):
        found.append(Case(f"no {name}", partial(_content, name, None)))
        found.append(Case(f"{name} is a folder", partial(_content, name, Path())))
    for number in range(12):
        found.append(Case(f"weights: header flipped, {number}", partial(_bytes, WEIGHTS, flipped)))
        found.append(Case(f"weights: cut, {number}", partial(_bytes, WEIGHTS, cut)))
        found.append(Case(f"weights: header's value, {number}", _header_value))
    for length in (0, 1, 2**20, 2**31, 2**63, 2**64 - 1):
        found.append(Case(f"weights: header of {length} bytes", partial(_header_length, length)))
    for value in (np.nan, np.inf, -np.inf, 1e38, -1e38):
        for everywhere in (True, False):
            name = f"weights: {value:g} {'everywhere' if everywhere else 'once'}"
            found.append(Case(name, partial(_values, value, everywhere)))
    for kind in ("int8", "bool", "float64", "bfloat16", "complex64"):
        found.append(Case(f"weights: of {kind}", partial(_kind, getattr(torch, kind))))
    for number in range(20):
        found.append(Case(f"ONNX: bits flipped, {number}", partial(_onnx_bytes, flipped)))
        found.append(Case(f"ONNX: metadata's value, {number}", _onnx_value))
    for number in range(6):
        found.append(Case(f"ONNX: cut, {number}", partial(_onnx_bytes, cut)))
    for what, content in strange_texts().items():
        found.append(Case(f"ONNX: metadata: {what}", partial(_onnx_metadata, content)))
        found.append(Case(f"ONNX: {what}", partial(_onnx_bytes, _instead(content))))
    for value in (np.nan, np.inf):
        found.append(Case(f"ONNX: weights {value}", partial(_onnx_weights, value)))
    return found


def _copy(folder: Path) -> Path:
    copied = folder / "network"
    copied.mkdir()
    for name in (CONFIG, PROCESSOR, WEIGHTS):
        shutil.copyfile(sound() / name, copied / name)
    return copied


def _one_value(name: str, key: str, folder: Path, rng: Random) -> Try:
    copied = _copy(folder)
    values = json.loads((copied / name).read_text(encoding="utf-8"))
    values[key] = rng.choice(STRANGE)
    (copied / name).write_text(json.dumps(values), encoding="utf-8")
    return partial(load, copied)


def _any_value(name: str, folder: Path, rng: Random) -> Try:
    copied = _copy(folder)
    values = json.loads((copied / name).read_text(encoding="utf-8"))
    values = other_value(values, rng, rng.choice(STRANGE))
    (copied / name).write_text(json.dumps(values), encoding="utf-8")
    return partial(load, copied)


def _content(name: str, content: bytes | Path | None, folder: Path, rng: Random) -> Try:
    copied = _copy(folder)
    (copied / name).unlink()
    if isinstance(content, Path):
        (copied / name).mkdir()
    elif content is not None:
        (copied / name).write_bytes(content)
    return partial(load, copied)


def _bytes(name: str, damage: Any, folder: Path, rng: Random) -> Try:
    copied = _copy(folder)
    (copied / name).write_bytes(damage((copied / name).read_bytes(), rng))
    return partial(load, copied)


def _header_value(folder: Path, rng: Random) -> Try:
    copied = _copy(folder)
    file = copied / WEIGHTS
    data = file.read_bytes()
    [length] = struct.unpack("<Q", data[:8])
    header = other_value(json.loads(data[8 : 8 + length]), rng, rng.choice(STRANGE))
    told = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(told)) + told + data[8 + length :])
    return partial(load, copied)


def _header_length(length: int, folder: Path, rng: Random) -> Try:
    copied = _copy(folder)
    file = copied / WEIGHTS
    file.write_bytes(struct.pack("<Q", length) + file.read_bytes()[8:])
    return partial(load, copied)


def _values(value: float, everywhere: bool, folder: Path, rng: Random) -> Try:
    copied = _copy(folder)
    tensors = load_file(copied / WEIGHTS)
    floats = [name for name, tensor in sorted(tensors.items()) if tensor.is_floating_point()]
    for name in floats if everywhere else [rng.choice(floats)]:
        if everywhere:
            tensors[name].fill_(value)
        else:
            tensors[name].view(-1)[0] = value
    save_file(tensors, copied / WEIGHTS)
    return partial(load, copied)


def _kind(kind: torch.dtype, folder: Path, rng: Random) -> Try:
    copied = _copy(folder)
    tensors = {name: tensor.to(kind) for name, tensor in load_file(copied / WEIGHTS).items()}
    save_file(tensors, copied / WEIGHTS)
    return partial(load, copied)


def _instead(content: bytes) -> Any:
    return lambda data, rng: content


def _onnx_bytes(damage: Any, folder: Path, rng: Random) -> Try:
    file = folder / "small.onnx"
    file.write_bytes(damage(exported().read_bytes(), rng))
    return partial(load_onnx, file)


def _onnx_metadata(content: bytes, folder: Path, rng: Random) -> Try:
    file = folder / "small.onnx"
    network = onnx.load(exported())
    [told] = [entry for entry in network.metadata_props if entry.key == METADATA]
    told.value = content.decode("latin-1")
    onnx.save(network, file)
    return partial(load_onnx, file)


def _onnx_value(folder: Path, rng: Random) -> Try:
    network = onnx.load(exported())
    [told] = [entry for entry in network.metadata_props if entry.key == METADATA]
    values = other_value(json.loads(told.value), rng, rng.choice(STRANGE))
    return _onnx_metadata(json.dumps(values).encode(), folder, rng)


def _onnx_weights(value: float, folder: Path, rng: Random) -> Try:
    file = folder / "small.onnx"
    network = onnx.load(exported())
    for tensor in network.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) == 4:
            numbers = onnx.numpy_helper.to_array(tensor)
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.full_like(numbers, value), tensor.name))
    onnx.save(network, file)
    return partial(load_onnx, file)
