"""What a training step asks of its network: the losses of teachers, student and baseline."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from ..data.crops import LANDMARK_WEIGHTS
from ..data.rows import TEACHER_COLUMNS
from ..losses.heatmap import map_divergence
from ..losses.kd import KDLoss
from ..losses.landmark import landmark_loss
from ..models import KDLandmarksConfig, KDLandmarksOutput
from .loop import StepLoss
from .recipe_settings import LossSettings, NetworkSettings
from .teachers import FrozenTeacher, mean_points


def plain_step(settings: NetworkSettings, target: str = "landmarks") -> StepLoss:
    """A loss to one set of points: the ground truth, or Soft-landmarks for the Tolerant-Teacher.

    With `loss.name` "kd" it is KD-Loss with no teacher: its main term alone.
    """
    loss = settings.loss
    if loss.name == "kd":
        criterion = _kd_loss(loss)

        def step(output: KDLandmarksOutput, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
            return criterion(output.keypoints, batch[target], weights=batch.get(LANDMARK_WEIGHTS))
    else:
        plain = landmark_loss(loss.name)

        def step(output: KDLandmarksOutput, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
            return {"loss": plain(output.keypoints, batch[target], batch.get(LANDMARK_WEIGHTS))}

    return _with_maps(step, settings, target)


def student_step(
    settings: NetworkSettings, teachers: Mapping[str, Sequence[FrozenTeacher]] | None
) -> StepLoss:
    """KD-Loss to the ground truth with whichever teachers there are.

    Args:
        settings: the student's section of the recipe; a plain loss ignores the teachers.
        teachers: by `tough` and `tolerant`, asked on every augmented crop; None where the batch
            carries their precomputed points.
    """
    if settings.loss.name != "kd":
        return plain_step(settings)
    criterion = _kd_loss(settings.loss)

    def step(output: KDLandmarksOutput, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        if teachers is None:
            targets = {name: batch.get(column) for name, column in TEACHER_COLUMNS.items()}
        else:
            targets = {name: mean_points(some, batch["image"]) for name, some in teachers.items()}
        return criterion(
            output.keypoints, batch["landmarks"], **targets, weights=batch.get(LANDMARK_WEIGHTS)
        )

    return _with_maps(step, settings, "landmarks")


def _with_maps(step: StepLoss, settings: NetworkSettings, target: str) -> StepLoss:
    """Add the maps' divergence from spots at the target, where the recipe gives it a weight."""
    loss = settings.loss
    if not loss.map_weight:
        return step

    def both(output: KDLandmarksOutput, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        parts = step(output, batch)
        assert output.maps is not None, "they were asked for"
        divergence = map_divergence(
            output.maps,
            batch[target],
            KDLandmarksConfig.head_range,
            loss.map_sigma,
            batch.get(LANDMARK_WEIGHTS),
        )
        maps = loss.map_weight * divergence
        return {**parts, "maps": maps, "loss": parts["loss"] + maps}

    return both


def _kd_loss(loss: LossSettings) -> KDLoss:
    return KDLoss(
        loss.variant,
        tough_weight=loss.tough_weight,
        tolerant_weight=loss.tolerant_weight,
        assist=loss.assist,
    )
