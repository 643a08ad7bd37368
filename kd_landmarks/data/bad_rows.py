"""What can be wrong with a row, and what becomes of rows that are wrong."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import KDLandmarksError, shown

logger = logging.getLogger("kd_landmarks")


LONGEST_TEXT = 5000
"""Characters of a row's texts: paths have up to 4,096."""
MOST_NUMBERS = 100_000
MOST_LISTED = 1000
"""Bad rows that a message names; files of other kinds can have millions."""
NOT_PLACED = (0, -1)
"""What tools have for both coordinates of a covered landmark that nobody has placed."""
SHOWN_OF_ALL = 10
"""Bad rows that are named where all are bad, most likely for one reason."""


class OtherLandmarks(KDLandmarksError):
    """A face of another number of landmarks than its reader's; `count` is its own."""

    def __init__(self, message: str, count: int) -> None:
        self.count = count
        super().__init__(message)


class OtherNames(KDLandmarksError):
    """Faces whose labeling tool calls their landmarks otherwise than the scheme: `names`."""

    def __init__(self, message: str, names: Sequence[str]) -> None:
        self.names = tuple(names)
        super().__init__(message)


def floats(values: Any) -> np.ndarray | None:
    """A float64 array, or None where the values are not a regular array of numbers."""
    # numpy would make text of numbers beside text, each as long as the longest.
    if not isinstance(values, np.ndarray) and not _numbers_only(values):
        return None
    try:
        array = np.asarray(values)
    except ValueError:
        return None
    return array.astype(np.float64) if array.dtype.kind in "iuf" else None


def _numbers_only(values: Any) -> bool:
    """Whether values are lists of numbers, one or two deep, and not beyond all measure."""
    rows = values if isinstance(values, list | tuple) else [values]
    cells = [cell for row in rows for cell in (row if isinstance(row, list | tuple) else [row])]
    numbers = int | float | np.integer | np.floating
    return len(cells) <= MOST_NUMBERS and all(
        (isinstance(cell, numbers) and not isinstance(cell, bool))
        or (isinstance(cell, np.ndarray) and cell.dtype.kind in "iuf")
        for cell in cells
    )


def text_problem(value: Any) -> str | None:
    """What keeps a value from being a row's text; or None."""
    if not isinstance(value, str):
        return f"{shown(value)}, not text"
    if len(value) > LONGEST_TEXT:
        return f"{shown(value)}, of {len(value)} characters: {LONGEST_TEXT} are allowed"
    try:
        value.encode()
    except UnicodeEncodeError:
        return f"{shown(value)}, with half a character"
    return None


def with_gaps(points: Any, visible: np.ndarray | None) -> Any:
    """Points with NaN for landmarks that are not there: null, or -1 in `visible` (N,).

    So is a covered one (`visible` 0) at (0, 0) or (-1, -1) (`NOT_PLACED`).
    """
    if isinstance(points, list | tuple):
        gap = (math.nan, math.nan)
        points = [gap if point is None or point == [None, None] else point for point in points]
    if visible is None or (visible == 1).all():
        return points
    array = floats(points)
    if array is None or array.shape != (len(visible), 2):
        return points  # as they are: `points_problem` says what is wrong with them
    x, y = array.T
    nowhere = (visible == 0) & (x == y) & np.isin(x, NOT_PLACED)
    return np.where(((visible < 0) | nowhere)[:, None], math.nan, array)


def points_problem(points: Any, num_landmarks: int, gaps: bool = False) -> str | None:
    """What keeps an array-like from being `num_landmarks` finite points x, y; or None.

    With `gaps`, some may be NaN in both coordinates, but not all.
    """
    array = floats(points)
    if array is None:
        return f"not {num_landmarks} points x, y but {shown(points)}"
    if array.shape != (num_landmarks, 2):
        return f"of shape {array.shape}, but the scheme has {num_landmarks} points x, y"
    # Beyond float32, in which rows store them, is as good as infinite.
    good = (np.abs(array) <= np.finfo(np.float32).max).all(axis=1)
    if gaps and good.any():
        good |= np.isnan(array).all(axis=1)
    bad = np.flatnonzero(~good)
    return f"not finite: point {bad[0]} is {array[bad[0]].tolist()}" if bad.size else None


def box_problem(box: Any, points: np.ndarray) -> str | None:
    """What is wrong with the box x0, y0, x1, y1 of a face with points (N, 2); or None.

    Wrong are a width or height that is not positive, and a point further outside the box than its
    longer side: coordinates in a wrong order or of another photo, for a real face stays far within.
    """
    problem = corners_problem(box)
    if problem:
        return problem
    corners = np.asarray(box, np.float64)
    size = corners[2:] - corners[:2]
    points = points[~np.isnan(points).any(axis=1)]
    outside = np.maximum(corners[:2] - points, points - corners[2:]).max(axis=1)
    worst = int(outside.argmax())
    if outside[worst] > size.max():
        return (
            f"landmark {worst} at {points[worst].tolist()} is more than the longer side of the "
            f"box {corners.tolist()} outside it"
        )
    return None


def corners_problem(box: Any) -> str | None:
    """What keeps an array-like from being a box x0, y0, x1, y1 with positive sides; or None."""
    corners = floats(box)
    if corners is None or corners.shape != (4,):
        return f"the box is {shown(box)}, not four numbers x0, y0, x1, y1"
    # Beyond float32, in which rows store them, is as good as infinite.
    finite = (np.abs(corners) <= np.finfo(np.float32).max).all()
    if not (finite and (np.float32(corners[2:]) > np.float32(corners[:2])).all()):
        return f"the box {corners.tolist()} has no positive, finite width and height"
    return None


class BadRows:
    """Raises at a bad row, or with `skip` collects them and lists them in the end.

    Args:
        origin: where the rows come from; every message begins with it.
        skip: whether bad rows are left out.
    """

    def __init__(self, origin: str, skip: bool) -> None:
        self.origin, self.skip = origin, skip
        self.problems: list[str] = []
        self.count = 0

    def add(self, problem: str) -> None:
        """Takes a bad row: `problem` names it and says what is wrong.

        Raises:
            KDLandmarksError: bad rows are not to be skipped.
        """
        if not self.skip:
            raise KDLandmarksError(
                f"{self.origin}: {problem} (fix the row, or leave bad rows out: skip_bad_rows)"
            )
        self.count += 1
        if self.count <= MOST_LISTED:
            self.problems.append(problem)

    def close(self, kept: int) -> None:
        """Logs what was left out; `kept` is the number of good rows.

        Raises:
            KDLandmarksError: no row is left.
        """
        count, named = self.count, self.problems if kept else self.problems[:SHOWN_OF_ALL]
        listed = "".join(f"\n  {problem}" for problem in named)
        if count > len(named):
            listed += f"\n  … and {count - len(named)} more"
        if not kept:
            why = f"all {count} rows are bad:{listed}" if count else "it holds no labeled face"
            raise KDLandmarksError(f"{self.origin}: {why}")
        if count:
            logger.warning(
                "%s: left out %d of %d rows:%s", self.origin, count, kept + count, listed
            )
