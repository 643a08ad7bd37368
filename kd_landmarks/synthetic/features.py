"""Drawing the features of the face on its canvas: eyes, brows, nose, mouth, wrinkles."""

from typing import TYPE_CHECKING

import cv2
import numpy as np

from .geometry import Floats
from .landmarks import EyeCurves
from .looks import Looks, rgb
from .parameters import FaceParameters

if TYPE_CHECKING:
    from .texture import Canvas


def draw_eye(canvas: "Canvas", side: int, looks: Looks) -> None:
    """Sclera, iris, pupil and highlight within the lids; lid lines, lashes and crease around."""
    eye = canvas.curves.eye(side)
    t = np.linspace(0.0, 1.0, 15)
    upper, lower = eye.upper(t), eye.lower(t)
    opening = np.concatenate([upper, lower[-2:0:-1]])
    skin = looks.skin
    fold = upper - [0.0, 0.026 + 0.012 * looks.crease]
    fold[0] = upper[0] + [side * 0.02, 0.0]
    canvas.shade(np.concatenate([fold, upper[::-1]]), 0.35, skin * 0.55, 0.008)
    canvas.line(fold, skin * 0.6, 0.014 * looks.crease)
    bag = lower + np.stack([0 * t, 0.03 + 0.03 * np.sin(np.pi * t)], axis=-1)
    canvas.shade(np.concatenate([lower, bag[::-1]]), 0.2 + 0.2 * looks.wrinkles, skin * 0.7, 0.015)
    gap = float((lower - upper)[:, 1].max())
    if gap > 0.012:
        _draw_eyeball(canvas, eye, opening, looks)
    lash = np.clip(skin * 0.28, 5, 70) * (1.0 - 0.5 * looks.lashes)
    tail = upper.copy()
    tail[0] = tail[0] + [side * 0.012 * looks.lashes, -0.008 * looks.lashes]
    canvas.line(tail, lash, 0.016 + 0.016 * looks.lashes)
    canvas.line(lower[1:-1], skin * 0.55, 0.009)
    corner = eye.inner + np.array([-side * 0.008, 0.0])
    if gap > 0.03:
        canvas.line(
            np.stack([eye.inner, corner + np.array([side * 0.028, 0.002])]),
            skin * [0.8, 0.55, 0.52],
            0.016,
        )


