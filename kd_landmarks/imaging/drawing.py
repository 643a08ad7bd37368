"""Landmarks drawn onto pictures, and pictures laid out in sheets."""

from collections.abc import Sequence
from itertools import product

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from ..errors import KDLandmarksError
from ..schemes import LandmarkScheme
from .boxes import tight_box
from .pixels import Box, tiles

Color = tuple[int, int, int]

POINTS_COLOR: Color = (0, 230, 118)
UNSURE_COLOR: Color = (255, 145, 0)
REFERENCE_COLOR: Color = (255, 64, 129)
BACKGROUND: Color = (24, 24, 24)
# Pixels between the pictures of a sheet.
GAP = 4

_SHIFT = 4  # OpenCV draws at 1/16 pixel
_AROUND = 32


def draw_landmarks(
    image: Image.Image | NDArray[np.uint8],
    points: ArrayLike,
    scheme: LandmarkScheme,
    reference: ArrayLike | None = None,
    unsure: ArrayLike | None = None,
    color: Color = POINTS_COLOR,
    min_size: int = 384,
) -> Image.Image:
    """Draw the outlines and points of one or more faces on a copy of an image.

    Args:
        image: PIL image, or (H, W, 3) or (H, W) uint8, RGB.
        points: (N, 2) or (F, N, 2) pixels of the image, pixel centers at whole numbers; may lie
            outside.
        scheme: The landmark scheme of the points: its outlines are drawn.
        reference: Second set of points like `points`, such as the ground truth, drawn below them
            in `REFERENCE_COLOR`; NaN for landmarks that are not there.
        unsure: (N,) or (F, N) bool, the points that are drawn as open circles in `UNSURE_COLOR`.
        color: RGB of the points, 0 to 255.
        min_size: Smaller images are enlarged until their longer side has this many pixels, so that
            lines and points stay crisp.

    Returns:
        The picture, RGB.

    Raises:
        KDLandmarksError: Points that do not fit the scheme or are not finite; an image of another
            shape.
    """
    picture = _as_rgb(image)
    scale = max(1.0, min_size / max(picture.size))
    size = (round(picture.width * scale), round(picture.height * scale))
    ratio = np.array(size) / picture.size
    faces = _faces(points, scheme)
    if not np.isfinite(faces).all():
        raise KDLandmarksError("points are not finite: leave such faces out")
    open_ = np.zeros(faces.shape[:2], bool) if unsure is None else np.asarray(unsure, bool)
    if open_.size != faces.shape[0] * faces.shape[1]:
        raise KDLandmarksError(f"unsure is {open_.shape}, not {faces.shape[:2]}: one a point")
    below = [] if reference is None else list(_faces(reference, scheme))
    below = [face for face in below if not np.isnan(face).all()]
    sets = [
        ((face + 0.5) * ratio - 0.5, rgb, marks)
        for some, rgb, masks in (
            (below, REFERENCE_COLOR, [np.zeros(scheme.num_landmarks, bool)] * len(below)),
            (faces, color, open_.reshape(faces.shape[:2])),
        )
        for face, marks in zip(some, masks, strict=True)
    ]
    drawn = picture if scale == 1 else picture.resize(size, Image.Resampling.BICUBIC)
    # Piece by piece: arrays of a whole photo would be copies of it. OpenCV draws otherwise where a
    # canvas ends, so that each piece is drawn with some more around it.
    for left, top, right, bottom in tiles((0, 0, *size)):
        origin = (max(0, left - _AROUND), max(0, top - _AROUND))
        end = (min(size[0], right + _AROUND), min(size[1], bottom + _AROUND))
        near = [one for one in sets if _reaches(one[0], (left, top, right, bottom))]
        if near:
            canvas = np.array(drawn.crop((*origin, *end)))
            for face, rgb, marks in near:
                _draw_face(canvas, face, scheme, rgb, marks, origin, max(size))
            inside = canvas[top - origin[1] :, left - origin[0] :][: bottom - top, : right - left]
            drawn.paste(Image.fromarray(np.ascontiguousarray(inside)), (left, top))
    return drawn


