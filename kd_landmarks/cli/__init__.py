"""The `kd-landmarks` command.

Each command imports the heavy libraries inside, so that `--help` answers at once.
"""

# They register their commands.
from . import calibrate, convert, evaluate, export, hub, info, predict, video  # noqa: F401
from .app import app


def main() -> None:
    """Run the command line."""
    app(prog_name="kd-landmarks")
