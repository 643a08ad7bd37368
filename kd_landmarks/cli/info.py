"""`kd-landmarks info`."""

from typing import Annotated

import typer

from ..errors import shown
from ..utils.logging import set_up_logging
from .app import app
from .options import not_empty

INFO_HELP = """Say what a detector is: network, landmarks, crop, size, license, and what it scored.

\b
kd-landmarks info
kd-landmarks info runs/300w/student
kd-landmarks info NAMESPACE/NAME
"""


@app.command(help=INFO_HELP)
def info(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            callback=not_empty,
            help="Checkpoint folder or Hub id. Default: the package's own detector.",
        ),
    ] = None,
) -> None:
    """Read and print."""
    set_up_logging(light=True)
    from .. import __version__, default_checkpoint
    from ..inference.checkpoints import find_checkpoint
    from ..inference.facts import SCORE_COLUMNS, read_facts
    from ..utils.tables import facts_table, text_table

    found = read_facts(find_checkpoint(model or default_checkpoint()))
    config = found.config
    scheme = config.get("scheme") or {}
    scheme = scheme.get("name", "none") if isinstance(scheme, dict) else shown(scheme)
    lines = [
        ("folder", str(found.folder)),
        ("role", config.get("role")),
        ("landmarks", f"{config.get('num_landmarks')}, scheme {scheme}"),
        (
            "network",
            f"{config.get('backbone')}, {config.get('head')} head, "
            f"{found.parameters / 1e6:.2f} M parameters",
        ),
        ("weights", f"{found.megabytes:.1f} MB, {found.precision}"),
        ("input", f"{config.get('image_size')} x {config.get('image_size')} pixels"),
        ("crop", f"{found.crop_margin:g} times the longer side of the box of the points"),
        ("license", f"weights: {found.license or 'not stated'}; code: Apache-2.0"),
    ]
    time = found.metrics.get("milliseconds")
    if isinstance(time, int | float):
        lines.append(("time", f"{time:.1f} ms a face (PyTorch, one CPU thread)"))
    print(f"kd-landmarks {__version__}\n\n{facts_table(lines)}")
    rows = found.rows()
    if rows:
        print("\n" + text_table([("test", "normalizer", "box", "faces", *SCORE_COLUMNS), *rows]))
