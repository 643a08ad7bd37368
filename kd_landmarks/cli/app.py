"""The command line's frame: one line for bad input, a full disk or a stop, and its exit code."""

# What typer makes of click has other types by typer's version: its own copy, or click.

import errno
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .. import __version__
from ..errors import KDLandmarksError, shown
from ..utils.environment import explain_missing
from ..utils.signals import exit_code, now_ending, stop_signals

KEPT = "finished files are kept, no file is half-written; run the same command to start again"

# Commands that run on several processes (`training.shutdown.one_ending`).
_TOGETHER = ("train", "annotate")

_UsageError: Any = typer.BadParameter.__base__


class _Commands(TyperGroup):
    """In every command: a line and exit code 2 for bad input; 130 for Ctrl-C, 143 for SIGTERM."""

    def invoke(self, ctx: Any) -> Any:
        # They end all of their processes together, and say what is kept.
        stopping = nullcontext() if ctx.obj in _TOGETHER else stop_signals(lambda: KEPT)
        with stopping, _one_line():
            result = super().invoke(ctx)
            sys.stdout.flush()  # while it can be told that a disk is full
            return result

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        ctx.obj = args[0] if args else None
        # Few shells turn the ~ of --output=~/x into the path that it stands for.
        args = [re.sub("^(--[^=]+=)?(~.*)", _from_home, one) for one in args]
        with _one_line():
            return super().parse_args(ctx, args)


def _from_home(word: re.Match[str]) -> str:
    return (word[1] or "") + os.path.expanduser(word[2])


@contextmanager
def _one_line() -> Iterator[None]:
    """Bad input, ours or on typer's own account, a full disk and a stop as a line on stderr."""
    try:
        yield
    except KDLandmarksError as error:
        problem = error
    except ModuleNotFoundError as error:
        missing = explain_missing(error, "this command")
        if missing is None:
            raise
        problem = missing
    except _UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            raise
        command = "kd-landmarks" if error.ctx is None else error.ctx.command_path
        reason = error.format_message().rstrip(".")
        if hasattr(error.__cause__, "errors"):  # pydantic's, which typer does not name the value of
            reason += f", not {shown(error.__cause__.errors()[0]['input'])}"
        problem = KDLandmarksError(f"{reason}. See `{command} --help`")
    except OSError as error:
        if error.errno == errno.EPIPE:  # nobody reads on, which is not an error
            raise
        _give_up_stdout()
        where = f"{error.filename}: " if error.filename else ""
        problem = KDLandmarksError(f"{where}{error.strerror or error}")
    except KeyboardInterrupt as stop:
        now_ending()
        print(f"stopped: {KEPT}", file=sys.stderr)
        raise typer.Exit(exit_code(getattr(stop, "number", signal.SIGINT))) from None
    else:
        return
    print(f"error: {problem}", file=sys.stderr)
    raise typer.Exit(2)


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"kd-landmarks {__version__}")
        raise typer.Exit


@app.callback()
def commands(
    _: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Small, fast, accurate facial landmark detectors."""


def _give_up_stdout() -> None:
    """Where stdout cannot be written: Python tries again as it ends, and tells in its own way."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
