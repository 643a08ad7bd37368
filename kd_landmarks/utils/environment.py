"""The machine: what torch can compute on, and how a process uses cores and memory.

torch is imported where it is needed, so that the file can be read without it.
"""

import ctypes
import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ..errors import KDLandmarksError, shown

if TYPE_CHECKING:
    import torch


class MissingPackageError(KDLandmarksError, ImportError):
    """A package of one of the extras is not installed; the message says how to install it."""


_EXTRAS = {
    "video": ("av",),
    "space": ("gradio",),
    "export": ("onnx", "onnxscript", "openvino"),
    "train": (
        *("accelerate", "datasets", "h5py", "jinja2", "matplotlib", "pandas", "pyarrow"),
        *("pydantic", "safetensors", "scipy", "timm", "torch"),
        *("torchvision", "transformers"),
    ),
}


def explain_missing(error: ModuleNotFoundError, what: str = "this") -> MissingPackageError | None:
    """What to install where an import has failed; None if no extra of kd-landmarks brings it.

    Args:
        error: of the import.
        what: needs the package.
    """
    name = (error.name or "").partition(".")[0]
    extra = next((extra for extra, names in _EXTRAS.items() if name in names), None)
    if extra is None:
        return None
    return MissingPackageError(f"{what} needs {name}: pip install 'kd-landmarks[{extra}]'")


def need_packages(extra: str | None, *packages: str, why: str = "this") -> None:
    """Refuse to go on without some packages, before anything of them is imported.

    Args:
        extra: of kd-landmarks that brings them, such as `train`; None for packages that none has.
        packages: as they are imported.
        why: what needs them.

    Raises:
        KDLandmarksError: naming the packages that are missing and how to install them.
    """
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        what = " ".join(missing) if extra is None else f"'kd-landmarks[{extra}]'"
        raise MissingPackageError(f"{why} needs {', '.join(missing)}: pip install {what}")


def devices() -> list[str]:
    """The names of what torch can compute on here, the first choice first."""
    import torch

    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is None:
        return ["cpu"]
    count = torch.accelerator.device_count()
    return [*(f"{accelerator.type}:{number}" for number in range(count)), "cpu"]


def checked_device(device: Any) -> "torch.device | None":
    """A device on which torch can compute, tried; None for None.

    Args:
        device: its name (`cpu`, `cuda`, `cuda:1`, `mps`), a `torch.device`, or the accelerator's
            number; -1 for the CPU, as transformers' pipelines take it.

    Raises:
        KDLandmarksError: naming it and those that there are.
    """
    if device is None:
        return None
    import torch

    try:
        if isinstance(device, int) and not isinstance(device, bool):
            found = torch.device("cpu" if device < 0 else device)
        elif isinstance(device, str | torch.device):
            found = torch.device(device)
        else:
            raise TypeError
        torch.zeros(1, device=found).item()
    except Exception as error:  # torch's, and those of each accelerator's driver
        raise KDLandmarksError(
            f"device={shown(device)} is not available: give one of {', '.join(devices())}"
        ) from error
    return found


def on_cpus() -> bool:
    """Whether a run is to stay on CPUs: it was told to, or there is nothing else here.

    Accelerate joins processes on CPUs only when it is told that they are on CPUs (`cpu=`). Started
    without it, each takes itself for the only one, and does the whole work again.
    """
    import torch
    from accelerate.utils import parse_flag_from_env

    return parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()


def keep_freed_memory() -> None:
    """Let the C library keep freed memory for the next tensors, instead of giving it back.

    A training step on a CPU allocates the same large tensors again and again. glibc maps each of
    them anew, and the system clears every page of it: about a fifth of a step's time
    (`benchmarks/cpu_settings.py`). The process keeps its largest size until it ends. What the user
    says through glibc's own variables (`MALLOC_MMAP_MAX_`, `MALLOC_TRIM_THRESHOLD_`) stays; other C
    libraries have no such setting, and nothing is done.
    """
    mallopt = None if os.name == "nt" else getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    # Parameters' numbers are those of glibc's malloc.h.
    for variable, parameter, value in (
        ("MALLOC_MMAP_MAX_", -4, 0),
        ("MALLOC_TRIM_THRESHOLD_", -1, 2**31 - 1),
    ):
        if variable not in os.environ:
            mallopt(parameter, value)
