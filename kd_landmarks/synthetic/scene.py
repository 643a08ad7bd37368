"""Around the head: hair behind and beside the face, clothes, ears, glasses, hats.

Every method paints into the picture (H, W, 3) float32. What lies before the face is also painted
into `covered` (H, W) uint8, which later says which landmarks are hidden.
"""

import cv2
import numpy as np

from .geometry import Camera, Floats
from .landmarks import FaceCurves
from .looks import Looks, rgb, tame_color
from .noise import cut_noise
from .props import Mask, Picture, fill, fill_both, round_off


class Surroundings:
    """Everything around one head that is not on its skin."""

    def __init__(
        self, curves: FaceCurves, looks: Looks, camera: Camera, rng: np.random.Generator
    ) -> None:
        self.curves, self.looks, self.camera, self.rng = curves, looks, camera, rng
        self.p = curves.p
        light = float(np.clip(0.55 + 0.5 * looks.light[2], 0.4, 1.1))
        self.skin = looks.skin * light * looks.light_color
        self.hair = looks.hair_color * light * looks.light_color
        self.long = looks.hair_style == "long"

    def _at(self, points: list[tuple[float, float, float]] | Floats) -> Floats:
        return self.camera.project(np.asarray(points, dtype=float))

    def near_side(self, side: int) -> bool:
        """Whether this side of the head is turned to the viewer or seen edge-on."""
        return side * self.camera.rotation[2, 0] > -0.12

    def behind(self, picture: Picture) -> None:
        """Long hair falling behind, the far ear, shoulders' back."""
        w, rng = self.p.jaw_width, self.rng
        if self.long:
            wide, low = w * rng.uniform(1.05, 1.45), rng.uniform(0.9, 2.2)
            top = -self.p.skull_height - 0.1
            corners = [
                (-0.7 * wide, 0.6 * top, -0.4),
                (0, top, -0.3),
                (0.7 * wide, 0.6 * top, -0.4),
                (1.05 * wide, 0.1, -0.3),
                (wide, low, -0.2),
                (0.2, low * 1.05, -0.6),
                (-0.2, low * 1.05, -0.6),
                (-wide, low, -0.2),
                (-1.05 * wide, 0.1, -0.3),
            ]
            self._hair_lock(picture, None, round_off(self._at(corners)), 0.72)
        for side in (-1, 1):
            if not self.near_side(side):
                self._ear(picture, side)

    def before(self, picture: Picture, covered: Mask) -> None:
        """Clothes, the near ear, hair over the cheeks, glasses and hat."""
        self._clothes(picture, covered)
        for side in (-1, 1):
            if self.near_side(side) and not self.long:
                self._ear(picture, side)
        if self.looks.glasses != "none":
            self._glasses(picture, covered)
        if self.looks.hat == "cap":
            self._cap(picture, covered)
        elif self.looks.hat == "band":
            self._band(picture, covered)
        if self.long:
            for side in (-1, 1):
                if self.near_side(side):
                    self._curtain(picture, covered, side)

    def _ear(self, picture: Picture, side: int) -> None:
        w = self.p.jaw_width
        profile = [
            (0.94, -0.10, -0.08),
            (1.10, -0.17, -0.18),
            (1.17, -0.04, -0.24),
            (1.13, 0.17, -0.22),
            (1.0, 0.34, -0.1),
            (0.93, 0.3, -0.04),
        ]
        rim = np.array(profile) * [side * w, 1.0, 1.0]
        outline = round_off(self._at(rim), 30)
        fill(picture, outline, self.skin * [0.93, 0.85, 0.83])
        center = outline.mean(axis=0)
        fill(picture, center + 0.55 * (outline - center), self.skin * [0.78, 0.66, 0.64])

    def _hair_lock(
        self, picture: Picture, covered: Mask | None, outline: Floats, tone: float
    ) -> None:
        size = picture.shape[0]
        low = np.clip(np.floor(outline.min(0)).astype(int) - 1, 0, size)
        high = np.clip(np.ceil(outline.max(0)).astype(int) + 2, 0, size)
        if (high <= low).any():
            return
        mask = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
        cv2.fillPoly(mask, [np.round((outline - low) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        strands = cut_noise(self.rng, "strands", *mask.shape)
        color = (1 + self.looks.hair_contrast * strands)[..., None] * (self.hair * tone)
        share = mask[..., None] / np.float32(255)
        box = picture[low[1] : high[1], low[0] : high[0]]
        box += share * (np.clip(color, 0, 255) - box)
        if covered is not None:
            part = covered[low[1] : high[1], low[0] : high[0]]
            np.maximum(part, mask, out=part)

    def _curtain(self, picture: Picture, covered: Mask, side: int) -> None:
        """Long hair before the ear: from the temple down beside the cheek."""
        rng, w = self.rng, self.p.jaw_width
        reach = rng.uniform(0.86, 1.12, 4)
        low, out = rng.uniform(0.8, 2.3), rng.uniform(1.1, 1.45)
        y = np.array([-0.75, -0.2, 0.5, low])
        inner_x = w * np.minimum(reach, [0.8, 1.1, 1.2, 1.2])
        inner = np.stack([side * inner_x, y, np.array([0.25, 0.22, 0.12, 0.1])], axis=-1)
        outer = [
            (side * w * out * 0.92, low + 0.05, -0.2),
            (side * w * out, 0.4, -0.3),
            (side * w * 1.08, -0.5, -0.2),
            (side * w * 0.8, -1.05, -0.05),
        ]
        self._hair_lock(picture, covered, round_off(self._at([*inner, *outer]), 48), 1.0)

    def _clothes(self, picture: Picture, covered: Mask) -> None:
        rng = self.rng
        chin = self.p.chin_y
        top = chin + rng.uniform(0.25, 0.55)
        neck = rng.uniform(0.4, 0.62)
        center = self.camera.project(np.array([[0.0, chin + 0.2, 0.0]]))[0]
        scale = self.camera.scale
        # Shoulders stay level while the head tilts: only half of the roll is followed.
        roll = 0.4 * self.p.roll
        turn = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
        shape = np.array(
            [
                (-neck, top),
                (-neck - 0.5, top + 0.16),
                (-1.9, top + 0.55),
                (-2.1, 4.0),
                (2.1, 4.0),
                (1.9, top + 0.55),
                (neck + 0.5, top + 0.16),
                (neck, top),
                (0.0, top + rng.uniform(0.05, 0.5)),
            ]
        )
        points = center + ((shape - [0, chin + 0.2]) @ turn) * scale
        fill_both(picture, covered, points, self.looks.clothes * self.looks.light_color)
        if rng.random() < 0.4:
            stripe = tame_color(rng)
            for x in np.arange(-2, 2, rng.uniform(0.1, 0.4)):
                line = center + np.array([[x, 0.7], [x * 1.1, 3.0]]) @ turn * scale
                fixed = [np.round(line * 16).astype(np.int32)]
                cv2.polylines(picture, fixed, False, rgb(stripe), 1, cv2.LINE_AA, 4)

    def _glasses(self, picture: Picture, covered: Mask) -> None:
        rng, p = self.rng, self.p
        wide, high = rng.uniform(0.17, 0.23), rng.uniform(0.10, 0.18)
        square = rng.uniform(2.0, 5.0)
        turn = np.linspace(0, 2 * np.pi, 33)[:-1]
        c, s = np.cos(turn), np.sin(turn)
        ring = np.stack(
            [
                wide * np.sign(c) * np.abs(c) ** (2 / square),
                high * np.sign(s) * np.abs(s) ** (2 / square),
            ],
            axis=-1,
        )
        color = rng.uniform(0, 70, 3) if rng.random() < 0.7 else rng.uniform(60, 220, 3)
        width = max(1, round(rng.uniform(0.012, 0.05) * self.camera.scale))
        front = 0.93 * p.face_depth
        drop = rng.uniform(0.0, 0.05)
        sun = self.looks.glasses == "sun"
        for side in (-1, 1):
            x = side * (0.36) + ring[:, 0]
            rim = np.stack([x, drop + ring[:, 1], front - 0.30 * x**2 - 0.04], axis=-1)
            outline = self._at(rim)
            if sun:
                fill_both(picture, covered, outline, rng.uniform(5, 50, 3))
            elif rng.random() < 0.5:
                box = np.zeros(picture.shape[:2], np.uint8)
                cv2.fillPoly(box, [np.round(outline * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
                tint = rng.uniform(-0.12, 0.12)
                picture *= 1 + (tint / 255.0) * box[..., None].astype(np.float32)
            self._wire(picture, outline, color, width, closed=True)
            if self.near_side(side):
                hinge = (side * (0.36 + wide), drop - 0.4 * high, front - 0.36)
                arm = self._at([hinge, (side * p.jaw_width * 1.02, drop - 0.06, 0.0)])
                self._wire(picture, arm, color, width)
        bow = [
            (x, drop - 0.03 - 0.02 * (1 - (x / 0.19) ** 2), front + 0.03)
            for x in np.linspace(-0.36 + wide, 0.36 - wide, 5)
        ]
        self._wire(picture, self._at(bow), color, width)

    @staticmethod
    def _wire(
        picture: Picture, points: Floats, color: Floats, width: int, closed: bool = False
    ) -> None:
        fixed = np.round(points * 16).astype(np.int32)
        cv2.polylines(picture, [fixed], closed, rgb(color), width, cv2.LINE_AA, 4)

    def _cap(self, picture: Picture, covered: Mask) -> None:
        rng, w = self.rng, self.p.jaw_width
        color = tame_color(rng)
        edge = -0.42 + rng.uniform(-0.1, 0.12)
        rim = self._ring(1.12 * w, 1.0, edge)
        dome = self._ring(1.1 * w, 0.98, edge - 0.55)
        crown = self._ring(0.7 * w, 0.65, -self.p.skull_height - rng.uniform(0.1, 0.4))
        hull = cv2.convexHull(self._at(np.concatenate([rim, dome, crown])).astype(np.float32))
        fill_both(picture, covered, hull[:, 0], color)
        if rng.random() < 0.7:
            turn = np.linspace(-1.0, 1.0, 11)
            rim = np.stack([1.05 * w * np.sin(turn), np.full(11, edge), np.cos(turn) * 1.0], -1)
            long = rng.uniform(0.2, 0.5)
            tip = rim[::-1] + np.stack([0 * turn, 0.12 * np.cos(turn), long * np.cos(turn)], -1)
            fill_both(picture, covered, self._at(np.concatenate([rim, tip])), color * 0.7)

    def _band(self, picture: Picture, covered: Mask) -> None:
        rng, w = self.rng, self.p.jaw_width
        low, high = -0.5, -0.5 - rng.uniform(0.12, 0.3)
        rings = [self._ring(1.1 * w, 0.97, y) for y in (low, high)]
        points = self._at(np.concatenate([rings[0], rings[1][::-1]]))
        fill_both(picture, covered, points, tame_color(rng))

    def _ring(self, wide: float, deep: float, y: float) -> Floats:
        """The half of a level ring around the head that the viewer sees, (15, 3)."""
        turn = np.linspace(-1.6, 1.6, 15) - self.p.yaw
        return np.stack([wide * np.sin(turn), np.full(15, y), deep * np.cos(turn)], axis=-1)
