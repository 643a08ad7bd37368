"""Tables and counts to print."""

from collections.abc import Iterable, Sequence


def text_table(rows: Sequence[Sequence[str]], names: int = 1) -> str:
    """Rows in columns, with a line below the first.

    Args:
        rows: the header and the rest, all of the same length.
        names: so many columns stand to the left; the others, figures, to the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        sized = list(zip(row, widths, strict=True))
        cells = [cell.ljust(width) for cell, width in sized[:names]]
        cells += [cell.rjust(width) for cell, width in sized[names:]]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows as a Markdown table."""
    lines = (header, ["---"] * len(header), *rows)
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def facts_table(facts: Sequence[tuple[str, object]]) -> str:
    """Names and what they are, a line each, the latter below one another."""
    width = max(len(name) for name, _ in facts)
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in facts)


def counted(count: int, noun: str) -> str:
    """So many of a thing, in words: "1 face", "2 faces"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
