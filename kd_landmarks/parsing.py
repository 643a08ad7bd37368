"""JSON and YAML that others wrote: bounded in size, depth and memory, and told by file."""

import json
from pathlib import Path
from typing import Any

import yaml

from .errors import KDLandmarksError, shown

MOST_JSON = 2**22
"""Bytes of a JSON file; the largest that the package writes has 0.3 million."""
MOST_YAML = 2**16
"""Bytes of a YAML file; the largest recipe and scheme have a tenth of it."""
MOST_NODES = 20_000
"""Values of a YAML file, each counted as often as aliases repeat it."""
DEEPEST = 50


def read_text(path: str | Path, most_bytes: int) -> str:
    """A text file that is no larger than it could be meant to be.

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
                f"{path} has more than {most_bytes} bytes, where these would be plenty: is it "
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
        KDLandmarksError: for what is no JSON, is nested too deeply, or has numbers of thousands of
            digits.
    """
    try:
        return json.loads(text)
    except RecursionError:
        reason = "it is nested too deeply"
    except json.JSONDecodeError as error:
        reason = f"{error.msg} in line {error.lineno}, column {error.colno}"
    except ValueError:  # of Python's limit on the digits of a whole number
        reason = "a number has too many digits"
    raise KDLandmarksError(f"{where} is not JSON that can be read: {reason}") from None


def read_json(path: str | Path, most_bytes: int = MOST_JSON) -> Any:
    """The values of a JSON file.

    Raises:
        KDLandmarksError: naming the file, as `read_text` and `parse_json`.
    """
    return parse_json(read_text(path, most_bytes), str(path))


def read_json_object(path: str | Path, most_bytes: int = MOST_JSON) -> dict[str, Any]:
    """The values of a JSON file that holds an object.

    Raises:
        KDLandmarksError: naming the file; also where it holds something else.
    """
    values = read_json(path, most_bytes)
    if not isinstance(values, dict):
        raise KDLandmarksError(f"{path} holds {shown(values)}, not an object of names and values")
    return values


def read_yaml(path: str | Path) -> Any:
    """The values of a YAML file; aliases may repeat, but not multiply without end.

    Raises:
        KDLandmarksError: naming the file and the place, where it is no YAML, too large, nested too
            deeply, or has more values than could be meant.
    """
    text = read_text(path, MOST_YAML)
    try:
        root = yaml.compose(text, yaml.SafeLoader)
        if root is not None:
            _count(root, {}, 1)
        return yaml.safe_load(text)
    except RecursionError:
        reason = "it is nested too deeply"
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = "" if mark is None else f" in line {mark.line + 1}, column {mark.column + 1}"
        reason = f"{error.problem or error.context}{place}"
    except (yaml.YAMLError, ValueError) as error:  # a date such as 2024-13-01
        reason = str(error).partition("\n")[0]
    raise KDLandmarksError(f"{path} is not YAML that can be read: {reason}") from None


def _count(node: yaml.Node, known: dict[int, int], depth: int) -> int:
    """How many values a node stands for, aliases spelled out.

    Raises:
        yaml.MarkedYAMLError: for more than could be meant, and for a node that holds itself.
    """
    if id(node) in known:
        return known[id(node)]
    problem = ""
    if depth > DEEPEST:
        problem = f"more than {DEEPEST} levels"
    known[id(node)] = MOST_NODES  # while it is open: an alias to it from inside has no end
    total = 1
    if isinstance(node, yaml.MappingNode):
        total += sum(_count(part, known, depth + 1) for pair in node.value for part in pair)
    elif isinstance(node, yaml.SequenceNode):
        total += sum(_count(part, known, depth + 1) for part in node.value)
    known[id(node)] = total
    if total > MOST_NODES:
        problem = f"more than {MOST_NODES} values, once its aliases are spelled out"
    if problem:
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
    return total
