"""Lines of a text file that somebody else wrote: one at a time, and none without an end."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..errors import KDLandmarksError

LONGEST_LINE = 2**20
"""Bytes; a face with 98 points, boxes and attributes takes about 3,000."""
LONGEST_SKIPPED = 2**26
"""A line that goes on for longer is not a line: such a file is not read to its end."""


def text_lines(file: Path) -> Iterator[tuple[int, str | KDLandmarksError]]:
    """The lines that are not blank, each with its number from 1, or what is wrong with it.

    Raises:
        KDLandmarksError: naming the file, where it cannot be read or is not UTF-8 text.
    """
    try:
        if not file.is_file():  # a pipe would be waited for
            raise KDLandmarksError(f"cannot read {file}: it is not a regular file")
        with file.open("rb") as stream:
            number = 0
            while line := stream.readline(LONGEST_LINE + 1):
                number += 1
                if number == 1:
                    _check_start(line, file)
                    line = line.removeprefix(codecs.BOM_UTF8)
                text = _text(line, stream, file, number)
                if isinstance(text, KDLandmarksError) or text.strip():
                    yield number, text
    except OSError as error:
        raise KDLandmarksError(f"cannot read {file}: {error.strerror or error}") from error


def _check_start(line: bytes, file: Path) -> None:
    if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in line[:1000]:
        raise KDLandmarksError(
            f"{file} is not UTF-8 text, but UTF-16 or no text at all: save it as UTF-8"
        )


def _text(line: bytes, stream: BinaryIO, file: Path, number: int) -> str | KDLandmarksError:
    """A line as text; the stream is at its end then, however long it is."""
    if len(line) <= LONGEST_LINE:
        try:
            return line.decode()
        except UnicodeDecodeError as error:
            return KDLandmarksError(f"{file.name}:{number}: not UTF-8 text: {error.reason}")
    length = len(line)
    while not line.endswith(b"\n") and (line := stream.readline(LONGEST_LINE)):
        length += len(line)
        if length > LONGEST_SKIPPED:
            raise KDLandmarksError(
                f"{file}:{number}: the line does not end within {LONGEST_SKIPPED} bytes: is this "
                "another kind of file? Give one face a line"
            )
    return KDLandmarksError(
        f"{file.name}:{number}: the line has {length} bytes, more than {LONGEST_LINE}: give one "
        "face a line"
    )
