"""A detector on another runtime, for the pipeline: ONNX Runtime or OpenVINO."""

import copy
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub.constants import HF_HOME
from numpy.typing import NDArray
from torch import Tensor

from ..models import KDLandmarksForKeypointDetection, KDLandmarksImageProcessor, KDLandmarksOutput
from ..models.modeling_kd_landmarks import KDLandmarksPreTrainedModel
from ..utils.values import one_of
from .export import export_onnx, need
from .onnx import OnnxDetector
from .pipeline import BACKENDS


class RuntimeDetector(KDLandmarksPreTrainedModel):
    """Answers as the detector that it was made of, from another runtime, on the CPU.

    Args:
        model: the detector.
        processor: its image processor.
        backend: `onnxruntime` or `openvino`.

    Raises:
        KDLandmarksError: for another backend, and without its packages.
    """

    def __init__(
        self,
        model: KDLandmarksForKeypointDetection,
        processor: KDLandmarksImageProcessor,
        backend: str,
    ) -> None:
        super().__init__(model.config)
        one_of("backend", backend, BACKENDS[1:])
        # What tells transformers the device and the floats.
        self.place = torch.nn.Parameter(torch.zeros(1), requires_grad=False)
        file = exported_file(model, processor)
        self._run = OnnxDetector(file).run if backend == "onnxruntime" else _openvino(file)

    def forward(self, pixel_values: Tensor, **_: Any) -> KDLandmarksOutput:
        """(faces, 3, size, size) to keypoints and scores."""
        outputs = self._run(np.ascontiguousarray(pixel_values.float().cpu().numpy()))
        keypoints, *scores = (torch.from_numpy(np.array(output)) for output in outputs)
        return KDLandmarksOutput(keypoints=keypoints, scores=scores[0] if scores else None)


def exported_file(
    model: KDLandmarksForKeypointDetection, processor: KDLandmarksImageProcessor
) -> Path:
    """The detector's ONNX file in the cache (`HF_HOME/kd-landmarks`), made where it is not there.

    Its name is a digest of weights, configuration and crop: another detector has another file.
    """
    digest = hashlib.sha256(repr((model.config.to_dict(), processor.to_dict())).encode())
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    file = Path(HF_HOME) / "kd-landmarks" / f"{digest.hexdigest()[:32]}.onnx"
    if not file.is_file():
        plain = copy.deepcopy(model).float().cpu()  # the caller's stays as it is
        export_onnx(plain, processor, file)
    return file


def _openvino(file: Path) -> Any:
    need("openvino")
    import openvino

    # Some processors would compute in bfloat16, and others not: points are to be the same.
    exact = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    compiled = openvino.Core().compile_model(str(file), "CPU", exact)

    def run(crops: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        return list(compiled(crops).values())

    return run
