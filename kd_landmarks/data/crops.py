"""From rows (photos, landmarks, boxes) to the square crops that networks see."""

import hashlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from datasets import Dataset as Rows
from datasets import List, Value
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, Sampler
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as tvF

from ..errors import KDLandmarksError
from ..imaging.crop import Square, check_crop_size, square_crop, to_crop_units
from ..imaging.pixels import cut_square
from ..inference.description import Description
from .augmentation import AugmentationSettings, PointWeights, build_augmentation
from .columns import box_array, evenly_spaced, point_array
from .photos import Photos
from .rows import TARGETS

logger = logging.getLogger(__name__)

# Columns of points, all in photo pixels, that ride through one augmentation together.
POINT_COLUMNS = ("landmarks", *TARGETS)

# The column that says how much each landmark counts in training, (N,) of 0 or more.
LANDMARK_WEIGHTS = "weights"

# Kept crops of more than this are announced.
NOTEWORTHY_BYTES = 500_000_000

# Loose crops are kept this much finer than the final crop, so that resampling them once more
# costs no sharpness.
SUPERSAMPLING = 1.25


def cut_crop(photo: Image.Image, crop: Square, size: int) -> Tensor:
    """A square of a photo, black outside it, resized to uint8 (3, size, size).

    The same pixels as `KDLandmarksImageProcessor`'s before normalization.

    Raises:
        ValueError: if the crop is absurdly larger than the photo.
    """
    check_crop_size(crop, photo.width, photo.height)
    pixels = torch.from_numpy(np.array(cut_square(photo, crop))).permute(2, 0, 1)
    return tvF.resize(pixels, [size, size], antialias=True)


class FaceCrops(Dataset):
    """Face crops with their points, augmented for training or plain for evaluation.

    Each item is a dict: `image` uint8 (3, image_size, image_size); for each column of
    `POINT_COLUMNS` that the rows have, its points (N, 2) float32 in crop units; `weights` (N,), how
    much each landmark counts, where the rows have them; `index`, the row.

    An augmented item is asked for by epoch · len + row: what is drawn depends on that number and
    the seed alone, whatever the number of workers or processes, and resumes exactly.

    Args:
        rows: in the package's row format.
        image_size: side of the crops in pixels.
        margin: side of the crop divided by the longer side of the face box.
        augmentation: None for plain crops.
        flip_permutation: of the scheme; needed with an augmentation.
        loose_margin: augmentation sees this much of the surroundings (in box sides); what lies
            beyond is black.
        keep: decode and cut every photo once and keep the loose crops in memory.
        seed: of the augmentation.
    """

    def __init__(
        self,
        rows: Rows,
        image_size: int,
        margin: float = 1.25,
        *,
        augmentation: AugmentationSettings | None = None,
        flip_permutation: tuple[int, ...] = (),
        loose_margin: float = 1.8,
        keep: bool = True,
        seed: int = 0,
    ) -> None:
        self.photos = Photos(rows)
        self.image_size = image_size
        self.seed = seed
        self.augment: Callable[..., Any] | None = None
        self.cut_size = image_size
        if augmentation is not None:
            loose_margin = max(margin, loose_margin)
            zoom = loose_margin / margin
            self.cut_size = round(image_size * zoom * SUPERSAMPLING)
            self.augment = build_augmentation(
                augmentation, image_size, zoom, margin, flip_permutation
            )
        cut_margin = margin if augmentation is None else loose_margin
        self.crops = crop_squares(rows, cut_margin)
        self.points = {
            column: torch.from_numpy(crop_points(rows, column, cut_margin)).float()
            for column in POINT_COLUMNS
            if column in rows.column_names
        }
        self.weights: Tensor | None = None
        if LANDMARK_WEIGHTS in rows.column_names:
            self.weights = torch.tensor(rows.with_format(None)[LANDMARK_WEIGHTS][:])
        self.kept: Tensor | None = None
        if keep:
            self.kept = torch.empty(len(rows), 3, self.cut_size, self.cut_size, dtype=torch.uint8)
            if self.kept.nbytes > NOTEWORTHY_BYTES:
                logger.info(
                    "keeping %d crops in memory: %.1f GB (Parquet with --streaming keeps none)",
                    len(rows),
                    self.kept.nbytes / 1e9,
                )
            for index in range(len(rows)):
                self.kept[index] = self._cut(index)

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, key: int) -> dict[str, Tensor | int]:
        index = key % len(self)
        image = self._cut(index) if self.kept is None else self.kept[index]
        points = {column: values[index] for column, values in self.points.items()}
        weights = None if self.weights is None else self.weights[index]
        if self.augment is not None:
            image, points, weights = self._augmented(self.augment, key, image, points, weights)
        item: dict[str, Tensor | int] = {"image": image, **points, "index": index}
        if weights is not None:
            item[LANDMARK_WEIGHTS] = weights
        return item

    def __iter__(self) -> Iterator[dict[str, Tensor | int]]:
        """One epoch; keys beyond it are other epochs', so that indexing never ends by itself."""
        return (self[index] for index in range(len(self)))

    def _cut(self, index: int) -> Tensor:
        photo = self.photos.open(index)
        try:
            return cut_crop(photo, self.crops[index], self.cut_size)
        except ValueError as error:
            raise KDLandmarksError(f"{self.photos.sources[index]}: {error}") from error

    def _augmented(
        self,
        augment: Callable[..., Any],
        key: int,
        image: Tensor,
        points: dict[str, Tensor],
        weights: Tensor | None,
    ) -> tuple[Tensor, dict[str, Tensor], Tensor | None]:
        side = self.cut_size
        stacked = torch.stack(list(points.values())) * side - 0.5
        keypoints = tv_tensors.KeyPoints(stacked, canvas_size=(side, side))
        with torch.random.fork_rng(devices=[]):
            # The CPU's generator alone: torch.manual_seed would queue work for CUDA at every item.
            torch.default_generator.manual_seed(item_seed(self.seed, key))
            image, keypoints, weights = augment(
                tv_tensors.Image(image),
                keypoints,
                None if weights is None else PointWeights(weights),
            )
        moved = (keypoints.as_subclass(Tensor) + 0.5) / self.image_size
        if weights is not None:
            weights = weights.as_subclass(Tensor)
        return image.as_subclass(Tensor), dict(zip(points, moved, strict=True)), weights


