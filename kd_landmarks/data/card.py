"""The card of a converted data set: `README.md` with the front matter that the Hub reads."""

from __future__ import annotations

import datasets
from huggingface_hub import DatasetCardData

from .. import __version__
from ..schemes import is_built_in
from .conversion import MISSING_FILE, Conversion
from .published import PublishedSet

SCHEME_FILE = "scheme.yaml"
"""Beside the card where the landmark scheme is none of the package's own."""

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


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
    front = _front_matter(conversion, published, license_id)
    parts = [
        f"# {conversion.title}",
        _introduction(conversion, published, crop_margin),
        _use(conversion),
        _splits(conversion),
        _columns(conversion, published),
        _license(published, license_id),
    ]
    if published is not None:
        parts.append(f"## Citation\n\n```bibtex\n{published.citation}\n```")
    return f"---\n{front}\n---\n\n" + "\n\n".join(parts) + "\n"


def _front_matter(
    conversion: Conversion, published: PublishedSet | None, license_id: str | None
) -> str:
    fields: dict[str, object] = {"license": license_id}
    if published is not None and license_id is None:
        fields = {
            "license": "other",
            "license_name": f"{published.title.lower()}-terms",
            "license_link": published.homepage,
        }
    data = DatasetCardData(
        pretty_name=conversion.title,
        task_categories=["keypoint-detection"],
        size_categories=[_size_category(conversion.faces)],
        tags=["face", "facial-landmarks", "face-alignment", "kd-landmarks"],
        **fields,  # type: ignore[arg-type]
    )
    splits = datasets.SplitDict()
    for name, stored in conversion.splits.items():
        splits.add(datasets.SplitInfo(name, stored.num_bytes, stored.faces))
    for name, members in conversion.unions.items():
        size = sum(conversion.splits[member].num_bytes for member in members)
        faces = sum(conversion.splits[member].faces for member in members)
        splits.add(datasets.SplitInfo(name, size, faces))
    info = datasets.DatasetInfo(
        features=conversion.features,
        splits=splits,
        download_size=sum(sum(split.files.values()) for split in conversion.splits.values()),
        dataset_size=sum(split.num_bytes for split in splits.values()),
    )
    datasets.info.DatasetInfosDict(default=info).to_dataset_card_data(data)
    # `full` of 300W has no photos of its own: it is the files of the other two.
    files: dict[str, tuple[str, ...]] = {name: (name,) for name in conversion.splits}
    files |= conversion.unions
    data["configs"] = [
        {
            "config_name": "default",
            "data_files": [
                {"split": name, "path": [f"data/{member}-*" for member in of]}
                for name, of in files.items()
            ],
        }
    ]
    return data.to_yaml(line_break="\n").rstrip()


def _size_category(faces: int) -> str:
    return next((name for limit, name in _SIZES if faces < limit), "n>1M")


def _introduction(
    conversion: Conversion, published: PublishedSet | None, crop_margin: float | None
) -> str:
    scheme = conversion.scheme
    photos = "Photos are whole, their files as they were."
    if crop_margin is not None:
        photos = (
            f"Photos are cut to the square of {crop_margin:g} sides of the face's box, as far as "
            "they go; what was JPEG is compressed anew."
        )
    origin = "photos on disk"
    if published is not None:
        origin = f"the official download of [{published.title}]({published.homepage})"
    if conversion.outside:
        photos += (
            f" The pictures of {len(conversion.outside)} faces came from outside of the folder "
            f"that was converted: see `{MISSING_FILE}`."
        )
    return (
        f"Faces with the {scheme.num_landmarks} landmarks of the scheme `{scheme.name}`, one face "
        f"a row, made from {origin} by kd-landmarks {__version__}. {photos}"
    )


def _use(conversion: Conversion) -> str:
    built_in = is_built_in(conversion.scheme)
    scheme = conversion.scheme.name if built_in else SCHEME_FILE
    split = next(iter(conversion.splits))
    beside = "" if built_in else f"\n`{SCHEME_FILE}` lies beside this card.\n"
    return f"""\
## Use

```python
from kd_landmarks import get_scheme, load_rows

data = "…"  # this folder, or the id of this data set on the Hub
faces = load_rows(data, "{split}", scheme=get_scheme("{scheme}"))
```
{beside}
`datasets.load_dataset(data, split="{split}")` needs no further package."""


def _splits(conversion: Conversion) -> str:
    lines = ["| split | part | faces | official |", "| --- | --- | --- | --- |"]
    for count in conversion.counts:
        official = "" if count.official is None else count.official
        lines.append(f"| {count.split} | {count.part} | {count.faces} | {official} |")
    text = "## Splits\n\n" + "\n".join(lines)
    if not conversion.whole:
        text += (
            "\n\nSome faces could not be taken."
            if all(count.official is None for count in conversion.counts)
            else "\n\n**These are not exactly the official faces**: say so beside every figure "
            "that comes from them."
        )
    if conversion.lacks():
        text += f"\n\nWhat is missing or odd is listed in `{MISSING_FILE}`."
    return text


def _columns(conversion: Conversion, published: PublishedSet | None) -> str:
    points = conversion.scheme.num_landmarks
    about = {
        "image": "the photo; its pixels as stored, before any EXIF rotation",
        "landmarks": f"{points} points x, y in pixels of the photo, pixel centers at whole numbers",
        "box": "x0, y0, x1, y1 of the face in the same pixels: "
        + (published.boxes if published else "the data's own, null where it has none"),
        "scheme": "name of the landmark scheme",
        "subset": "part of the data set",
        "photo": "which photo the face is in; several faces may share it",
        "source": "where the face was read",
        "visible": f"for each of the {points} landmarks 1, or 0 where it is hidden",
    }
    lines = ["| column | what it is |", "| --- | --- |"]
    for name in conversion.features:
        lines.append(f"| `{name}` | {about.get(name, 'a flag of the face')} |")
    text = "## Columns\n\n" + "\n".join(lines)
    if published is not None and published.flags:
        text += f"\n\n{published.flags}."
    if "box" not in conversion.features:
        text += "\n\nThe data set has no boxes of its own."
    return text


def _license(published: PublishedSet | None, license_id: str | None) -> str:
    if license_id is not None:
        return f"## License\n\n`{license_id}`, as the one who converted it states."
    if published is None:
        return "## License\n\nNone is stated."
    return (
        f"## License\n\nThe photos belong to those who took them, the labels to the makers of "
        f"{published.title}: for non-commercial research only, by the terms that stand on "
        f"[its page]({published.homepage}). Neither this repository nor anything cut from it may "
        "be made public without those rights."
    )
