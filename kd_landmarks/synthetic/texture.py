"""The skin of the generated face, painted over (angle, height) and lit."""

import cv2
import numpy as np
import numpy.typing as npt

from .features import draw_brow, draw_eye, draw_mouth, draw_nose, draw_wrinkles
from .geometry import BOTTOM, LARGEST_ANGLE, TOP, Camera, Floats, HeadSurface
from .landmarks import FaceCurves
from .looks import Looks, rgb
from .noise import cut_noise

Bytes = npt.NDArray[np.uint8]


class Canvas:
    """A picture over addresses: `columns` x `rows` pixels for angles and heights."""

    def __init__(self, curves: FaceCurves, size: int) -> None:
        self.curves = curves
        # A little finer than the picture it ends up in.
        self.columns = int(1.75 * size)
        self.rows = int(1.75 * size)
        self._origin = np.array([-LARGEST_ANGLE, TOP])
        extent = [2.0 * LARGEST_ANGLE, BOTTOM - TOP]
        self._scale = np.array([self.columns - 1, self.rows - 1]) / extent
        self.image: Bytes = np.empty((self.rows, self.columns, 3), np.uint8)

    @property
    def unit(self) -> float:
        """Pixels of the canvas for one head unit of height."""
        return self.rows / (BOTTOM - TOP)

    def place(self, frontal: Floats) -> Floats:
        """Canvas pixels (..., 2) of frontal head coordinates, pixel centers at whole numbers."""
        return (self.curves.address(frontal) - self._origin) * self._scale

    def fixed(self, frontal: Floats) -> npt.NDArray[np.int32]:
        """Places for OpenCV's drawing, in 1/16 pixels."""
        return np.rint(self.place(frontal) * 16.0).astype(np.int32)

    def fill(self, frontal: Floats, color: Floats) -> None:
        """Fill an antialiased polygon given in frontal coordinates."""
        cv2.fillPoly(self.image, [self.fixed(frontal)], rgb(color), cv2.LINE_AA, 4)

    def line(self, frontal: Floats, color: Floats, width: float) -> None:
        """Draw one polyline (n, 2); see `lines`."""
        self.lines(np.asarray(frontal)[None], color, width)

    def lines(self, frontal: Floats, color: Floats, width: float) -> None:
        """Draw polylines (k, n, 2) of a width in head units; thinner than a pixel they fade."""
        pixels = width * self.unit
        points = self.fixed(frontal)
        low = np.maximum(points.min((0, 1)) // 16 - 3, 0)
        high = np.maximum(points.max((0, 1)) // 16 + 4, 0)
        box = self.image[low[1] : high[1], low[0] : high[0]]
        if not box.size:
            return
        share = float(np.clip(pixels, 0.25, 1.0))
        before = box.copy() if share < 0.95 else None
        thick = max(1, round(pixels))
        cv2.polylines(self.image, list(points), False, rgb(color), thick, cv2.LINE_AA, 4)
        if before is not None:
            box[:] = cv2.addWeighted(box, share, before, 1.0 - share, 0.0)

    def shade(self, frontal: Floats, share: float, color: Floats, blur: float) -> None:
        """Blend a soft patch: the polygon, blurred by `blur` head units."""
        points = self.fixed(frontal)
        sigma = max(blur * self.unit, 0.5)
        margin = int(3 * sigma) + 2
        low = np.maximum(points.min(0) // 16 - margin, 0)
        high = np.minimum(points.max(0) // 16 + margin, [self.columns, self.rows])
        if (high <= low).any():
            return
        mask = np.zeros((high[1] - low[1], high[0] - low[0]), np.float32)
        cv2.fillPoly(mask, [points - 16 * low.astype(np.int32)], share, cv2.LINE_AA, 4)
        mask = cv2.GaussianBlur(mask, (0, 0), sigma)[..., None]
        box = self.image[low[1] : high[1], low[0] : high[0]]
        box[:] = box * (1.0 - mask) + mask * np.asarray(color, np.float32)

    def grid(self, rows: int, columns: int) -> tuple[Floats, Floats]:
        """Frontal-like coordinates of a coarse grid over the canvas: x (1, c), y (r, 1)."""
        angle = np.linspace(-LARGEST_ANGLE, LARGEST_ANGLE, columns)
        x = np.where(np.abs(angle) < 1.5, 0.84 * np.sin(angle), np.sign(angle) * angle**2)
        return x[None, :], np.linspace(TOP, BOTTOM, rows)[:, None]


def hair_mask(looks: Looks, rows: int, columns: int) -> Floats:
    """Share of hair (rows, columns) over the head, 0..1, before any beard."""
    if looks.hair_style == "bald":
        return np.zeros((rows, columns), np.float32)
    angle = np.linspace(-LARGEST_ANGLE, LARGEST_ANGLE, columns)
    side = np.abs(angle + 0.2 * looks.parting)
    front = looks.hairline + np.array([0.0, 0.0, -looks.temples, 0.5 * looks.temples + 0.1])
    knots = [0.0, 0.35, 0.7, 1.0, 1.18, 1.32, 1.5, 1.6, 1.9, 2.4]
    line = np.interp(
        side, knots, [*front, -0.3, 0.5 * looks.sideburn - 0.1, looks.sideburn, 0.2, 0.75, 0.95]
    )
    wave = np.interp(np.arange(columns), np.linspace(0, columns, 40), looks.ragged)
    line = line + wave * looks.raggedness
    heights = np.linspace(TOP, BOTTOM, rows)[:, None]
    return np.clip((line[None] - heights) / 0.05 + 0.5, 0.0, 1.0).astype(np.float32)


def paint_face(
    curves: FaceCurves, looks: Looks, rng: np.random.Generator, size: int, hair: Floats
) -> Bytes:
    """The unlit skin with every feature on it: (rows, columns, 3) of a Canvas."""
    canvas = Canvas(curves, size)
    _paint_skin(canvas, looks, rng)
    if looks.wrinkles > 0:
        draw_wrinkles(canvas, looks)
    if looks.makeup > 0.2:
        for side in (-1, 1):
            eye = curves.eye(side)
            t = np.linspace(0, 1, 9)
            lid = np.concatenate([eye.upper(t), eye.upper(t)[::-1] - [0, 0.05]])
            canvas.shade(lid, 0.5 * looks.makeup, looks.eyeshadow, 0.012)
    for side in (-1, 1):
        draw_eye(canvas, side, looks)
    draw_nose(canvas, looks)
    draw_mouth(canvas, looks, rng)
    if looks.beard > 0:
        _paint_beard(canvas, looks, rng)
    for side in (-1, 1):
        draw_brow(canvas, side, looks, rng)
    if looks.freckles > 0:
        _paint_freckles(canvas, looks, rng)
    if looks.hair_style != "bald":
        mask = cv2.resize(hair, (canvas.columns, canvas.rows), interpolation=cv2.INTER_LINEAR)
        _mix(canvas.image, mask, looks.hair_color, looks.hair_contrast, rng)
    return canvas.image


def _mix(
    image: Bytes, mask: Floats, color: Floats, contrast: float, rng: np.random.Generator
) -> None:
    """Lay strands of hair over the part of the picture where the mask is above 0."""
    rows = np.flatnonzero(mask.max(axis=1) > 0.004)
    columns = np.flatnonzero(mask.max(axis=0) > 0.004)
    strands = cut_noise(rng, "strands", *mask.shape)
    if not rows.size:
        return
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    share = cv2.merge([mask[part]] * 3)
    tone = cv2.merge([1.0 + np.float32(contrast) * strands[part]] * 3) * np.float32(color)
    below = image[part].astype(np.float32)
    image[part] = np.clip(below + share * (tone - below), 0, 255)


def _paint_skin(canvas: Canvas, looks: Looks, rng: np.random.Generator) -> None:
    x, y = canvas.grid(48, 48)
    tone = np.ones((48, 48, 3), np.float32) * looks.skin
    ruddy = np.asarray(looks.skin * [1.03, 0.84, 0.80], np.float32)
    p = canvas.curves.p
    for cx, cy, spread, share in (
        (-0.45, 0.38, 0.15, looks.blush),
        (0.45, 0.38, 0.15, looks.blush),
        (0.0, p.nose_length, 0.10, 0.6 * looks.blush),
        (0.0, p.chin_y - 0.1, 0.12, 0.4 * looks.blush),
    ):
        blob = share * np.exp(-0.5 * (((x - cx) / spread) ** 2 + ((y - cy) / spread) ** 2))
        tone += blob[..., None] * (ruddy - looks.skin)
    for side in (-1, 1):
        spread_x, spread_y = 0.13, 0.07
        socket = np.exp(-0.5 * (((x - side * 0.33) / spread_x) ** 2 + ((y - 0.0) / spread_y) ** 2))
        tone *= 1.0 - looks.socket * socket[..., None] * np.array([0.8, 1.0, 1.0])
    if looks.stubble > 0:
        low = np.clip((y - 0.55) / 0.15, 0, 1) * np.clip((p.chin_y + 0.15 - y) / 0.15, 0, 1)
        low = low * np.ones_like(x)
        tone += (looks.stubble * low)[..., None] * (0.5 * looks.beard_color - 0.5 * tone)
    tone += (looks.mottle * cut_noise(rng, "clouds", 48, 48))[..., None] * looks.skin
    coarse = np.clip(tone, 0, 255).astype(np.uint8)
    canvas.image[:] = cv2.resize(
        coarse, (canvas.columns, canvas.rows), interpolation=cv2.INTER_CUBIC
    )


def _paint_beard(canvas: Canvas, looks: Looks, rng: np.random.Generator) -> None:
    mask = np.zeros((canvas.rows, canvas.columns), np.float32)
    for area in _beard_areas(canvas.curves, looks):
        cv2.fillPoly(mask, [canvas.fixed(area)], 1.0, cv2.LINE_8, 4)
    mask = cv2.blur(mask, (5, 5)) * min(1.0, looks.beard)
    grain = cut_noise(rng, "pores", canvas.rows, canvas.columns)
    mask = np.clip(mask * (1.0 + 0.25 * grain), 0, 1)
    _mix(canvas.image, mask, looks.beard_color, 1.5 * looks.hair_contrast, rng)


def _beard_areas(curves: FaceCurves, looks: Looks) -> list[Floats]:
    """Frontal polygons of mustache and beard; a weak beard is a mustache alone."""
    p, lips = curves.p, curves.lips()
    mirror = np.array([-1.0, 1.0])
    t = np.linspace(-1.0, 1.0, 13)
    areas = []
    if looks.mustache:
        edge = lips["outer_upper"].at(1.12 * t) - np.array([0.0, 0.012])
        under_nose = np.full(13, 1.27 * p.nose_length + 0.045)
        top = np.stack([0.85 * edge[-1, 0] * t, under_nose], axis=-1)
        areas.append(np.concatenate([edge, top[::-1]]))
    if looks.beard > 0.5:
        start = 0.3 if looks.full_beard else 1.0
        y = p.chin_y * np.sin(np.linspace(start, 0.5 * np.pi, 20))
        jaw = np.stack([curves.surface.jaw_half_width(y), y], axis=-1)
        lip = lips["outer_lower"].at(0.95 * t) + np.array([0.0, 0.035])
        inner = jaw * np.stack([np.interp(y, [0.0, 0.5, 0.8], [0.99, 0.9, 0.62]), 0 * y + 1], -1)
        if not looks.full_beard:
            inner[:, 0] = np.minimum(inner[:, 0], 0.3)
        inner = inner[y < lip[-1, 1] + 0.02]
        areas.append(np.concatenate([inner * mirror, lip, inner[::-1], jaw, jaw[::-1] * mirror]))
        # Down the underside of the jaw.
        side = np.concatenate([jaw, jaw[::-1] + np.array([0.0, 0.12])])
        areas += [side, side * mirror]
    return areas


def _paint_freckles(canvas: Canvas, looks: Looks, rng: np.random.Generator) -> None:
    count = int(60 * looks.freckles)
    spots = np.stack([rng.normal(0, 0.35, count), rng.normal(0.35, 0.2, count)], axis=-1)
    spots = canvas.place(spots)
    tone = rgb(0.72 * looks.skin)
    for (x, y), radius in zip(spots, rng.uniform(0.3, 1.1, count), strict=True):
        center = (round(x * 16), round(y * 16))
        cv2.circle(canvas.image, center, round(radius * 16), tone, -1, cv2.LINE_AA, 4)


def light_map(surface: HeadSurface, camera: Camera, looks: Looks) -> Floats:
    """Light on the skin (128, 128) as a factor around 1, from the head's normals."""
    normal = surface.normals()
    key = (camera.rotation.T @ looks.light).astype(np.float32)
    reached = np.maximum(normal @ key, 0.0) * _cast_shadow(surface.radius, key)
    upper = 0.5 - 0.5 * (normal @ np.float32(camera.rotation[1]))
    # Hollows get less light: where the surface lies below its own smooth version.
    hollow = surface.radius - cv2.GaussianBlur(surface.radius, (0, 0), 5.0)
    hollow = np.clip(1.0 + 3.0 * hollow, 0.6, 1.12)
    light = looks.ambient * (0.75 + 0.35 * upper) + (1.0 - looks.ambient) * 1.1 * reached
    light = light * hollow
    if looks.gloss > 0.01:
        half = key + np.float32(camera.rotation[2])
        half /= max(float(np.linalg.norm(half)), 1e-3)
        light += looks.gloss * np.maximum(normal @ half, 0.0) ** 24
    return light.astype(np.float32)


def _cast_shadow(radius: Floats, key: Floats) -> Floats:
    """How much of the key light passes the nose and brows: 1, or less in their shadow."""
    rows, columns = radius.shape
    passed = np.ones_like(radius)
    for steps in (4.0, 7.0, 11.0):
        shift = np.array([[1, 0, steps * key[0]], [0, 1, steps * key[1]]], np.float32)
        toward = cv2.warpAffine(
            radius, shift, (columns, rows), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        rise = toward - radius - 0.032 * steps * max(float(key[2]), 0.1) - 0.02
        passed = np.minimum(passed, np.clip(1.0 - 14.0 * rise, 0.35, 1.0))
    return cv2.GaussianBlur(passed, (0, 0), 1.0)
