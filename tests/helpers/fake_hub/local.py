"""A Hub that runs in this process, and the environment in which other processes use it."""

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Self

from .faults import Faults
from .server import HOST, Exchange, HubServer
from .store import Repository, Store, Token

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
OWNER_TOKEN, READ_TOKEN, STRANGER_TOKEN = "hf_ada", "hf_ada_reads", "hf_eve"


class Hub(Faults):
    """A Hub on a free port of this machine.

    It knows two users: `token` and `read_token` (which may not write) are ada's, `stranger_token`
    is eve's.

    Args:
        folder: Where clients cache what they download, unless told otherwise.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self.folder = Path(folder)
        self.token, self.read_token = OWNER_TOKEN, READ_TOKEN
        self.stranger_token = STRANGER_TOKEN
        self.store = Store()
        self.store.tokens = {
            self.token: Token("ada"),
            self.read_token: Token("ada", "read"),
            self.stranger_token: Token("eve"),
        }
        self.requests: list[Exchange] = []
        """What was asked for and answered so far; clear it to begin anew."""
        self.crashes: list[str] = []
        self._port = 0
        self._server: HubServer | None = None
        self._held: socket.socket | None = None

    @property
    def endpoint(self) -> str:
        """The address, as HF_ENDPOINT wants it."""
        return f"http://{HOST}:{self._port}"

    def up(self) -> None:
        """Start serving, or serve again after `down`."""
        if self._held:
            self._held.close()
        self._held = None
        self.folder.mkdir(parents=True, exist_ok=True)
        server = HubServer(self._port, self.store, self, self.requests)
        server.crashes = self.crashes
        self._server, self._port = server, server.server_port
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def down(self) -> None:
        """Refuse connections; what is stored stays."""
        self._stop()
        # Kept without listening, the port refuses connections and goes to nobody else meanwhile.
        self._held = socket.socket()
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.bind((HOST, self._port))

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop()
        if self._held:
            self._held.close()
        assert not self.crashes, self.crashes[0]

    def repository(self, repo_id: str, repo_type: str = "model") -> Repository:
        """A stored repository, whoever may see it."""
        return self.store.repositories[repo_type, repo_id]

    def files(
        self, repo_id: str, repo_type: str = "model", revision: str = "main"
    ) -> dict[str, bytes]:
        """The stored files by path, whoever may see them."""
        commit = self.repository(repo_id, repo_type).resolve(revision)
        return {path: blob.data for path, blob in commit.files.items()}

    def environment(
        self, token: str | None = OWNER_TOKEN, cache: str | Path | None = None, **more: str
    ) -> dict[str, str]:
        """The environment of a process that shall know this Hub alone.

        Args:
            token: Who it is; the owner if left out, anybody if None.
            cache: Its HF_HOME, `folder / "cache"` if left out.
            more: Further variables, such as HF_HUB_OFFLINE="1".
        """
        hidden = ("HF_", "HUGGING", "TRANSFORMERS_", "SSL_CERT_")
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(hidden) and name.lower() not in PROXIES
        }
        own = {
            "HF_ENDPOINT": self.endpoint,
            "HF_HOME": str(cache or self.folder / "cache"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",
            # Requests for other hosts come here too, and are refused.
            "http_proxy": self.endpoint,
            "https_proxy": self.endpoint,
            "no_proxy": f"{HOST},localhost",
            # No certificates: none is needed, and a client takes 75 ms to load the usual ones.
            "SSL_CERT_DIR": str(self.folder),
        }
        return kept | own | ({"HF_TOKEN": token} if token else {}) | more

    def run(
        self,
        script: str,
        *arguments: str,
        token: str | None = OWNER_TOKEN,
        cache: str | Path | None = None,
        check: bool = True,
        **more: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run Python code in a fresh process that uses this Hub; see `environment`.

        Raises:
            AssertionError: The code failed, and `check` is set.
        """
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments],
            env=self.environment(token, cache, **more),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def _stop(self) -> None:
        if self._server:
            self._server.shutdown()
            self._server.server_close()
        self._server = None
