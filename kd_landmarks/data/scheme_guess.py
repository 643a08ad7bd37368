"""A scheme for landmarks that nobody has named yet, as far as their mean shape tells it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from datasets import Dataset
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from ..errors import KDLandmarksError
from ..schemes import LandmarkScheme
from .bad_rows import OtherLandmarks, OtherNames
from .loading import load_rows

FIVE = ("left_eye", "right_eye", "nose_tip", "left_mouth_corner", "right_mouth_corner")
"""Names of five points that lie as those of face recognition do."""
TILTS = np.radians(np.arange(-20, 20.1, 1))
"""Of the axis of symmetry, from upright."""
SYMMETRIC = 0.1
"""How far mirrored points may lie from their partners, on the mean, in the points' mean distances
from their middle."""
ON_AXIS = 0.2
"""Distance from the axis, in the same, within which a point may be its own partner."""


def guess_scheme(
    shapes: NDArray[np.floating], name: str, named: Sequence[str] = ()
) -> LandmarkScheme:
    """What can be guessed: which landmarks a mirror swaps, and what errors are divided by.

    Args:
        shapes: (faces, N, 2), x then y, y down, of faces that are mostly upright; all there.
        name: of the scheme.
        named: what a labeling tool calls the landmarks; it stays, since points are ordered by it.

    Returns:
        A scheme without lines. A mirror swaps points that lie symmetrically on the mean, none where
        the mean is not symmetric. Errors are divided by the distance of the swapped pair that is
        farthest apart, or by the box where there is none. Five points that lie as those of face
        recognition do get their names, others without names `left_1`, `right_1`, `middle_1` ….

    Raises:
        KDLandmarksError: no faces, or points that all coincide.
    """
    mean = mean_shape(shapes)
    flip = mirror_partners(mean)
    pairs = [(a, b) for a, b in enumerate(flip) if mean[a, 0] < mean[b, 0] and a != b]
    pairs.sort(key=lambda pair: -float(np.linalg.norm(mean[pair[0]] - mean[pair[1]])))
    corners = pairs[0] if pairs else None
    pupils = None
    if flip == (1, 0, 2, 4, 3) and mean[0, 1] < mean[2, 1] < mean[3, 1] and mean[0, 0] < 0:
        corners, pupils = (0, 1), ((0,), (1,))
        named = named or FIVE
    if named:
        return LandmarkScheme(name, tuple(named), flip, corners, pupils)
    names = [""] * len(mean)
    for number, (left, right) in enumerate(sorted(pairs), start=1):
        names[left], names[right] = f"left_{number}", f"right_{number}"
    middle = [index for index, given in enumerate(names) if not given]
    for number, index in enumerate(middle, start=1):
        names[index] = f"middle_{number}" if pairs else f"point_{number}"
    return LandmarkScheme(name, tuple(names), flip, corners)


def mean_shape(shapes: NDArray[np.floating]) -> NDArray[np.float64]:
    """(faces, N, 2) to (N, 2), about the origin and of size 1, as upright as the faces are.

    Raises:
        KDLandmarksError: no faces, or points that all coincide.
    """
    if not len(shapes):
        raise KDLandmarksError("there is no face with all of its landmarks to guess a scheme from")
    unit = _unit(shapes)
    if not unit.any():
        raise KDLandmarksError("all landmarks of a face coincide: is this the right field?")
    mean = unit[unit.any((1, 2))].mean(0)
    return np.asarray(mean / np.linalg.norm(mean), np.float64)


def _unit(shapes: NDArray[np.floating]) -> NDArray[np.float64]:
    """Shapes (faces, N, 2) about the origin and of size 1; 0 where all points coincide."""
    centered = np.asarray(shapes - shapes.mean(1, keepdims=True), np.float64)
    sizes = np.linalg.norm(centered, axis=(1, 2), keepdims=True)
    return centered / np.where(sizes > 0, sizes, 1)


def mirror_partners(mean: NDArray[np.float64]) -> tuple[int, ...]:
    """Which point each becomes in a mirror: itself for all where the shape is not symmetric.

    Args:
        mean: (N, 2), about the origin and of size 1.
    """
    identity = tuple(range(len(mean)))
    spread = np.linalg.norm(mean, axis=1).mean()
    best = (np.inf, identity)
    for tilt in TILTS:
        turn = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
        upright = mean @ turn
        away = np.linalg.norm(upright[:, None] * [-1, 1] - upright[None], axis=-1)
        # A point far from the axis is never its own partner.
        own = np.arange(len(mean))
        away[own, own] += np.where(np.abs(upright[:, 0]) > ON_AXIS * spread, 10.0, 0.0)
        # Partners are each other's: the costs of both ways are one.
        rows, columns = linear_sum_assignment(away + away.T)
        partners = columns[rows.argsort()]
        if (partners[partners] != own).any():
            continue
        cost = float(away[own, partners].mean())
        if cost < best[0]:
            best = (cost, tuple(int(partner) for partner in partners))
    return best[1] if best[0] <= SYMMETRIC * spread else identity


def count_and_names(
    source: str | Path, split: str | None, allow_outside: bool = False
) -> tuple[int, tuple[str, ...]]:
    """How many landmarks data have, and what their labeling tool calls them, if it does.

    Args:
        source: as for `load_rows`.
        split: part of the data; None where there is only one.
        allow_outside: as for `load_rows`.

    Raises:
        KDLandmarksError: as `load_rows`.
    """
    one = LandmarkScheme("one", ("point_1",), (0,))
    try:
        load_rows(source, split, scheme=one, skip_bad_rows=True, allow_outside=allow_outside)
    except OtherNames as error:
        return len(error.names), error.names
    except OtherLandmarks as error:
        return error.count, ()
    return 1, ()


def first_faces(
    source: str | Path, split: str | None, name: str, **loading: Any
) -> tuple[Dataset, tuple[str, ...]]:
    """The faces of data that nobody has made a scheme for yet, and their tool's names, if any.

    Args:
        source: as for `count_and_names`, as are the others.
        name: of the scheme that their rows get.
        **loading: for `load_rows`.

    Raises:
        KDLandmarksError: as `load_rows`.
    """
    count, names = count_and_names(source, split, loading.get("allow_outside", False))
    numbered = tuple(f"point_{number}" for number in range(1, count + 1))
    scheme = LandmarkScheme(name, names or numbered, tuple(range(count)))
    return load_rows(source, split, scheme=scheme, skip_bad_rows=True, **loading), names


def most_usual(shapes: NDArray[np.floating]) -> int:
    """The face of (faces, N, 2) whose shape is nearest to the mean."""
    return int(np.linalg.norm(_unit(shapes) - mean_shape(shapes), axis=(1, 2)).argmin())


def flip_pairs(scheme: LandmarkScheme) -> list[list[int]]:
    """The pairs of landmarks that a mirror swaps."""
    return [[a, b] for a, b in enumerate(scheme.flip_permutation) if a < b]


def scheme_text(scheme: LandmarkScheme, faces: int) -> str:
    """A guessed scheme as YAML, with what is to be checked and can be added.

    Args:
        scheme: as guessed.
        faces: from how many.
    """

    def line(field: str, value: object) -> str:
        return yaml.safe_dump({field: value}, default_flow_style=None, width=96, allow_unicode=True)

    corners = line("eye_corners", list(scheme.eye_corners or (0, 1)))
    if scheme.eye_corners is None:
        corners = f"# {corners}"
    pupils = "" if scheme.pupils is None else line("pupils", list(map(list, scheme.pupils)))
    return (
        f"# Guessed from {faces} faces: check it. Indices count from 0; left and right are those "
        f"of the picture.\nname: {json.dumps(scheme.name)}\n{line('names', list(scheme.names))}"
        "# Which landmarks a mirror swaps; the others stay where they are.\n"
        f"{line('flip_pairs', flip_pairs(scheme))}"
        "# Errors are divided by the distance of these two, by the box where there are none.\n"
        f"{corners}{pupils}"
        "# Lines for drawing, such as {name: mouth, indices: [3, 4], closed: false}.\n"
        "outlines: []\n"
    )
