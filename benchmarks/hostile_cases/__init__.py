"""Damaged photos, checkpoints, data sets and recipes, and what is tried with each."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

Try = Callable[[], Any]
"""Uses what was made; raises what the package raises."""


@dataclass(frozen=True)
class Case:
    """A damaged file, or a folder with some.

    Attributes:
        name: what is wrong with it; of each case another.
        make: writes it into an empty folder, by chances of its own, and says what to try.
    """

    name: str
    make: Callable[[Path, Random], Try]
