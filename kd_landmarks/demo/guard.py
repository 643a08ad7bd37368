"""In front of Gradio: who may ask, how much may be sent, and which files are shown.

Gradio answers any web page that finds the server where its `Host` is not a loopback name, reads a
request's body however large it is, leaves the half of an upload that was cut off, and shows any
file of its folder. Here is one gate for all its routes.
"""

import asyncio
import json
import re
import secrets
from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import KDLandmarksError
from .received import COOKIE, LARGEST_BYTES, REFUSAL, Uploads, cookie_of

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
LARGEST_BODY = LARGEST_BYTES + 2**16
"""Bytes of a request that uploads: the file, and what is around it."""
LARGEST_MESSAGE = 2**23
"""Bytes of any other request: a camera's picture travels in it as base64. Gradio keeps it until its
turn comes."""
MOST_IN_FLIGHT = 2**29
"""Bytes of all bodies that are being received; they are in memory."""
BODY_SECONDS = 600
# Of Gradio's routes to read from those that fetch something, and that no part of the demo needs.
_CLOSED = ("/proxy=", "/deep_link", "/dev/", "/run-history", "/runs", "/monitoring", "/vibe-code")
# Those to write to that the demo needs. Gradio has others, and new ones with each version: one
# hands recordings to FFmpeg and leaves them in the system's temporary folder.
_OPEN = re.compile(
    r"/gradio_api/(upload|queue/join|cancel|reset|run/[^/]+|call/(v2/)?[^/]+|stream/[^/]+(/close)?)"
)
_READING = ("GET", "HEAD")
_FULL = PlainTextResponse(
    "Too much is being sent at the moment: please try again in a few minutes.", 503
)


class Guard:
    """ASGI middleware around the whole server.

    Args:
        app: the server.
        uploads: of this server.
        hosts: answers with the names that it goes by, or None for any name.
    """

    def __init__(
        self, app: ASGIApp, uploads: Uploads, hosts: Callable[[], Collection[str] | None]
    ) -> None:
        self._app, self._uploads, self._hosts = app, uploads, hosts
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # no part of the demo uses a web socket: it is closed
        request = Request(scope)
        refused = self._refused(request)
        if refused is not None:
            await refused(scope, receive, send)
            return
        if request.method in _READING:
            await self._app(scope, receive, self._without_foreign_origins(request, send))
            return
        await self._with_body(request, receive, send)

    def _refused(self, request: Request) -> PlainTextResponse | None:
        """Why a request is not let through, whatever its body may be; or None."""
        hosts = self._hosts()
        if hosts is not None and _name(request.headers.get("host", "")) not in hosts:
            return PlainTextResponse(
                "This server answers to the names of this machine only. Behind a proxy, start it "
                "with GRADIO_ROOT_PATH=https://NAME/PATH, its whole address there.",
                403,
            )
        if request.method not in _READING and _is_foreign(request, hosts or ()):
            return PlainTextResponse("Another site's page may not use this server.", 403)
        path = request.scope["path"]
        writes = request.method not in _READING
        if any(route in path for route in _CLOSED) or (writes and not _writable(path)):
            return PlainTextResponse("There is nothing here.", 404)
        for route in ("/file=", "/file/"):
            if route in path:
                try:
                    self._uploads.check(path.partition(route)[2], cookie_of(request))
                except KDLandmarksError:
                    return PlainTextResponse(REFUSAL, 403)
        return _FULL if _is_upload(path) and self._uploads.room() <= 0 else None

    async def _with_body(self, request: Request, receive: Receive, send: Send) -> None:
        """Receive a body whole, so that Gradio meets neither half of one nor too much of it."""
        uploading = _is_upload(request.scope["path"])
        most = LARGEST_BODY if uploading else LARGEST_MESSAGE
        told = request.headers.get("content-length", "")
        too_large = PlainTextResponse(f"At most {most // 2**20} MB can be sent here.", 413)
        if told.isdigit() and len(told) < 20 and int(told) > most:
            await too_large(request.scope, receive, send)
            return
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return
                    part, more = message.get("body", b""), message.get("more_body", False)
                    body += part
                    self._in_flight += len(part)
                    if len(body) > most:
                        await too_large(request.scope, receive, send)
                        return
                    if self._in_flight > MOST_IN_FLIGHT:
                        busy = PlainTextResponse("The server is busy: please try again.", 503)
                        await busy(request.scope, receive, send)
                        return
            send = self._without_foreign_origins(request, send)
            if uploading:
                # Others may have come since this one began, and some are just being written.
                if self._uploads.room() < self._in_flight:
                    await _FULL(request.scope, receive, send)
                    return
                send = self._noting_uploads(request, send)
            await self._app(request.scope, _replay(bytes(body), receive), send)
        except TimeoutError:
            return
        finally:
            self._in_flight -= len(body)

    def _noting_uploads(self, request: Request, send: Send) -> Send:
        """Notes the files that an answer of the upload route tells."""
        # A compressed answer could not be read here.
        request.scope["headers"] = [
            pair for pair in request.scope["headers"] if pair[0] != b"accept-encoding"
        ]
        answer = bytearray()

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.body":
                answer.extend(message.get("body", b""))
                if not message.get("more_body", False):
                    for path in _listed(bytes(answer)):
                        self._uploads.receive(path, cookie_of(request))
            await send(message)

        return noting

    def _without_foreign_origins(self, request: Request, send: Send) -> Send:
        """No answer allows another site to read it; a page's first one brings its cookie."""
        new_visitor = request.scope["path"].endswith("/") and not cookie_of(request)

        async def closed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name in {name for name in headers if name.startswith("access-control-")}:
                    del headers[name]
                if new_visitor:
                    cookie = f"{COOKIE}={secrets.token_urlsafe(24)}; Path=/; HttpOnly"
                    headers.append("set-cookie", f"{cookie}; {_where_sent(request)}")
            await send(message)

        return closed


