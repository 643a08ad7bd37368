"""`kd-landmarks demo`."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from ..errors import KDLandmarksError
from ..quiet import set_up_logging
from .app import app
from .options import Device

DEMO_HELP = """Open the demo in a browser: photos, webcam, video, and how it works.

\b
kd-landmarks demo
kd-landmarks demo --checkpoints checkpoints --port 7861

Nothing leaves this machine. The Compare tab wants the released checkpoints of the repository.
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
    if find_spec("gradio") is None:
        raise KDLandmarksError('gradio is missing: pip install "kd-landmarks[space]"')
    if checkpoints is not None and not checkpoints.is_dir():
        raise KDLandmarksError(f"there is no folder {checkpoints}")
    set_up_logging()
    from ..demo.app import build, launch

    launch(build(checkpoints, baseline, teacher, device), host, port)
