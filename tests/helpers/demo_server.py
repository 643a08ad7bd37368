"""The demo as a process of its own, for tests and measurements."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
CHROMIUM = "/usr/bin/chromium"
"""Debian's: Playwright would download its own."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running_demo(folder):
    """Start `kd-landmarks demo`; gives its address, its process and its temporary folder."""
    port, uploads = free_port(), folder / "uploads"
    environment = os.environ | {
        "GRADIO_TEMP_DIR": str(uploads),
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(REPOSITORY),
        # Loopback is no business of a proxy's.
        "NO_PROXY": "127.0.0.1",
    }
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "kd_landmarks", "demo", "--port", str(port)],
            cwd=REPOSITORY,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    address = f"http://127.0.0.1:{port}/"
    try:
        wait_for(address, process, folder / "log")
        yield address, process, uploads
    finally:
        process.terminate()
        process.wait(20)


def wait_for(address, process, log, seconds=120):
    """Until the server answers."""
    end = time.monotonic() + seconds
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError):
            opener.open(address, timeout=5).close()
            return
        time.sleep(0.2)
    raise AssertionError(f"the demo did not start:\n{log.read_text()}")