def contact_sheet(
    images: Sequence[Image.Image | NDArray[np.uint8]], columns: int = 4
) -> Image.Image:
    """Lay images out in rows, each centered in a cell as large as the largest image.

    Args:
        images: At least one PIL image or uint8 array.
        columns: Images per row.

    Raises:
        KDLandmarksError: No images, or less than one column.
    """
    if not len(images) or columns < 1:
        raise KDLandmarksError(
            f"{len(images)} images in {columns} columns make no sheet: give at least one of each"
        )
    pictures = [_as_rgb(image) for image in images]
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    width, height = max(p.width for p in pictures), max(p.height for p in pictures)
    size = (columns * (width + GAP) - GAP, rows * (height + GAP) - GAP)
    sheet = Image.new("RGB", size, BACKGROUND)
    for picture, (row, column) in zip(pictures, product(range(rows), range(columns)), strict=False):
        left = column * (width + GAP) + (width - picture.width) // 2
        top = row * (height + GAP) + (height - picture.height) // 2
        sheet.paste(picture, (left, top))
    return sheet


def _as_rgb(image: Image.Image | NDArray[np.uint8]) -> Image.Image:
    if isinstance(image, Image.Image):
        return image.convert("RGB")
    array = np.asarray(image)
    color = array.ndim == 3 and array.shape[2] == 3
    if array.dtype != np.uint8 or not array.size or not (array.ndim == 2 or color):
        raise KDLandmarksError(
            f"the image is {array.dtype} of shape {array.shape}: give uint8 (H, W, 3) or (H, W)"
        )
    return Image.fromarray(array).convert("RGB")


def _faces(points: ArrayLike, scheme: LandmarkScheme) -> NDArray[np.float64]:
    """Points as (F, N, 2), checked."""
    array = np.asarray(points, dtype=np.float64)
    if array.ndim not in (2, 3) or array.shape[-2:] != (scheme.num_landmarks, 2):
        raise KDLandmarksError(
            f"points have shape {array.shape}: scheme {scheme.name} needs "
            f"({scheme.num_landmarks}, 2) for one face or (faces, {scheme.num_landmarks}, 2)"
        )
    return array.reshape(-1, *array.shape[-2:])


def _reaches(points: NDArray[np.float64], piece: Box) -> bool:
    """Whether something of a drawn face may lie in a piece of the picture."""
    low, high = np.split(tight_box(points), 2)
    room = 2 + 0.02 * (high - low).max()  # for lines and points
    return bool((low - room < piece[2:]).all() and (high + room >= piece[:2]).all())


def _draw_face(
    canvas: NDArray[np.uint8],
    points: NDArray[np.float64],
    scheme: LandmarkScheme,
    color: Color,
    unsure: NDArray[np.bool_],
    origin: tuple[int, int],
    longest: int,
) -> None:
    """Draw onto a piece, which begins at `origin`, of a picture with a longer side of `longest`."""
    # Line and dot grow with the face, not with the photo around it.
    low, high = np.split(tight_box(points), 2)
    extent = min(float((high - low).max()), longest)
    thickness = max(1, round(extent / 350))
    radius = max(1.4, extent / 110)
    # OpenCV takes 32-bit fixed point; an untrained student may point far beyond the photo.
    there: NDArray[np.bool_] = np.logical_not(np.isnan(points).any(axis=1))
    near = np.clip(np.nan_to_num(points), -1e5, 1e5)
    fixed = np.round((near - origin) * 2**_SHIFT).astype(np.int32)
    for outline in scheme.outlines:
        line = [index for index in outline.indices if there[index]]
        cv2.polylines(canvas, [fixed[line]], outline.closed, color, thickness, cv2.LINE_AA, _SHIFT)
    for (x, y), doubt in zip(fixed[there].tolist(), unsure[there], strict=True):
        size = round((1.6 if doubt else 1) * radius * 2**_SHIFT)
        rgb, width = (UNSURE_COLOR, thickness) if doubt else (color, -1)
        cv2.circle(canvas, (x, y), size, rgb, width, cv2.LINE_AA, _SHIFT)
