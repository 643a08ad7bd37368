"""The order in which training faces are fetched and shuffled while they are streamed."""

from __future__ import annotations

import math

import numpy as np

from .crops import FaceCrops, TrainingOrder, item_seed


class StreamOrder(TrainingOrder):
    """As `TrainingOrder`, but such that each reader stays with a few row groups for a while.

    Readers are the loader's workers of all processes. Batches go round them, so that every face
    still comes exactly once in every `length` keys, whatever their number, and a batch is one
    reader's. A reader takes a block of row groups from a shuffled queue, fetches them, gives their
    faces in random order and takes the next block. No two readers fetch the same group, until the
    queue is empty: then those that are through take over what others have left.

    The order follows from the arguments alone. A run that continues needs no state of its loader,
    and fetches at most a block per reader again.

    Args:
        groups: for each row group the numbers of its rows.
        at_once: row groups of a block, at most; what a reader can hold.
        batch_size: faces of a batch.
        readers: processes times workers of each.
        total: keys of the whole run.
        seed: of the shuffles.
        start: keys that a resumed run has behind it; whole batches.
    """

    def __init__(
        self,
        groups: list[np.ndarray],
        at_once: int,
        batch_size: int,
        readers: int,
        total: int,
        seed: int,
        start: int = 0,
    ) -> None:
        super().__init__(sum(map(len, groups)), total, seed, start)
        self.groups = groups
        self.at_once = at_once
        self.batch_size = batch_size
        self.readers = readers

    def epoch_order(self, epoch: int) -> list[int]:
        """The rows of an epoch, each once."""
        rng = np.random.default_rng(item_seed(self.seed, epoch))
        queue = [self.groups[number] for number in rng.permutation(len(self.groups))]
        # What each reader has left of its block.
        left = [np.empty(0, int) for _ in range(self.readers)]
        order: list[int] = []
        begin = epoch * self.length
        while len(order) < self.length:
            position = begin + len(order)
            reader = position // self.batch_size % self.readers
            wanted = self.batch_size - position % self.batch_size
            if not len(left[reader]) and queue:
                block = [queue.pop() for _ in range(self._block_size(len(queue)))]
                left[reader] = rng.permutation(np.concatenate(block))
            elif not len(left[reader]):
                richest = max(range(self.readers), key=lambda other: len(left[other]))
                share = max(len(left[richest]) // 2, wanted)
                left[reader], left[richest] = np.split(left[richest], [share])
            taken, left[reader] = np.split(left[reader], [wanted])
            order += taken.tolist()
        return order

    def _block_size(self, waiting: int) -> int:
        """Smaller towards the epoch's end, so that all readers come to it at about one time."""
        return min(self.at_once, math.ceil(waiting / (2 * self.readers)))


def training_order(
    crops: FaceCrops, batch_size: int, readers: int, total: int, seed: int, start: int = 0
) -> TrainingOrder:
    """The keys of a training run on these crops, streamed or not; see the classes."""
    if not crops.photos.streamed:
        return TrainingOrder(len(crops), total, seed, start)
    groups, at_once = crops.photos.groups(), crops.photos.groups_at_once
    return StreamOrder(groups, at_once, batch_size, readers, total, seed, start)
