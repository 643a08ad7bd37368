"""Where the processes of one run compute."""

import torch
from accelerate.utils import parse_flag_from_env


def on_cpus() -> bool:
    """Whether a run is to stay on CPUs: it was told to, or there is nothing else here.

    Accelerate joins processes on CPUs only when it is told that they are on CPUs (`cpu=`). Started
    without it, each takes itself for the only one, and does the whole work again.
    """
    return parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
