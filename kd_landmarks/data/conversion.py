"""What a conversion wrote, and what the source lacked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import datasets

from ..schemes import LandmarkScheme
from ..utils.tables import text_table
from .shards import StoredSplit

MISSING_FILE = "missing.txt"
"""Has everything that is missing or odd, beside the card."""

# Names of a kind that are printed.
_SHOWN = 10


@dataclass(frozen=True)
class Count:
    """Faces of a split or of a part of it.

    Attributes:
        split: its name.
        part: "" for the whole split.
        faces: written ones.
        official: how many there are officially; None where nobody says.
    """

    split: str
    part: str
    faces: int
    official: int | None


@dataclass(frozen=True)
class Conversion:
    """A converted data set.

    Attributes:
        title: what it is called.
        scheme: of its landmarks.
        splits: what was written, by split.
        unions: splits that are others put together, with no files of their own.
        counts: faces by split and part, those of absent splits too.
        missing: folders and files that should be there and are not, as far as their names are
            known.
        left_out: faces that could not be taken, each with the reason.
        unlabeled: photos without landmarks.
        boxless: faces that are kept without their own box, each with what is wrong with it.
        outside: faces whose pictures came from outside of the source's folder, each with the name
            of its file.
    """

    title: str
    scheme: LandmarkScheme
    splits: Mapping[str, StoredSplit]
    unions: Mapping[str, tuple[str, ...]]
    counts: tuple[Count, ...]
    missing: tuple[str, ...]
    left_out: tuple[str, ...]
    unlabeled: tuple[str, ...]
    boxless: tuple[str, ...]
    outside: tuple[str, ...] = ()

    @property
    def faces(self) -> int:
        """All written faces."""
        return sum(split.faces for split in self.splits.values())

    @property
    def features(self) -> datasets.Features:
        """Column types of all splits."""
        return next(iter(self.splits.values())).features

    @property
    def whole(self) -> bool:
        """Whether every official face is there, no others, and none was left out."""
        as_official = all(count.official in (None, count.faces) for count in self.counts)
        return as_official and not self.left_out

    def text(self) -> str:
        """All of it, to print; long lists of names cut short."""
        title = f"{self.title}, {self.scheme.name}: {self.faces} faces"
        lacks = self.lacks(_SHOWN)
        return "\n\n".join([title, self.table(), *([lacks] if lacks else [])])

    def table(self) -> str:
        """The counts, a line each."""
        parts = any(count.part for count in self.counts)
        rows = [["split", *(["part"] if parts else []), "faces", "official"]]
        for count in self.counts:
            official = "" if count.official is None else f"{count.official}"
            part = [count.part] if parts else []
            rows.append([count.split, *part, f"{count.faces}", official])
        return text_table(rows, names=len(rows[0]) - 2)

    def lacks(self, most: int | None = None) -> str:
        """What is missing or odd, by name; "" where nothing is.

        Args:
            most: so many names of each kind at most; None for all.
        """
        kinds = {
            "Missing, as far as names are known": self.missing,
            "Left out": self.left_out,
            "Photos without landmarks": self.unlabeled,
            "Kept without their own box": self.boxless,
            "Pictures from outside of the source's folder": self.outside,
        }
        lines: list[str] = []
        for kind, names in kinds.items():
            if not names:
                continue
            shown = names if most is None else names[:most]
            lines.append(f"{kind}: {len(names)}")
            lines += [f"  {name}" for name in shown]
            if len(shown) < len(names):
                lines.append(f"  … and {len(names) - len(shown)} more in {MISSING_FILE}")
        return "\n".join(lines)
