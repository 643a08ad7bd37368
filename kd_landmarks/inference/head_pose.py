"""How a head is turned: the pose in which a generic 3D face fits the points.

The face is our own: whole millimeters, set by hand for an adult's eyes and nose, which keep their
shape when a face speaks or smiles. It has 90 mm between the outer and 32 mm between the inner
corners of the eyes, and a nose of 51 mm whose back leads forward by about 30 degrees. It is fitted
to no photos, and not taken from the head that `kd_landmarks.synthetic` draws;
`benchmarks/head_pose.py` measures it on generated faces, whose pose is known.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import KDLandmarksError
from ..schemes import LandmarkScheme
from ..schemes.named_points import named_points

# From the middle of the head, between the ears: x to the right of the picture, y down from the
# level of the eyes, z away from the viewer. Of what comes twice the left one of the picture.
_MIDDLE = {
    "nose_bridge_0": (0, -4, -98),
    "nose_bridge_1": (0, 9, -105),
    "nose_bridge_2": (0, 22, -113),
    "nose_tip": (0, 35, -121),
    "nose_base_2": (0, 47, -107),
    "nose_bottom": (0, 47, -107),
}
_SIDES = {
    ("left_eye_outer", "right_eye_outer"): (-45, 0, -74),
    ("left_eye_inner", "right_eye_inner"): (-16, 2, -84),
    ("nose_base_0", "nose_base_4"): (-14, 44, -98),
    ("nose_base_1", "nose_base_3"): (-7, 46, -103),
    ("left_nostril", "right_nostril"): (-16, 42, -97),
}
_PLACES = _MIDDLE | {
    name: (side * x, y, z)
    for names, (x, y, z) in _SIDES.items()
    for name, side in zip(names, (1, -1), strict=True)
}
# Both eyes, and what stands out before them, without which a pose could not be told.
_NEEDED = ("left_eye_outer", "left_eye_inner", "right_eye_inner", "right_eye_outer", "nose_tip")
# Millimeters from the camera to the head where a solution is looked for first. How near the camera
# really was makes little difference.
_DISTANCE = 700.0


class HeadPose(NamedTuple):
    """Degrees: `yaw` and `roll` from -180 to 180, `pitch` from -90 to 90, all 0 from the front.

    Attributes:
        yaw: positive where the nose points to the right of the picture.
        pitch: positive where the face looks up.
        roll: positive where the head leans clockwise, as one looks at the picture.
    """

    yaw: float
    pitch: float
    roll: float


def pose_of(points: NDArray[np.float64], scheme: LandmarkScheme) -> HeadPose:
    """The pose of a face: see `kd_landmarks.inference.measures.head_pose`.

    Args:
        points: (N, 2) pixels, finite.
        scheme: of the points.

    Raises:
        KDLandmarksError: the scheme lacks the corners of the eyes or the tip of the nose, or no
            face has such points.
    """
    indices = pose_points(scheme)
    face = np.array([_PLACES[name] for name in indices], dtype=np.float64)
    seen = points[list(indices.values())]
    seen = seen - seen.mean(axis=0)
    size = _extent(seen)
    # Photos do not say how near the camera was, nor where it looked: as from a usual distance, the
    # face in the middle of the picture.
    focal = _DISTANCE / _extent(face[:, :2] - face[:, :2].mean(axis=0))
    camera = np.diag([focal, focal, 1.0])
    try:
        found = _solved(face, seen / size, camera) if size > 0 else None
    except cv2.error:
        found = None
    if found is None:
        raise KDLandmarksError(
            f"no face has its eyes and its nose at these points ({size:g} pixels around their "
            "mean): they have no pose"
        )
    return _angles(_seen_from_the_camera(*found))


def pose_points(scheme: LandmarkScheme) -> dict[str, int]:
    """Name and index of the landmarks that a head's pose is told by.

    Raises:
        KDLandmarksError: the scheme lacks some that it takes.
    """
    known = named_points(scheme)
    missing = [name for name in _NEEDED if name not in known]
    if missing:
        raise KDLandmarksError(
            f"scheme {scheme.name} has no landmark {missing[0]}, which a head's pose needs: call "
            f"its points {', '.join(_NEEDED)}"
        )
    return {name: known[name] for name in _PLACES if name in known}


def _extent(points: NDArray[np.float64]) -> float:
    """How far points (N, 2) are from their mean, which is 0: the same however they are turned."""
    return float(np.sqrt(np.square(points).sum(axis=1).mean()))


def _solved(
    face: NDArray[np.float64], seen: NDArray[np.float64], camera: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Rotation (3, 3) and place (3,) of the face before the camera that fit the points best."""
    _, turns, places, _ = cv2.solvePnPGeneric(face, seen, camera, None, flags=cv2.SOLVEPNP_SQPNP)
    # A face from the front as well: from there the nearest solution is never one from behind.
    starts = [*zip(turns, places, strict=True), (np.zeros(3), np.array([0, 0, _DISTANCE]))]
    found: list[tuple[float, NDArray[np.float64], NDArray[np.float64]]] = []
    for turn, place in starts:
        turn, place = cv2.solvePnPRefineLM(
            face, seen, camera, None, turn.reshape(3, 1).copy(), place.reshape(3, 1).copy()
        )
        shown, _ = cv2.projectPoints(face, turn, place, camera, None)
        error = float(np.square(shown[:, 0] - seen).sum())
        if np.isfinite(error) and place[2, 0] > 0:
            rotation, _ = cv2.Rodrigues(turn)
            found.append((error, rotation.astype(np.float64), place[:, 0].astype(np.float64)))
    return min(found, key=lambda one: one[0])[1:] if found else None


def _seen_from_the_camera(
    turn: NDArray[np.float64], place: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The rotation against the line from the camera to the middle of the head."""
    line = place / np.linalg.norm(place)
    axis = np.cross(line, [0.0, 0.0, 1.0])
    sine = float(np.linalg.norm(axis))
    if sine > 0:
        axis *= np.arcsin(min(1.0, sine)) / sine
    return np.asarray(cv2.Rodrigues(axis)[0] @ turn)


def _angles(turn: NDArray[np.float64]) -> HeadPose:
    """The angles of a rotation that is yaw about the neck, then pitch, then roll."""
    yaw = np.arctan2(turn[2, 0], turn[2, 2])
    pitch = np.arcsin(np.clip(-turn[2, 1], -1, 1))
    roll = np.arctan2(-turn[0, 1], turn[1, 1])
    return HeadPose(*np.degrees([yaw, pitch, roll]).tolist())
