"""Detectors for other runtimes: ONNX, int8 ONNX, OpenVINO."""

import json
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .. import __version__
from ..data.columns import box_array, spread
from ..data.photos import Photos
from ..errors import KDLandmarksError
from ..models import KDLandmarksForKeypointDetection, KDLandmarksImageProcessor
from ..models.crops import crop_faces
from ..models.loading import detector_scheme
from ..utils.files import check_outputs, new_file
from .onnx import METADATA

# Of the files: what ONNX Runtime 1.20 and OpenVINO 2024.6, the oldest that we ask for, both read.
OPSET = 18


def export_onnx(
    model: KDLandmarksForKeypointDetection,
    processor: KDLandmarksImageProcessor,
    path: str | Path,
) -> Path:
    """Write a detector as one ONNX file.

    Its input is `pixel_values`, (faces, 3, size, size) float32 as the processor makes them, for any
    number of faces; its outputs are `keypoints` (faces, N, 2) in crop units and, where the head has
    them, `scores` (faces, N). The metadata tell crop, normalization, landmarks and version.

    Args:
        model: the detector.
        processor: its image processor.
        path: of the new file.

    Returns:
        The path.

    Raises:
        KDLandmarksError: without the packages of the extra `onnx`, and where nothing can be
            written.
    """
    need("onnx", "onnxscript")
    import onnx

    path = Path(os.path.expanduser(path))
    scheme = detector_scheme(model, "the detector")
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
    told = {
        "version": __version__,
        "crop_margin": processor.crop_margin,
        "image_size": size,
        "image_mean": list(processor.image_mean),
        "image_std": list(processor.image_std),
        "scheme": scheme.to_dict(),
        "confidence": model.config.confidence,
    }
    onnx.helper.set_model_props(exported, {METADATA: json.dumps(told)})
    with new_file(path) as partial:
        onnx.save(exported, str(partial))
    return path


def quantize_int8(source: str | Path, path: str | Path, crops: NDArray[np.float32]) -> Path:
    """Write an exported detector with 8-bit weights and activations in its convolutions.

    What follows them, from landmark maps to points, stays as it is.

    Args:
        source: an ONNX file of `export_onnx`.
        path: of the new file.
        crops: (faces, 3, size, size) as the processor makes them, of typical faces: they set the
            ranges of the activations.

    Returns:
        The path.

    Raises:
        KDLandmarksError: without the packages of the extra `onnx`, without crops, and where nothing
            can be written.
    """
    need("onnx", "onnxruntime")
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
        )
    return path


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
    need("openvino")
    import openvino

    path = Path(os.path.expanduser(path))
    if path.suffix.lower() != ".xml":
        raise KDLandmarksError(f"{path}: an OpenVINO model's name ends with .xml")
    converted = openvino.convert_model(str(source))
    # The weights get their name first: without the .xml they are nobody's model.
    with (
        new_file(path) as partial,
        new_file(path.with_suffix(".bin")) as weights,
        tempfile.TemporaryDirectory() as scratch,
    ):
        made = Path(scratch) / "model.xml"
        with _scratch_errors(RuntimeError):
            openvino.save_model(converted, str(made), compress_to_fp16=False)
            openvino.Core().read_model(str(made))
        shutil.copyfile(made, partial)
        shutil.copyfile(made.with_suffix(".bin"), weights)
    return path


class _Plain(nn.Module):
    """The detector with a tuple for an answer."""

    def __init__(self, model: KDLandmarksForKeypointDetection) -> None:
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


def need(*packages: str) -> None:
    """Refuse to go on without packages of the extras.

    Raises:
        KDLandmarksError: naming those that are missing.
    """
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise KDLandmarksError(
            f"{', '.join(missing)} is missing: pip install 'kd-landmarks[onnx,openvino]'"
        )


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


def processed_crops(
    rows: Any, processor: KDLandmarksImageProcessor, count: int
) -> NDArray[np.float32]:
    """What the network sees of `count` faces evenly spread over rows, to calibrate with.

    Args:
        rows: in the row format.
        processor: the detector's.
        count: at most this many.

    Returns:
        (faces, 3, size, size).
    """
    photos = Photos(rows)
    boxes = box_array(rows)
    chosen = spread(len(rows), count)
    crops = [crop_faces(photos.open(index), boxes[[index]], processor) for index in chosen]
    return torch.cat(crops).numpy()
