"""Trying cases, each in a process of its own that is forked from one that has imported all."""

import contextlib
import io
import json
import os
import resource
import selectors
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from kd_landmarks.errors import LONGEST_LINE, KDLandmarksError

from . import Case

AT_ONCE = 2
LIMIT_SECONDS = 60.0
LIMIT_BYTES = 8 * 2**30
"""Address space of a case beyond what its process began with: this machine's own safety."""

ANSWERED, REFUSED, FOREIGN = "answered", "refused", "foreign"


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Attributes:
        name: of the case.
        kind: `ANSWERED`, `REFUSED` (in words of the package's own) or `FOREIGN`.
        told: the message, or what came instead of one.
        seconds: that it took.
        megabytes: of memory at the most, beyond what the process began with.
    """

    name: str
    kind: str
    told: str
    seconds: float
    megabytes: float


@dataclass
class _Running:
    case: Case
    process: int
    pipe: int
    folder: Path
    began: float


def try_cases(cases: Sequence[Case], folder: Path, seed: int) -> Iterator[Outcome]:
    """The outcome of each case, as they end.

    Args:
        cases: to try, a few at once.
        folder: for their files, which are removed after each.
        seed: of their chances.
    """
    waiting = list(reversed(cases))
    with selectors.DefaultSelector() as selector:
        running = 0
        while waiting or running:
            while waiting and running < AT_ONCE:
                begun = _begin(waiting.pop(), folder, seed)
                selector.register(begun.pipe, selectors.EVENT_READ, begun)
                running += 1
            ready = [key.data for key, _ in selector.select(timeout=1.0)]
            now = time.monotonic()
            everyone = [key.data for key in selector.get_map().values()]
            late = [one for one in everyone if now - one.began > LIMIT_SECONDS and one not in ready]
            for one in (*ready, *late):
                selector.unregister(one.pipe)
                running -= 1
                yield _end(one, late=one in late)


def _begin(case: Case, folder: Path, seed: int) -> _Running:
    own = folder / f"{abs(hash(case.name)):x}"
    own.mkdir()
    attempt = case.make(own, Random(f"{seed} {case.name}"))
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if not process:
        os.close(reading)
        _in_child(attempt, own, writing)
    os.close(writing)
    return _Running(case, process, reading, own, time.monotonic())


def _in_child(attempt: Any, folder: Path, pipe: int) -> None:
    """Try, tell, and end without a word to anybody else."""
    try:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for handle in (0, 1, 2):
            os.dup2(nowhere, handle)
        os.chdir(folder)
        size = _status("VmSize") * 2**20 + LIMIT_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (int(size), int(size)))
        Path("/proc/self/clear_refs").write_text("5")  # the peak of memory begins anew
        before, start = _status("VmRSS"), time.monotonic()
        kind, told = _outcome(attempt)
        seconds, megabytes = time.monotonic() - start, _status("VmHWM") - before
        os.write(pipe, json.dumps([kind, told[:3000], seconds, max(0.0, megabytes)]).encode())
    finally:
        os._exit(0)


def _outcome(attempt: Any) -> tuple[str, str]:
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            attempt()
    except KDLandmarksError as error:
        return _if_clear(str(error))
    except BaseException as error:
        lines = [line for line in printed.getvalue().splitlines() if line.startswith("error: ")]
        if getattr(error, "exit_code", None) == 2 and lines:  # typer's, of a command
            return _if_clear(lines[0])
        place = traceback.extract_tb(error.__traceback__)[-1]
        told = f"{type(error).__name__}: {error}"[:400]
        return FOREIGN, f"{told} ({Path(place.filename).name}:{place.lineno})"
    return ANSWERED, ""


def _if_clear(message: str) -> tuple[str, str]:
    longest = max(map(len, message.split("\n")))
    if not message.strip() or longest > LONGEST_LINE + len("error: "):
        return FOREIGN, f"a line of {longest} characters: {message[:100]}"
    return REFUSED, message


def _end(one: _Running, late: bool) -> Outcome:
    parts = []
    if late:
        os.kill(one.process, signal.SIGKILL)
    else:
        while part := os.read(one.pipe, 2**16):
            parts.append(part)
    os.close(one.pipe)
    _, status = os.waitpid(one.process, 0)
    shutil.rmtree(one.folder, ignore_errors=True)
    if parts:
        kind, told, seconds, megabytes = json.loads(b"".join(parts))
        return Outcome(one.case.name, kind, told, seconds, megabytes)
    told = f"no end within {LIMIT_SECONDS:g} s" if late else f"the process died ({status})"
    return Outcome(one.case.name, FOREIGN, told, time.monotonic() - one.began, 0.0)


def _status(field: str) -> float:
    """A line of this process's status, in megabytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    [kilobytes] = [line.split()[1] for line in lines if line.startswith(f"{field}:")]
    return int(kilobytes) / 1024
