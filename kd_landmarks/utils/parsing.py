"""JSON and YAML that others wrote: bounded in size, depth and memory; errors name the file."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from ..errors import KDLandmarksError, shown

MOST_JSON = 2**22
"""Bytes of a JSON file; the largest that the package writes has 0.3 million."""
MOST_YAML = 2**16
"""Bytes of a YAML file; the largest recipe and scheme have a tenth of it."""
LONGEST_NAME = 100
"""Bytes of a name that becomes a file's; systems allow about 250, and endings are added."""


def read_text(path: str | Path, most_bytes: int) -> str:
    """A text file of at most so many bytes.

    Raises:
        KDLandmarksError: naming the file, where it is too large, cannot be read or is not UTF-8.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise FileNotFoundError("there is no such file")
        with path.open("rb") as stream:
            content = stream.read(most_bytes + 1)
        if len(content) > most_bytes:
            raise KDLandmarksError(
                f"{path} has more than the {most_bytes} bytes that such a file may have: is it "
                "another kind of file?"
            )
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise KDLandmarksError(f"{path} is not UTF-8 text: {error.reason}") from error
    except OSError as error:
        raise KDLandmarksError(f"cannot read {path}: {error.strerror or error}") from error


def parse_json(text: str | bytes, where: str) -> Any:
    """JSON to plain values.

    Args:
        text: of any content.
        where: what messages call it.

    Raises:
        KDLandmarksError: for what is not JSON, is nested too deeply, has numbers of thousands of
            digits, or a key twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError:
        reason = "it is nested too deeply"
    except KDLandmarksError as error:
        reason = str(error)
    except json.JSONDecodeError as error:
        reason = f"{error.msg} in line {error.lineno}, column {error.colno}"
    except ValueError:  # of Python's limit on the digits of a whole number
        reason = "a number has too many digits"
    raise KDLandmarksError(f"{where} is not JSON that can be read: {reason}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; a key that appears twice is ambiguous.

    Raises:
        KDLandmarksError: for such a key.
    """
    values = dict(pairs)
    if len(values) < len(pairs):
        (twice, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise KDLandmarksError(f"the key {shown(twice)} appears twice")
    return values


def read_json(path: str | Path, most_bytes: int = MOST_JSON) -> Any:
    """The values of a JSON file.

    Raises:
        KDLandmarksError: naming the file, as `read_text` and `parse_json`.
    """
    return parse_json(read_text(path, most_bytes), str(path))


def read_json_object(path: str | Path) -> dict[str, Any]:
    """The values of a JSON file that holds an object.

    Raises:
        KDLandmarksError: naming the file; also where it holds something else.
    """
    values = read_json(path)
    if not isinstance(values, dict):
        raise KDLandmarksError(f"{path} holds {shown(values)}, not an object of names and values")
    return values


def read_yaml(path: str | Path) -> Any:
    """The values of a YAML file; aliases may repeat, but not multiply without end.

    Raises:
        KDLandmarksError: naming the file and the place, where it is not YAML, too large, nested too
            deeply, or has more values than the bound.
    """
    return parse_yaml(read_text(path, MOST_YAML), str(path))


def parse_yaml(text: str, where: str, types: bool = True) -> Any:
    """YAML to plain values.

    Args:
        text: of any content.
        where: what messages call it.
        types: whether numbers, dates and the like are told from text; False leaves all as text.

    Raises:
        KDLandmarksError: as `read_yaml`.
    """
    if len(text) > MOST_YAML:
        raise KDLandmarksError(f"{where} has more than {MOST_YAML} characters of YAML")
    from .bounded_yaml import load

    try:
        return load(text, types)
    except ValueError as error:
        raise KDLandmarksError(f"{where} is not YAML that can be read: {error}") from None


def plain_name(value: object, what: str) -> str:
    """Text that may become the name of a file or folder, here and on other systems.

    Args:
        value: as somebody wrote it.
        what: what messages call it.

    Raises:
        KDLandmarksError: for anything else, such as a path, `..` or nothing.
    """
    if not isinstance(value, str):
        reason = "it is not text (put it in quotes)"
    elif not 1 <= len(value.encode(errors="replace")) <= LONGEST_NAME:
        reason = f"it must have 1 to {LONGEST_NAME} bytes"
    elif not value.isprintable() or set(value) & set('/\\:*?"<>|'):
        reason = "it has a character that file names may not have"
    elif value != value.strip() or value[0] in ".-~" or value[-1] == ".":
        reason = "it starts or ends as a plain name may not"
    else:
        return value
    raise KDLandmarksError(
        f"{what} {shown(value)} becomes the name of a file or folder, but {reason}: give a plain "
        "name, such as my-run_2"
    )
