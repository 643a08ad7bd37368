"""The files that this server has received: nothing else is read, and Gradio deletes them.

Gradio looks at the paths of uploads only where a caller says that they are some (`meta`), keeps
them in a folder that all its servers on a machine share, and follows links. So the demo looks at
every payload itself, before Gradio or a tab does anything with it.
"""

import asyncio
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

import gradio as gr

from ..errors import KDLandmarksError

LARGEST_UPLOAD = 50
"""MiB: the server takes no more in one file."""
LARGEST_BYTES = LARGEST_UPLOAD * 2**20
SWEEP_SECONDS, KEPT_SECONDS = 15, 300
"""Gradio deletes uploads of this age, looking for them so often; one may wait for its turn."""
MOST_FILES, MOST_BYTES = 2000, 2**30
"""What strangers may have on the disk at a time."""
REFUSAL = "This upload is not here, or not here any more: please send it again."

# The place that the operator chose; the server's own folder is made in it, and then named there.
_PLACE = os.environ.get("GRADIO_TEMP_DIR")


@dataclass
class _Upload:
    """When a file came last, its size, and which visitors sent it."""

    time: float
    size: int
    owners: set[str] = field(default_factory=set)


class Uploads:
    """The uploads of one server, in a folder of its own that goes when the server ends.

    A visitor of the page has a cookie, and what was sent with a cookie is for that cookie alone.
    Programs have none: theirs are for whoever knows the path, whose middle is a secret hash.

    Attributes:
        folder: where Gradio puts what it receives; nobody else may look into it.
    """

    def __init__(self) -> None:
        if _PLACE:
            Path(_PLACE).mkdir(parents=True, exist_ok=True)
        self._scratch = TemporaryDirectory(prefix="kd-landmarks-demo-", dir=_PLACE or None)
        self.folder = os.path.realpath(self._scratch.name)
        self._received: dict[str, _Upload] = {}
        self._lock = Lock()

    def use_folder(self) -> None:
        """Make Gradio put its files there; it asks when it makes components, and when it starts."""
        os.environ["GRADIO_TEMP_DIR"] = self.folder

    def receive(self, path: str, owner: str = "") -> None:
        """Note a file that the server has just written.

        Args:
            path: as Gradio tells it.
            owner: the visitor's cookie, "" for none.
        """
        try:
            size = os.lstat(path).st_size
        except OSError:  # moved a moment later, where folders are on different disks
            size = LARGEST_BYTES
        now = time.monotonic()
        with self._lock:
            known = self._received.pop(path, _Upload(now, size))
            known.time, known.size = now, size
            known.owners.add(owner)
            self._received[path] = known  # at the end: the oldest stands first

    def room(self) -> int:
        """Bytes that may still come; 0 or less where more has to wait."""
        oldest = time.monotonic() - KEPT_SECONDS - 2 * SWEEP_SECONDS
        with self._lock:
            for path, known in list(self._received.items()):
                if known.time > oldest:
                    break
                del self._received[path]
            sizes = [known.size for known in self._received.values()]
        sizes += [told.st_size for _, told in self._unlisted()]
        return 0 if len(sizes) >= MOST_FILES else MOST_BYTES - sum(sizes)

    async def sweep(self) -> None:
        """Delete the parts of requests that are no upload, or were cut off, for as long as it runs.

        Gradio writes them, too, and then forgets them.
        """
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            for path, told in self._unlisted():
                if time.time() - told.st_ctime > KEPT_SECONDS:
                    with suppress(OSError):
                        os.unlink(path)

    def _unlisted(self) -> Iterator[tuple[str, os.stat_result]]:
        """The files right in the folder; a finished upload has a folder of its own."""
        with suppress(OSError), os.scandir(self.folder) as entries:
            for entry in entries:
                told = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(told.st_mode):
                    yield entry.path, told

    def check(self, path: Any, owner: str | None = None) -> str:
        """The path of an upload of this server's, and of this visitor's.

        Args:
            path: whatever a caller sends as one.
            owner: the visitor's cookie, "" for none; None where that has been looked at.

        Raises:
            KDLandmarksError: for anything else; always the same words, so that nobody learns what
                else there is on the machine.
        """
        with self._lock:
            known = self._received.get(path) if isinstance(path, str) else None
        allowed = known is not None and (owner is None or bool({"", owner} & known.owners))
        if not allowed or os.path.dirname(os.path.dirname(os.path.realpath(path))) != self.folder:
            raise KDLandmarksError(REFUSAL)
        try:
            found = os.lstat(path)
        except OSError:
            raise KDLandmarksError(REFUSAL) from None
        if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST_BYTES:
            raise KDLandmarksError(REFUSAL)
        return path

    def read(self, path: Any) -> bytes:
        """The content of an upload.

        Raises:
            KDLandmarksError: as `check`.
        """
        path = self.check(path)
        # Whatever may have taken the file's place meanwhile is neither followed nor waited for.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        try:
            with open(path, "rb", opener=lambda name, _: os.open(name, flags)) as file:
                is_file = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
                content = file.read(LARGEST_BYTES + 1) if is_file else b""
        except OSError:
            raise KDLandmarksError(REFUSAL) from None
        if not is_file or len(content) > LARGEST_BYTES:
            raise KDLandmarksError(REFUSAL)
        return content


