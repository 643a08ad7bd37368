"""Fixed tiles of noise from which every picture cuts random windows: cheaper than fresh noise."""

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

_SIDE = 512


@lru_cache(maxsize=1)
def _tiles() -> dict[str, npt.NDArray[np.float32]]:
    rng = np.random.default_rng(20221)
    white = rng.normal(size=(_SIDE, _SIDE)).astype(np.float32)
    clouds = np.zeros_like(white)
    for spread in (2.0, 5.0, 12.0, 30.0):
        layer = rng.normal(size=(_SIDE, _SIDE)).astype(np.float32)
        clouds += spread**1.6 * cv2.GaussianBlur(layer, (0, 0), spread)
    tiles = {
        "grain": white,
        "pores": cv2.GaussianBlur(white, (0, 0), 1.1),
        "strands": cv2.GaussianBlur(white, (0, 0), sigmaX=0.8, sigmaY=14.0),
        "clouds": clouds,
    }
    return {name: (tile - tile.mean()) / tile.std() for name, tile in tiles.items()}


def cut_noise(
    rng: np.random.Generator, kind: str, height: int, width: int
) -> npt.NDArray[np.float32]:
    """A random window (height, width) of zero-mean, unit-spread noise.

    Args:
        rng: where the window is taken.
        kind: "grain" (white), "pores" (fine), "strands" (upright streaks) or "clouds" (coarse).
        height: rows; larger windows than the tile of 512 are enlarged from it.
        width: columns.
    """
    tile = _tiles()[kind]
    rows, columns = min(height, _SIDE), min(width, _SIDE)
    top = int(rng.integers(0, _SIDE + 1 - rows))
    left = int(rng.integers(0, _SIDE + 1 - columns))
    window = tile[top : top + rows, left : left + columns]
    if window.shape != (height, width):
        window = np.asarray(cv2.resize(window, (width, height)), np.float32)
    return window
