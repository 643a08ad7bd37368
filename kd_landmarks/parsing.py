"""JSON and YAML that others wrote: bounded in size, depth and memory, and told by file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from .errors import KDLandmarksError, shown

MOST_JSON = 2**22
"""Bytes of a JSON file; the largest that the package writes has 0.3 million."""
MOST_YAML = 2**16
"""Bytes of a YAML file; the largest recipe and scheme have a tenth of it."""
MOST_NODES = 10_000
"""Values of a YAML file, each counted as often as aliases repeat it."""
DEEPEST = 50
_TOO_MANY = f"it has more than {MOST_NODES} values, once its aliases are spelled out"
_TOO_DEEP = f"it is nested too deeply: more than {DEEPEST} levels"
LONGEST_NAME = 100
"""Bytes of a name that becomes a file's; systems allow about 250, and ours get endings."""


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
    loader = (_TypedLoader if types else _TextLoader)(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        _measure(root, {})
        return loader.construct_document(root)
    except RecursionError:
        reason = "it is nested too deeply"
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = "" if mark is None else f" in line {mark.line + 1}, column {mark.column + 1}"
        reason = f"{error.problem or error.context}{place}"
    except (yaml.YAMLError, ArithmeticError, ValueError) as error:  # a date such as 2024-13-01
        reason = str(error).partition("\n")[0]
    raise KDLandmarksError(f"{where} is not YAML that can be read: {reason}") from None


def plain_name(value: object, what: str) -> str:
    """Text that may become the name of a file or folder, here and on other systems.

    Args:
        value: as somebody wrote it.
        what: what messages call it.

    Raises:
        KDLandmarksError: for anything else, such as a path, `..` or nothing.
    """
    if not isinstance(value, str):
        reason = "it is no text (put it in quotes)"
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


class _Bounded:
    """Makes PyYAML stop at once where there is more, or deeper, than could be meant."""

    flow_level: int
    get_mark: Callable[[], yaml.Mark]
    composed = 0

    def fetch_flow_collection_start(self, *arguments: Any) -> None:
        """At a bracket; without this, each costs as much as there are before it."""
        if self.flow_level >= DEEPEST:
            raise yaml.MarkedYAMLError(problem=_TOO_DEEP, problem_mark=self.get_mark())
        super().fetch_flow_collection_start(*arguments)  # type: ignore[misc]

    def compose_node(self, *arguments: Any) -> yaml.Node:
        """At each value."""
        self.composed += 1
        if self.composed > MOST_NODES:
            raise yaml.MarkedYAMLError(problem=_TOO_MANY, problem_mark=self.get_mark())
        return super().compose_node(*arguments)  # type: ignore[misc]


class _TypedLoader(_Bounded, yaml.SafeLoader): ...


class _TextLoader(_Bounded, yaml.BaseLoader): ...


def _measure(node: yaml.Node, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """How many values a node stands for and how deep it goes, aliases spelled out.

    Raises:
        yaml.MarkedYAMLError: for more than could be meant, and for a node that holds itself.
    """
    if id(node) in known:
        return known[id(node)]
    known[id(node)] = MOST_NODES, DEEPEST  # while it is open: an alias to it from inside has no end
    parts: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        parts = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        parts = node.value
    measured = [_measure(part, known) for part in parts]
    values = 1 + sum(count for count, _ in measured)
    depth = 1 + max((below for _, below in measured), default=0)
    known[id(node)] = values, depth
    if values > MOST_NODES or depth > DEEPEST:
        problem = _TOO_MANY if values > MOST_NODES else _TOO_DEEP
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
    return values, depth
