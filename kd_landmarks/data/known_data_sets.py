"""What is known of 300W, WFLW and COFW: their splits, the number of faces, whose they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..imaging.formats import endings


@dataclass(frozen=True)
class Part:
    """A folder or file of an official download.

    Attributes:
        path: below the download's own folder.
        faces: the official number.
        stems: names of all its faces' files without suffix, where they are known.
    """

    path: str
    faces: int
    stems: tuple[str, ...] = ()

    def missing(self, root: Path) -> list[str]:
        """The part itself where it is not there, else the landmark files known to be missing."""
        place = root / self.path
        if not place.exists():
            return [self.path]
        names = (f"{stem}.pts" for stem in self.stems)
        return [f"{self.path}/{name}" for name in names if not (place / name).is_file()]


@dataclass(frozen=True)
class PublishedSet:
    """One of the three research data sets.

    Attributes:
        title: its name as people write it.
        scheme: name of its landmark scheme.
        layout: what its folder holds, for messages.
        splits: official name of each split and what it is made of, in that order.
        unions: splits that are others put together.
        boxes: what its own boxes are; "" where it has none.
        flags: what its further columns say.
        homepage: where it comes from, and its terms stand.
        citation: BibTeX.
    """

    title: str
    scheme: str
    layout: str
    splits: Mapping[str, tuple[Part, ...]]
    homepage: str
    citation: str
    unions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    boxes: str = ""
    flags: str = ""


def unlabeled_photos(folder: Path, root: Path) -> list[str]:
    """Photos below a folder that have no `.pts` file beside them, as paths below `root`."""
    known = endings()
    files = sorted(folder.rglob("*")) if folder.is_dir() else []
    labeled = {file.with_suffix("") for file in files if file.suffix.lower() == ".pts"}
    return [
        file.relative_to(root).as_posix()
        for file in files
        if file.suffix.lower() in known and file.with_suffix("") not in labeled
    ]


def _lfpw(last: int, skipped: str) -> tuple[str, ...]:
    """LFPW's photos are numbered from 1; 300W skips those that the Web had lost."""
    gone = set(map(int, skipped.split()))
    return tuple(f"image_{number:04d}" for number in range(1, last + 1) if number not in gone)


_LFPW_TRAIN = _lfpw(
    871,
    "21 22 23 24 31 54 88 109 126 136 137 141 157 171 173 175 179 181 183 194 208 213 231 235 261 "
    "287 297 303 316 326 341 350 365 369 428 437 440 441 459 513 559 575 582 628 661 664 670 675 "
    "688 689 702 709 713 746 761 802 813 821 841 842",
)
_LFPW_TEST = _lfpw(239, "10 17 19 20 47 62 64 90 130 131 135 141 164 187 191")

PUBLISHED: Mapping[str, PublishedSet] = {
    # Counts: the split of Ren et al., "Face Alignment at 3000 FPS via Regressing Local Binary
    # Features", CVPR 2014. Numbers that LFPW skips: the file lists of 300W.
    "300w": PublishedSet(
        title="300W",
        scheme="ibug68",
        layout="the folders afw, helen, lfpw and ibug, unpacked",
        splits={
            "train": (
                Part("afw", 337),
                Part("helen/trainset", 2000),
                Part("lfpw/trainset", 811, _LFPW_TRAIN),
            ),
            "common": (Part("helen/testset", 330), Part("lfpw/testset", 224, _LFPW_TEST)),
            "challenging": (Part("ibug", 135),),
        },
        unions={"full": ("common", "challenging")},
        homepage="https://ibug.doc.ic.ac.uk/resources/300-W/",
        citation="""\
@article{sagonas2016faces,
  author  = {Sagonas, Christos and Antonakos, Epameinondas and Tzimiropoulos, Georgios and
             Zafeiriou, Stefanos and Pantic, Maja},
  title   = {300 Faces In-The-Wild Challenge: Database and results},
  journal = {Image and Vision Computing},
  volume  = {47},
  pages   = {3--18},
  year    = {2016}
}""",
    ),
    "wflw": PublishedSet(
        title="WFLW",
        scheme="wflw98",
        layout="the folders WFLW_annotations and WFLW_images, unpacked",
        splits={
            split: (
                Part(
                    "WFLW_annotations/list_98pt_rect_attr_train_test/"
                    f"list_98pt_rect_attr_{split}.txt",
                    faces,
                ),
            )
            for split, faces in (("train", 7500), ("test", 2500))
        },
        boxes="WFLW's face rectangle, forehead included",
        flags="`pose`, `expression`, `illumination`, `make_up`, `occlusion`, `blur`: 1 where the "
        "face is of that kind of difficulty (large pose, exaggerated expression, …), else 0",
        homepage="https://wywu.github.io/projects/LAB/WFLW.html",
        citation="""\
@inproceedings{wu2018look,
  author    = {Wu, Wayne and Qian, Chen and Yang, Shuo and Wang, Quan and Cai, Yici and
               Zhou, Qiang},
  title     = {Look at Boundary: A Boundary-Aware Face Alignment Algorithm},
  booktitle = {CVPR},
  year      = {2018}
}""",
    ),
    "cofw": PublishedSet(
        title="COFW",
        scheme="cofw29",
        layout="COFW_train_color.mat and COFW_test_color.mat",
        splits={
            "train": (Part("COFW_train_color.mat", 1345),),
            "test": (Part("COFW_test_color.mat", 507),),
        },
        boxes="COFW's face detections",
        flags="`visible`: for each landmark 1, or 0 where it is occluded",
        homepage="https://data.caltech.edu/records/bc0bf-nc666",
        citation="""\
@inproceedings{burgosartizzu2013robust,
  author    = {Burgos-Artizzu, Xavier P. and Perona, Pietro and Doll{\\'a}r, Piotr},
  title     = {Robust Face Landmark Estimation under Occlusion},
  booktitle = {ICCV},
  year      = {2013}
}""",
    ),
}
"""The research data sets by the word that `kd-landmarks convert` takes."""
