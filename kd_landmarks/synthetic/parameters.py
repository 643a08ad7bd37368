"""What varies between generated faces: identity, expression and pose, drawn at random.

Unit of length: the distance of the outer eye corners of the generic face. Axes of the head: x to
the image's right, y down, z to the viewer; the origin lies between the ears at eye level.
"""

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class FaceParameters:
    """One face: its identity, its expression and how the head is turned.

    The defaults are the generic adult face, at rest and seen from the front. Lengths in units of
    the generic outer eye corner distance, angles in radians, the rest dimensionless.
    """

    jaw_width: float = 0.868
    jaw_height: float = 1.275
    jaw_squareness: float = 2.25
    skull_height: float = 1.42
    face_depth: float = 1.0
    asymmetry: float = 0.0
    eye_center: float = 0.382
    eye_width: float = 0.31
    eye_height: float = 0.074
    eye_slant: float = 0.016
    brow_height: float = 0.212
    brow_arch: float = 0.075
    brow_slant: float = 0.04
    brow_length: float = 0.53
    brow_thickness: float = 0.055
    nose_length: float = 0.405
    nose_width: float = 0.168
    nose_relief: float = 1.0
    mouth_y: float = 0.755
    mouth_width: float = 0.30
    upper_lip: float = 0.078
    lower_lip: float = 0.105

    mouth_open: float = 0.0
    smile: float = 0.0
    pucker: float = 0.0
    skew: float = 0.0
    brow_raise: float = 0.0
    frown: float = 0.0
    eye_open_left: float = 1.0
    eye_open_right: float = 1.0
    gaze_x: float = 0.0
    gaze_y: float = 0.0

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    camera_distance: float = 8.0

    @property
    def chin_y(self) -> float:
        """Height of the chin: an opening mouth takes the jaw down with it."""
        return self.jaw_height + 0.55 * self.mouth_open


# Standard deviations of the identity (the largest deviation is 2.5 of them).
_SPREAD = {
    "jaw_width": 0.045,
    "jaw_height": 0.075,
    "jaw_squareness": 0.28,
    "skull_height": 0.06,
    "face_depth": 0.05,
    "asymmetry": 0.012,
    "eye_center": 0.012,
    "eye_width": 0.016,
    "eye_height": 0.012,
    "eye_slant": 0.016,
    "brow_height": 0.022,
    "brow_arch": 0.025,
    "brow_slant": 0.03,
    "brow_length": 0.03,
    "brow_thickness": 0.014,
    "nose_length": 0.035,
    "nose_width": 0.02,
    "nose_relief": 0.15,
    "mouth_y": 0.03,
    "mouth_width": 0.03,
    "upper_lip": 0.02,
    "lower_lip": 0.022,
}
_LARGEST_POSE = {"yaw": np.deg2rad(50), "pitch": np.deg2rad(25), "roll": np.deg2rad(30)}
# Heads turned on purpose: to nearly a profile, where half of the points are hidden.
_TURNED = np.deg2rad(25), np.deg2rad(75)


def _bell(rng: np.random.Generator, spread: float, largest: float | None = None) -> float:
    limit = 2.5 * spread if largest is None else largest
    return float(np.clip(rng.normal(0.0, spread), -limit, limit))


def sample_parameters(rng: np.random.Generator) -> FaceParameters:
    """A random face: yaw within 50, pitch within 25 and roll within 30 degrees."""
    generic = FaceParameters()
    values = {name: getattr(generic, name) + _bell(rng, s) for name, s in _SPREAD.items()}
    values |= _sample_expression(rng)
    # Photographed faces look mostly into the camera, with a tail of turned heads.
    wide = rng.random() < 0.18
    values["yaw"] = _bell(rng, np.deg2rad(30 if wide else 14), _LARGEST_POSE["yaw"])
    values["pitch"] = _bell(rng, np.deg2rad(9), _LARGEST_POSE["pitch"])
    values["roll"] = _bell(rng, np.deg2rad(9), _LARGEST_POSE["roll"])
    values["camera_distance"] = float(rng.uniform(5.0, 14.0))
    return replace(generic, **values)


def turned(parameters: FaceParameters, rng: np.random.Generator) -> FaceParameters:
    """The same face with its head turned by 25 to 75 degrees to either side."""
    return replace(parameters, yaw=float(rng.choice((-1, 1)) * rng.uniform(*_TURNED)))


def _sample_expression(rng: np.random.Generator) -> dict[str, float]:
    smile = float(rng.beta(1.5, 1.3)) if rng.random() < 0.62 else _bell(rng, 0.25)
    opened = 0.0
    if smile > 0.35 and rng.random() < 0.7:
        # A broad smile bares the upper teeth.
        opened = float(rng.uniform(0.03, 0.06 + 0.08 * smile))
    elif rng.random() < 0.5:
        opened = float(rng.beta(1.0, 3.0) * 0.46) if rng.random() < 0.5 else 0.14 * rng.random()
    openness = float(np.clip(1.05 - 0.3 * max(smile, 0) + _bell(rng, 0.16), 0.25, 1.5))
    if rng.random() < 0.07:
        openness = float(rng.uniform(0.0, 0.25))
    wink = float(rng.uniform(-0.5, 0.5)) if rng.random() < 0.06 else _bell(rng, 0.05)
    return {
        "mouth_open": opened,
        "smile": smile,
        "pucker": float(rng.beta(1.5, 3.0)) if rng.random() < 0.12 else 0.0,
        "skew": _bell(rng, 0.012),
        "brow_raise": _bell(rng, 0.025) + 0.12 * max(opened - 0.15, 0),
        "frown": float(rng.beta(1.5, 2.5)) if rng.random() < 0.25 else 0.0,
        "eye_open_left": float(np.clip(openness + wink, 0.0, 1.6)),
        "eye_open_right": float(np.clip(openness - wink, 0.0, 1.6)),
        "gaze_x": _bell(rng, 0.3),
        "gaze_y": _bell(rng, 0.15),
    }
