"""The demo as a whole: its tabs, its looks, its limits, and its start."""

from .zero_gpu import LENT  # isort: skip  # before torch

import sys
from pathlib import Path

import gradio as gr

from ..errors import KDLandmarksError
from .compare_tab import CompareTab
from .method_tab import MethodTab
from .networks import Networks, compared
from .photo_tab import PhotoTab
from .results import headline
from .results_tab import ResultsTab
from .uploads import LARGEST_UPLOAD, Uploads
from .video_tab import VideoTab
from .webcam_tab import WebcamTab

TITLE = "kd-landmarks: facial landmarks by knowledge distillation"
AT_ONCE, WAITING = 2, 64
"""Requests that are computed together, and that may wait; more are refused."""
SWEEP_SECONDS, OLDEST_SECONDS = 60, 900
"""What nobody took of the uploads is deleted after so long."""
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
) -> gr.Blocks:
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
    with gr.Blocks(
        title=TITLE, analytics_enabled=False, delete_cache=(SWEEP_SECONDS, OLDEST_SECONDS)
    ) as demo:
        gr.HTML(headline(networks.get()))
        with gr.Tabs():
            with gr.Tab("Photo"):
                PhotoTab(networks, uploads)
            with gr.Tab("Compare") as tab:
                CompareTab(networks, uploads, compared(checkpoints, baseline, teacher), tab)
            with gr.Tab("Webcam"):
                WebcamTab(steady, uploads)
            with gr.Tab("Video"):
                VideoTab(steady, uploads)
            with gr.Tab("How it works"):
                MethodTab(networks)
            with gr.Tab("Results"):
                ResultsTab()
    demo.queue(default_concurrency_limit=AT_ONCE, max_size=WAITING)
    return demo


def launch(demo: gr.Blocks, host: str | None = None, port: int | None = None) -> None:
    """Serve until it is stopped.

    Args:
        demo: of `build`.
        host: address to listen on; None for this machine alone (or what GRADIO_SERVER_NAME says).
        port: None for the first free one from 7860 on.

    Raises:
        KDLandmarksError: if it cannot listen there.
    """
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
            quiet=True,
            prevent_thread_lock=True,
        )
    except OSError as error:
        where = f"port {port}" if host is None else f"{host}, port {port or 'any from 7860'}"
        raise KDLandmarksError(
            f"cannot listen on {where}: is another server there? Give another --port ({error})"
        ) from error
    print(f"The demo is at {demo.local_url} (Ctrl+C ends it)", flush=True)
    demo.block_thread()


def main(checkpoints: Path | None = None) -> None:
    """What a Space starts."""
    try:
        launch(build(checkpoints))
    except KDLandmarksError as error:
        sys.exit(f"error: {error}")