def _draw_eyeball(canvas: "Canvas", eye: EyeCurves, opening: Floats, looks: Looks) -> None:
    points = canvas.fixed(opening)
    low = np.maximum(points.min(0) // 16 - 2, 0)
    high = points.max(0) // 16 + 3
    box = canvas.image[low[1] : high[1], low[0] : high[0]]
    mask = np.zeros(box.shape[:2], np.uint8)
    cv2.fillPoly(mask, [points - (16 * low).astype(np.int32)], 255, cv2.LINE_AA, 4)
    ball = np.empty_like(box)
    white = 0.25 * looks.skin + 0.75 * np.array([244.0, 240.0, 238.0])
    # The upper lid throws a shadow on the eyeball.
    shadow = np.linspace(0.78, 1.05, box.shape[0])[:, None, None]
    ball[:] = np.clip(white * min(1.0, 0.5 + looks.skin.mean() / 300) * shadow, 0, 255)
    origin = 16 * low
    angle = np.linspace(0.0, 2.0 * np.pi, 21)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    for radius, color in (
        (1.0, looks.iris * 0.45),
        (0.84, looks.iris),
        (0.45, np.array([10.0, 8.0, 8.0])),
    ):
        disc = canvas.fixed(eye.iris + radius * eye.iris_radius * ring) - origin
        cv2.fillPoly(ball, [disc.astype(np.int32)], rgb(color), cv2.LINE_AA, 4)
    glint = eye.iris + np.array([0.35 * np.sign(looks.light[0]), -0.4]) * eye.iris_radius
    disc = canvas.fixed(glint + 0.2 * eye.iris_radius * ring) - origin
    cv2.fillPoly(ball, [disc.astype(np.int32)], (240, 240, 240), cv2.LINE_AA, 4)
    share = (mask.astype(np.float32) / 255.0)[..., None]
    box[:] = box * (1.0 - share) + ball * share


def draw_brow(canvas: "Canvas", side: int, looks: Looks, rng: np.random.Generator) -> None:
    """A soft body and a few dozen strokes of hair."""
    upper, lower = canvas.curves.brow(side)
    body = np.concatenate([upper, lower[::-1]])
    canvas.shade(body, 0.95 * looks.brow_density, looks.brow_color, 0.010)
    way = rng.uniform(0.0, 1.0, 26)
    spread = rng.uniform(0.1, 0.9, 26)
    steps = np.linspace(0.0, 1.0, len(upper))
    top, end = (
        np.stack([np.interp(way, steps, line[:, k]) for k in (0, 1)], axis=-1)
        for line in (upper, lower)
    )
    root = top + spread[:, None] * (end - top)
    tip = root + np.stack([np.full(26, side * 0.04), 0.012 - 0.037 * way], axis=-1)
    tip[:, 1] = np.clip(tip[:, 1], top[:, 1], end[:, 1])
    canvas.lines(np.stack([root, tip], axis=1), looks.brow_color * 0.75, 0.008)


def draw_nose(canvas: "Canvas", looks: Looks) -> None:
    """Nostrils, wings and the shade under the tip; the rest of the nose is the light's work."""
    curves = canvas.curves
    p = curves.p
    base = curves.nose_base()
    skin = looks.skin
    canvas.shade(base + np.array([0.0, 0.012]), 0.45, skin * 0.5, 0.02)
    angle = np.linspace(0.0, 2.0 * np.pi, 13)
    for side, middle in ((-1, base[1]), (1, base[3])):
        ring = np.stack([0.34 * p.nose_width * np.cos(angle), 0.017 * np.sin(angle)], axis=-1)
        ring[:, 1] += 0.25 * side * (ring[:, 0])
        canvas.shade(middle + np.array([side * 0.006, -0.018]) + ring, 0.95, skin * 0.18, 0.007)
        bottom, top = base[0 if side < 0 else 4], 0.74 * 1.27 * p.nose_length
        turn = np.linspace(-0.2 * np.pi, 0.5 * np.pi, 9)
        height = bottom[1] - top
        wing = np.stack([side * 0.035 * np.cos(turn), 0.5 * height * np.sin(turn)], axis=-1)
        wing = wing + np.array([bottom[0], bottom[1] - 0.5 * height])
        canvas.line(wing, skin * 0.55, 0.012)
    canvas.shade(base[1:4] + np.array([[0, 0.0], [0, 0.01], [0, 0.0]]), 0.3, skin * 0.4, 0.008)


def draw_mouth(canvas: "Canvas", looks: Looks, rng: np.random.Generator) -> None:
    """The inside with teeth and tongue, both lips, the line between them and the shade below."""
    p = canvas.curves.p
    lips = canvas.curves.lips()
    t = np.linspace(-1.0, 1.0, 21)
    outer_upper, inner_upper = lips["outer_upper"].at(t), lips["inner_upper"].at(t)
    inner_lower, outer_lower = lips["inner_lower"].at(t), lips["outer_lower"].at(t)
    below = outer_lower[4:-4] + np.array([0.0, 0.03])
    canvas.shade(
        np.concatenate([below, (below + np.array([0, 0.05]))[::-1]]), 0.35, looks.skin * 0.6, 0.025
    )
    inside = np.concatenate([inner_upper, inner_lower[::-1]])
    canvas.fill(np.concatenate([outer_upper, outer_lower[::-1]]), looks.lip)
    if p.mouth_open > 0.012:
        canvas.fill(inside, np.array([52.0, 20.0, 22.0]) * rng.uniform(0.5, 1.3))
        _draw_teeth(canvas, inner_upper, inner_lower, p, rng)
    upper = np.concatenate([outer_upper, inner_upper[::-1]])
    lower = np.concatenate([inner_lower, outer_lower[::-1]])
    canvas.fill(upper, looks.lip * 0.88)
    canvas.fill(lower, np.minimum(looks.lip * 1.04, 255.0))
    shine = 0.5 * (inner_lower + outer_lower)[7:14]
    canvas.shade(
        np.concatenate([shine, (shine + np.array([0, 0.025]))[::-1]]),
        0.35,
        np.minimum(looks.lip * 1.35 + 12, 255),
        0.012,
    )
    line = looks.lip * 0.42
    if p.mouth_open <= 0.03:
        joint = np.concatenate([outer_upper[:1], inner_upper, outer_upper[-1:]])
        canvas.line(joint, line, 0.016)
    canvas.line(outer_lower[5:-5], looks.lip * 0.8, 0.008)
    for corner in (outer_upper[0], outer_upper[-1]):
        dot = corner + np.array([[-0.012, 0], [0, -0.008], [0.012, 0], [0, 0.008]])
        canvas.shade(dot, 0.8, line, 0.008)


def _draw_teeth(
    canvas: "Canvas", upper: Floats, lower: Floats, p: FaceParameters, rng: np.random.Generator
) -> None:
    gap = lower - upper
    tone = np.array([232.0, 226.0, 214.0]) * rng.uniform(0.7, 1.02)
    if rng.random() < 0.85:
        long = np.minimum(gap[:, 1], 0.085 + 0.03 * p.smile)[1:-1]
        edge = upper[1:-1] + np.stack([0 * long, long * 0.95], axis=-1)
        shape = np.concatenate([upper[1:-1], edge[::-1]])
        canvas.fill(shape, tone)
        width = upper[-1, 0] - upper[0, 0]
        x = upper[0, 0] + width * np.array([0.24, 0.34, 0.43, 0.5, 0.57, 0.66, 0.76])
        ends = [np.interp(x, line[:, 0], line[:, 1]) for line in (upper[1:-1], edge)]
        gaps = np.stack([np.stack([x, y], axis=-1) for y in ends], axis=1)
        canvas.lines(gaps, tone * 0.78, 0.006)
    if p.mouth_open > 0.12 and rng.random() < 0.7:
        tongue = lower[6:15] - np.stack([np.zeros(9), 0.4 * gap[6:15, 1]], axis=-1)
        canvas.shade(
            np.concatenate([tongue, lower[6:15][::-1]]), 0.85, np.array([176.0, 84.0, 84.0]), 0.02
        )
    if p.mouth_open > 0.1 and rng.random() < 0.3:
        edge = lower[3:-3] - [0, 0.035]
        canvas.fill(np.concatenate([edge, lower[3:-3][::-1]]), tone * 0.85)


def draw_wrinkles(canvas: "Canvas", looks: Looks) -> None:
    """Folds from nose to mouth, on the forehead and beside the eyes."""
    p = canvas.curves.p
    skin, amount = looks.skin, looks.wrinkles
    strength = amount * 0.4 + 0.45 * max(p.smile, 0.0)
    lips = canvas.curves.lips()["outer_upper"]
    for side in (-1, 1):
        start = np.array([side * (p.nose_width + 0.04), 1.1 * p.nose_length])
        end = np.array([side * (lips.half + 0.06), lips.corner + 0.02])
        middle = 0.5 * (start + end) + [side * (0.03 + 0.05 * max(p.smile, 0)), -0.01]
        t = np.linspace(0, 1, 9)[:, None]
        fold = (1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end
        canvas.shade(
            np.concatenate([fold, (fold + np.array([side * 0.02, 0.01]))[::-1]]),
            min(0.8, strength),
            skin * 0.62,
            0.010,
        )
        if amount > 0.4:
            outer = canvas.curves.eye(side).outer
            for angle in (-0.4, 0.0, 0.45):
                ray = np.array([side * np.cos(angle), np.sin(angle)])
                canvas.line(np.stack([outer + 0.03 * ray, outer + 0.11 * ray]), skin * 0.75, 0.007)
    if amount > 0.45 or p.brow_raise > 0.04:
        for k in range(3):
            x = np.linspace(-0.4, 0.4, 13)
            y = -0.42 - 0.08 * k + 0.02 * np.cos(6 * x + k) - p.brow_raise
            canvas.line(np.stack([x, y + 0 * x], axis=-1), skin * 0.8, 0.008)
    if p.frown > 0.3:
        for side in (-1, 1):
            fold = np.array([[0.05 * side, -0.24], [0.045 * side, -0.1]])
            canvas.line(fold, skin * 0.68, 0.009)
