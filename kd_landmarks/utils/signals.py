"""Ctrl-C and SIGTERM: work ends where it can go on later, and what it started ends with it."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# Launchers hand a signal on that the terminal has sent to everybody: within this many seconds it
# is the same one.
SAME_SIGNAL = 0.5
WORKER_STAYS = 20
SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""That ask to end."""


class Stopped(KeyboardInterrupt):
    """Somebody asked this process to end, by Ctrl-C (SIGINT) or SIGTERM."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class _Listener:
    """What has been received, and whether the work ends at once or at its next step."""

    def __init__(self, kept: Callable[[], str | None]) -> None:
        self.kept = kept
        self.number = 0
        self.since = 0.0
        self.between_steps = False

    def take(self, number: int, frame: FrameType | None) -> None:
        if not self.number:
            self.number, self.since = number, time.monotonic()
            if not self.between_steps:
                raise Stopped(number)
            if self.kept() is not None:
                # Not by print: the main thread may be in the middle of one.
                os.write(2, b"\nstopping at the next step; Ctrl-C once more stops at once\n")
        elif number == signal.SIGINT and time.monotonic() - self.since > SAME_SIGNAL:
            line = self.kept()
            if line is not None:
                os.write(2, f"\nstopped: {line}\n".encode())
            os._exit(exit_code(number))


_listener: _Listener | None = None


@contextmanager
def stop_signals(kept: Callable[[], str | None]) -> Iterator[None]:
    """Around a command's work: SIGINT and SIGTERM raise `Stopped` in it, a second Ctrl-C ends it.

    Processes that are forked meanwhile (the loader's) leave signals to this one, and end when it
    ends, even by SIGKILL (Linux). Does nothing outside of the main thread, and leaves a signal
    alone that is ignored, as SIGINT is for what a shell runs in the background.

    Args:
        kept: what stays of the work and how it goes on, in a line, for the second Ctrl-C; None for
            a process that leaves such words to another.
    """
    global _listener
    if threading.current_thread() is not threading.main_thread() or _listener is not None:
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    _listener = _Listener(kept)
    _follow_launcher()
    try:
        for number, handler in before.items():
            if handler != signal.SIG_IGN:
                signal.signal(number, _listener.take)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        _listener = None


@contextmanager
def stopping_between_steps() -> Iterator[None]:
    """Around steps after each of which the work looks at `stop_requested` and saves what it has.

    Raises:
        Stopped: behind the last step, where there was no such look in between.
    """
    listener = _listener
    if listener is None:
        yield
        return
    listener.between_steps = True
    try:
        yield
    finally:
        listener.between_steps = False
    if listener.number:
        raise Stopped(listener.number)


def stop_requested() -> int:
    """The number of the signal that asks to end, 0 for none."""
    return 0 if _listener is None else _listener.number


def now_ending() -> None:
    """The work has ended and its last words follow: leave those alone, but for one more Ctrl-C."""
    if _listener is not None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def exit_code(number: int) -> int:
    """What a shell calls the end by a signal: 130 for Ctrl-C, 143 for SIGTERM."""
    return 128 + number


def quiet_start() -> None:
    """For the first lines of a program: Ctrl-C ends it without a traceback until it listens."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def loader_worker(*_: object) -> None:
    """A `DataLoader`'s `worker_init_fn`: signals are for the process that the worker loads for.

    Some launchers send SIGTERM to everybody, but the other process may need a batch more to end
    well. A worker that is still there after `WORKER_STAYS` seconds, since it hangs, ends then.
    """
    follow_parent()
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(WORKER_STAYS))


def follow_parent() -> None:
    """Leave Ctrl-C to the process that this one works for, and end when that one ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end_with_parent(signal.SIGKILL)


@contextmanager
def starting_processes() -> Iterator[None]:
    """Around the start of processes that `follow_parent`: Ctrl-C does not reach them before that.

    What is started has the signal blocked from its first instruction on, where there are such
    masks (not on Windows); this process gets it behind the block.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _follow_launcher() -> None:
    """A launcher that is killed leaves its processes behind: have them stop then."""
    if "ACCELERATE_DYNAMO_BACKEND" in os.environ or "TORCHELASTIC_RUN_ID" in os.environ:
        _end_with_parent(signal.SIGTERM)


_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1  # of Linux's prctl.h


def _end_with_parent(number: int) -> None:
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(number))
    parent = multiprocessing.parent_process()
    if parent is not None and not parent.is_alive():  # it was quicker
        os.kill(os.getpid(), number)


def _after_fork() -> None:
    global _listener
    if _listener is not None:
        _listener = None
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        follow_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
