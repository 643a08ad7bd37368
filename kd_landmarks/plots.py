"""Pictures of results: CED curves, drawn landmarks, contact sheets, the shape of KD-Loss.

Nothing here touches pyplot, so it works without a display and beside a notebook's figures.
"""

import os
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from .drawings import mark
from .errors import KDLandmarksError
from .files import new_file
from .inference.pixels import Box, tiles
from .metrics import auc, ced
from .schemes import LandmarkScheme

if TYPE_CHECKING:
    from torch import Tensor

    from .loss_variants import KDLossVariant

Color = tuple[int, int, int]
PathLike = str | os.PathLike[str]

POINTS_COLOR: Color = (0, 230, 118)
REFERENCE_COLOR: Color = (255, 64, 129)
BACKGROUND: Color = (24, 24, 24)

_DPI = 150
_SHIFT = 4  # OpenCV draws at 1/16 pixel
_AROUND = 32


def plot_ced(
    curves: Mapping[str, ArrayLike], path: PathLike, max_error: float = 10.0, title: str = ""
) -> Path:
    """Draw cumulative error distributions into a file (its suffix gives the format).

    Args:
        curves: Name -> errors (B,) of the faces in percent, such as `EvaluationResult.errors`.
        path: The file to write.
        max_error: Where the error axis ends; the legend gives the AUC up to there.
        title: Above the plot, such as the test set and the normalizer.

    Returns:
        The path written.

    Raises:
        KDLandmarksError: No curves, or one that is empty or has NaN.
    """
    if not curves:
        raise KDLandmarksError("there are no curves: give at least one name with its errors")
    figure = Figure(figsize=(6, 4.2), dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    for name, errors in curves.items():
        x, y = ced(errors, max_error)
        label = (
            f"{name} (NME {np.mean(np.asarray(errors)):.2f} %, "
            f"AUC$_{{{max_error:g}}}$ {auc(errors, max_error):.3f})"
        )
        axes.plot(x, 100 * y, drawstyle="steps-post", label=label, linewidth=1.6)
    axes.set(
        xlim=(0, max_error),
        ylim=(0, 100),
        xlabel="normalised mean error of a face (%)",
        ylabel="faces with at most this error (%)",
        title=title,
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize="small")
    return _save(figure, path)


def draw_landmarks(
    image: Image.Image | NDArray[np.uint8],
    points: ArrayLike,
    scheme: LandmarkScheme,
    reference: ArrayLike | None = None,
    color: Color = POINTS_COLOR,
    reference_color: Color = REFERENCE_COLOR,
    min_size: int = 384,
) -> Image.Image:
    """Draw the outlines and points of one or more faces on a copy of an image.

    Args:
        image: PIL image, or (H, W, 3) or (H, W) uint8, RGB.
        points: (N, 2) or (F, N, 2) pixels of the image, pixel centres at whole numbers; may lie
            outside.
        scheme: The landmark scheme of the points: its outlines are drawn.
        reference: Second set of points like `points`, such as the ground truth, drawn below them.
        color: RGB of the points, 0 to 255.
        reference_color: RGB of the reference.
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
    sets = [
        ((face + 0.5) * ratio - 0.5, rgb)
        for given, rgb in ((reference, reference_color), (points, color))
        if given is not None
        for face in _faces(given, scheme)
    ]
    drawn = picture if scale == 1 else picture.resize(size, Image.Resampling.BICUBIC)
    # Piece by piece: arrays of a whole photo would be copies of it. OpenCV draws otherwise where a
    # canvas ends, so that each piece is drawn with some more around it.
    for left, top, right, bottom in tiles((0, 0, *size)):
        origin = (max(0, left - _AROUND), max(0, top - _AROUND))
        end = (min(size[0], right + _AROUND), min(size[1], bottom + _AROUND))
        near = [(face, rgb) for face, rgb in sets if _reaches(face, (left, top, right, bottom))]
        if near:
            canvas = np.array(drawn.crop((*origin, *end)))
            for face, rgb in near:
                _draw_face(canvas, face, scheme, rgb, origin, max(size))
            inside = canvas[top - origin[1] :, left - origin[0] :][: bottom - top, : right - left]
            drawn.paste(Image.fromarray(np.ascontiguousarray(inside)), (left, top))
    return drawn


def contact_sheet(
    images: Sequence[Image.Image | NDArray[np.uint8]], columns: int = 4, gap: int = 4
) -> Image.Image:
    """Lay images out in rows, each centred in a cell as large as the largest image.

    Args:
        images: At least one PIL image or uint8 array.
        columns: Images per row.
        gap: Pixels between cells.

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
    size = (columns * (width + gap) - gap, rows * (height + gap) - gap)
    sheet = Image.new("RGB", size, BACKGROUND)
    for picture, (row, column) in zip(pictures, product(range(rows), range(columns)), strict=False):
        left = column * (width + gap) + (width - picture.width) // 2
        top = row * (height + gap) + (height - picture.height) // 2
        sheet.paste(picture, (left, top))
    return sheet


def loss_curves(
    error: "Tensor",
    tough_distance: float,
    tolerant_distance: float,
    variant: "KDLossVariant",
    weights: tuple[float, float, float] = (2.0, 1.0, 1.0),
) -> dict[str, "Tensor"]:
    """KD-Loss of one coordinate over the student's error.

    Args:
        error: e = |p - g| >= 0, crop units.
        tough_distance: |t - g| of the Tough-Teacher, crop units.
        tolerant_distance: |t - g| of the Tolerant-Teacher, crop units.
        variant: its constants.
        weights: of the main, tough and tolerant parts in the total.

    Returns:
        `tough`, `tolerant` and `main`, unweighted, and their weighted `total`, each like `error`.
    """
    from .loss_variants import main_loss

    far_tough, far_tolerant = (
        error.new_full(error.shape, distance) for distance in (tough_distance, tolerant_distance)
    )
    tough = variant.assist(error, far_tough, variant.tough)
    tolerant = variant.assist(error, far_tolerant, variant.tolerant)
    main = main_loss(error, far_tolerant, variant.main, variant.main_slope)
    total = weights[0] * main + weights[1] * tough + weights[2] * tolerant
    return {"tough": tough, "tolerant": tolerant, "main": main, "total": total}


def plot_kd_loss(
    path: PathLike,
    tough_distance: float = 0.02,
    tolerant_distance: float = 0.04,
    variants: Sequence[str] | None = None,
    weights: tuple[float, float, float] = (2.0, 1.0, 1.0),
) -> Path:
    """Draw each variant's assistive losses and KD-Loss against the student's signed error.

    Args:
        path: The file to write (its suffix gives the format).
        tough_distance: |t - g| of the Tough-Teacher, crop units.
        tolerant_distance: |t - g| of the Tolerant-Teacher, crop units.
        variants: Names from `losses.VARIANTS`; None draws all.
        weights: Weights of the main, tough and tolerant parts.

    Returns:
        The path written.
    """
    import torch

    from .loss_variants import VARIANTS, find_variant

    chosen = [find_variant(name) for name in (variants or list(VARIANTS))]
    reach = 1.5 * max(tough_distance, tolerant_distance)
    signed = torch.linspace(-reach, reach, 3001)
    figure = Figure(figsize=(4 * len(chosen), 5.6), dpi=_DPI, layout="constrained")
    for column, variant in enumerate(chosen):
        curves = loss_curves(signed.abs(), tough_distance, tolerant_distance, variant, weights)
        tough, tolerant, total = (curves[name] for name in ("tough", "tolerant", "total"))
        main = weights[0] * curves["main"]
        upper: Axes = figure.add_subplot(2, len(chosen), column + 1)
        upper.plot(signed, tough, label="tough")
        upper.plot(signed, tolerant, label="tolerant")
        upper.set(title=f'"{variant.name}"')
        lower: Axes = figure.add_subplot(2, len(chosen), len(chosen) + column + 1)
        lower.plot(signed, main, color="gray", linestyle="--", label="main")
        lower.plot(signed, total, color="black", label="KD-Loss")
        least = torch.isclose(total, total.min(), atol=1e-7)
        lower.plot(signed[least], total[least], "rv", markersize=5, label="minimum")
        lower.set(xlabel="signed error p - g (crop units)")
        for axes in (upper, lower):
            for distance, shade in ((tough_distance, "C0"), (tolerant_distance, "C1")):
                for side in (-distance, distance):
                    axes.axvline(side, color=shade, linestyle=":", linewidth=0.8)
            axes.axhline(0, color="black", linewidth=0.5)
            axes.grid(alpha=0.3)
            axes.legend(fontsize="small", loc="upper center")
        if column == 0:
            upper.set_ylabel("ALoss(e, d)")
            lower.set_ylabel("weighted sum")
    return _save(figure, path)


def _save(figure: Figure, path: PathLike) -> Path:
    path = Path(path)
    path = path if path.suffix else path.with_suffix(".png")
    with new_file(path) as partial:
        told = mark("plots") if path.suffix.lower() == ".png" else None
        figure.savefig(partial, metadata=told)
    return path


def _as_rgb(image: Image.Image | NDArray[np.uint8]) -> Image.Image:
    if isinstance(image, Image.Image):
        return image.convert("RGB")
    array = np.asarray(image)
    if array.dtype != np.uint8 or not (
        array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)
    ):
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
    if not np.isfinite(array).all():
        raise KDLandmarksError("points are not finite: leave such faces out")
    return array.reshape(-1, *array.shape[-2:])


