"""Landmark schemes: what points are called, where a mirror puts them, what errors are divided by.

Left and right are those of the *image* everywhere, as the viewer sees a frontal face: "left_eye" is
the eye on the left side of the picture, which is the person's right eye.

The built-in schemes are the YAML files beside this module, with their sources: patterns for a
scheme of one's own. The PNG files show them; `model_cards/render.py` draws those.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import KDLandmarksError, shown
from ..utils.parsing import plain_name, read_yaml

SCHEMES = ("ibug68", "wflw98", "cofw29")
"""Names of the built-in schemes."""
MOST_LANDMARKS = 2048
MOST_OUTLINES = 500
LONGEST_NAME = 128
"""Far beyond any scheme in use: what has more is broken or hostile."""


@dataclass(frozen=True)
class Outline:
    """A line through landmarks, for drawing; `closed` joins its last point to its first."""

    name: str
    indices: tuple[int, ...]
    closed: bool = False


@dataclass(frozen=True)
class LandmarkScheme:
    """An ordered set of N facial landmarks; every index counts from 0.

    Args:
        name: what rows, configs and cards call the scheme.
        names: the N points' names, all different.
        flip_permutation: N indices with `mirrored[i] = points[flip_permutation[i]]`, where
            `points` already have their x mirrored. Applied twice it changes nothing.
        eye_corners: the outer corners of the image-left and the image-right eye; their distance
            normalizes the inter-ocular NME. None where there are none: then errors are divided by
            another length (`normalizer`), and turned faces are not cut upright.
        pupils: the points whose mean is the image-left and the image-right pupil, for the
            inter-pupil NME; None where there are none.
        outlines: the lines that draw the face.

    Raises:
        KDLandmarksError: a value does not fit; the message names scheme, field and value.
    """

    name: str
    names: tuple[str, ...]
    flip_permutation: tuple[int, ...]
    eye_corners: tuple[int, int] | None = None
    pupils: tuple[tuple[int, ...], tuple[int, ...]] | None = None
    outlines: tuple[Outline, ...] = ()

    def __post_init__(self) -> None:
        plain_name(self.name, "scheme field 'name'")
        if not 1 <= self.num_landmarks <= MOST_LANDMARKS or len(self.outlines) > MOST_OUTLINES:
            raise KDLandmarksError(
                f"scheme {self.name!r} has {self.num_landmarks} names and {len(self.outlines)} "
                f"outlines: give 1 to {MOST_LANDMARKS} and up to {MOST_OUTLINES}"
            )
        for name in self.names:
            if not _is_label(name):
                raise self._error(
                    "names", name, f"every point needs a name of 1 to {LONGEST_NAME} characters"
                )
        repeated = sorted(name for name, times in Counter(self.names).items() if times > 1)
        if repeated:
            raise self._error("names", repeated, "each name may stand only once")
        flip = self.flip_permutation
        if len(flip) != self.num_landmarks:
            raise self._error(
                "flip_permutation",
                flip,
                f"has {len(flip)} entries for {self.num_landmarks} names; give one per point",
            )
        self._check_indices("flip_permutation", flip)
        for index, partner in enumerate(flip):
            if flip[partner] != index:
                raise self._error(
                    "flip_permutation",
                    partner,
                    f"point {index} goes to {partner}, but {partner} goes to {flip[partner]}; "
                    "mirroring twice must give the same face",
                )
        if self.eye_corners is not None:
            self._check_eye_corners(self.eye_corners, flip)
        if self.pupils is not None:
            self._check_pupils(self.pupils, flip)
        for outline in self.outlines:
            self._check_indices(f"outlines.{outline.name}", outline.indices)
            if len(outline.indices) < 2:
                raise self._error(
                    f"outlines.{outline.name}", outline.indices, "a line needs two points"
                )

    @property
    def num_landmarks(self) -> int:
        """N, the number of points."""
        return len(self.names)

    @property
    def normalizer(self) -> str:
        """What errors are divided by if nobody says otherwise; see `kd_landmarks.nme`."""
        if self.eye_corners is not None:
            return "inter_ocular"
        return "box" if self.pupils is None else "inter_pupil"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, for configs; `from_dict` reads it back."""
        return {
            "name": self.name,
            "names": list(self.names),
            "flip_permutation": list(self.flip_permutation),
            "eye_corners": None if self.eye_corners is None else list(self.eye_corners),
            "pupils": None if self.pupils is None else [list(pupil) for pupil in self.pupils],
            "outlines": [
                {"name": line.name, "indices": list(line.indices), "closed": line.closed}
                for line in self.outlines
            ],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LandmarkScheme:
        """A scheme from plain types, with the keys of `from_yaml`.

        Raises:
            KDLandmarksError: an unknown or missing key, or a value that does not fit.
        """
        if not isinstance(values, Mapping):
            raise KDLandmarksError(f"a scheme is a mapping of fields, not {shown(values)}")
        values = dict(values)
        known = [field.name for field in fields(cls)]
        unknown = sorted(str(key) for key in values if key not in {*known, "flip_pairs"})
        if unknown:
            raise KDLandmarksError(
                f"unknown scheme field {shown(unknown[0])}: known are {', '.join(known)}, "
                "flip_pairs"
            )
        if ("flip_pairs" in values) == ("flip_permutation" in values):
            raise KDLandmarksError(
                "a scheme needs exactly one of the fields 'flip_pairs' and 'flip_permutation'"
            )
        missing = [k for k in ("name", "names") if k not in values]
        if missing:
            raise KDLandmarksError(f"scheme field {missing[0]!r} is missing")
        names = _list("names", values["names"])
        if "flip_pairs" in values:
            flip = _permutation_of_pairs(values["flip_pairs"], len(names))
        else:
            flip = tuple(_list("flip_permutation", values["flip_permutation"]))
        corners, pupils = values.get("eye_corners"), values.get("pupils")
        return cls(
            name=values["name"],
            names=tuple(names),
            flip_permutation=flip,
            eye_corners=None if corners is None else tuple(_list("eye_corners", corners)),  # type: ignore[arg-type]
            pupils=None  # type: ignore[arg-type]
            if pupils is None
            else tuple(tuple(_list("pupils", pupil)) for pupil in _list("pupils", pupils)),
            outlines=tuple(map(_outline, _list("outlines", values.get("outlines", [])))),
        )

    @classmethod
    def from_yaml(cls, path: str | Path) -> LandmarkScheme:
        """A scheme of one's own from a YAML file.

        Indices count from 0. The name, the points' names and which of them a mirror swaps are
        required::

            name: five
            names: [left_eye, right_eye, nose_tip, left_mouth_corner, right_mouth_corner]
            flip_pairs: [[0, 1], [3, 4]]   # points in no pair stay where they are in a mirror
            eye_corners: [0, 1]            # image-left eye first; divides the inter-ocular NME
            pupils: [[0], [1]]             # points averaged to each pupil, image-left first
            outlines:                      # lines for drawing
              - {name: mouth, indices: [3, 4]}
              - {name: face, indices: [0, 1, 4, 3], closed: true}

        In place of `flip_pairs` the whole permutation may stand: `flip_permutation: [1, 0, 2, 4,
        3]`.

        Raises:
            KDLandmarksError: no such file, not YAML, or a value that does not fit; the message
                names file, field and value.
        """
        values = read_yaml(path)
        try:
            return cls.from_dict(values)
        except KDLandmarksError as error:
            raise KDLandmarksError(f"{path}: {error}") from error

    def _check_eye_corners(self, corners: tuple[int, int], flip: tuple[int, ...]) -> None:
        self._check_indices("eye_corners", corners)
        if len(corners) != 2 or corners[0] == corners[1]:
            raise self._error("eye_corners", corners, "give two different points")
        if flip[corners[0]] != corners[1]:
            raise self._error(
                "eye_corners",
                corners,
                f"mirrored, point {corners[0]} becomes {flip[corners[0]]}; the flip must swap the "
                "two corners",
            )

    def _check_pupils(
        self, pupils: tuple[tuple[int, ...], tuple[int, ...]], flip: tuple[int, ...]
    ) -> None:
        if len(pupils) != 2 or not all(pupils):
            raise self._error("pupils", pupils, "give two non-empty lists of points")
        for pupil in pupils:
            self._check_indices("pupils", pupil)
        if {flip[index] for index in pupils[0]} != set(pupils[1]):
            raise self._error("pupils", pupils, "the flip must swap the two pupils")

    def _error(self, field: str, value: object, why: str) -> KDLandmarksError:
        return KDLandmarksError(
            f"scheme {self.name!r}, field {field!r}, value {shown(value)}: {why}"
        )

    def _check_indices(self, field: str, indices: Iterable[object]) -> None:
        for index in indices:
            if type(index) is not int or not 0 <= index < self.num_landmarks:
                raise self._error(
                    field, index, f"give whole numbers from 0 to {self.num_landmarks - 1}"
                )


def _is_label(value: object) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= LONGEST_NAME and value.isprintable()


def _list(field: str, value: object) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise KDLandmarksError(f"scheme field {field!r} is {shown(value)}: give it a list")
    return list(value)


def _permutation_of_pairs(pairs: object, num_landmarks: int) -> tuple[int, ...]:
    """The permutation that swaps each pair and leaves all other points alone."""
    flip = list(range(num_landmarks))
    seen: set[int] = set()
    for pair in _list("flip_pairs", pairs):
        for index in _list("flip_pairs", pair):
            if type(index) is not int or not 0 <= index < num_landmarks or index in seen:
                raise KDLandmarksError(
                    f"scheme field 'flip_pairs', value {shown(index)} in {shown(pair)}: give "
                    f"whole numbers from 0 to {num_landmarks - 1}, each in one pair only"
                )
            seen.add(index)
        if len(pair) != 2:
            raise KDLandmarksError(
                f"scheme field 'flip_pairs', value {shown(pair)}: a pair has two points"
            )
        left, right = pair
        flip[left], flip[right] = right, left
    return tuple(flip)


def _outline(value: object) -> Outline:
    if not (
        isinstance(value, Mapping)
        and {"name", "indices"} <= set(value) <= {"name", "indices", "closed"}
        and _is_label(value["name"])
        and isinstance(value.get("closed", False), bool)
    ):
        raise KDLandmarksError(
            f"scheme field 'outlines', value {shown(value)}: give "
            "{name: text, indices: [whole numbers], closed: true or false}"
        )
    indices = tuple(_list(f"outlines.{value['name']}", value["indices"]))
    return Outline(value["name"], indices, value.get("closed", False))


@cache
def _built_in(name: str) -> LandmarkScheme:
    return LandmarkScheme.from_yaml(Path(__file__).with_name(f"{name}.yaml"))


def is_built_in(scheme: LandmarkScheme) -> bool:
    """Whether a scheme is one of `SCHEMES`, and not another of the same name."""
    return scheme.name in SCHEMES and scheme == _built_in(scheme.name)


def get_scheme(spec: str | Path | Mapping[str, Any] | LandmarkScheme) -> LandmarkScheme:
    """The scheme that `spec` means: a built-in's name, a YAML file, a dict or a scheme itself.

    Raises:
        KDLandmarksError: neither a built-in nor a file that holds a scheme.
    """
    if isinstance(spec, LandmarkScheme):
        return spec
    if isinstance(spec, Mapping):
        return LandmarkScheme.from_dict(spec)
    if isinstance(spec, str) and spec in SCHEMES:
        return _built_in(spec)
    if isinstance(spec, Path) or (isinstance(spec, str) and spec.endswith((".yaml", ".yml"))):
        return LandmarkScheme.from_yaml(spec)
    raise KDLandmarksError(
        f"unknown scheme {shown(spec)}: name one of {', '.join(SCHEMES)} or a YAML file (see "
        "LandmarkScheme.from_yaml)"
    )
