"""The demo as a whole: its tabs, its looks, its limits, and its start."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gradio as gr

from ..errors import KDLandmarksError
from .compare_tab import CompareTab
from .guard import LOOPBACK, Guard
from .method_tab import MethodTab
from .networks import Networks, compared
from .photo_tab import PhotoTab
from .received import LARGEST_UPLOAD, Demo, Uploads
from .results import headline
from .results_tab import ResultsTab
from .video_tab import VideoTab
from .webcam_tab import WebcamTab
from .zero_gpu import LENT

TITLE = "kd-landmarks: facial landmarks by knowledge distillation"
AT_ONCE, WAITING = 2, 64
"""Requests that are computed together, beside cameras and a clip, and that may wait; more are
refused."""
HERE = Path(__file__).parent

THEME = gr.themes.Base(
    primary_hue=gr.themes.colors.teal,
    secondary_hue=gr.themes.colors.teal,
    neutral_hue=gr.themes.colors.slate,
    radius_size=gr.themes.sizes.radius_lg,
    # The reader's own fonts: none is fetched from anywhere.
    font=["system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
).set(
    # White words on it, and its own on white, are to be read easily.
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover_dark="*primary_600",
)


def build(
    checkpoints: Path | None = None,
    baseline: str | None = None,
    teacher: str | None = None,
    device: str | None = None,
) -> Demo:
    """The demo's Blocks, with the package's own student loaded.

    Args:
        checkpoints: folder of the released checkpoints, for comparing.
        baseline: a student without teachers to compare with instead: a folder or Hub id.
        teacher: another teacher.
        device: as the pipeline takes it.
    """
    networks, uploads = Networks(device), Uploads()
    # A lent GPU is there for single requests only, not for streams.
    steady = Networks("cpu") if LENT else networks
    with Demo(uploads, title=TITLE) as demo:
        gr.HTML(headline(networks.get()))
        with gr.Tabs():
            with gr.Tab("Photo"):
                PhotoTab(networks, uploads)
            with gr.Tab("Webcam"):
                WebcamTab(steady, uploads)
            with gr.Tab("Video"):
                VideoTab(steady, uploads)
            with gr.Tab("Compare") as tab:
                CompareTab(networks, uploads, compared(checkpoints, baseline, teacher), tab)
            with gr.Tab("How it works") as tab:
                MethodTab(networks, tab)
            with gr.Tab("Results"):
                ResultsTab()
    # Gradio's limit holds for each function by itself; these have one together.
    for function in demo.fns.values():
        if function.concurrency_limit == "default":
            function.concurrency_id = "computing"
    # Nobody passes the queue by; programs ask through it, too.
    demo.queue(default_concurrency_limit=AT_ONCE, max_size=WAITING, api_open=False)
    # Answers that nobody fetches are kept for so many visitors; Gradio's own number is 2,000.
    demo._queue.pending_messages_per_session.max_size = 4 * WAITING
    return demo


def launch(demo: Demo, host: str | None = None, port: int | None = None) -> None:
    """Serve until it is stopped; arguments and errors as of `serve`."""
    serve(demo, host, port)
    print(f"The demo is at {demo.local_url} (Ctrl+C ends it)", flush=True)
    # A server that is told to stop takes its uploads along.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    demo.block_thread()


def serve(demo: Demo, host: str | None = None, port: int | None = None) -> None:
    """Serve in the background.

    Args:
        demo: of `build`.
        host: address to listen on; None for this machine alone (or what GRADIO_SERVER_NAME says).
        port: None for the first free one from 7860 on.

    Raises:
        KDLandmarksError: if it cannot listen there.
    """
    demo.uploads.use_folder()
    # Gradio would write down in the browser what was asked and answered.
    os.environ.setdefault("GRADIO_RUN_HISTORY", "False")

    @asynccontextmanager
    async def guarded(app: Any) -> AsyncIterator[None]:
        # Around all of Gradio's own: what it adds itself stands around any that it is given.
        app.middleware_stack = Guard(
            app.middleware_stack, demo.uploads, lambda: own_names(demo, host)
        )
        sweeping = asyncio.create_task(demo.uploads.sweep())
        yield
        sweeping.cancel()

    try:
        demo.launch(
            server_name=host,
            server_port=port,
            theme=THEME,
            css_paths=HERE / "page.css",
            head=f"<script>{(HERE / 'page.js').read_text(encoding='utf-8')}</script>",
            max_file_size=f"{LARGEST_UPLOAD}mb",
            footer_links=["api", "settings"],
            ssr_mode=False,  # it would need Node
            # Unasked, Gradio publishes the server where it sees itself in a notebook's service.
            share=os.environ.get("GRADIO_SHARE", "").lower() == "true",
            quiet=True,
            prevent_thread_lock=True,
            app_kwargs={"lifespan": guarded},
        )
    except OSError as error:
        where = f"port {port}" if host is None else f"{host}, port {port or 'any from 7860'}"
        raise KDLandmarksError(
            f"cannot listen on {where}: is another server there? Give another --port ({error})"
        ) from error


def own_names(demo: gr.Blocks, host: str | None) -> set[str] | None:
    """The names in a request's Host by which a server on this machine's loopback goes.

    A page from anywhere can let its own name lead to 127.0.0.1 once it is loaded, and would then
    be the server's own page to the browser.

    Args:
        demo: that runs.
        host: what `launch` was given.

    Returns:
        None for any name, where other machines may ask anyway.
    """
    address = (host or os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1").strip("[]")
    if address not in LOOPBACK and not address.startswith("127."):
        return None
    addresses = (demo.root_path, demo.share_url)
    names = {urlsplit(told).hostname for told in addresses if told and "://" in told}
    return {address, *LOOPBACK, *filter(None, names)}


def main(checkpoints: Path | None = None) -> None:
    """What a Space starts."""
    try:
        launch(build(checkpoints))
    except KDLandmarksError as error:
        sys.exit(f"error: {error}")
