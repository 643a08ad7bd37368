"""The command line's frame: one line for bad input, and its exit code."""

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from ..errors import KDLandmarksError


class _Commands(TyperGroup):
    """Prints bad input as one line and exits with 2, in every command."""

    # ctx is the click Context of typer's own copy or of click, by typer's version.
    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KDLandmarksError as error:
            print(f"error: {error}", file=sys.stderr)
            raise typer.Exit(2) from None


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def commands() -> None:
    """Small, fast, accurate facial landmark detectors."""
