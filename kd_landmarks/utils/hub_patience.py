"""Waiting for the Hub: for seconds, however long it or its clients would have us wait.

huggingface_hub and what builds on it (transformers, timm, datasets) sleep as long as the Hub tells
them to, an hour too, ask without any time limit in many places, and try each file of a repository
half a minute anew while the Hub is down. All of them ask by huggingface_hub's one HTTP client, so
what it sends and gets is watched here, while work of this package goes on.
"""

import importlib
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from huggingface_hub import get_session, set_client_factory
from huggingface_hub.utils import _http

PATIENCE = 15.0
"""Seconds without a good answer, or that the Hub would have us wait, until it counts as down."""
SILENCE = 10.0
"""Seconds that it may say nothing at all, where its clients set no limit."""
UPLOAD_SILENCE = 60.0
"""The same after something was sent to it, which it has to store first."""
SLOWEST = 1000
"""Bytes a second: what comes slower counts as not coming."""
MOST_ANSWER = 2**26
"""Bytes of an answer that is not a file, such as a list of files."""

_BUSY = (408, 429)


class HubWaitError(ConnectionError):
    """The Hub keeps its clients waiting for too long, or sends an answer that makes no sense."""


class _Thread(threading.local):
    """What one thread waits for: within a thread, requests follow each other."""

    asked: float | None = None
    """When the request that is not answered yet was sent, or last showed a sign of life."""
    failing: float | None = None
    """Since when there has been no good answer."""
    redirected: float | None = None
    """When the last answer, which led to another address, came."""


class Patience:
    """How long the Hub is waited for; once that is over, every further request is refused.

    Args:
        seconds: without a good answer.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.over: Exception | None = None
        """Why the Hub is not asked any more; None while it is."""
        self._here = _Thread()

    def give_up(self, reason: Exception) -> HubWaitError:
        """Ask no more; the error to raise."""
        self.over = self.over or reason
        return HubWaitError(str(reason))

    def before(self, request: Any) -> None:
        """Refuse a request that comes too late; set the time limits that it lacks."""
        if self.over is not None:
            raise HubWaitError(str(self.over))
        here, now = self._here, time.monotonic()
        hop = here.redirected is not None and now - here.redirected < 1
        if here.asked is not None and (here.redirected is None or hop):
            here.failing = here.failing or here.asked
        if here.failing is not None and now - here.failing > self.seconds:
            raise self.give_up(self._silent())
        if not hop:
            here.asked = now
        here.redirected = None
        silence = SILENCE if request.method in ("GET", "HEAD") else UPLOAD_SILENCE
        limits = request.extensions.get("timeout") or {}
        request.extensions["timeout"] = {
            name: silence if limits.get(name) is None else limits[name]
            for name in ("connect", "read", "write", "pool")
        }

    def after(self, response: Any) -> None:
        """Refuse to wait longer than is bearable; watch how the rest of an answer comes."""
        here, now = self._here, time.monotonic()
        status = response.status_code
        if status in _BUSY or status >= 500:
            here.failing = here.failing or now
            here.asked = None
            told = _told_wait(response.headers)
            if told and now + told > here.failing + self.seconds:
                reason = f"the Hub is busy ({status}); try again in {told} seconds"
                raise self.give_up(HubWaitError(reason))
        elif response.has_redirect_location:
            here.redirected = now
        else:
            self._watch(response)

    def _watch(self, response: Any) -> None:
        kind = importlib.import_module(type(response).__module__.partition(".")[0])
        path = response.request.url.path
        is_file = "/api/" not in path or "/resolve" in path
        stream, patience = response.stream, self

        class Watched(kind.SyncByteStream):  # type: ignore[misc, name-defined]
            def __iter__(self) -> Iterator[bytes]:
                yield from patience._watched(iter(stream), is_file)

            def close(self) -> None:
                patience._here.asked = None  # whoever closes early has what was wanted
                stream.close()

        response.stream = Watched()

    def _watched(self, parts: Iterator[bytes], is_file: bool) -> Iterator[bytes]:
        """An answer's bytes, while they come fast enough."""
        here = self._here
        begin = since = time.monotonic()
        total = recent = 0
        while True:
            try:
                part = next(parts)
            except StopIteration:
                here.asked = here.failing = None
                return
            except Exception:
                here.failing, here.asked = here.failing or here.asked or begin, None
                raise
            now = here.asked = time.monotonic()
            total, recent = total + len(part), recent + len(part)
            if now - since > self.seconds:
                if recent < SLOWEST * self.seconds:
                    raise self.give_up(self._slow(recent, now - since))
                since, recent = now, 0
                here.failing = None
            if not is_file and total > MOST_ANSWER:
                raise self.give_up(
                    HubWaitError(f"the Hub answers more than {MOST_ANSWER} bytes, and no file")
                )
            if not is_file and now - begin > 2 * self.seconds:
                raise self.give_up(self._slow(total, now - begin))
            yield part

    def _silent(self) -> HubWaitError:
        return HubWaitError(f"the Hub gave no good answer for {self.seconds:g} seconds")

    def _slow(self, count: int, seconds: float) -> HubWaitError:
        return HubWaitError(f"the Hub sent {count} bytes in {seconds:.0f} seconds")


# Those in force, of all threads: the libraries ask from threads of their own.
_in_force: list[Patience] = []


@contextmanager
def patient_hub(seconds: float | None = None) -> Iterator[Patience]:
    """While this lasts, requests of huggingface_hub's client wait for so long and no longer.

    Use it for a single piece of work, such as loading a checkpoint. Within it, all requests of
    the process are watched, since the libraries send theirs from threads of their own.

    Args:
        seconds: without a good answer, or that the Hub asks to wait; then a `HubWaitError` is
            raised from the request, and from every further one. None for `PATIENCE`.
    """
    _watch_clients()
    patience = Patience(PATIENCE if seconds is None else seconds)
    _in_force.append(patience)
    try:
        yield patience
    finally:
        _in_force.remove(patience)


def _before(request: Any) -> None:
    for patience in _in_force[-1:]:
        patience.before(request)


def _after(response: Any) -> None:
    for patience in _in_force[-1:]:
        patience.after(response)


def _watched_client(client: Any) -> Any:
    hooks = client.event_hooks
    client.event_hooks = {
        "request": [*hooks["request"], _before],
        "response": [*hooks["response"], _after],
    }
    return client


def _watch_clients() -> None:
    """Watch the client in use, and those that take its place, as after each lost connection."""
    if _before in get_session().event_hooks["request"]:
        return
    factory = getattr(_http, "_GLOBAL_CLIENT_FACTORY", None)  # the user may have set another
    if factory is None:
        _watched_client(get_session())
    else:
        set_client_factory(lambda: _watched_client(factory()))


def _told_wait(headers: Any) -> int:
    """Seconds that the Hub's clients would wait because an answer says so."""
    told = [headers.get("Retry-After", "").strip()]
    told += re.findall(r"\bt\s*=\s*(\d+)", headers.get("RateLimit", ""))
    return max((int(text[:9]) for text in told if text.isdecimal()), default=0)
