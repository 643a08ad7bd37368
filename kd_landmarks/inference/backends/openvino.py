"""An exported detector on OpenVINO."""

import os
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import KDLandmarksError
from ...utils.environment import need_packages
from . import PerProcess
from .onnx import OnnxBackend, checked_outputs

# Some processors would compute in bfloat16, and others not: points are to be the same.
_EXACT = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}


_cores: dict[int, Any] = {}


def load_openvino() -> Any:
    """The package openvino, without the part that reports its use and keeps a number in ~/intel."""
    # With None there, an import fails as if the package were missing, which OpenVINO is ready for.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def own_core() -> Any:
    """The `openvino.Core` of this process, which stays until its end.

    The CPU plugin gives the thread that loads it a stack for signals, and takes that away with the
    core, in whichever thread the last reference goes: Ctrl-C then ends in a segmentation fault.
    """
    process = os.getpid()
    if process not in _cores:
        _cores.setdefault(process, load_openvino().Core())
    return _cores[process]


class OpenVinoBackend:
    """See `Backend`.

    Args:
        path: of an ONNX file of `kd-landmarks export`.

    Raises:
        KDLandmarksError: without the package openvino, and for a file that is missing or broken.
    """

    name = "openvino"

    def __init__(self, path: Path) -> None:
        need_packages("export", "openvino", why="backend='openvino'")
        self.source = str(path)
        self.description = OnnxBackend(path, threads=1).description
        self._requests: PerProcess[_Requests] = PerProcess(self._open, self._open())

    def run(
        self, pixels: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """See `Backend.run`."""
        request = self._requests.get().own()
        try:
            answer = request.infer(pixels)
        except Exception as error:  # openvino raises RuntimeError and its own
            raise KDLandmarksError(f"OpenVINO cannot compute {self.source}: {error}") from error
        # The request's own memory: the next one writes there.
        outputs = [np.array(output) for output in answer.values()]
        return checked_outputs(outputs, len(pixels), self.source)

    def _open(self) -> "_Requests":
        try:
            return _Requests(own_core().compile_model(self.source, "CPU", _EXACT))
        except Exception as error:  # openvino raises RuntimeError and its own
            raise KDLandmarksError(f"cannot load {self.source}: {error}") from error


class _Requests:
    """A compiled network with a request for each thread: one computes for one thread at a time."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._here = threading.local()

    def own(self) -> Any:
        if not hasattr(self._here, "request"):
            self._here.request = self._compiled.create_infer_request()
        return self._here.request
