"""The curves of the face and the landmarks of every scheme, as addresses on the head's surface."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .geometry import Camera, Floats, HeadSurface

SCHEME_SIZES = {"ibug68": 68, "wflw98": 98, "cofw29": 29}
# The first so many landmarks of a scheme are the outline of the face.
CONTOUR_SIZES = {"ibug68": 17, "wflw98": 33, "cofw29": 0}

Place = Callable[[Floats], Floats]

# Where landmarks sit on the lips, as a share of half the mouth's width from its middle.
_OUTER_UPPER = np.array([-1.0, -0.63, -0.25, 0.0, 0.25, 0.63, 1.0])
_OUTER_LOWER = np.array([0.65, 0.27, 0.0, -0.27, -0.65])
_INNER_UPPER = np.array([-1.0, -0.3, 0.0, 0.3, 1.0])
_INNER_LOWER = np.array([0.3, 0.0, -0.3])
_INNER_WIDTH = 0.86


@dataclass(frozen=True)
class EyeCurves:
    """One eye, frontal (x, y): lids as functions of the way from outer (0) to inner corner (1)."""

    outer: Floats
    inner: Floats
    upper_height: float
    lower_height: float
    iris: Floats
    iris_radius: float

    def upper(self, way: Floats) -> Floats:
        """The upper lid's edge."""
        return self._lid(way, -self.upper_height, 0.45)

    def lower(self, way: Floats) -> Floats:
        """The lower lid's edge."""
        return self._lid(way, self.lower_height, 0.6)

    def _lid(self, way: Floats, height: float, roundness: float) -> Floats:
        line = self.outer + np.asarray(way)[..., None] * (self.inner - self.outer)
        bow = np.maximum(4.0 * way * (1.0 - way), 0.0) ** (roundness + 0.3)
        return line + np.stack([np.zeros_like(bow), height * bow], axis=-1)


