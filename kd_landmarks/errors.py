"""The one exception family that users of the package meet."""

import reprlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

LONGEST_LINE = 500
"""Characters of a message's line; what others sent may be in it, however long."""
MOST_LINES = 25

# How PyTorch's loader begins the message with which it raises a worker's error again.
_FROM_A_WORKER = "Caught KDLandmarksError in DataLoader worker"

_shortener = reprlib.Repr()
_shortener.maxlevel = 2


class KDLandmarksError(ValueError):
    """Bad input: the message names the offending value and how to fix it.

    Command lines print it without a traceback and exit with code 2. No line of a message has more
    than `LONGEST_LINE` characters, there are at most `MOST_LINES` lines, and nothing in it moves a
    terminal's cursor.
    """

    def __init__(self, message: object = "") -> None:
        text = str(message)
        if text.startswith(_FROM_A_WORKER):  # its traceback comes before what it has to say
            text = text.rpartition("KDLandmarksError: ")[2].rstrip()
        lines = text.split("\n")
        if len(lines) > MOST_LINES:
            lines[MOST_LINES - 1 :] = [f"  … and {len(lines) - MOST_LINES + 1} lines more"]
        super().__init__("\n".join(map(_fit, lines)))


@contextmanager
def in_our_words(where: str = "") -> Iterator[None]:
    """Make of a ValueError a `KDLandmarksError` whose message begins with `where`."""
    try:
        yield
    except ValueError as error:
        raise KDLandmarksError(f"{where}{error}") from error


def shown(value: Any, most: int = 80) -> str:
    """A value as a message names it: its `repr`, but at most `most` characters of it.

    It costs no more than what is shown, however large or deep the value is.
    """
    for limit in ("maxstring", "maxother", "maxlong"):
        setattr(_shortener, limit, most)
    try:
        text = _shortener.repr(value)
    except ValueError:  # of Python's limit on the digits of a whole number
        text = f"a {type(value).__name__} of too many digits"
    return text if len(text) <= most else f"{text[: most - 1]}…"


def reason(error: BaseException) -> str:
    """What another library's error says, in one line: such texts are long and may be empty."""
    lines = (line.strip() for line in str(error).splitlines())
    return next(filter(None, lines), "") or type(error).__name__


def _fit(line: str) -> str:
    """A line without control characters, its middle left out where it is too long."""
    if len(line) > LONGEST_LINE:
        half = LONGEST_LINE // 2 - 1
        line = f"{line[:half]} … {line[-half + 1 :]}"
    if line.isprintable():
        return line
    return "".join(sign if sign.isprintable() else _spelled(sign) for sign in line)


def _spelled(sign: str) -> str:
    """A sign that no terminal shows; Python's signs for bytes of names are the bytes again."""
    byte = ord(sign) - 0xDC00
    return f"\\x{byte:02x}" if 0x80 <= byte <= 0xFF else repr(sign)[1:-1]
