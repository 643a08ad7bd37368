"""What points tell of a face: open eyes, an open mouth, the head's pose, an aligned chip, a mask.

Functions of one face's points (N, 2), in photo pixels with pixel centers at whole numbers, and of
their scheme: a name, a YAML file or a `LandmarkScheme`. They look for parts by the names that the
scheme gives them, so that a scheme of one's own with the same names will do. Left and right are
those of the picture. `Face` has the same as methods.

Everything here is geometry of a flat picture: it is as exact as the points are. All raise a
`KDLandmarksError` for another number of points than the scheme has, coordinates that are not
finite, a scheme that lacks the part, and points that coincide where a length is divided by.
"""

from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from ..errors import KDLandmarksError
from ..imaging.photos import load_photo
from ..schemes import LandmarkScheme, Outline, get_scheme
from ..schemes.named_points import named_points
from ..utils.values import whole
from .alignment import ARCFACE_SIZE, align_face
from .head_pose import HeadPose, pose_of, pose_points

MEASURES = (
    "left_eye_aspect_ratio",
    "right_eye_aspect_ratio",
    "mouth_aspect_ratio",
    "yaw",
    "pitch",
    "roll",
)
"""What `measured` tells, in this order; tables have columns of these names."""

# Pixels: no photo is so large, and OpenCV counts sixteenths in 32 bits.
_FAR = 2.0**24


class EyeAspectRatios(NamedTuple):
    """The ratio of the eye on the left and on the right of the picture."""

    left: float
    right: float


def eye_aspect_ratio(points: ArrayLike, scheme: Any = "ibug68") -> EyeAspectRatios:
    """How open the eyes are: height between the lids / width between the corners, of each eye.

    Soukupova and Cech, "Real-Time Eye Blink Detection using Facial Landmarks", CVWW 2016: with
    p1 and p4 the corners of an eye of six points,

        EAR = (|p2 - p6| + |p3 - p5|) / (2 |p1 - p4|)

    Eyes of other numbers of points take the mean of the heights that they have, which for the eight
    of `wflw98` is a few percent lower, and for the four of `cofw29` a few percent higher.

    Returns:
        `left` and `right`, 0 or more. Open eyes have about 0.25 to 0.35, closed ones less than 0.2;
        a person's own open eyes are the better comparison. Size and roll change nothing; a turned
        head makes the far eye narrow and its ratio large, and who looks down seems to blink. An eye
        of fewer than some twenty pixels is too small to tell.

    Raises:
        KDLandmarksError: as the module says.
    """
    scheme, places = _checked(points, scheme)
    left, right = (_openness(places, scheme, part) for part in ("left_eye", "right_eye"))
    return EyeAspectRatios(left, right)


def mouth_aspect_ratio(points: ArrayLike, scheme: Any = "ibug68") -> float:
    """How open the mouth is: mean height / width of the opening between the lips.

    The formula of `eye_aspect_ratio` on the inner edge of the lips. Literature knows several mouth
    aspect ratios, some on the outer edge: their thresholds are not this one's.

    Returns:
        0 or more: about 0 for closed lips, 0.1 to 0.4 in speech, above 0.6 in a yawn. A smile
        widens the mouth and lowers it, a turned head raises it.

    Raises:
        KDLandmarksError: as the module says.
    """
    scheme, places = _checked(points, scheme)
    return _openness(places, scheme, "inner_lips")


def head_pose(points: ArrayLike, scheme: Any = "ibug68") -> HeadPose:
    """How the head is turned: `cv2.solvePnP` of the eyes' corners and the nose on a generic face.

    The generic face is ours, see `kd_landmarks.inference.head_pose`. Which camera it was is not
    known: the angles are those against the line from the camera to the head, and a face at the
    edge of a photo that looks into the camera has about 0, as one in its middle. The rotation is
    yaw about the neck, then pitch, then roll in the picture.

    Returns:
        `yaw`, positive where the nose points to the right of the picture; `pitch`, positive where
        the face looks up; `roll`, positive where the head leans clockwise; degrees, 0 from the
        front. On generated faces turned by up to 45 degrees each is off by 1 to 4 degrees in the
        mean; large yaw is underestimated, profiles are told roughly. A person's own nose shifts
        pitch by some degrees: compare with a frontal photo of the same person.

    Raises:
        KDLandmarksError: as the module says.
    """
    scheme, places = _checked(points, scheme)
    return pose_of(places, scheme)


def interocular(points: ArrayLike, scheme: Any = "ibug68") -> float:
    """Pixels between the outer corners of the eyes: what 300W divides errors by.

    Sagonas et al., "300 Faces in-the-Wild Challenge", ICCVW 2013; it is the length `inter_ocular`
    of `nme`. A turned head shortens it.

    Raises:
        KDLandmarksError: as the module says.
    """
    scheme, places = _checked(points, scheme)
    if scheme.eye_corners is None:
        raise KDLandmarksError(f"scheme {scheme.name} has no eye_corners")
    left, right = places[list(scheme.eye_corners)]
    return float(np.linalg.norm(left - right))


def five_points(points: ArrayLike, scheme: Any = "ibug68") -> NDArray[np.float64]:
    """The five points of face recognition.

    The eyes are the scheme's pupils, which for `ibug68` are the means of each eye's points.

    Returns:
        (5, 2) photo pixels: left eye, right eye, tip of the nose, left and right corner of the
        mouth.

    Raises:
        KDLandmarksError: as the module says.
    """
    scheme, places = _checked(points, scheme)
    known = named_points(scheme)
    wanted = ("nose_tip", "left_mouth_corner", "right_mouth_corner")
    for name in wanted:
        if name not in known:
            raise KDLandmarksError(f"scheme {scheme.name} has no landmark {name}")
    if scheme.pupils is None:
        raise KDLandmarksError(f"scheme {scheme.name} has no pupils")
    eyes = [places[list(pupil)].mean(axis=0) for pupil in scheme.pupils]
    return np.stack([*eyes, *(places[known[name]] for name in wanted)])