class FaceCurves:
    """Every feature of one face as a curve in frontal head coordinates (x, y).

    Sides are named as seen in the picture of an upright face: side −1 is image-left.
    """

    def __init__(self, surface: HeadSurface) -> None:
        self.surface = surface
        self.p = surface.parameters

    def address(self, frontal: Floats) -> Floats:
        """Addresses (angle, y) on the surface of frontal points (..., 2)."""
        addresses = np.array(frontal, dtype=float)
        addresses[..., 0] = self.surface.angle_of(addresses[..., 0], addresses[..., 1])
        return addresses

    def eye(self, side: int) -> EyeCurves:
        """The eye at a side."""
        p = self.p
        drop = side * p.asymmetry
        outer = np.array([side * (p.eye_center + 0.5 * p.eye_width), drop])
        inner = np.array([side * (p.eye_center - 0.5 * p.eye_width), drop + p.eye_slant])
        opened = p.eye_open_left if side < 0 else p.eye_open_right
        # A closing upper lid comes to rest on the lower one.
        lower = 0.55 * p.eye_height * (0.75 + 0.25 * min(opened, 1.0)) * (1.0 - 0.15 * p.smile)
        upper = p.eye_height * opened - 0.8 * lower * max(0.0, 1.0 - opened)
        center = 0.5 * (outer + inner)
        radius = 0.058
        reach = 0.5 * p.eye_width - radius
        iris = center + np.array([reach * 0.8 * p.gaze_x, 0.03 * p.gaze_y - 0.2 * upper])
        return EyeCurves(outer, inner, upper, lower, iris, radius)

    def brow(self, side: int) -> tuple[Floats, Floats]:
        """Upper and lower line (9, 2) of a brow, both from outer to inner end."""
        p = self.p
        way = np.linspace(0.0, 1.0, 9)
        x = side * (0.5 * p.eye_width + p.eye_center + 0.155 - way * p.brow_length)
        x = x - side * 0.03 * p.frown * way
        arch = p.brow_arch * (1.0 - np.abs(2.0 * way**0.85 - 0.95) ** 2.2)
        y = -p.brow_height - p.brow_raise + p.brow_slant * (1.0 - way)
        y = y + 0.07 * p.frown * way**2 - arch + side * p.asymmetry
        thick = p.brow_thickness * np.clip(0.12 + 2.2 * way, 0.0, 1.0) * (1.0 - 0.15 * way)
        thick[0] = 0.0
        return np.stack([x, y], axis=-1), np.stack([x, y + thick], axis=-1)

    def bridge(self) -> Floats:
        """The four points of the nose's ridge (4, 2), top to tip."""
        y = np.linspace(-0.03, self.p.nose_length - 0.015, 4)
        return np.stack([0.3 * self.p.skew * np.linspace(0, 1, 4), y], axis=-1)

    def nose_base(self) -> Floats:
        """The five points under the nose (5, 2), image-left to right."""
        p = self.p
        across = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
        y = 1.27 * p.nose_length + np.array([-0.035, -0.008, 0.012, -0.008, -0.035])
        return np.stack([0.3 * p.skew + across * p.nose_width, y], axis=-1)

    def lips(self) -> dict[str, "Lip"]:
        """The four lines of the mouth: outer_upper, inner_upper, inner_lower, outer_lower."""
        p = self.p
        half = p.mouth_width * (1.0 + 0.28 * p.smile - 0.3 * p.pucker)
        half -= 0.2 * max(p.mouth_open - 0.1, 0.0) * (1.0 - max(p.smile, 0.0))
        thin = (1.0 - 0.25 * max(p.smile, 0.0)) * (1.0 + 0.25 * p.pucker)
        corner = p.mouth_y - 0.055 * p.smile + 0.45 * p.mouth_open * (1.0 - 0.35 * p.smile)
        middle = p.mouth_y - 0.012 * p.smile
        shared: dict[str, Any] = {
            "half": half,
            "corner": corner,
            "skew": p.skew,
            "tilt": p.asymmetry,
        }
        parted = middle + p.mouth_open
        return {
            "outer_upper": Lip(middle - p.upper_lip * thin, 2.0, dip=0.022, **shared),
            "inner_upper": Lip(middle, 2.2, inner=True, **shared),
            "inner_lower": Lip(parted, 2.2, inner=True, **shared),
            "outer_lower": Lip(parted + p.lower_lip * thin, 2.3, **shared),
        }

    def contour(self, camera: Camera) -> Floats:
        """The 33 points of the outline, as addresses: jaw line, or the visible silhouette.

        From ear to ear through the chin. Where the head is turned away the jaw line itself is
        hidden, and 300W's and WFLW's annotators follow the cheek's visible edge: each point slides
        at its height to where the face reaches out furthest. Evenly spaced in the picture.
        """
        p = self.p
        way = np.linspace(0.03, 0.5 * np.pi, 49)
        y = p.chin_y * np.sin(way)
        edge = self.surface.angle_of(self.surface.jaw_half_width(y), y)
        # As far as the cheek goes: nose and mouth may stand out further, but are not the outline.
        start = np.minimum(edge, 0.42 * (1.0 - (y / p.chin_y) ** 4))
        down = camera.rotation[:2, 1]
        outward = np.array([down[1], -down[0]])
        halves = []
        for side in (-1.0, 1.0):
            share = np.linspace(0.0, 1.0, 41)[:, None]
            slide = start + (edge - start) * share
            grid = np.stack([side * slide, np.broadcast_to(y, slide.shape)], axis=-1)
            seen = camera.project(self.surface.points(grid))
            best = np.argmax(side * (seen @ outward), axis=0)
            columns = np.arange(len(y))
            halves.append(_evenly(grid[best, columns], seen[best, columns], 17))
        return np.concatenate([halves[0], halves[1][-2::-1]])


@dataclass(frozen=True)
class Lip:
    """One line of the mouth: y at the middle, bent up or down to the corners."""

    middle: float
    power: float
    half: float
    corner: float
    skew: float
    tilt: float
    dip: float = 0.0
    inner: bool = False

    def at(self, across: Floats) -> Floats:
        """Frontal points (n, 2); `across` from −1 (left corner) to 1 (right corner)."""
        half = self.half * (_INNER_WIDTH if self.inner else 1.0)
        bow = 1.0 - np.abs(across) ** self.power
        y = self.corner + (self.middle - self.corner) * bow + self.tilt * across
        y = y + self.dip * np.exp(-0.5 * (across / 0.12) ** 2)
        return np.stack([self.skew + half * across, y], axis=-1)


