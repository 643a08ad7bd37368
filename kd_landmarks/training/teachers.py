"""Frozen teachers and the landmarks that they hand to a student."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from datasets import Array2D, Dataset
from torch import Tensor

from ..data.rows import TEACHER_COLUMNS
from ..errors import KDLandmarksError
from ..evaluation.predictions import to_pixel_values
from ..models import KDLandmarksForKeypointDetection, KDLandmarksImageProcessor
from ..models.loading import check_same_landmarks, load_detector
from ..schemes import LandmarkScheme, get_scheme
from .recipe_settings import STAGE_LABELS, LossSettings, Recipe
from .run_folder import stage_is_finished


class FrozenTeacher:
    """A finished teacher: evaluation mode, no gradient, crops of any size."""

    def __init__(
        self,
        model: KDLandmarksForKeypointDetection,
        processor: KDLandmarksImageProcessor,
        accelerator: Accelerator,
    ) -> None:
        model.requires_grad_(False).eval()
        self.image_size = model.config.image_size
        self.crop_margin = processor.crop_margin
        self.derived_from = model.config.derived_from
        self.processor = processor
        self.accelerator = accelerator
        # Not by `prepare`, which would make it a part of the checkpoints. Channels last: an answer
        # takes half of the time on a CPU.
        self.model = model.to(accelerator.device, memory_format=torch.channels_last)  # type: ignore[call-arg]

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """uint8 crops (batch, 3, S, S) to keypoints (batch, N, 2) in crop units."""
        with self.accelerator.autocast():
            return self.model(pixel_values=to_pixel_values(images, self.processor)).keypoints


def mean_points(teachers: Sequence[FrozenTeacher], images: Tensor) -> Tensor:
    """What several teachers say of uint8 crops (batch, 3, S, S), on the mean: (batch, N, 2)."""
    return torch.stack([teacher(images) for teacher in teachers]).mean(0)


def origins(teachers: Mapping[str, Sequence[FrozenTeacher]]) -> set[str]:
    """The released networks that teachers come from, and so what learns from them."""
    return {name for some in teachers.values() for one in some for name in one.derived_from}


def find_teachers(recipe: Recipe, folder: Path) -> dict[str, list[str]]:
    """Where the student's teachers are or will be, before anything is trained.

    Returns:
        KD-Loss's names (`tough`, `tolerant`) to folders or Hub ids: those that its loss listens to.

    Raises:
        KDLandmarksError: if one is nowhere to come from, or has other landmarks or another crop.
    """
    sources: dict[str, list[str]] = {}
    if "student" not in recipe.stages or recipe.teachers.targets == "stored":
        return sources
    for name in recipe.student.loss.teachers:
        stage, given = f"{name}_teacher", getattr(recipe.teachers, name)
        if not given and stage not in recipe.stages and not stage_is_finished(folder, stage):
            raise KDLandmarksError(
                f"the student's loss needs a {STAGE_LABELS[stage]}, but there is none: add "
                f"the stage {stage}, name a finished one (--teachers.{name} FOLDER_OR_HUB_ID), or "
                f"do without (--student.loss.{name}_weight 0)"
            )
        sources[name] = [*given] or [str(folder / stage)]
        for source in given:
            _check_teacher(
                *load_detector(source), get_scheme(recipe.scheme), recipe.data.crop_margin, source
            )
    return sources


def stored_targets(rows: Dataset, loss: LossSettings) -> Dataset:
    """Rows with the columns of those teachers that a student's loss listens to, and no others.

    Raises:
        KDLandmarksError: naming the first column that is missing.
    """
    for name in loss.teachers:
        column = TEACHER_COLUMNS[name]
        if column not in rows.column_names:
            raise KDLandmarksError(
                f"teachers.targets stored takes a teacher's points from the data, which have no "
                f"column {column}: add it (Parquet, shaped like landmarks), choose other targets, "
                f"or do without (--student.loss.{name}_weight 0)"
            )
    return without_teachers(rows, [name for name in TEACHER_COLUMNS if name not in loss.teachers])


def without_teachers(rows: Dataset, names: Sequence[str]) -> Dataset:
    """Rows without the stored points of teachers that are not listened to."""
    columns = [TEACHER_COLUMNS[name] for name in names]
    return rows.remove_columns([column for column in columns if column in rows.column_names])


def load_teachers(
    accelerator: Accelerator,
    sources: Mapping[str, Sequence[str]],
    scheme: LandmarkScheme,
    margin: float,
) -> dict[str, list[FrozenTeacher]]:
    """The student's teachers, frozen.

    Raises:
        KDLandmarksError: if one cannot be loaded, or has other landmarks or another crop.
    """

    def load(source: str) -> FrozenTeacher:
        model, processor = load_detector(source)
        _check_teacher(model, processor, scheme, margin, source)
        return FrozenTeacher(model, processor, accelerator)

    return {name: [load(source) for source in places] for name, places in sources.items()}


def _check_teacher(
    model: KDLandmarksForKeypointDetection,
    processor: KDLandmarksImageProcessor,
    scheme: LandmarkScheme,
    margin: float,
    source: str,
) -> None:
    check_same_landmarks(model, scheme, source)
    if processor.crop_margin != margin:
        raise KDLandmarksError(
            f"{source} looks at crops of margin {processor.crop_margin}, this run's is "
            f"{margin}: set --data.crop_margin {processor.crop_margin}"
        )


def add_point_column(rows: Dataset, column: str, points: np.ndarray) -> Dataset:
    """Store points (rows, N, 2) in photo pixels as a column, replacing one of that name."""
    if column in rows.column_names:
        rows = rows.remove_columns([column])
    feature = Array2D(points.shape[1:], "float32")
    return rows.add_column(column, points.astype(np.float32).tolist(), feature=feature)
