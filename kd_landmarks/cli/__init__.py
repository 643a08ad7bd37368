"""The `kd-landmarks` command.

Each command imports the heavy libraries inside, so that `--help` answers at once.
"""

from . import convert, evaluate, export, hub, info, predict, video  # noqa: F401 - they register their commands
from .app import app


def main() -> None:
    """Run the command line."""
    app(prog_name="kd-landmarks")
