"""Draw many faces on several cores."""

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

import cv2

from ..errors import KDLandmarksError
from ..utils.signals import follow_parent, starting_processes

# Fewer faces are drawn sooner than a process has started.
FACES_PER_PROCESS = 100
_CHUNK = 16


@contextmanager
def faces_drawn_by(
    processes: int, draw: Callable[[int], dict[str, Any]]
) -> Iterator[Callable[[list[int]], dict[str, list[Any]]]]:
    """A function from a batch of seeds to the columns of their rows.

    The processes start with the first batch. They are started anew and not forked: a fork takes
    along locks that other threads of this process hold (OpenCV's, a server's), but not the threads
    that would open them, and may wait forever.

    Args:
        processes: to draw in; 1 draws in this one.
        draw: from a seed to a row; it must be possible to pickle it.

    Raises:
        KDLandmarksError: if a process ends before its work is done.
    """
    if processes == 1:
        # One thread is quickest for pictures this small.
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            yield lambda seeds: _columns(map(draw, seeds))
        finally:
            cv2.setNumThreads(threads)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, initializer=_start)
    try:
        yield lambda seeds: _columns(_handed_out(pool, draw, seeds))
    except BrokenProcessPool:
        raise KDLandmarksError(
            "a process that generates faces died: it ran out of memory, or the script does not "
            'start its work under if __name__ == "__main__". num_proc=None generates without '
            "extra processes"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _handed_out(
    pool: ProcessPoolExecutor, draw: Callable[[int], dict[str, Any]], seeds: list[int]
) -> Iterator[dict[str, Any]]:
    with starting_processes():
        return pool.map(draw, seeds, chunksize=_CHUNK)


def _start() -> None:
    follow_parent()
    cv2.setNumThreads(1)


def _columns(rows: Iterable[dict[str, Any]]) -> dict[str, list[Any]]:
    found = list(rows)
    return {name: [row[name] for row in found] for name in found[0]}
