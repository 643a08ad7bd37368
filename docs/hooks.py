"""mkdocs: pages read the same on the code host and in the site.

Pages link to files of the repository by relative paths. Files outside of docs/ that are linked to
become part of the site, at their place in the repository. `<!-- api: NAME -->`, which the code host
hides, becomes mkdocstrings' documentation of that name.
"""

import posixpath
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")
API = re.compile(r"<!-- api: (\S+) -->")
HOME = {"README.md": "index.md"}


def on_files(files: Files, config: Any) -> Files:
    """Add what pages link to."""
    queue = [file for file in files if file.is_documentation_page()]
    while queue:
        file = queue.pop()
        for found in LINK.finditer(file.content_string):
            place = _place(file.src_uri, found[1])
            uri = _uri(place)
            if files.get_file_from_path(uri) or not (ROOT / place).is_file():
                continue
            added = File.generated(config, uri, abs_src_path=str(ROOT / place))
            files.append(added)
            if added.is_documentation_page():
                queue.append(added)
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links to where files are in the site."""
    here = page.file.src_uri

    def led(found: re.Match[str]) -> str:
        uri = _uri(_place(here, found[1]))
        return posixpath.relpath(uri, posixpath.dirname(here) or ".") + (found[2] or "")

    return API.sub(r"::: \1", LINK.sub(led, markdown))


def _place(uri: str, link: str) -> str:
    """Where a page's link leads, in the repository."""
    own = uri if (ROOT / uri).is_file() and not (ROOT / "docs" / uri).is_file() else f"docs/{uri}"
    return posixpath.normpath(posixpath.join(posixpath.dirname(own), unquote(link)))


def _uri(place: str) -> str:
    """Where a file of the repository is in the site."""
    return HOME.get(place, place.removeprefix("docs/"))
