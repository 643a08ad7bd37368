"""How a command on one or many processes ends: all of them, with one line and one exit code."""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import timedelta

import torch.distributed
import typer
from accelerate import PartialState

from ..errors import KDLandmarksError
from ..utils.environment import on_cpus
from ..utils.signals import exit_code, now_ending, stop_requested, stop_signals

# Seconds between looks at how the others are doing, and how long one waits for their answer.
POLL = 0.5
PATIENCE = 5.0
LONGEST_WAIT = timedelta(hours=12)
"""Of a process for another: pseudo-labels of 100,000 faces take hours on a CPU."""
# What gloo says of a connection to a process that is gone, whether it was closed or reset.
_BROKEN = "by peer"


@dataclass(frozen=True)
class Ending:
    """Why a process ends before its work is done, for all others: they end with the same code.

    Attributes:
        code: exit code.
        error: line for stderr; None for a stop by a signal, of which the main process tells.
        rank: of the process.
        node: of the process.
    """

    code: int
    error: str | None
    rank: int
    node: str


@contextmanager
def one_ending(kept: Callable[[], str]) -> Iterator[PartialState]:
    """Around a command's work on all of its processes, which wait for one another in many places.

    A `KDLandmarksError` or `OSError` on any of them is printed once and ends all with exit code 2;
    Ctrl-C and SIGTERM end all with 130 and 143 after a line that begins with `stopped:`; another
    error keeps its traceback and ends all with 1. It takes seconds, wherever the others are
    waiting: they look at the launcher's store, and not at what the failed process would have to
    send them.

    Args:
        kept: what stays of the work and how it goes on, in a line.

    Yields:
        The state of the processes, joined.
    """
    together: _Together | None = None

    def words() -> str | None:
        return kept() if together is None or together.state.is_main_process else None

    with stop_signals(words):
        try:
            # Accelerate takes the process group that it finds: a later wish for time is not heard.
            state = PartialState(cpu=on_cpus(), timeout=LONGEST_WAIT)
            together = _Together.joined(state, words)
            yield state
            if together is not None:
                together.leave()
        except KDLandmarksError as error:
            _end(together, 2, f"error: {error}", words)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            problem = KDLandmarksError(f"{where}{error.strerror or error}")
            _end(together, 2, f"error: {problem}", words)
        except KeyboardInterrupt as stop:
            number = getattr(stop, "number", 2)
            _end(together, exit_code(number), None, words)
        except Exception as error:
            now_ending()
            if together is None:
                raise
            # Where another process ended first, this is but the broken connection to it.
            if not together.ended_before():
                if _BROKEN in str(error):
                    _end(together, 1, "error: another process of this run is gone: killed?", words)
                reason = f"{type(error).__name__}: {error}".splitlines()[0]
                together.tell(1, f"error: process {state.process_index}: {reason}")
                together.wait_until_known()
                raise
            raise typer.Exit(together.first.code) from None


def _end(
    together: "_Together | None", code: int, error: str | None, words: Callable[[], str | None]
) -> None:
    """Say it once, tell the others, and exit with the code of whoever ended first."""
    now_ending()
    first = True
    if together is not None:
        first = together.tell(code, error)
        # Whatever comes behind another's error is its consequence.
        code, error = together.first.code, together.first.error
    line = words()
    if first and error is not None:
        print(error, file=sys.stderr, flush=True)
    elif error is None and line is not None:
        print(f"stopped: {line}", file=sys.stderr, flush=True)
    if first and together is not None:
        together.wait_until_known()
    raise typer.Exit(code) from None


class _Together:
    """This process among the others: what has ended one of them is known to all."""

    def __init__(
        self, state: PartialState, store: torch.distributed.Store, words: Callable[[], str | None]
    ) -> None:
        self.state, self.store, self.words = state, store, words
        self.node = os.environ.get("GROUP_RANK", "0")
        self.leaving = False
        self.over = threading.Event()
        self.first = Ending(1, None, 0, "")
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        self.key, self.answers = f"kd_landmarks/{attempt}/ended", f"kd_landmarks/{attempt}/answers"
        threading.Thread(target=self._watch, daemon=True).start()

    @classmethod
    def joined(cls, state: PartialState, words: Callable[[], str | None]) -> "_Together | None":
        """None for a process that is alone, or without the launcher's store."""
        address, port = (os.environ.get(name) for name in ("MASTER_ADDR", "MASTER_PORT"))
        if state.num_processes == 1 or not address or not port:
            return None
        # A connection of its own: the group's is held by a process that waits on it.
        store = torch.distributed.TCPStore(
            address, int(port), is_master=False, wait_for_workers=False
        )
        return cls(state, store, words)

    def tell(self, code: int, error: str | None) -> bool:
        """Have all others end; whether this process was the first to end, `self.first`."""
        self.over.set()
        ending = Ending(code, error, self.state.process_index, self.node)
        self.first = ending
        with suppress(RuntimeError):  # the store is gone, and with it whoever could be told
            message = json.dumps(asdict(ending))
            self.first = Ending(**json.loads(self.store.compare_set(self.key, "", message)))
            if self.first != ending:
                self.store.add(self.answers, 1)
        return self.first == ending

    def wait_until_known(self) -> None:
        """Stay a moment: the store may be this process's own, and launchers kill who is left."""
        deadline = time.monotonic() + PATIENCE
        with suppress(RuntimeError):
            while self.store.add(self.answers, 0) < self.state.num_processes - 1:
                if time.monotonic() > deadline:
                    return
                time.sleep(0.05)

    def ended_before(self) -> bool:
        """Whether another process has ended; gives it a moment to say so."""
        self.over.set()
        deadline = time.monotonic() + 2 * POLL
        with suppress(RuntimeError):
            while time.monotonic() < deadline:
                if self.store.check([self.key]):
                    self.first = Ending(**json.loads(self.store.get(self.key)))
                    self.store.add(self.answers, 1)
                    return True
                time.sleep(0.05)
        return False

    def leave(self) -> None:
        """The work is done here: wait for the others."""
        self.leaving = True
        if torch.distributed.is_initialized():
            self.state.wait_for_everyone()
            self.state.destroy_process_group()
        self.over.set()

    def _watch(self) -> None:
        while not self.over.wait(POLL):
            try:
                if not self.store.check([self.key]):
                    continue
                ending = Ending(**json.loads(self.store.get(self.key)))
                self.store.add(self.answers, 1)
            except RuntimeError:  # the store is gone, with the launcher or the first process
                if self.leaving or self.over.wait(POLL) or stop_requested():
                    return
                ending = Ending(1, "error: this run's launcher or first process is gone", -1, "")
            if self.over.is_set():
                return
            # The main thread may wait for the other in a library's code, which nothing interrupts.
            line = self.words()
            if ending.error is None and line is not None:
                print(f"stopped: {line}", file=sys.stderr)
            elif ending.error is not None and self._tells(ending):
                print(ending.error, file=sys.stderr)
            sys.stderr.flush()
            os._exit(ending.code)

    def _tells(self, ending: Ending) -> bool:
        """Each node has a log of its own."""
        return self.node != ending.node and self.state.is_local_main_process
