"""README and the pages of docs/: their blocks of code, their links and their headings."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"(?ms)(?:^<!-- test: (\S+) -->\n)?^```(\w+)\n(.*?)^```$")
LINK = re.compile(r"\]\(([^)\s]+)\)|<(https?:[^>]+)>")


class Block(NamedTuple):
    """A block of code.

    Attributes:
        mode: `run` in every test run, `slow` in those of minutes; another file's name where that
            file runs it; else `read`. Python is run unless the page says otherwise.
        language: as the page says.
        code: in it.
    """

    mode: str
    language: str
    code: str


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in their order."""
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [
        Block(mode or ("run" if kind == "python" else "read"), kind, code)
        for mode, kind, code in found
    ]


def prose(page: Path) -> str:
    """A page without its code."""
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    return re.sub(r"`[^`\n]*`", "", text)


def links(page: Path) -> list[str]:
    """What a page links to."""
    return [inner or outer for inner, outer in LINK.findall(prose(page))]


def anchors(page: Path) -> set[str]:
    """The headings of a page that have one and the same anchor on the code host and in the site."""
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    found = set()
    for heading in re.findall(r"(?m)^#+ (.+)$", text):
        plain = re.sub(r"[^\w\s-]", "", heading.replace("`", "")).strip().lower()
        there, here = plain.replace(" ", "-"), re.sub(r"[-\s]+", "-", plain)
        if there == here:
            found.add(here)
    return found
