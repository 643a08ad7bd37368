"""The order of a stream: every face once an epoch, and each row group for one reader."""

from collections import Counter, OrderedDict
from itertools import pairwise

import numpy as np
import pytest

from kd_landmarks.data.stream_order import StreamOrder

AT_ONCE, BATCH = 4, 5


@pytest.fixture(scope="module")
def layout():
    """120 row groups of 1 to 12 faces: the numbers of their rows."""
    sizes = np.random.default_rng(3).integers(1, 13, 120)
    return np.split(np.arange(sizes.sum()), np.cumsum(sizes)[:-1])


@pytest.mark.parametrize("readers", [1, 2, 3, 8])
def test_every_face_comes_once_in_every_epoch(layout, readers):
    length = sum(map(len, layout))
    order = StreamOrder(layout, AT_ONCE, BATCH, readers, total=3 * length + 17, seed=1)
    keys = list(order)
    assert len(keys) == len(order) == 3 * length + 17
    for epoch in range(3):
        part = keys[epoch * length : (epoch + 1) * length]
        assert sorted(part) == list(range(epoch * length, (epoch + 1) * length))
    rows = [[key % length for key in keys[begin : begin + length]] for begin in (0, length)]
    assert rows[0] != rows[1]
    start = BATCH * readers * (length // (BATCH * readers) + 2)
    resumed = StreamOrder(
        layout, AT_ONCE, BATCH, readers, total=3 * length + 17, seed=1, start=start
    )
    assert list(resumed) == keys[start:]
    assert list(StreamOrder(layout, AT_ONCE, BATCH, readers, 3 * length + 17, seed=2)) != keys


@pytest.mark.parametrize("readers", [1, 2, 8])
def test_readers_share_the_row_groups_out(layout, readers):
    length = sum(map(len, layout))
    group_of = {row: number for number, group in enumerate(layout) for row in group.tolist()}
    held = [OrderedDict() for _ in range(readers)]
    fetched = Counter()
    epochs = 3
    for position, key in enumerate(
        StreamOrder(layout, AT_ONCE, BATCH, readers, epochs * length, seed=1)
    ):
        reader, group = position // BATCH % readers, group_of[key % length]
        if group not in held[reader]:
            fetched[group] += 1
            while len(held[reader]) >= AT_ONCE:
                held[reader].popitem(last=False)
        held[reader][group] = held[reader].pop(group, None)
    assert set(fetched) == set(range(len(layout)))
    # What the others take over at an epoch's end is fetched twice.
    assert sum(fetched.values()) <= epochs * (len(layout) + 2 * (readers - 1))


def test_a_block_mixes_its_row_groups(layout):
    group_of = {row: number for number, group in enumerate(layout) for row in group.tolist()}
    rows = StreamOrder(layout, AT_ONCE, BATCH, 1, 500, seed=1).epoch_order(0)[:16]
    groups = [group_of[row] for row in rows]
    assert 2 <= len(set(groups)) <= AT_ONCE
    assert sum(one != other for one, other in pairwise(groups)) > 4
