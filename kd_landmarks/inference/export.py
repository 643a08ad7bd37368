"""Detectors for other runtimes: ONNX, int8 ONNX, OpenVINO."""

import hashlib
import json
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedModel

from .. import __version__
from ..errors import KDLandmarksError
from ..utils.environment import need_packages
from ..utils.files import check_outputs, new_file
from .backends.onnx import METADATA
from .backends.openvino import load_openvino, own_core
from .backends.torch import TorchBackend, describe
from .description import Description

# Of the files: what ONNX Runtime 1.20 and OpenVINO 2024.6, the oldest that we ask for, both read.
OPSET = 18


def export_onnx(
    model: PreTrainedModel,
    processor: Any,
    path: str | Path,
    halve: bool = True,
) -> Path:
    """Write a detector as one ONNX file.

    Its input is `pixel_values`, (faces, 3, size, size) float32 as the processor makes them, for any
    number of faces; its outputs are `keypoints` (faces, N, 2) in crop units and, where the head has
    them, `scores` (faces, N). The metadata tell crop, normalization, landmarks and version.

    Args:
        model: the detector.
        processor: its image processor.
        path: of the new file.
        halve: store weights that are float16 in truth as such, which runtimes turn to float32 as
            they load the file. What is to be quantized needs them as they are.

    Returns:
        The path.

    Raises:
        KDLandmarksError: without the packages of the extra `export`, and where nothing can be
            written.
    """
    need_packages("export", "onnx", "onnxscript", why="exporting")
    import onnx

    path = Path(os.path.expanduser(path))
    description = describe(model, processor)
    if description.scheme is None:
        raise KDLandmarksError(
            "the detector does not say what its landmarks are: set config.scheme = "
            "get_scheme(NAME).to_dict()"
        )
    size = model.config.image_size
    network = _Plain(model).eval()
    names = ["keypoints", "scores"][: len(network(torch.zeros(1, 3, size, size)))]
    faces = torch.export.Dim("faces")
    with _quiet():
        program: Any = torch.onnx.export(
            network,
            (torch.zeros(2, 3, size, size),),
            input_names=["pixel_values"],
            output_names=names,
            opset_version=OPSET,
            verbose=False,
            dynamo=True,
            dynamic_shapes={"pixel_values": {0: faces}},
        )
    exported = program.model_proto
    graph = exported.graph
    # The exporter notes where in the source code, with its path, each of them comes from.
    for part in (*graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    if halve:
        _halve_weights(exported, model)
    _describe(exported, description)
    with new_file(path) as partial:
        onnx.save(exported, str(partial))
    return path


def describe_anew(path: Path, description: Description) -> None:
    """Have an exported file tell something else of its detector, such as another calibration.

    Raises:
        KDLandmarksError: without the package onnx, and where the file cannot be written.
    """
    need_packages("export", "onnx", why=f"changing {path}")
    import onnx

    exported = onnx.load(str(path))
    _describe(exported, description)
    with new_file(path, follow=False) as partial:
        onnx.save(exported, str(partial))


def _describe(exported: Any, description: Description) -> None:
    import onnx

    told = {"version": __version__, **description.to_dict()}
    onnx.helper.set_model_props(exported, {METADATA: json.dumps(told)})


def quantize_int8(source: str | Path, path: str | Path, crops: NDArray[np.float32]) -> Path:
    """Write an exported detector with 8-bit weights and activations in its convolutions.

    What follows them, from landmark maps to points, stays as it is.

    Args:
        source: an ONNX file of `export_onnx` with `halve=False`.
        path: of the new file.
        crops: (faces, 3, size, size) as the processor makes them, of typical faces: they set the
            ranges of the activations.

    Returns:
        The path.

    Raises:
        KDLandmarksError: without the packages of the extra `export`, without crops, and where
            nothing can be written.
    """
    need_packages("export", "onnx", why="int8")
    import onnx
    from google.protobuf.message import DecodeError
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    if not len(crops):
        raise KDLandmarksError("int8 needs faces to calibrate on: give some")
    path = Path(os.path.expanduser(path))
    check_outputs({"the int8 file": path}, [source])
    # Given a path, onnxruntime would write beside it.
    whole = onnx.load(str(source))
    with new_file(path) as partial, _quiet(), _scratch_errors(DecodeError):
        quantize_static(
            whole,
            str(partial),
            _Crops(crops),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            op_types_to_quantize=["Conv", "Add", "Clip"],
            nodes_to_exclude=_behind_maps(whole.graph),
        )
    return path


def _behind_maps(graph: Any) -> list[str]:
    """The names of the nodes from landmark maps to points: the softmax's, and all that follow."""
    reached: set[str] = set()
    names = []
    for node in graph.node:  # in the order of computing
        if node.op_type == "Softmax" or reached.intersection(node.input):
            reached.update(node.output)
            names.append(node.name)
    return names


def export_openvino(source: str | Path, path: str | Path) -> Path:
    """Write an exported detector in OpenVINO's format: `path` (.xml) and a .bin beside it.

    Args:
        source: an ONNX file of `export_onnx` or `quantize_int8`.
        path: of the new .xml file.

    Returns:
        The path.

    Raises:
        KDLandmarksError: without the package openvino, for a name that does not end with .xml, and
            where nothing can be written.
    """
    need_packages("export", "openvino", why="exporting to OpenVINO")
    openvino = load_openvino()
    path = Path(os.path.expanduser(path))
    if path.suffix.lower() != ".xml":
        raise KDLandmarksError(f"{path}: an OpenVINO model's name ends with .xml")
    # Not by convert_model, which reports its use to the maker.
    network = own_core().read_model(str(source))
    # The weights get their name first: without the .xml they are nobody's model.
    with (
        new_file(path) as partial,
        new_file(path.with_suffix(".bin")) as weights,
        tempfile.TemporaryDirectory() as scratch,
    ):
        made = Path(scratch) / "model.xml"
        with _scratch_errors(RuntimeError):
            openvino.save_model(network, str(made), compress_to_fp16=False)
            own_core().read_model(str(made))
        shutil.copyfile(made, partial)
        shutil.copyfile(made.with_suffix(".bin"), weights)
    return path


def exported_file(network: TorchBackend) -> Path:
    """A detector's ONNX file in the cache (`HF_HOME/kd-landmarks`), made where it is not there.

    Its name is a digest of weights, configuration and crop: another detector has another file.

    Args:
        network: the detector in float32 on the CPU.
    """
    from huggingface_hub.constants import HF_HOME

    model, processor = network.model, network.image_processor
    digest = hashlib.sha256(repr((model.config.to_dict(), processor.to_dict())).encode())
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.contiguous().numpy().tobytes())
    file = Path(HF_HOME) / "kd-landmarks" / f"{digest.hexdigest()[:32]}.onnx"
    if not file.is_file():
        export_onnx(model, processor, file)
    return file


