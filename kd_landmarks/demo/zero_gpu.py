"""Hugging Face's ZeroGPU lends a GPU to marked functions; anywhere else the mark means nothing.

Import this before torch: `spaces` has to be there first.
"""

from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

try:
    import spaces
except ImportError:
    spaces = None

LENT = spaces is not None
"""Whether GPUs are lent here."""


def on_gpu(function: Function) -> Function:
    """Mark a function that computes with the networks."""
    return function if spaces is None else spaces.GPU(function)
