"""What teachers know that the student without teachers does not, on seen and on new faces.

    python benchmarks/distillation/knowledge.py --data "$KD_LANDMARKS_DATA" \
        --runs runs/distillation --tough runs/teacher_192/tough_teacher

Every network is asked as a teacher is for KD-Loss (the mean of a face and its mirror image), on
every sixth training face and on all validation faces of seed 0. A teacher can help on a training
face only with what its labels do not say; on faces without labels a student can become as good as
the teacher. How much better the mean of a teacher and the student is than the student alone, and
how alike their errors are, says how much there is to be learned.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from accelerate import Accelerator
from datasets import Dataset
from numpy.typing import NDArray
from transformers.utils import logging as transformers_logging

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from record import print_table, record  # noqa: E402
from study import SCHEME, SEED, labeled_faces  # noqa: E402

from kd_landmarks.data.columns import box_array, longer_sides, point_array  # noqa: E402
from kd_landmarks.evaluation.metrics import nme  # noqa: E402
from kd_landmarks.models.loading import load_detector  # noqa: E402
from kd_landmarks.training.teachers import FrozenTeacher  # noqa: E402
from kd_landmarks.training.views import draw_views, predict_views  # noqa: E402
from kd_landmarks.utils.environment import on_cpus  # noqa: E402

EVERY = 6
STUDENT = "student, no teacher"


def main(
    data: Annotated[Path, typer.Option(help="Folder with 300w/.")],
    runs: Annotated[Path, typer.Option(help="Folder of the study's runs.")],
    tough: Annotated[Path, typer.Option(help="Tough-Teacher that saw no validation face.")],
) -> None:
    """Ask, compare, print and record."""
    transformers_logging.disable_progress_bar()
    networks = {
        STUDENT: runs / "none-0/baseline",
        "Tough-Teacher": tough,
        "Tolerant-Teacher": runs / "tolerant-0/tolerant_teacher",
        "student, both teachers": runs / "both-0/student",
        "student with the linear head, no teacher": runs / "linear-none-0/baseline",
        "nano student, no teacher": runs / "nano-none-0/baseline",
        "nano student, both teachers": runs / "nano-0/student",
        "nano student, both and unlabeled faces": runs / "nano-unlabeled-0/student",
    }
    train, validation = labeled_faces(data)
    train = train.select(range(0, len(train), EVERY))
    accelerator = Accelerator(cpu=on_cpus())
    teachers = {
        name: FrozenTeacher(*load_detector(folder), accelerator)
        for name, folder in networks.items()
    }
    seen = {name: answers(teacher, train) for name, teacher in teachers.items()}
    new = {name: answers(teacher, validation) for name, teacher in teachers.items()}
    measured = {
        name: {
            "training_nme": error(seen[name], train),
            "validation_nme": error(new[name], validation),
            "validation_nme_of_mean_with_student": error(
                (new[name] + new[STUDENT]) / 2, validation
            ),
            "correlation_with_student": alike(new[name], new[STUDENT], validation),
        }
        for name in networks
    }
    header = ("network", "training NME %", "validation NME %", "of its mean with the student")
    print_table(
        (*header, "correlation of errors with the student's"),
        [(name, *(f"{value:.2f}" for value in told.values())) for name, told in measured.items()],
    )
    print(record("teachers_knowledge", measured, SEED))


def answers(teacher: FrozenTeacher, rows: Dataset) -> NDArray[np.float64]:
    """(faces, N, 2) in photo pixels."""
    return predict_views(rows, box_array(rows), teacher, SCHEME, draw_views(2), "faces").mean(1)


def error(points: NDArray[np.float64], rows: Dataset) -> float:
    """Mean inter-ocular NME in percent."""
    return float(nme(points, point_array(rows, "landmarks"), SCHEME).mean())


def alike(first: NDArray[np.float64], second: NDArray[np.float64], rows: Dataset) -> Any:
    """Correlation of two networks' errors, coordinate by coordinate, in sides of the face."""
    truth = point_array(rows, "landmarks")
    side = longer_sides(box_array(rows))[:, None, None]
    errors = [((points - truth) / side).ravel() for points in (first, second)]
    return float(np.corrcoef(errors)[0, 1])


if __name__ == "__main__":
    typer.run(main)
