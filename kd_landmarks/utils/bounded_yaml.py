"""PyYAML within bounds: of depth, and of values once aliases are spelled out."""

from collections.abc import Callable
from typing import Any

import yaml

MOST_NODES = 10_000
"""Values of a YAML file, each counted as often as aliases repeat it."""
DEEPEST = 50
_TOO_MANY = f"it has more than {MOST_NODES} values, once its aliases are spelled out"
_TOO_DEEP = f"it is nested too deeply: more than {DEEPEST} levels"


def load(text: str, types: bool) -> Any:
    """YAML to plain values.

    Args:
        text: of any content.
        types: whether numbers, dates and the like are told from text.

    Raises:
        ValueError: telling reason and place.
    """
    try:
        loader = (_TypedLoader if types else _TextLoader)(text)  # refuses control characters
        root = loader.get_single_node()
        if root is None:
            return None
        _measure(root, {})
        return loader.construct_document(root)
    except RecursionError:
        reason = _TOO_DEEP
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = "" if mark is None else f" in line {mark.line + 1}, column {mark.column + 1}"
        reason = f"{error.problem or error.context}{place}"
    except Exception as error:  # of a date such as 2024-13-01, of !!int without digits
        reason = str(error).partition("\n")[0] or repr(error)
    raise ValueError(reason)


class _Bounded:
    """Makes PyYAML stop at once where there is more, or deeper, than the bounds."""

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
        yaml.MarkedYAMLError: for more than the bounds, and for a node that holds itself.
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
