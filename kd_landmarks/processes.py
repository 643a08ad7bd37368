"""Where the processes of one run compute, and how they use memory there."""

import ctypes
import os

import torch
from accelerate.utils import parse_flag_from_env


def on_cpus() -> bool:
    """Whether a run is to stay on CPUs: it was told to, or there is nothing else here.

    Accelerate joins processes on CPUs only when it is told that they are on CPUs (`cpu=`). Started
    without it, each takes itself for the only one, and does the whole work again.
    """
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
