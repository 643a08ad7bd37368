"""The parametric head: a smooth surface around a vertical axis, and a camera that looks at it.

The surface is a radius over angle and height, so every place on it has an address
(angle, y): curves are drawn on the skin at addresses and looked at in the picture as projections
of the same addresses. That is what makes the landmarks of a generated face exact.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline

from .parameters import FaceParameters

# Floating-point arrays: float64 for curves, float32 for pictures and maps.
Floats = npt.NDArray[Any]

LARGEST_ANGLE = 2.4
TOP, BOTTOM = -1.75, 2.1
_MAP = 128
_ANGLES = np.linspace(-LARGEST_ANGLE, LARGEST_ANGLE, _MAP)
_HEIGHTS = np.linspace(TOP, BOTTOM, _MAP)
# Half the width of the jaw's underside plane at the chin, against the width between the ears.
_CHIN_SECTION = 0.7


def _bell(values: Floats, center: float, spread: float) -> Floats:
    return np.exp(-0.5 * ((values - center) / spread) ** 2)


def _smooth_step(values: Floats) -> Floats:
    clipped = np.clip(values, 0.0, 1.0)
    return clipped * clipped * (3.0 - 2.0 * clipped)


class HeadSurface:
    """The skin of one head as `radius[row, column]` over heights and angles."""

    def __init__(self, parameters: FaceParameters, hair_volume: Floats | None = None) -> None:
        self.parameters = parameters
        self._section_width = self._widths(_HEIGHTS)
        self._section_depth = self._depths(_HEIGHTS)
        self.radius = self._radius_map()
        if hair_volume is not None:
            below_crown = _smooth_step((_HEIGHTS + parameters.skull_height + 0.02) / 0.6)
            self.radius += np.float32(below_crown[:, None]) * hair_volume

    # Cross sections -------------------------------------------------------------------------
    def jaw_half_width(self, y: Floats) -> Floats:
        """Half the width of the frontal outline at height y >= 0; 0 below the chin."""
        p = self.parameters
        down = np.clip(y / p.chin_y, 0.0, 1.0)
        return p.jaw_width * (1.0 - down**p.jaw_squareness) ** (1.0 / p.jaw_squareness)

    def _widths(self, y: Floats) -> Floats:
        p = self.parameters
        skull = np.clip(1.0 - np.abs(np.minimum(y, 0.0) / p.skull_height) ** 2.6, 0.0, 1.0)
        skull = p.jaw_width * skull**0.45
        floor = _CHIN_SECTION * p.jaw_width
        jaw = (self.jaw_half_width(np.maximum(y, 0.0)) ** 8 + floor**8) ** 0.125
        # The 8-norm is a little wider than the jaw at eye level: continue without a step.
        return np.where(y < 0, skull * (1.0 + _CHIN_SECTION**8) ** 0.125, jaw)

    def _depths(self, y: Floats) -> Floats:
        p = self.parameters
        stretch = p.chin_y / 1.3
        knots = np.array([-1.8, -0.75, -0.25, 0.0, 0.35, 0.6, 0.78, 0.95, 1.15, 1.35, 2.2])
        knots[6:] *= stretch
        depth = np.array([0.78, 0.86, 0.90, 0.83, 0.84, 0.90, 0.92, 0.87, 0.90, 0.80, 0.55])
        skull = np.clip(1.0 - np.abs(np.minimum(y, 0.0) / p.skull_height) ** 3.2, 0.0, 1.0)
        return p.face_depth * CubicSpline(knots, depth)(y) * skull**0.5

    def angle_of(self, x: Floats, y: Floats) -> Floats:
        """The angle at which the head without its relief shows x (to the right) from the front."""
        width = np.interp(y, _HEIGHTS, self._section_width)
        depth = np.interp(y, _HEIGHTS, self._section_depth)
        across = np.minimum((x / np.maximum(width, 1e-6)) ** 2, 0.9998)
        return np.arctan2(x, depth * np.sqrt(1.0 - across))

    # The surface ----------------------------------------------------------------------------
    def _radius_map(self) -> npt.NDArray[np.float32]:
        sine, cosine = np.sin(_ANGLES), np.cos(_ANGLES)
        width = np.maximum(self._section_width, 1e-3)[:, None]
        depth = np.maximum(self._section_depth, 1e-3)[:, None]
        depth = np.where(cosine < 0, 1.1 * width, depth)
        radius = 1.0 / np.sqrt((sine / width) ** 2 + (cosine / depth) ** 2)
        radius = radius + self._relief()
        neck = 1.0 / np.sqrt((sine / 0.52) ** 2 + (cosine / np.where(cosine < 0, 0.7, 0.33)) ** 2)
        below = (_HEIGHTS[:, None] - self._jaw_edge(_ANGLES)[None, :] + 0.01) / 0.14
        share = _smooth_step(below)
        radius = radius * (1.0 - share) + neck * share
        above = _HEIGHTS[:, None] + self.parameters.skull_height
        return np.where(above < 0, np.minimum(radius, above), radius).astype(np.float32)

    def _jaw_edge(self, angles: Floats) -> Floats:
        """Height at which the jaw ends and its underside begins, at each angle."""
        y = self.parameters.chin_y * np.sin(np.linspace(0.42, 0.5 * np.pi, 40))
        edge = self.angle_of(self.jaw_half_width(y), y)
        return np.interp(np.abs(angles), edge[::-1], y[::-1])

    def _relief(self) -> Floats:
        """Nose, eye sockets, cheeks, lips and brow ridge, added to the radius."""
        p = self.parameters
        x = 0.84 * np.sin(_ANGLES)
        x = np.where(np.cos(_ANGLES) > 0, x, 9.0)
        y = _HEIGHTS
        tip, base = p.nose_length - 0.02, 1.27 * p.nose_length
        ends = 1.0 / (1.0 + np.exp((y - base + 0.02) / 0.022))
        bridge = np.interp(y, [-0.25, -0.02, tip, 1.0], [0.0, 0.05, 0.20, 0.20]) * ends
        terms: list[tuple[Floats, Floats]] = [
            (p.nose_relief * bridge, _bell(x, 0.0, 0.43 * p.nose_width)),
            (0.10 * p.nose_relief * _bell(y, tip, 0.075) * ends, _bell(x, 0.0, 0.08)),
            (0.02 * _bell(y, -0.24, 0.08), _bell(x, 0.0, 0.4)),
            (0.022 * _bell(y, p.mouth_y - 0.04, 0.035), _bell(x, 0.0, 0.2)),
            (
                0.03 * _bell(y, p.mouth_y + p.mouth_open + 0.06, 0.04),
                _bell(x, 0.0, 0.17),
            ),
        ]
        for side in (-1.0, 1.0):
            wing = _bell(x, side * 0.7 * p.nose_width, 0.045)
            terms += [
                (0.11 * _bell(y, 0.88 * base, 0.055) * ends, wing),
                (-0.075 * _bell(y, 0.0, 0.10), _bell(x, side * 0.34, 0.15)),
                (0.03 * _bell(y, 0.38, 0.16), _bell(x, side * 0.48, 0.14)),
                (0.025 * p.smile * _bell(y, 0.48, 0.10), _bell(x, side * 0.42, 0.10)),
            ]
        heights = np.stack([term[0] for term in terms], axis=1)
        return heights @ np.stack([term[1] for term in terms])

    def radius_at(self, angle: Floats, y: Floats) -> Floats:
        """The radius at addresses (angle, y): the map, bilinearly."""
        columns, rows = map_coordinates(angle, y)
        flat = np.float32(columns).reshape(-1, 1), np.float32(rows).reshape(-1, 1)
        values = cv2.remap(self.radius, *flat, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return values.reshape(np.shape(angle))

    def points(self, addresses: Floats) -> Floats:
        """Head coordinates (..., 3) of addresses (..., 2)."""
        angle, y = addresses[..., 0], addresses[..., 1]
        radius = self.radius_at(angle, y)
        return np.stack([radius * np.sin(angle), y, radius * np.cos(angle)], axis=-1)

    def normals(self) -> Floats:
        """Outward unit normals (rows, columns, 3) of the whole map, in head coordinates."""
        radius = cv2.GaussianBlur(self.radius, (0, 0), 0.8)
        per_angle, per_height = 0.5 / (_ANGLES[1] - _ANGLES[0]), 0.5 / (_HEIGHTS[1] - _HEIGHTS[0])
        across = cv2.Sobel(radius, cv2.CV_32F, 1, 0, ksize=1, scale=per_angle)
        down = cv2.Sobel(radius, cv2.CV_32F, 0, 1, ksize=1, scale=per_height)
        sine, cosine = np.float32(np.sin(_ANGLES)), np.float32(np.cos(_ANGLES))
        ratio = across / np.maximum(radius, np.float32(0.05))
        normal = cv2.merge([sine - ratio * cosine, -down, cosine + ratio * sine])
        return normal / np.sqrt(1.0 + ratio**2 + down**2)[..., None]


def map_coordinates(angle: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Column and row of the radius map (128 x 128) for addresses."""
    # Plain floats keep float32 arrays float32.
    columns = (angle + LARGEST_ANGLE) * float((_MAP - 1) / (2.0 * LARGEST_ANGLE))
    rows = (y - TOP) * float((_MAP - 1) / (BOTTOM - TOP))
    return columns, rows


@dataclass(frozen=True)
class Camera:
    """A perspective camera before the head: rotation, then scale and shift to pixels."""

    rotation: Floats
    distance: float
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def of(cls, parameters: FaceParameters) -> "Camera":
        """The camera of a face's pose, in head units (scale 1, no shift)."""
        yaw, pitch, roll = parameters.yaw, parameters.pitch, parameters.roll
        about_y = [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
        about_x = [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
        about_z = [[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
        rotation = np.array(about_z) @ np.array(about_x) @ np.array(about_y)
        return cls(rotation, parameters.camera_distance)

    def depth(self, points: Floats) -> Floats:
        """Depth (...,) towards the viewer of head points (..., 3)."""
        return points @ self.rotation[2]

    def project(self, points: Floats) -> Floats:
        """Pixels (..., 2) of head points (..., 3)."""
        turned = points @ self.rotation.T
        near = self.scale / (1.0 - turned[..., 2:] / self.distance)
        return turned[..., :2] * near + np.asarray(self.shift)
