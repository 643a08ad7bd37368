"""What a training step asks of its network: the losses of teachers, student and baseline."""

from collections.abc import Mapping

from torch import Tensor

from ..data.crops import WEIGHTS
from ..losses import KDLoss, landmark_loss
from ..recipes.schema import LossSettings
from .teachers import TEACHER_COLUMNS, FrozenTeacher
from .trainer import StepLoss


def plain_step(loss: LossSettings, target: str = "landmarks") -> StepLoss:
    """A loss to one set of points: the ground truth, or Soft-landmarks for the Tolerant-Teacher.

    With `loss.name` "kd" it is KD-Loss with no teacher: its main term alone.
    """
    if loss.name == "kd":
        criterion = _kd_loss(loss)
        return lambda keypoints, batch: criterion(
            keypoints, batch[target], weights=batch.get(WEIGHTS)
        )
    plain = landmark_loss(loss.name)
    return lambda keypoints, batch: {"loss": plain(keypoints, batch[target], batch.get(WEIGHTS))}


def student_step(loss: LossSettings, teachers: Mapping[str, FrozenTeacher] | None) -> StepLoss:
    """KD-Loss to the ground truth with whichever teachers there are.

    Args:
        loss: the recipe's section; a plain loss ignores the teachers.
        teachers: by `tough` and `tolerant`, asked on every augmented crop; None where the batch
            carries their precomputed points.
    """
    if loss.name != "kd":
        return plain_step(loss)
    criterion = _kd_loss(loss)

    def step(keypoints: Tensor, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        if teachers is None:
            targets = {name: batch.get(column) for name, column in TEACHER_COLUMNS.items()}
        else:
            targets = {name: teacher(batch["image"]) for name, teacher in teachers.items()}
        return criterion(keypoints, batch["landmarks"], **targets, weights=batch.get(WEIGHTS))

    return step


def _kd_loss(loss: LossSettings) -> KDLoss:
    return KDLoss(
        loss.variant, loss.scale, loss.main_weight, loss.tough_weight, loss.tolerant_weight
    )
