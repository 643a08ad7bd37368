"""Requests, answers, and the table that leads from one to the other."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

from .store import HubError, Store, Token


@dataclass
class Answer:
    """A response: for HEAD everything but `body` is sent."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Request:
    """One request; `path` is still quoted, `base` is the Hub's own address."""

    store: Store
    base: str
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def token(self) -> Token | None:
        return self.store.identify(self.headers.get("authorization"))

    @property
    def json(self) -> Any:
        try:
            return json.loads(self.body or b"{}")
        except ValueError as error:
            raise HubError(400, f"The body is no JSON: {error}") from error

    @property
    def form(self) -> dict[str, list[str]]:
        """A form's fields, which clients also send as JSON."""
        if "json" not in self.headers.get("content-type", ""):
            return parse_qs(self.body.decode())
        return {
            name: value if isinstance(value, list) else [value] for name, value in self.json.items()
        }

    def wants(self, name: str) -> bool:
        return self.query.get(name, "").lower() in ("1", "true")


Route = Callable[..., Answer]
_ROUTES: list[tuple[str, re.Pattern[str], Route]] = []


def route(methods: str, pattern: str) -> Callable[[Route], Route]:
    """Register a function for a path; named groups become its arguments, unquoted.

    `{api}` stands for the path of a repository in the API, `{site}` for that of its files.
    """
    places = {
        "{api}": r"/api/(?P<repo_type>model|dataset|space)s/(?P<repo_id>[^/]+/[^/]+)",
        "{site}": r"(?:/(?P<repo_type>dataset|space)s)?/(?P<repo_id>[^/]+/[^/]+?)",
    }
    for name, expression in places.items():
        pattern = pattern.replace(name, expression)

    def register(function: Route) -> Route:
        _ROUTES.extend((method, re.compile(pattern), function) for method in methods.split())
        return function

    return register


def answer(request: Request) -> Answer:
    """Find the route of a request and follow it; errors become answers."""
    try:
        for method, pattern, function in _ROUTES:
            match = pattern.fullmatch(request.path)
            if method == request.method and match:
                groups = {name: unquote(value or "") for name, value in match.groupdict().items()}
                if "repo_type" in groups:
                    groups["repo_type"] = groups["repo_type"] or "model"
                with request.store.lock:
                    return function(request, **groups)
        raise HubError(404, f"This Hub has no {request.method} {request.path}")
    except HubError as error:
        return failure(error)


def reply(content: Any, status: int = 200, **headers: str) -> Answer:
    """An answer in JSON."""
    return Answer(
        status, json.dumps(content).encode(), {"Content-Type": "application/json"} | headers
    )


def failure(error: HubError) -> Answer:
    """An error as the Hub tells it: for people in the body, for clients in the headers."""
    told = reply({"error": error.message}, error.status)
    line = " ".join(error.message.split())
    told.headers["X-Error-Message"] = line.encode("latin-1", "replace").decode("latin-1")
    if error.code:
        told.headers["X-Error-Code"] = error.code
    return told
