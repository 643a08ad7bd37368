"""Columns of rows as arrays, and rows picked out of many."""

import numpy as np
from datasets import Dataset as Rows


def point_array(rows: Rows, column: str) -> np.ndarray:
    """A column of points as float64 (rows, N, 2)."""
    return np.asarray(rows.with_format("numpy")[column], dtype=np.float64)


def box_array(rows: Rows) -> np.ndarray:
    """The boxes as float64 (rows, 4), or (rows, 5) with rolls."""
    return np.asarray(rows.with_format("numpy")["box"], dtype=np.float64)


def longer_sides(boxes: np.ndarray) -> np.ndarray:
    """The longer side of each of the boxes (faces, 4), (faces,)."""
    return (boxes[:, 2:4] - boxes[:, :2]).max(axis=1)


def evenly_spaced(total: int, count: int) -> list[int]:
    """`count` row numbers evenly spread over `total` rows, or all of them where there are fewer."""
    return np.linspace(0, total - 1, min(count, total)).astype(int).tolist()
