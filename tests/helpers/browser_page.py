"""The page of docs/browser, built and served for tests and measurements."""

import shutil
import subprocess
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
from demo_server import REPOSITORY
from PIL import Image

SOURCE = REPOSITORY / "docs/browser"
EXAMPLES = REPOSITORY / "kd_landmarks/demo/examples"
PACKAGES = SOURCE / "node_modules"
ISOLATION = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}
"""The headers of a page on which browsers allow threads."""
MISSING = (
    "no npm: apt-get install nodejs npm"
    if shutil.which("npm") is None
    else None
    if PACKAGES.is_dir()
    else f"no {PACKAGES.relative_to(REPOSITORY)}: npm ci --prefix docs/browser"
)
"""Why the page cannot be built here, or None."""


def build_page(folder, *options):
    """Build the page from a copy of its sources; gives the finished folder, and what was said."""
    copy = folder / "docs/browser"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("node_modules", "dist"))
    for name in ("kd_landmarks", "LICENSE"):
        (folder / name).symlink_to(REPOSITORY / name)
    (copy / "node_modules").symlink_to(PACKAGES)
    done = subprocess.run(
        ["npm", "run", "build", "--", *options], cwd=copy, capture_output=True, text=True
    )
    return copy / "dist", done


@contextmanager
def served(folder, headers=None):
    """Serve a folder on loopback; gives its address, and the list of what is asked for."""
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def guess_type(self, path):
            # Older Pythons do not know them, and browsers refuse scripts of other types.
            known = {".mjs": "text/javascript", ".wasm": "application/wasm"}
            return known.get(Path(path).suffix) or super().guess_type(path)

        def end_headers(self):
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            super().end_headers()

        def log_message(self, *_):
            asked.append(f"{self.command} {self.path}")

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", asked
    finally:
        server.shutdown()
        server.server_close()


def write_camera(path, frames=60, rate=30):
    """What a fake camera sees, 640 x 480: the astronaut, moving to and fro, as raw video.

    By a third of her face at most: a busy machine that misses frames does not lose her.
    """
    face = Image.open(EXAMPLES / "astronaut.jpg").convert("RGB").resize((320, 320))
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W640 H480 F{rate}:1 Ip A1:1 C420jpeg\n".encode())
        for number in range(frames):
            frame = Image.new("RGB", (640, 480), (90, 90, 90))
            frame.paste(face, (round(160 + 16 * np.sin(2 * np.pi * number / frames)), 80))
            planes = cv2.cvtColor(np.asarray(frame), cv2.COLOR_RGB2YUV_I420)
            file.write(b"FRAME\n" + planes.tobytes())
    return path


def camera_options(camera):
    """Chromium's options for a fake camera that shows a file, and whose use is allowed."""
    return [
        "--no-sandbox",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={camera}",
    ]
