"""`kd-landmarks demo`."""

import socket
from pathlib import Path
from typing import Annotated

import typer

from ..errors import KDLandmarksError, shown
from ..utils.cache import usable_cache
from ..utils.logging import set_up_logging
from .app import app
from .options import Device

DEMO_HELP = """Open the demo in a browser: photos, webcam, video, and how it works.

\b
kd-landmarks demo
kd-landmarks demo --checkpoints checkpoints --port 7861

Nothing leaves this machine. The Compare tab needs the released checkpoints of the repository and
PyTorch (extra train).
"""


@app.command(help=DEMO_HELP)
def demo(
    checkpoints: Annotated[
        Path | None,
        typer.Option(help="Folder of the released checkpoints. Default: ./checkpoints."),
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="Student without teachers to compare: folder or Hub id.")
    ] = None,
    teacher: Annotated[
        str | None, typer.Option(help="Teacher to compare with: folder or Hub id.")
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; 0.0.0.0 for other machines, too.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Default: the first free one from 7860.")
    ] = None,
    device: Device = None,
) -> None:
    """Build and serve."""
    if checkpoints is not None and not checkpoints.is_dir():
        raise KDLandmarksError(f"there is no folder {checkpoints}")
    _check_free(host, port)
    set_up_logging(light=True)
    usable_cache()  # gradio imports huggingface_hub
    from ..demo.app import build, launch

    launch(build(checkpoints, baseline, teacher, device), host, port)


def _check_free(host: str | None, port: int | None) -> None:
    """See whether one can listen there: before the work of loading, not after it.

    Raises:
        KDLandmarksError: naming address and port.
    """
    name = host or "127.0.0.1"
    try:
        family, kind, _, _, address = socket.getaddrinfo(name, port or 0, type=socket.SOCK_STREAM)[
            0
        ]
        with socket.socket(family, kind) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
    except (OSError, UnicodeError) as error:  # of names that can be none
        where = shown(name) if port is None else f"{shown(name)}, port {port}"
        raise KDLandmarksError(
            f"cannot listen on {where}: is another server there? Give another --host or --port "
            f"({error})"
        ) from error