def typical_pixels(rows: Rows, description: Description, count: int) -> np.ndarray:
    """What a network sees of `count` faces evenly spread over rows, to calibrate 8 bits with.

    Args:
        rows: in the row format.
        description: of the network.
        count: at most this many.

    Returns:
        (faces, 3, size, size) float32.
    """
    chosen = rows.select(evenly_spaced(len(rows), count))
    faces = FaceCrops(chosen, description.image_size, description.crop_margin, keep=False)
    return description.normalize(np.stack([face["image"].numpy() for face in faces]))  # type: ignore[union-attr]


def with_weights(rows: Rows, weights: np.ndarray) -> Rows:
    """Rows with how much each landmark counts, (rows, N) of 0 or more, as a column."""
    if LANDMARK_WEIGHTS in rows.column_names:
        rows = rows.remove_columns(LANDMARK_WEIGHTS)
    kind = List(Value("float32"), length=weights.shape[1])
    return rows.add_column(LANDMARK_WEIGHTS, weights.astype(np.float32).tolist(), feature=kind)


def crop_squares(rows: Rows, margin: float) -> list[Square]:
    """Each row's square crop."""
    return [square_crop(box, margin) for box in box_array(rows)]


def crop_points(rows: Rows, column: str, margin: float) -> np.ndarray:
    """A column of points as float64 (rows, N, 2) in the units of each row's crop."""
    faces = zip(point_array(rows, column), crop_squares(rows, margin), strict=True)
    return np.stack([to_crop_units(points, crop) for points, crop in faces])


def item_seed(seed: int, key: int) -> int:
    """A 63-bit seed for one augmented item: neighboring keys get unrelated draws."""
    digest = hashlib.blake2b(f"{seed}:{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


class TrainingOrder(Sampler[int]):
    """The keys of a whole training run: one shuffle of all faces after another, without a gap.

    Every face comes once in every `length` keys; batches may span two epochs and are always full.

    Args:
        length: faces in the data set.
        total: keys of the whole run.
        seed: of the shuffles.
        start: keys that a resumed run has behind it.
    """

    def __init__(self, length: int, total: int, seed: int, start: int = 0) -> None:
        self.length = length
        self.total = total
        self.seed = seed
        self.start = start

    def __len__(self) -> int:
        return max(0, self.total - self.start)

    def epoch_order(self, epoch: int) -> list[int]:
        """The rows of an epoch, each once."""
        generator = torch.Generator().manual_seed(item_seed(self.seed, epoch))
        return torch.randperm(self.length, generator=generator).tolist()

    def __iter__(self) -> Iterator[int]:
        epoch, behind = divmod(self.start, self.length)
        remaining = len(self)
        while remaining > 0:
            order = self.epoch_order(epoch)[behind:]
            for index in order[:remaining]:
                yield epoch * self.length + index
            remaining -= len(order)
            epoch, behind = epoch + 1, 0
