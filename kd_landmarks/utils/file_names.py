"""Names of files as text that every table and every file can hold.

On Linux a file's name is bytes. Python keeps those that are not UTF-8 as lone surrogates, which
CSV, JSON for others, and Arrow refuse.
"""

import os
import re

_SPELLED = re.compile(r"\\x[0-9a-f]{2}")
_PART = re.compile(r"\\\\|\\x([0-9a-f]{2})")


def name_as_text(path: str | os.PathLike[str]) -> str:
    r"""A path as text, without loss: itself, where it is UTF-8 as nearly all are.

    Else each byte that is not UTF-8 is spelled as `\xNN`, two small hexadecimal digits, and each
    backslash as two: `caf\xe9.jpg` is a name in Latin-1. Names that look like that already get
    their backslashes doubled too, so that no two paths have the same text. `path_from_text` goes
    back.
    """
    path = os.fspath(path)
    try:
        path.encode()
    except UnicodeEncodeError:
        pass
    else:
        if not _SPELLED.search(path):
            return path
    data = path.replace("\\", "\\\\").encode("utf-8", "surrogateescape")
    return data.decode("utf-8", "backslashreplace")


def path_from_text(text: str) -> str:
    """The path whose text `name_as_text` gives, as Python opens it."""
    if not _SPELLED.search(text):
        return text
    # Python's own sign for a byte that is not UTF-8.
    return _PART.sub(lambda part: "\\" if part[1] is None else chr(0xDC00 + int(part[1], 16)), text)
