"""Looking at faces upright, however they are turned in their photos.

Networks learn from faces that are turned by 30 or 40 degrees at most. A face that the first look
finds to be turned, or aside in its crop, is cut once more, upright and by the box of its own
points; where the first look makes little sense, it is repeated on the same crop turned by quarters.
Upright faces in their boxes cost one look.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..imaging.boxes import tight_box
from ..imaging.crop import Square, square_crop, to_photo_pixels, upright_box
from ..schemes import LandmarkScheme
from .description import Description

# Degrees of roll, by what the crop shows, from which a face is cut again.
TURNED = 20.0
# A face of less confidence may be seen in the wrong turn, and a turn has to be surer by so much.
DOUBTFUL = 0.7
SURER = 0.05
QUARTERS = (90, 180, 270)
# Points that are spread over so many sides of their crop are not looked at again.
FARTHEST = 3
# A face this far from its crop's middle, in sides of the crop, is cut again: it has moved since the
# frame before, or its box was wrong.
ASIDE = 0.15
# Landmarks of a part of the face, whose place in a found face's box is known by and large only, are
# cut again from less on, and where they take up a box this many times as large or small as the
# crop's.
PART_ASIDE, PART_SIZE = 0.04, 1.08
# Each look makes the crop more upright; a third one changes little.
LOOKS = 2

Network = Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], NDArray[np.float32] | None]]
"""Crops (faces, 3, size, size) to points (faces, N, 2) in crop units and scores (faces, N)."""


@dataclass(frozen=True)
class Look:
    """A face in one crop of its photo.

    Attributes:
        photo: upright, as people see it.
        square: of the crop, with its roll.
        crop: uint8 (3, size, size).
        points: (N, 2) float64 in photo pixels; None before the network has looked.
        scores: (N,) of the network; None without.
        confidence: (N,) probabilities; None without a calibration.
    """

    photo: Image.Image
    square: Square
    crop: NDArray[np.uint8]
    points: NDArray[np.float64] | None = None
    scores: NDArray[np.float32] | None = None
    confidence: NDArray[np.float32] | None = None

    @property
    def sure(self) -> float:
        """Mean confidence of the points, 1 where it is not known."""
        return 1.0 if self.confidence is None else float(self.confidence.mean())


def look_upright(looks: Sequence[Look], description: Description, network: Network) -> list[Look]:
    """What the network says of faces, each seen upright.

    Args:
        looks: the first crop of each face.
        description: of the network.
        network: answers for any number of crops.

    Returns:
        For each face the look that counts, with points and scores.
    """
    found = _answered(looks, description, network)
    doubtful = [index for index, one in enumerate(found) if one.sure < DOUBTFUL]
    turns = [_turned(found[index], turn) for index in doubtful for turn in QUARTERS]
    answers = iter(_answered(turns, description, network))
    for index in doubtful:
        best = max((next(answers) for _ in QUARTERS), key=lambda one: one.sure)
        if best.sure > found[index].sure + SURER:
            found[index] = best
    for number in range(LOOKS):
        again = {
            index: box
            for index, one in enumerate(found)
            if (box := _other_box(one, description, number == 0 and index in doubtful)) is not None
        }
        closer = [_cut(found[index].photo, box, description) for index, box in again.items()]
        for index, one in zip(again, _answered(closer, description, network), strict=True):
            if one.sure >= found[index].sure - SURER:
                found[index] = one
    return found


def face_roll(points: NDArray[np.float64], scheme: LandmarkScheme | None) -> float | None:
    """A face's roll in the photo: degrees clockwise as one sees it, from -180 to 180.

    It is that of the eyes' corners and of the way down to the mouth together, which also holds for
    a head in profile, whose eyes are nearly one. None where the scheme or the face has no eye
    corners or no lips.

    Args:
        points: (N, 2) in photo pixels; NaN for landmarks that are not there.
        scheme: of the points.
    """
    outlines = () if scheme is None else scheme.outlines
    lips = [list(outline.indices) for outline in outlines if outline.name == "outer_lips"]
    if scheme is None or scheme.eye_corners is None or not lips:
        return None
    left, right = points[list(scheme.eye_corners)]
    mouth = points[lips[0]]
    mouth = mouth[~np.isnan(mouth).any(axis=1)]
    if np.isnan([left, right]).any() or not len(mouth):
        return None
    across, down = right - left, mouth.mean(axis=0) - (left + right) / 2
    return float(np.degrees(np.arctan2(across[1] - down[0], across[0] + down[1])))


def upright_tight_box(
    points: NDArray[np.float64], scheme: LandmarkScheme | None
) -> NDArray[np.float64]:
    """The box around a face's points (N, 2): (4,), or (5,) with its roll where it is turned."""
    roll = face_roll(points, scheme)
    return tight_box(points) if roll is None or not _is_turned(roll) else upright_box(points, roll)


def _answered(looks: Sequence[Look], description: Description, network: Network) -> list[Look]:
    if not looks:
        return []
    points, scores = network(np.stack([one.crop for one in looks]))
    calibration = description.calibration
    answered = []
    for index, one in enumerate(looks):
        sure = None if scores is None else scores[index]
        with np.errstate(over="ignore"):
            # float64: a point in a 100-megapixel photo keeps its hundredths of a pixel.
            pixels = to_photo_pixels(points[index].astype(np.float64), one.square)
        confidence = None if sure is None or calibration is None else calibration(sure)
        answered.append(replace(one, points=pixels, scores=sure, confidence=confidence))
    return answered


def _turned(one: Look, turn: int) -> Look:
    """The same crop, turned back by quarters, as a face that is turned by them would be cut."""
    crop = np.ascontiguousarray(np.rot90(one.crop, turn // 90, axes=(1, 2)))
    roll = one.square.roll + turn
    return replace(one, crop=crop, square=one.square._replace(roll=roll))


def _cut(photo: Image.Image, box: NDArray[np.float64], description: Description) -> Look:
    square = square_crop(box, description.crop_margin)
    return Look(photo, square, description.crop(photo, square))


def _other_box(one: Look, description: Description, doubtful: bool) -> NDArray[np.float64] | None:
    """The box of a face's own points, where it is doubtful or does not suit its crop."""
    assert one.points is not None
    # Points far from the crop, or all in one place, are no face's.
    if not 0 < np.ptp(one.points, axis=0).max() < FARTHEST * one.square.side:
        return None
    square, is_part = one.square, description.face_box is not None
    roll = face_roll(one.points, description.scheme)
    if roll is None and not is_part:
        return None
    if roll is None:  # as it was cut
        roll = square.roll
    box = upright_box(one.points, roll)
    middle = square.left + square.side / 2, square.top + square.side / 2
    away = np.abs((box[:2] + box[2:4]) / 2 - middle).max() / square.side
    size = (box[2:4] - box[:2]).max() * description.crop_margin / square.side
    other = is_part and (away > PART_ASIDE or not 1 / PART_SIZE < size < PART_SIZE)
    turned = _is_turned(roll - square.roll)
    return box if doubtful or turned or other or away > ASIDE else None


def _is_turned(degrees: float) -> bool:
    return abs((degrees + 180) % 360 - 180) >= TURNED