def _evenly(addresses: Floats, seen: Floats, count: int) -> Floats:
    """Resample a curve of addresses so that its projections `seen` are equally spaced."""
    steps = np.hypot(*np.diff(seen, axis=0).T)
    length = np.concatenate([[0.0], np.cumsum(steps)])
    wanted = np.linspace(0.0, length[-1], count)
    return np.stack([np.interp(wanted, length, addresses[:, k]) for k in (0, 1)], axis=-1)


def landmark_addresses(curves: FaceCurves, camera: Camera) -> dict[str, Floats]:
    """Addresses (N, 2) of the landmarks of all schemes, by scheme name."""
    put = curves.address
    contour = curves.contour(camera)
    brows = [curves.brow(side) for side in (-1, 1)]
    eyes = [curves.eye(side) for side in (-1, 1)]
    bridge, base = put(curves.bridge()), put(curves.nose_base())
    lips = curves.lips()
    outer = put(
        np.concatenate([lips["outer_upper"].at(_OUTER_UPPER), lips["outer_lower"].at(_OUTER_LOWER)])
    )
    inner = put(
        np.concatenate([lips["inner_upper"].at(_INNER_UPPER), lips["inner_lower"].at(_INNER_LOWER)])
    )
    mouth = [outer, inner]
    pupils = put(np.stack([eye.iris for eye in eyes]))

    upper_brows = [put(brows[0][0][::2]), put(brows[1][0][::-2])]
    lower_brows = [put(brows[0][1][[8, 6, 4, 2]]), put(brows[1][1][[2, 4, 6, 8]])]
    # WFLW: left brow's lower line runs inner to outer, the right one's outer to inner.
    ibug = [
        contour[::2],
        *upper_brows,
        bridge,
        base,
        _eye(put, eyes[0], 3, False),
        _eye(put, eyes[1], 3, True),
        *mouth,
    ]
    wflw = [
        contour,
        upper_brows[0],
        lower_brows[0],
        upper_brows[1],
        lower_brows[1],
        bridge,
        base,
        _eye(put, eyes[0], 4, False),
        _eye(put, eyes[1], 4, True),
        *mouth,
        pupils,
    ]
    return {
        "ibug68": np.concatenate(ibug),
        "wflw98": np.concatenate(wflw),
        "cofw29": _cofw(curves, brows, eyes, mouth, pupils, contour),
    }


def _eye(put: Place, eye: EyeCurves, parts: int, from_inner: bool) -> Floats:
    """Corner, upper lid, other corner, lower lid: clockwise in the picture."""
    between = np.arange(1, parts) / parts
    first, last = (eye.inner, eye.outer) if from_inner else (eye.outer, eye.inner)
    way = between[::-1] if from_inner else between
    return put(np.concatenate([first[None], eye.upper(way), last[None], eye.lower(way[::-1])]))


def _cofw(
    curves: FaceCurves,
    brows: list[tuple[Floats, Floats]],
    eyes: list[EyeCurves],
    mouth: list[Floats],
    pupils: Floats,
    contour: Floats,
) -> Floats:
    put = curves.address
    p = curves.p
    (lu, ll), (ru, rl) = brows
    outer, inner = mouth
    half = np.array([0.5])
    wing = np.array([p.nose_width * 1.06, 1.27 * p.nose_length - 0.08])
    middle = np.array([0.3 * p.skew, 0.0])
    frontal = [
        lu[0],
        ru[0],
        0.5 * (lu[8] + ll[8]),
        0.5 * (ru[8] + rl[8]),
        lu[4],
        ll[4],
        ru[4],
        rl[4],
        eyes[0].outer,
        eyes[1].outer,
        eyes[0].inner,
        eyes[1].inner,
        eyes[0].upper(half)[0],
        eyes[0].lower(half)[0],
        eyes[1].upper(half)[0],
        eyes[1].lower(half)[0],
    ]
    nose = [wing * [-1, 1] + middle, wing + middle, curves.bridge()[3], curves.nose_base()[2]]
    return np.concatenate(
        [
            put(np.array(frontal)),
            pupils,
            put(np.array(nose)),
            outer[[0, 6, 3]],
            inner[[2, 6]],
            outer[[9]],
            contour[[16]],
        ]
    )
