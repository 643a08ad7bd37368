"""What goes wrong between a Hub and its clients, on demand."""

import re
import threading
from dataclasses import dataclass

from .routing import Answer


@dataclass
class Fault:
    """What happens to the next `times` requests whose path matches `pattern`."""

    pattern: str
    times: int = 1
    method: str | None = None
    status: int | None = None
    retry_after: int | None = None
    cut_after: int | None = None
    delay: float = 0.0
    answer: Answer | None = None
    drip: float = 0.0


class Faults:
    """Faults still to happen; the first that matches a request is used up by it.

    Patterns are regular expressions that are searched for in the unquoted path without the query,
    such as "resolve/main/model" or "/api/whoami"; `method` (GET, HEAD, POST, …) narrows further.
    """

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def fail_next(
        self,
        pattern: str,
        status: int = 503,
        retry_after: int | None = None,
        times: int = 1,
        method: str | None = None,
    ) -> None:
        """Answer an error: 429 (with Retry-After in seconds) under load, 5xx when broken."""
        self._add(Fault(pattern, times, method, status, retry_after))

    def cut_next(
        self, pattern: str, after: int = 0, times: int = 1, method: str | None = "GET"
    ) -> None:
        """Announce the whole body, send `after` bytes of it and close the connection."""
        self._add(Fault(pattern, times, method, cut_after=after))

    def delay_next(
        self, pattern: str, seconds: float, times: int = 1, method: str | None = None
    ) -> None:
        """Answer only after some seconds."""
        self._add(Fault(pattern, times, method, delay=seconds))

    def answer_next(
        self,
        pattern: str,
        body: bytes,
        times: int = 1,
        method: str | None = "GET",
        status: int = 200,
        **headers: str,
    ) -> None:
        """Answer something else; `_` in a header's name stands for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._add(Fault(pattern, times, method, answer=Answer(status, body, named)))

    def drip_next(
        self,
        pattern: str,
        pause: float,
        times: int = 1,
        method: str | None = "GET",
        body: bytes | None = None,
    ) -> None:
        """Send the body, or another one, byte by byte, with pauses of some seconds."""
        other = None if body is None else Answer(200, body)
        self._add(Fault(pattern, times, method, answer=other, drip=pause))

    @property
    def unused_faults(self) -> list[Fault]:
        """Faults that no request has met yet: a test that expects one checks that it happened."""
        return list(self._faults)

    def take_fault(self, method: str, path: str) -> Fault | None:
        """The fault that this request meets, None for none."""
        with self._lock:
            for fault in self._faults:
                if fault.method in (None, method) and re.search(fault.pattern, path):
                    fault.times -= 1
                    if not fault.times:
                        self._faults.remove(fault)
                    return fault
        return None

    def _add(self, fault: Fault) -> None:
        if fault.times < 1:
            raise ValueError(f"times={fault.times}: a fault happens at least once")
        with self._lock:
            self._faults.append(fault)
