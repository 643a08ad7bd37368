"""Looking at the head: rays through a low-resolution grid of pixels, met with its surface."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from .geometry import Camera, Floats, HeadSurface, map_coordinates

# Depths at which every ray is tried, front to back, in head units; between two of them the
# crossing is found by linear interpolation.
_DEPTHS = np.linspace(1.5, -0.55, 28).astype(np.float32)


@dataclass(frozen=True)
class View:
    """What each pixel sees: the address on the head, how far it is covered, and the depth."""

    columns: Floats  # (H, W) of the radius map
    rows: Floats
    cover: Floats  # (H, W) 0..1
    depth: Floats  # (h, w), coarse
    step: float  # pixels of the picture per pixel of `depth`


def render_view(surface: HeadSurface, camera: Camera, size: int) -> View:
    """See the head in a size x size picture: a ray per 2.5 pixels each way, interpolated.

    At least 48 x 48 rays, so that small pictures know as well what hides what.
    """
    coarse = max(48, -(-2 * size // 5))
    step = size / coarse
    center = (np.arange(coarse, dtype=np.float32) + 0.5) * step - 0.5
    u = ((center - camera.shift[0]) / camera.scale)[None, None, :]
    v = ((center - camera.shift[1]) / camera.scale)[None, :, None]
    depth = _DEPTHS[:, None, None]
    shrink = np.float32(1.0) - depth / np.float32(camera.distance)
    back = camera.rotation.T.astype(np.float32)
    seen_x, seen_y = u * shrink, v * shrink
    x = back[0, 0] * seen_x + (back[0, 1] * seen_y + back[0, 2] * depth)
    y = back[1, 0] * seen_x + (back[1, 1] * seen_y + back[1, 2] * depth)
    z = back[2, 0] * seen_x + (back[2, 1] * seen_y + back[2, 2] * depth)
    layers = len(_DEPTHS)
    flat = (layers * coarse, coarse)
    # OpenCV's arctangent is fast and good to 0.3 degrees: enough to look the radius up. It counts
    # from 0 to 2 pi, so the signs put the jump at the back of the head.
    reach, angle = cv2.cartToPolar(-z.reshape(flat), -x.reshape(flat))
    columns, rows = map_coordinates(angle - np.float32(np.pi), y.reshape(flat))
    radius = cv2.remap(
        surface.radius,
        columns,
        rows,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    inside = (radius - reach).reshape(layers, coarse, coarse)
    hit = inside > 0
    deepest = inside.argmax(axis=0)
    margin = np.take_along_axis(inside, deepest[None], 0)[0]
    first = np.where(margin > 0, hit.argmax(axis=0), deepest)
    before = np.maximum(first - 1, 0)
    g1 = np.take_along_axis(inside, first[None], 0)[0]
    g0 = np.take_along_axis(inside, before[None], 0)[0]
    share = np.where((g1 > 0) & (g0 <= 0), g1 / np.maximum(g1 - g0, 1e-6), 0.0)
    found = _DEPTHS[first] + share * (_DEPTHS[before] - _DEPTHS[first])

    shrink = 1.0 - found / camera.distance
    point = np.stack([u[0] * shrink, v[0] * shrink, found], axis=-1) @ camera.rotation
    columns, rows = map_coordinates(np.arctan2(point[..., 0], point[..., 2]), point[..., 1])
    full = [
        cv2.resize(a.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
        for a in (columns, rows, margin)
    ]
    slope = cv2.magnitude(
        *(cv2.Sobel(full[2], cv2.CV_32F, *d, ksize=3, scale=0.125) for d in ((1, 0), (0, 1)))
    )
    cover = np.clip(0.5 + full[2] / np.maximum(slope, 1e-4), 0.0, 1.0)
    return View(full[0], full[1], cover, found, step)


def hidden(view: View, points: Floats, depths: Floats) -> npt.NDArray[np.bool_]:
    """Which of the pixels (N, 2) at the given depths lie behind another part of the head."""
    place = np.round((points + 0.5) / view.step - 0.5).astype(int)
    place = np.clip(place, 0, np.array(view.depth.shape[::-1]) - 1)
    return view.depth[place[:, 1], place[:, 0]] > depths