def aligned_chip(
    photo: Any, points: ArrayLike, scheme: Any = "ibug68", size: int = ARCFACE_SIZE
) -> Image.Image:
    """The face upright, eyes and mouth where ArcFace's networks want them.

    Args:
        photo: as the pipeline takes one.
        points: (N, 2) in pixels of the upright photo.
        scheme: of the points.
        size: of the chip in pixels; ArcFace's is 112.

    Returns:
        An RGB picture of size x size, black outside the photo: `alignment.align_face` of the
        `five_points`. A profile is stretched to where a frontal face would be.

    Raises:
        KDLandmarksError: as the module says, and for what is no photo.
    """
    five = five_points(points, scheme)
    return align_face(load_photo(photo), five, whole("size", size))


def face_outline(
    points: ArrayLike, size: tuple[int, int], scheme: Any = "ibug68"
) -> NDArray[np.bool_]:
    """Which pixels are the face's: the convex hull of its points.

    Args:
        points: (N, 2) photo pixels.
        size: width and height of the photo, as `Faces.size` has them.
        scheme: of the points; it needs a jaw.

    Returns:
        (height, width), True from the jaw to the brows, all False where the face lies outside. The
        forehead is not in it, since the points end at the brows, nor is what covers the face left
        out.

    Raises:
        KDLandmarksError: as the module says, and for a size that is none.
    """
    scheme, places = _checked(points, scheme)
    _part(scheme, "jaw")
    try:
        width, height = size
    except (TypeError, ValueError):
        raise KDLandmarksError(f"size={size!r}: give the photo's width and height") from None
    mask = np.zeros((whole("height", height), whole("width", width)), np.uint8)
    hull = cv2.convexHull(places.clip(-_FAR, _FAR).astype(np.float32))
    cv2.fillConvexPoly(mask, np.rint(hull * 16).astype(np.int32), 1, shift=4)
    return mask.astype(bool)


def measured(points: ArrayLike, scheme: Any = "ibug68") -> dict[str, float | None]:
    """Everything in `MEASURES` by its name, for tables: ratios to four digits, degrees to two.

    What cannot be told of these very points, as of eyes whose corners coincide, is None.

    Raises:
        KDLandmarksError: as the module says, but for points that coincide.
    """
    scheme, places = _checked(points, scheme)
    check_measures(scheme)
    told: dict[str, float | None] = dict.fromkeys(MEASURES)
    for name, part in zip(MEASURES, ("left_eye", "right_eye", "inner_lips"), strict=False):
        try:
            told[name] = round(_openness(places, scheme, part), 4)
        except KDLandmarksError:
            continue
    try:
        pose = pose_of(places, scheme)
    except KDLandmarksError:
        return told
    return told | {name: round(angle, 2) for name, angle in pose._asdict().items()}


def check_measures(scheme: LandmarkScheme) -> None:
    """Refuse a scheme that lacks what `measured` needs, before the work.

    Raises:
        KDLandmarksError: naming what it lacks.
    """
    for part in ("left_eye", "right_eye", "inner_lips"):
        _lids(scheme, part)
    pose_points(scheme)


def _checked(points: ArrayLike, scheme: Any) -> tuple[LandmarkScheme, NDArray[np.float64]]:
    """The scheme, and the points as float64 (N, 2)."""
    if not isinstance(scheme, str | Path | LandmarkScheme):
        raise KDLandmarksError(f"scheme={scheme!r}: give a scheme's name, or a LandmarkScheme")
    scheme = get_scheme(scheme)
    try:
        places = np.asarray(points, dtype=np.float64)
    except (TypeError, ValueError):
        raise KDLandmarksError("the points are no numbers: give an array (N, 2)") from None
    if places.shape != (scheme.num_landmarks, 2):
        raise KDLandmarksError(
            f"points of shape {places.shape}: scheme {scheme.name} has ({scheme.num_landmarks}, 2),"
            " x and y of one face"
        )
    broken = np.flatnonzero(~np.isfinite(places).all(axis=1))
    if broken.size:
        raise KDLandmarksError(
            f"point {broken[0]} ({scheme.names[broken[0]]}) is not finite: {places[broken[0]]}"
        )
    return scheme, places


def _part(scheme: LandmarkScheme, name: str) -> Outline:
    for outline in scheme.outlines:
        if outline.name == name:
            return outline
    there = ", ".join(outline.name for outline in scheme.outlines) or "none"
    raise KDLandmarksError(f"scheme {scheme.name} has no part {name}: its outlines are {there}")


def _lids(scheme: LandmarkScheme, part: str) -> tuple[int, ...]:
    """The indices of a closed outline from corner to corner and back."""
    outline = _part(scheme, part)
    if not outline.closed or len(outline.indices) < 4 or len(outline.indices) % 2:
        raise KDLandmarksError(
            f"the part {part} of scheme {scheme.name} is no closed line of 4, 6, 8, … points that "
            "begins at a corner: its height cannot be told"
        )
    return outline.indices


def _openness(places: NDArray[np.float64], scheme: LandmarkScheme, part: str) -> float:
    """Mean height / width of a part, whose line begins at a corner."""
    line = places[list(_lids(scheme, part))]
    half = len(line) // 2
    width = np.linalg.norm(line[0] - line[half])
    if width <= 0:
        raise KDLandmarksError(f"the corners of {part} coincide at {line[0]}: it has no ratio")
    heights = np.linalg.norm(line[1:half] - line[:half:-1], axis=1)
    return float(heights.mean() / width)
