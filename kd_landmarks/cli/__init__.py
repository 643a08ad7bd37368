"""The `kd-landmarks` command.

Each command imports the heavy libraries inside, so that `--help` answers at once.
"""

# They register their commands.
from ..signals import quiet_start
from . import (  # noqa: F401
    calibrate,
    convert,
    demo,
    evaluate,
    export,
    hub,
    info,
    predict,
    space,
    video,
)
from .app import app


def main() -> None:
    """Run the command line."""
    quiet_start()
    app(prog_name="kd-landmarks")
