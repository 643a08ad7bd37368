"""A converted data set: what was written, what it lacks, and its card with what the Hub reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import datasets
from huggingface_hub import DatasetCard, DatasetCardData

from .. import __version__
from ..schemes import LandmarkScheme, is_built_in
from ..utils.tables import text_table
from .known_data_sets import PublishedSet

SCHEME_FILE = "scheme.yaml"
"""Beside the card where the landmark scheme is none of the package's own."""
MISSING_FILE = "missing.txt"
"""Has everything that is missing or odd, beside the card."""

TAG = "kd-landmarks"
"""Of the card: a data set on the Hub that has it may be converted anew."""

_TEMPLATE = Path(__file__).parent / "card_template.md"
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
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
        info: column types, splits and sizes of what was written.
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
    info: datasets.DatasetInfo
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
        return sum(split.num_examples for split in self.info.splits.values())

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

    def lacks(self, limit: int | None = None) -> str:
        """What is missing or odd, by name; "" where nothing is.

        Args:
            limit: so many names of each kind at most; None for all.
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
            shown = names if limit is None else names[:limit]
            lines.append(f"{kind}: {len(names)}")
            lines += [f"  {name}" for name in shown]
            if len(shown) < len(names):
                lines.append(f"  … and {len(names) - len(shown)} more in {MISSING_FILE}")
        return "\n".join(lines)


def card_text(
    conversion: Conversion,
    published: PublishedSet | None,
    license_id: str | None,
    crop_margin: float | None,
) -> str:
    """The card of a conversion.

    Args:
        conversion: what was written.
        published: the research data set that it is; None for one's own.
        license_id: as the Hub calls licenses; None for `other` with a link to the terms of a
            research data set, and for none of one's own.
        crop_margin: of the crops; None where photos are whole.
    """
    built_in = is_built_in(conversion.scheme)
    card = DatasetCard.from_template(
        _metadata(conversion, published, license_id),
        template_path=str(_TEMPLATE),
        conversion=conversion,
        published=published,
        license_id=license_id,
        crop_margin=None if crop_margin is None else f"{crop_margin:g}",
        built_in=built_in,
        scheme=conversion.scheme.name if built_in else SCHEME_FILE,
        split=next(iter(conversion.info.splits)),
        version=__version__,
        missing_file=MISSING_FILE,
    )
    return str(card).rstrip() + "\n"


def _metadata(
    conversion: Conversion, published: PublishedSet | None, license_id: str | None
) -> DatasetCardData:
    """What the Hub reads: licenses, sizes, columns and which files are which split."""
    fields: dict[str, object] = {"license": license_id}
    if published is not None and license_id is None:
        fields = {
            "license": "other",
            "license_name": f"{published.title.lower()}-terms",
            "license_link": published.homepage,
        }
    size = next((name for limit, name in _SIZES if conversion.faces < limit), "n>1M")
    data = DatasetCardData(
        pretty_name=conversion.title,
        task_categories=["keypoint-detection"],
        size_categories=[size],
        tags=["face", "facial-landmarks", "face-alignment", TAG],
        **fields,  # type: ignore[arg-type]
    )
    # `full` of 300W has no photos of its own: it is the files of the other two.
    written = conversion.info.splits
    members = {name: (name,) for name in written} | dict(conversion.unions)
    splits = datasets.SplitDict()
    for name, of in members.items():
        num_bytes = sum(written[member].num_bytes for member in of)
        faces = sum(written[member].num_examples for member in of)
        splits.add(datasets.SplitInfo(name, num_bytes, faces))
    info = datasets.DatasetInfo(
        features=conversion.info.features,
        splits=splits,
        download_size=conversion.info.download_size,
        dataset_size=sum(split.num_bytes for split in splits.values()),
    )
    datasets.info.DatasetInfosDict(default=info).to_dataset_card_data(data)
    files = [
        {"split": name, "path": [f"data/{member}-*" for member in of]}
        for name, of in members.items()
    ]
    data["configs"] = [{"config_name": "default", "data_files": files}]
    return data
