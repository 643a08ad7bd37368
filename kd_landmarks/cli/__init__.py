"""The `kd-landmarks` command.

Each command imports the heavy libraries inside, so that `--help` answers at once.
"""

from ..utils.signals import quiet_start

# They register their commands.
from . import (  # noqa: F401
    annotate,
    calibrate,
    convert,
    demo,
    env,
    evaluate,
    export,
    hub,
    info,
    inspect,
    predict,
    scheme,
    space,
    train,
    video,
    webcam,
)
from .app import app


def main(arguments: list[str] | None = None) -> None:
    """Run the command line: these arguments, or the program's own."""
    quiet_start()
    app(arguments, prog_name="kd-landmarks")
