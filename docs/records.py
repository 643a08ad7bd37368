"""What benchmarks recorded, and tables of it."""

import json
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
from record import RESULTS, markdown_table  # noqa: E402

COMMON, WFLW = "300W common", "WFLW, 106 faces"


@cache
def recorded(name: str) -> Any:
    """What a benchmark measured."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))["measured"]


def figures(
    first: str, told: Mapping[str, Mapping[str, Any]], columns: Mapping[str, tuple[str, str]]
) -> str:
    """A table of a row for each entry.

    Args:
        first: title of the first column.
        told: figures by the title of the row; one that is missing or None stays empty.
        columns: by the name of the figure, the title of its column and the format of its value.
    """
    rows = [
        (
            title,
            *(
                "" if values.get(name) is None else format(values[name], form)
                for name, (_, form) in columns.items()
            ),
        )
        for title, values in told.items()
    ]
    return markdown_table((first, *(title for title, _ in columns.values())), rows)