class Demo(gr.Blocks):
    """Blocks whose every payload is looked at first, whichever endpoint it is for.

    Args:
        uploads: of this server.
        **words: of Gradio's Blocks.
    """

    def __init__(self, uploads: Uploads, **words: Any) -> None:
        uploads.use_folder()
        self.uploads = uploads
        delete = (SWEEP_SECONDS, KEPT_SECONDS)
        super().__init__(analytics_enabled=False, delete_cache=delete, **words)

    async def process_api(
        self, block_fn: Any, inputs: list[Any], *args: Any, **words: Any
    ) -> dict[str, Any]:
        """As Gradio's, with the payloads that `checked_payload` lets through.

        Raises:
            gr.Error: for any other.
        """
        if words.get("iterator") is None:  # later news of a run do not look at its inputs
            function = self.fns[block_fn] if isinstance(block_fn, int) else block_fn
            owner = cookie_of(words.get("request"))
            try:
                inputs = [
                    checked_payload(block, payload, self.uploads, owner)
                    for block, payload in _pairs(function.inputs, inputs)
                ]
            except KDLandmarksError as error:
                raise gr.Error(str(error), print_exception=False) from None
        return await super().process_api(block_fn, inputs, *args, **words)


def checked_payload(block: Any, payload: Any, uploads: Uploads, owner: str) -> Any:
    """What a component may get of what a caller sends.

    Args:
        block: the component.
        payload: any JSON.
        uploads: of this server.
        owner: the visitor's cookie, "" for none.

    Returns:
        A file's checked path alone, without the address that Gradio might fetch; for a camera its
        data URL; for any other component plain values or a list of them.

    Raises:
        KDLandmarksError: for anything else.
    """
    if not isinstance(block, gr.Image | gr.Video):
        parts = payload if isinstance(payload, list) else [payload]
        if any(isinstance(part, dict | list) for part in parts):
            raise KDLandmarksError(REFUSAL)
        return payload
    if payload is None:
        return None
    if not isinstance(payload, dict):
        raise KDLandmarksError(REFUSAL)
    told = {"meta": {"_type": "gradio.FileData"}}
    url = payload.get("url")
    if getattr(block, "streaming", False) and isinstance(url, str) and url.startswith("data:"):
        return {**told, "path": None, "url": url}
    return {**told, "path": uploads.check(payload.get("path"), owner)}


COOKIE = "kd_landmarks_visitor"


def cookie_of(request: Any) -> str:
    """The visitor's cookie of a request, "" for none.

    Args:
        request: Starlette's or Gradio's; or None.
    """
    cookies = getattr(request, "cookies", None)
    return str(cookies.get(COOKIE) or "")[:64] if cookies else ""


def _pairs(blocks: Sequence[Any], payloads: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    """Components with their payloads; Gradio itself refuses a wrong number of these."""
    if len(payloads) > len(blocks):
        raise KDLandmarksError(REFUSAL)
    yield from zip(blocks, payloads, strict=False)
