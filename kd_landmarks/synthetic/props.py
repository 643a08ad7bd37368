"""Things in the picture that belong to no head: the background, and objects before the face."""

import cv2
import numpy as np
import numpy.typing as npt

from .geometry import Floats
from .looks import rgb, tame_color
from .noise import cut_noise

Picture = npt.NDArray[np.float32]
Mask = npt.NDArray[np.uint8]


def paint_background(rng: np.random.Generator, size: int) -> Picture:
    """A gradient, clouds of two colors or a heap of shapes, in or out of focus."""
    first, second = tame_color(rng), tame_color(rng)
    coarse = 40
    kind = rng.random()
    if kind < 0.35:
        direction = rng.normal(size=2)
        y, x = np.mgrid[-0.5 : 0.5 : coarse * 1j, -0.5 : 0.5 : coarse * 1j]
        share = np.clip(0.5 + direction[0] * x + direction[1] * y, 0, 1)
    else:
        share = np.clip(0.5 + 0.5 * cut_noise(rng, "clouds", coarse, coarse), 0, 1)
    ground = (first + share[..., None] * (second - first)).astype(np.float32)
    picture = cv2.resize(ground, (size, size), interpolation=cv2.INTER_CUBIC)
    if kind > 0.45:
        for _ in range(rng.integers(3, 14)):
            corners = rng.uniform(-0.1, 1.1, 2) + rng.normal(0, 0.22, (rng.integers(3, 6), 2))
            color = tame_color(rng) if rng.random() < 0.5 else first * rng.uniform(0.4, 1.6)
            fill(picture, corners * size, color)
    blur = rng.uniform(0.0, 0.05) * size
    if blur > 0.6:
        picture = cv2.GaussianBlur(picture, (0, 0), blur)
    if rng.random() < 0.4:
        picture *= 1 + rng.uniform(0.03, 0.2) * cut_noise(rng, "clouds", size, size)[..., None]
    return picture


def fill(picture: Picture, points: Floats, color: Floats) -> None:
    """Fill an antialiased polygon (n, 2) given in pixels."""
    fixed = np.round(np.asarray(points) * 16).astype(np.int32)
    cv2.fillPoly(picture, [fixed], rgb(color), cv2.LINE_AA, 4)


def fill_both(picture: Picture, covered: Mask, points: Floats, color: Floats) -> None:
    """Fill a polygon in the picture and mark it as covered."""
    fill(picture, points, color)
    fixed = np.round(np.asarray(points) * 16).astype(np.int32)
    cv2.fillPoly(covered, [fixed], 255, cv2.LINE_AA, 4)


def round_off(points: Floats, count: int = 40) -> Floats:
    """A closed smooth curve through the corners of a polygon."""
    closed = np.concatenate([points[-2:], points, points[:2]])
    knots = np.arange(-2, len(points) + 2)
    way = np.linspace(0, len(points), count, endpoint=False)
    index = np.floor(way).astype(int)
    t = (way - index)[:, None]
    p0, p1, p2, p3 = (closed[np.clip(index + k, 0, len(knots) - 1)] for k in (1, 2, 3, 4))
    return 0.5 * (
        2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2
        + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    )  # fmt: skip


def paint_edge(picture: Picture, rng: np.random.Generator) -> None:
    """Black bands where the photo ends, as in a crop that reaches beyond it."""
    size = picture.shape[0]
    for quarter in range(4):
        if rng.random() < 0.4:
            band = int(rng.uniform(0.02, 0.17) * size)
            np.rot90(picture, quarter)[:band] = 0.0


def paint_occluder(picture: Picture, covered: Mask, rng: np.random.Generator, skin: Floats) -> None:
    """A thing before the face: a hand of five fingers, a plate, a ball or a microphone."""
    size = picture.shape[0]
    kind = rng.choice(["hand", "plate", "ball", "microphone"], p=[0.35, 0.3, 0.15, 0.2])
    turn = rng.uniform(0, 2 * np.pi)
    away = rng.uniform(0.15, 0.42) * size
    center = 0.5 * size + away * np.array([np.cos(turn), np.sin(turn)])
    outward = np.array([np.cos(turn), np.sin(turn)])
    across = np.array([-outward[1], outward[0]])
    color = tame_color(rng)
    if kind == "hand":
        width = rng.uniform(0.05, 0.07) * size
        tone = skin * rng.uniform(0.85, 1.1)
        for k in range(4):
            root = center + across * (k - 1.5) * width * 1.02
            tip = root - outward * size * (0.16 - 0.03 * abs(k - 1.2)) * rng.uniform(0.7, 1.1)
            _capsule(
                picture, covered, root + outward * 0.1 * size, tip, width, tone * (0.92 + 0.04 * k)
            )
        palm = center + outward * 0.15 * size
        _capsule(picture, covered, palm, palm + outward * size, 4.2 * width, tone)
    elif kind == "plate":
        half = rng.uniform(0.06, 0.22, 2) * size
        box = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half
        fill_both(picture, covered, center + box @ np.stack([outward, across]), color)
    elif kind == "ball":
        angle = np.linspace(0, 2 * np.pi, 24)
        radius = rng.uniform(0.06, 0.16) * size
        ring = radius * np.stack([np.cos(angle), rng.uniform(0.6, 1) * np.sin(angle)], axis=-1)
        fill_both(picture, covered, center + ring, color)
    else:
        low = np.array([rng.uniform(0.2, 0.8), rng.uniform(0.62, 0.85)]) * size
        base = np.array([rng.uniform(0.2, 0.8), 1.2]) * size
        _capsule(picture, covered, low, base, 0.05 * size, color * 0.5)
        _capsule(picture, covered, low, low + 0.02 * (base - low), 0.1 * size, color * 0.3)


def _capsule(
    picture: Picture, covered: Mask, start: Floats, end: Floats, width: float, color: Floats
) -> None:
    line = [np.round(np.stack([start, end]) * 16).astype(np.int32)]
    thick = max(1, round(width))
    cv2.polylines(picture, line, False, rgb(color), thick, cv2.LINE_AA, 4)
    cv2.polylines(covered, line, False, 255, thick, cv2.LINE_AA, 4)
