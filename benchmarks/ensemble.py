"""Teachers together: the error of each released network, and of the mean of several.

    python benchmarks/ensemble.py --data "$KD_LANDMARKS_DATA"

Every network looks at each face of 300W common (ground-truth box) and at its mirror image, as
teachers do before a student's training. Scores the mean of both views of each network, and the mean
over two and three networks.
"""

from pathlib import Path
from typing import Annotated

import typer
from accelerate import Accelerator
from record import print_table, record

from kd_landmarks import default_checkpoint, load_rows
from kd_landmarks.data.columns import box_array, point_array
from kd_landmarks.evaluation.metrics import nme, summarize
from kd_landmarks.models.loading import load_detector
from kd_landmarks.schemes import get_scheme
from kd_landmarks.training.teachers import FrozenTeacher
from kd_landmarks.training.views import draw_views, predict_views
from kd_landmarks.utils.environment import on_cpus

CHECKPOINTS = Path(__file__).parent.parent / "checkpoints"
TOUGH, LARGE, STUDENT = "Tough-Teacher", "student, 160 pixels", "student"
NETWORKS = {
    TOUGH: CHECKPOINTS / "tough-teacher-300w",
    LARGE: CHECKPOINTS / "mobilenetv2-300w-160",
    STUDENT: Path(default_checkpoint()),
}
TOGETHER = ((TOUGH, LARGE), (TOUGH, LARGE, STUDENT))
SCHEME = get_scheme("ibug68")
VIEWS = 2
SEED = 0


def main(data: Annotated[Path, typer.Option(help="Folder with 300w/.")]) -> None:
    """Ask, average, print and record."""
    rows = load_rows(data / "300w", "common", scheme=SCHEME)
    boxes, truth = box_array(rows), point_array(rows, "landmarks")
    accelerator = Accelerator(cpu=on_cpus(), mixed_precision="no")
    found = {}
    for name, folder in NETWORKS.items():
        teacher = FrozenTeacher(*load_detector(folder), accelerator)
        views = predict_views(rows, boxes, teacher, SCHEME, draw_views(VIEWS), name)
        found[name] = views.mean(1)
    for names in TOGETHER:
        found[" + ".join(names)] = sum(found[name] for name in names) / len(names)
    scores = {name: summarize(nme(points, truth, SCHEME)) for name, points in found.items()}
    header = ("face and mirror image", "NME %", "FR8 %", "AUC8")
    table = [
        (name, f"{one.nme:.3f}", f"{one.failure_rate_8:.2f}", f"{one.auc_8:.3f}")
        for name, one in scores.items()
    ]
    print_table(header, table)
    print(record("ensemble", {name: vars(one) for name, one in scores.items()}, SEED))


if __name__ == "__main__":
    typer.run(main)
