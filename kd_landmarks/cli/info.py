"""`kd-landmarks info`."""

from pathlib import Path
from typing import Annotated

import typer

from ..utils.logging import set_up_logging
from .app import app

INFO_HELP = """Say what a detector is: network, landmarks, crop, size, and what it scored.

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
            help="Checkpoint folder or Hub id. Default: the package's own detector.",
        ),
    ] = None,
) -> None:
    """Read and print."""
    set_up_logging()
    from .. import __version__, default_checkpoint
    from ..evaluation.report import SCORE_COLUMNS
    from ..hub.card import read_checkpoint
    from ..inference.checkpoints import CONFIG, PROCESSOR, WEIGHTS, find_checkpoint
    from ..utils.tables import text_table

    source = model or default_checkpoint()
    files = find_checkpoint(source)
    folder = [Path(files.fetch(name)).parent for name in (WEIGHTS, PROCESSOR, CONFIG)][-1]
    found = read_checkpoint(folder)
    config = found.config
    lines = [
        ("name", found.name),
        ("folder", str(folder)),
        ("role", config.role),
        ("landmarks", f"{config.num_landmarks}, scheme {found.scheme.name}"),
        ("network", f"{config.backbone}, {config.head} head, {found.parameters / 1e6:.2f} M"),
        ("weights", f"{found.megabytes:.1f} MB, {found.precision}"),
        ("input", f"{config.image_size} x {config.image_size} pixels"),
        ("crop", f"{found.crop_margin:g} times the longer side of the box of the points"),
    ]
    if found.milliseconds is not None:
        lines.append(("time", f"{found.milliseconds:.1f} ms a face (PyTorch, one CPU thread)"))
    width = max(len(name) for name, _ in lines)
    print(f"kd-landmarks {__version__}\n")
    print("\n".join(f"{name.ljust(width)}  {value}" for name, value in lines))
    if found.tests:
        rows = [(test.name, test.normalizer, test.box, *test.cells()) for test in found.tests]
        print("\n" + text_table([("test", "normalizer", "box", "faces", *SCORE_COLUMNS), *rows]))
