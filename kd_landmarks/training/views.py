"""Teachers asked in several views of a face: mirrored, moved, scaled and turned pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from tqdm.auto import tqdm

from ..data.crops import cut_crop
from ..data.photos import Photos
from ..imaging.crop import Square, square_crop, to_photo_pixels
from ..schemes import LandmarkScheme
from .teachers import FrozenTeacher

# How far the views go: within what every recipe's augmentation shows a network in training.
VIEW_SCALE = 1.12
VIEW_SHIFT = 0.04
VIEW_TURN = 10.0
"""Degrees."""
PICTURES_PER_BATCH = 32


@dataclass(frozen=True)
class View:
    """One way to look at a face: a square `scale` times larger, moved by `shift` of its sides.

    It is turned by `turn` degrees.
    """

    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    turn: float = 0.0
    mirrored: bool = False


def draw_views(count: int) -> list[View]:
    """The plain view, its mirror image, and `count - 2` more in such pairs, moved at random."""
    rng = np.random.default_rng(0)  # always the same
    views = [View()]
    while len(views) < count:
        last = views[-1]
        if last.mirrored:
            scale = VIEW_SCALE ** rng.uniform(-1, 1)
            shift = rng.uniform(-VIEW_SHIFT, VIEW_SHIFT, 2)
            turn = rng.uniform(-VIEW_TURN, VIEW_TURN)
            views.append(View(float(scale), (float(shift[0]), float(shift[1])), float(turn)))
        else:
            views.append(replace(last, mirrored=True))
    return views[:count]


def predict_by_all(
    rows: Dataset,
    boxes: np.ndarray,
    teachers: Sequence[FrozenTeacher],
    scheme: LandmarkScheme,
    views: Sequence[View],
    description: str,
) -> np.ndarray:
    """Several teachers' points, each in each view: (rows, teachers x views, N, 2), photo pixels.

    The arguments are those of `predict_views`.
    """
    return np.concatenate(
        [predict_views(rows, boxes, one, scheme, views, description) for one in teachers], axis=1
    )


def predict_views(
    rows: Dataset,
    boxes: np.ndarray,
    teacher: FrozenTeacher,
    scheme: LandmarkScheme,
    views: Sequence[View],
    description: str,
) -> np.ndarray:
    """A teacher's points in each view of each face.

    Args:
        rows: with a column `image`.
        boxes: (rows, 4) in photo pixels, around which the squares are cut.
        teacher: asked once per row and view.
        scheme: its landmarks.
        views: ways to look.
        description: of the progress bar.

    Returns:
        (rows, views, N, 2) float64 in photo pixels, mirrored views turned back.
    """
    if not len(rows):  # a process's share, where there are more processes than faces
        return np.zeros((0, len(views), scheme.num_landmarks, 2))
    pictures = _Views(rows, boxes, teacher, views)
    loader = DataLoader(pictures, max(1, PICTURES_PER_BATCH // len(views)))
    main = teacher.accelerator.is_main_process
    found = []
    for batch in tqdm(loader, description, leave=False, disable=not main):
        images = batch.flatten(0, 1).to(teacher.accelerator.device)
        found.append(teacher(images).cpu().unflatten(0, batch.shape[:2]))
    points = torch.cat(found).double().numpy()
    for number, view in enumerate(views):
        if view.mirrored:
            points[:, number] = points[:, number][:, list(scheme.flip_permutation)]
            points[:, number, :, 0] = 1 - points[:, number, :, 0]
    return np.stack(
        [
            [to_photo_pixels(face, square) for face, square in zip(faces, squares, strict=True)]
            for faces, squares in zip(points, pictures.squares, strict=True)
        ]
    )


class _Views(TorchDataset):
    """Every view of a face as one item, uint8 (views, 3, S, S)."""

    def __init__(
        self, rows: Dataset, boxes: np.ndarray, teacher: FrozenTeacher, views: Sequence[View]
    ) -> None:
        self.photos = Photos(rows)
        self.size = teacher.image_size
        self.views = views
        self.squares = [
            [_moved(square_crop(box, teacher.crop_margin), view) for view in views] for box in boxes
        ]

    def __len__(self) -> int:
        return len(self.squares)

    def __getitem__(self, index: int) -> Tensor:
        photo = self.photos.open(index)
        crops = []
        for view, square in zip(self.views, self.squares[index], strict=True):
            crop = cut_crop(photo, square, self.size)
            crops.append(crop.flip(-1) if view.mirrored else crop)
        return torch.stack(crops)


def _moved(square: Square, view: View) -> Square:
    """A square of whole pixels as a view wants it."""
    left, top, side, roll = square
    new = max(1, round(side * view.scale))
    x, y = (
        round(start + side / 2 + shift * side - new / 2)
        for start, shift in zip((left, top), view.shift, strict=True)
    )
    return Square(x, y, new, roll + view.turn)