def _reaches(points: NDArray[np.float64], piece: Box) -> bool:
    """Whether something of a drawn face may lie in a piece of the picture."""
    low, high = points.min(0), points.max(0)
    room = 2 + 0.02 * (high - low).max()  # for lines and points
    return bool((low - room < piece[2:]).all() and (high + room >= piece[:2]).all())


def _draw_face(
    canvas: NDArray[np.uint8],
    points: NDArray[np.float64],
    scheme: LandmarkScheme,
    color: Color,
    origin: tuple[int, int],
    longest: int,
) -> None:
    """Draw onto a piece, which begins at `origin`, of a picture with a longer side of `longest`."""
    # Line and dot grow with the face, not with the photo around it.
    extent = min(float(np.ptp(points, axis=0).max()), longest)
    thickness = max(1, round(extent / 350))
    radius = max(1.4, extent / 110)
    # OpenCV takes 32-bit fixed point; an untrained student may point far beyond the photo.
    fixed = np.round((np.clip(points, -1e5, 1e5) - origin) * 2**_SHIFT).astype(np.int32)
    for outline in scheme.outlines:
        line = fixed[list(outline.indices)]
        cv2.polylines(canvas, [line], outline.closed, color, thickness, cv2.LINE_AA, _SHIFT)
    for x, y in fixed.tolist():
        cv2.circle(canvas, (x, y), round(radius * 2**_SHIFT), color, -1, cv2.LINE_AA, _SHIFT)
