"""Numbers that are not finite: found by all processes together, before a checkpoint keeps them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from ..data.crops import LANDMARK_WEIGHTS
from ..data.rows import TEACHER_COLUMNS
from ..errors import KDLandmarksError
from ..utils.signals import SIGNALS, stop_requested

# Reading a number makes the host wait for a GPU: steps between two looks there, a second or so.
STEPS_BETWEEN_LOOKS = 20
# Steps that fp16's loss scaling leaves out one after another: it begins with a scale that is too
# large for a few, and after this many it is as good as zero.
MOST_SKIPPED = 50


class NotFinite(KDLandmarksError):
    """A loss, weights or an optimizer's state hold NaN or infinity: training diverged."""


class StageMonitor:
    """Looks at a stage's losses, and at whether anybody asked to stop, on all processes at once.

    Args:
        accelerator: of the run.
        sources: where each row of the training faces was read.
    """

    def __init__(self, accelerator: Accelerator, sources: Sequence[str]) -> None:
        self.accelerator = accelerator
        self.sources = sources
        self.every = 1 if accelerator.device.type == "cpu" else STEPS_BETWEEN_LOOKS
        self._new: list[tuple[Tensor, dict[str, Tensor]]] = []
        self._unseen: list[tuple[Tensor, dict[str, Tensor]]] = []
        self._skipped = 0

    def add(self, loss: Tensor, batch: Mapping[str, Tensor]) -> None:
        """Take a batch's loss, and what it was asked to learn; reads no number."""
        names = ("index", "landmarks", *TEACHER_COLUMNS.values(), LANDMARK_WEIGHTS)
        self._new.append((loss.detach(), {name: batch[name] for name in names if name in batch}))

    def step(self, skipped: bool) -> None:
        """Take that an optimizer step was made of these batches, or left out by loss scaling.

        Raises:
            NotFinite: all of the last `MOST_SKIPPED` were left out; on all processes.
        """
        self._skipped = self._skipped + 1 if skipped else 0
        if not skipped:
            self._unseen += self._new
        self._new = []
        if self._skipped >= MOST_SKIPPED:
            raise NotFinite(f"the gradients of the last {MOST_SKIPPED} steps are not finite")

    def due(self, step: int) -> bool:
        """Whether to look after this step: the same answer on all processes."""
        alone = self.accelerator.num_processes == 1 and stop_requested() > 0
        return alone or step % self.every == 0

    def read(self) -> int:
        """Read the losses since the last look; the signal that asks any process to stop, or 0.

        Raises:
            NotFinite: a loss is not finite; on all processes, naming the row that it came from
                where that is what was not finite.
        """
        losses = torch.stack([loss.float() for loss, _ in self._unseen] or [torch.zeros(())])
        flags = torch.zeros(1 + len(SIGNALS), device=self.accelerator.device)
        flags[0] = (~losses.isfinite()).any()
        if stop_requested():
            flags[1 + SIGNALS.index(stop_requested())] = 1
        bad, *asked = self.accelerator.reduce(flags, "sum").tolist()
        if bad:
            found = [self._cause(loss, batch) for loss, batch in self._unseen]
            causes = gather_object([next((cause for cause in found if cause), None)])
            raise NotFinite(next(cause for cause in causes if cause))
        self._unseen.clear()
        return next((number for number, count in zip(SIGNALS, asked, strict=True) if count), 0)

    def _cause(self, loss: Tensor, batch: Mapping[str, Tensor]) -> str | None:
        """What a loss that is not finite came from; None for one that is."""
        if loss.isfinite():
            return None
        for name, values in batch.items():
            if name in ("index", "landmarks"):
                continue  # losses leave out what the ground truth has not
            wrong = ~values.isfinite()
            if name != LANDMARK_WEIGHTS:
                wrong &= batch["landmarks"].isfinite()
            bad = wrong.flatten(1).any(1)
            if bad.any():
                source = self.sources[int(batch["index"][bad][0])]
                return f"the loss is {loss.item()} (the {name} of {source} are not finite)"
        return f"the loss is {loss.item()}"


def check_finite(accelerator: Accelerator, state: Iterable[Any]) -> None:
    """Look at what a checkpoint holds.

    Args:
        accelerator: of the run.
        state: what has a `state_dict()`: the network and its optimizer.

    Raises:
        NotFinite: on all processes, naming a tensor.
    """
    names, verdicts = [], []
    for part in state:
        for name, value in _tensors(part.state_dict(), type(part).__name__):
            names.append(name)
            verdicts.append(value.isfinite().all().to(accelerator.device))
    bad = ~torch.stack(verdicts)
    if accelerator.reduce(bad.any().float(), "sum").item():
        mine = [name for name, is_bad in zip(names, bad.tolist(), strict=True) if is_bad]
        first = next(found[0] for found in gather_object([mine]) if found)
        raise NotFinite(f"the weights are not finite ({first})")


def _tensors(value: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    """All tensors of floats in nested containers, by name."""
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield name, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _tensors(inner, f"{name}.{key}")
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _tensors(inner, f"{name}.{number}")