def _is_upload(path: str) -> bool:
    """Whether a path is the one that files are sent to."""
    return path.rstrip("/").endswith("/upload")


def _writable(path: str) -> bool:
    """Whether a path, behind that of a proxy perhaps, is one that the demo needs."""
    return bool(_OPEN.fullmatch(path[path.rfind("/gradio_api/") :].rstrip("/")))


def _where_sent(request: Request) -> str:
    """To which pages' requests browsers add the cookie.

    A Space is shown in a frame of another site, where only such a cookie is kept, apart for each
    site that frames it. Other sites' requests are refused all the same (`_is_foreign`).
    """
    scheme = request.headers.get("x-forwarded-proto", request.url.scheme)
    return "Secure; SameSite=None; Partitioned" if scheme == "https" else "SameSite=Lax"


def _is_foreign(request: Request, hosts: Collection[str]) -> bool:
    """Whether another site's page sends a request.

    Browsers say so in a header that pages cannot change, on https and on loopback; elsewhere they
    name the page's origin. Programs say neither.
    """
    headers: Headers = request.headers
    told = headers.get("sec-fetch-site")
    if told is not None:
        return told not in ("same-origin", "none")
    origin = headers.get("origin")
    if origin is None:
        return False
    # A page that could set the proxy's header would have to ask first, which is refused.
    ours = {_name(headers.get(name, "")) for name in ("host", "x-forwarded-host")}
    return _name(origin.partition("://")[2]) not in (ours | set(hosts)) - {""}


def _name(place: str) -> str:
    """The host of NAME:PORT, in small letters; "" for what is none."""
    try:
        return urlsplit(f"//{place}").hostname or ""
    except ValueError:
        return ""


def _replay(body: bytes, receive: Receive) -> Receive:
    """A receive that has the whole body, and then waits for the end."""
    given = False

    async def once() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return once


def _listed(answer: bytes) -> list[str]:
    """The paths of an upload's answer; none of an error's."""
    try:
        told: Any = json.loads(answer)
    except ValueError:
        return []
    return [path for path in told if isinstance(path, str)] if isinstance(told, list) else []
