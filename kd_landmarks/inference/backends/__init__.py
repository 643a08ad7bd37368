"""What computes: ONNX Runtime, OpenVINO or torch, with one face to the pipeline.

A backend is given crops and answers with points. It can be pickled and copied, used by several
threads at once, and used in a process that was forked: it opens its network anew there.
"""

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...errors import KDLandmarksError, shown
from ...utils.environment import checked_device, need_packages
from ...utils.values import one_of
from ..checkpoints import (
    INT8_FILE,
    ONNX_FILE,
    CheckpointFiles,
    HubDownError,
    default_checkpoint,
    find_checkpoint,
)
from ..description import Description

BACKENDS = ("onnxruntime", "openvino", "torch")
_FLOAT32 = ("None", "auto", "float32", "torch.float32")
_DTYPES = (None, "auto", "float32", "float16", "bfloat16", "float64", "int8")
_CPU = ("cpu", "-1")
# Bytes of an exported file, far beyond any detector: what has more is not downloaded.
MOST_ONNX = 2**30

OpenedT = TypeVar("OpenedT")
_abandoned: list[Any] = []


class Backend(Protocol):
    """A network that is ready to compute.

    Attributes:
        name: of `BACKENDS`.
        source: where the network came from, for messages.
        description: its crop, normalization, landmarks and calibration.
    """

    name: str
    source: str
    description: Description

    def run(
        self, pixels: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Points of faces.

        Args:
            pixels: (faces, 3, size, size) as `Description.normalize` makes them; at least one.

        Returns:
            Keypoints (faces, N, 2) in crop units, and scores (faces, N) from 0 to 1, or None for a
            head without.

        Raises:
            KDLandmarksError: where it cannot compute.
        """
        ...


class PerProcess(Generic[OpenedT]):
    """Something that a forked or another process has to open for itself.

    Args:
        opened: by this process.
        reopen: makes another one.
    """

    def __init__(self, reopen: Callable[[], OpenedT], opened: OpenedT | None = None) -> None:
        self._reopen = reopen
        self._opened = opened
        self._process = os.getpid() if opened is not None else 0

    def get(self) -> OpenedT:
        """It, opened in this process. Threads that come at the same time may open two."""
        opened = self._opened
        if opened is None or self._process != os.getpid():
            # To end what came along with a fork would wait for threads that did not.
            _abandoned.append(opened)
            self._opened = opened = self._reopen()
            self._process = os.getpid()
        return opened

    def __getstate__(self) -> dict[str, Any]:
        return {"_reopen": self._reopen, "_opened": None, "_process": 0}


def open_backend(
    model: Any = None,
    image_processor: Any = None,
    *,
    backend: str | None = None,
    device: Any = None,
    dtype: Any = None,
) -> Backend:
    """A detector on the runtime that was asked for, or on the quickest that it has files for.

    Args:
        model: an ONNX file, a checkpoint's folder, a Hub id, a loaded detector, a backend; None for
            the student that comes with the package.
        image_processor: for a loaded detector its image processor, or where one lies; None takes it
            from where the detector came from.
        backend: one of `BACKENDS`; None is `onnxruntime` where the model is an ONNX file or has one
            and neither `device` nor `dtype` asks for torch, else `torch`.
        device: for torch; others compute on the CPU.
        dtype: for torch the floats that it computes with; for ONNX Runtime `int8` takes the
            checkpoint's int8 file.

    Raises:
        KDLandmarksError: for a model that is not there or not a kd-landmarks detector, packages
            that are missing, and what a backend cannot do.
    """
    if backend is not None:
        one_of("backend", backend, BACKENDS)
    _check_dtype(dtype)
    on_cpu = device is None or str(device) in _CPU
    if backend in ("onnxruntime", "openvino") and not on_cpu:
        raise KDLandmarksError(
            f"device={shown(device)}: {backend} computes on the CPU here; give backend='torch'"
        )
    if not on_cpu:  # before the work of loading anything
        need_packages("train", "torch", why=f"device={shown(device)}")
        checked_device(device)
    if hasattr(model, "run") and hasattr(model, "description"):
        return model
    if model is None:
        model = default_checkpoint()
    if not isinstance(model, str | os.PathLike):
        files = None
    else:
        model = os.fspath(model)
        if model.lower().endswith(".onnx"):
            if backend == "torch":
                raise KDLandmarksError(f"{model} is an ONNX file, which torch cannot run")
            file = Path(os.path.expanduser(model))
            return _on_runtime(file, backend or "onnxruntime", dtype)
        files = find_checkpoint(model)
    name = INT8_FILE if dtype == "int8" else ONNX_FILE
    exported = files is not None and name in files.sizes and image_processor is None
    if backend is None:
        asks_torch = not on_cpu or str(dtype) not in (*_FLOAT32, "int8")
        backend = "onnxruntime" if exported and not asks_torch else "torch"
    if dtype == "int8" and not (exported and backend == "onnxruntime"):
        raise KDLandmarksError(
            f"dtype='int8' needs ONNX Runtime and a checkpoint with {INT8_FILE}: "
            f"{shown(model)} on {backend} has none; `kd-landmarks export --int8` makes one"
        )
    if backend != "torch" and exported:
        assert files is not None
        try:
            file = files.path(name, MOST_ONNX)
        except HubDownError as error:
            from ..hub_checkpoints import cached_checkpoint

            earlier = cached_checkpoint(files.source, None, error)
            if earlier is None or name not in earlier.sizes:
                raise
            file = earlier.path(name, MOST_ONNX)
        return _on_runtime(file, backend, dtype)
    return _on_torch(model, image_processor, files, backend, device, dtype)


def _on_torch(
    model: Any,
    image_processor: Any,
    files: CheckpointFiles | None,
    backend: str,
    device: Any,
    dtype: Any,
) -> Backend:
    """A checkpoint's own weights on torch, or exported from there for another runtime."""
    what = f"{model} has no {ONNX_FILE}, so it" if files is not None else "a loaded detector"
    need_packages("train", "torch", "transformers", "timm", why=what)
    from .torch import TorchBackend

    if backend == "torch":
        return TorchBackend(model, image_processor, device=device, dtype=dtype)
    if not isinstance(model, str | os.PathLike):
        model = copy.deepcopy(model)  # the caller's stays where and as it is
    network = TorchBackend(model, image_processor, device="cpu", dtype="float32")
    from ..export import exported_file

    return _on_runtime(exported_file(network), backend, dtype)


def _on_runtime(file: Path, backend: str, dtype: Any) -> Backend:
    if str(dtype) not in (*_FLOAT32, "int8"):
        raise KDLandmarksError(
            f"dtype={shown(dtype)}: {backend} computes in float32; give backend='torch'"
        )
    if backend == "openvino":
        from .openvino import OpenVinoBackend

        return OpenVinoBackend(file)
    from .onnx import OnnxBackend

    return OnnxBackend(file)


def _check_dtype(dtype: Any) -> None:
    """Refuse what is not a type of floats, or `int8`, before torch is imported."""
    named = str(dtype).removeprefix("torch.") if type(dtype).__name__ == "dtype" else dtype
    if not isinstance(named, str | None) or named not in _DTYPES:
        raise KDLandmarksError(
            f"dtype={shown(dtype)} is not a type of floats: give float32, float16, bfloat16, "
            "float64 or one of torch's own, or int8"
        )
