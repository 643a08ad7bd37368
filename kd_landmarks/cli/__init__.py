"""The `kd-landmarks` command.

Each command imports the heavy libraries inside, so that `--help` answers at once.
"""

# They register their commands.
from ..utils.signals import quiet_start
from . import calibrate, convert, demo, evaluate, export, hub, info, predict, space, video  # noqa: F401
from .app import app


def main() -> None:
    """Run the command line."""
    quiet_start()
    app(prog_name="kd-landmarks")
