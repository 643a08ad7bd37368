"""The network side of a Hub: HTTP on a port of this machine."""

import contextlib
import socket
import time
import traceback
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from . import files, repositories  # noqa: F401  (their import fills the table of routes)
from .faults import Fault, Faults
from .routing import Answer, Request, answer, failure
from .store import HubError, Store

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Exchange:
    """One request and the status of its answer; `path` is unquoted and without its query."""

    method: str
    path: str
    status: int
    headers: dict[str, str]
    """Of the request, names in lower case."""


class HubServer(ThreadingHTTPServer):
    """Serves `store`, met by `faults`; what it answered is noted in `log`."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int, store: Store, faults: Faults, log: list[Exchange]) -> None:
        self.store, self.faults, self.log = store, faults, log
        self.crashes: list[str] = []
        super().__init__((HOST, port), Handler)

    @property
    def base(self) -> str:
        return f"http://{HOST}:{self.server_port}"

    def server_close(self) -> None:
        """Stop listening even where a forked process still holds the socket."""
        with contextlib.suppress(OSError):  # Only Linux can.
            self.socket.shutdown(socket.SHUT_RDWR)
        super().server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are no news."""


class Handler(BaseHTTPRequestHandler):
    """Answers one request and closes, so that nothing is left open when the Hub goes down."""

    protocol_version = "HTTP/1.1"
    server: HubServer

    def respond(self) -> None:
        body = self._read_body()
        target = urlsplit(self.path)
        path = unquote(target.path)
        fault = self.server.faults.take_fault(self.command, path)
        if fault:
            time.sleep(fault.delay)
        told = self._refusal(fault) or self._answer(target, body)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.log.append(Exchange(self.command, path, told.status, headers))
        self._send(told, fault)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = respond

    def do_CONNECT(self) -> None:
        """Clients that use this Hub as their proxy want to leave the machine: they may not."""
        self._send(failure(HubError(403, f"{self.path} is not on this machine")))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: `log` has it all."""

    def _answer(self, target: Any, body: bytes) -> Answer:
        if target.netloc and f"http://{target.netloc}" != self.server.base:
            return failure(HubError(404, f"{target.netloc} is not on this machine"))
        request = Request(
            store=self.server.store,
            base=self.server.base,
            method=self.command,
            path=target.path,
            query=dict(parse_qsl(target.query)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
        )
        try:
            return answer(request)
        except Exception:
            self.server.crashes.append(traceback.format_exc())
            # Not 500, which clients would try again for half a minute.
            return failure(HubError(501, f"The test Hub has a bug:\n{traceback.format_exc()}"))

    def _refusal(self, fault: Fault | None) -> Answer | None:
        if fault is not None and fault.answer is not None:
            return fault.answer
        if fault is None or fault.status is None:
            return None
        told = failure(HubError(fault.status, f"Fault on demand: {fault.status}"))
        if fault.retry_after is not None:
            told.headers["Retry-After"] = str(fault.retry_after)
        return told

    def _send(self, told: Answer, fault: Fault | None = None) -> None:
        self.close_connection = True
        self.send_response(told.status)
        for name, value in told.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(told.body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            if fault and fault.drip:
                for byte in told.body:
                    self.wfile.write(bytes([byte]))
                    time.sleep(fault.drip)
                return
            self.wfile.write(told.body[: fault.cut_after] if fault else told.body)

    def _read_body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # Trailers end with an empty line.
        return b"".join(parts)