def _halve_weights(exported: Any, model: PreTrainedModel) -> None:
    """Store convolutions' weights as they are in the checkpoint, in float16, times a scale.

    The exporter has multiplied them by the scales of the batch normalizations behind them; a file
    has half the size with the factors apart. Weights that float16 does not hold exactly stay.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    stored = {f"model.{name}": value.float().numpy() for name, value in model.state_dict().items()}
    nodes = []
    for tensor in list(exported.graph.initializer):
        folded, own = numpy_helper.to_array(tensor), stored.get(tensor.name)
        if own is None or own.ndim < 2 or own.shape != folded.shape:
            continue
        half = own.astype(np.float16)
        axes = tuple(range(1, own.ndim))
        size = np.square(own).sum(axes, keepdims=True)
        scale = (folded * own).sum(axes, keepdims=True) / np.maximum(size, 1e-30)
        rebuilt = half.astype(np.float32) * scale
        if not np.allclose(rebuilt, folded, rtol=1e-5, atol=1e-7 * float(np.abs(folded).max())):
            continue
        name = tensor.name
        exported.graph.initializer.remove(tensor)
        for part, values in (("half", half), ("scale", scale.astype(np.float32))):
            exported.graph.initializer.append(numpy_helper.from_array(values, f"{name}.{part}"))
        nodes += [
            helper.make_node("Cast", [f"{name}.half"], [f"{name}.full"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{name}.full", f"{name}.scale"], [name]),
        ]
    for node in reversed(nodes):
        exported.graph.node.insert(0, node)
    onnx.checker.check_model(exported)


class _Plain(nn.Module):
    """The detector with a tuple for an answer."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, ...]:
        output = self.model(pixel_values=pixel_values, return_dict=True)
        return (output.keypoints,) if output.scores is None else (output.keypoints, output.scores)


class _Crops:
    """Crops one by one, as onnxruntime's calibration reads them."""

    def __init__(self, crops: NDArray[np.float32]) -> None:
        self._crops: Iterator[NDArray[np.float32]] = iter(crops)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        crop = next(self._crops, None)
        return None if crop is None else {"pixel_values": crop[None]}


@contextmanager
def _scratch_errors(kind: type[Exception]) -> Iterator[None]:
    """Around a library that makes such errors of a full disk, which it does not tell of."""
    try:
        yield
    except kind as error:
        raise OSError(f"what was written in {tempfile.gettempdir()} is not whole") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporters announce their steps, and warn of what is theirs to know."""
    loggers = [logging.getLogger(name) for name in ("", "torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
