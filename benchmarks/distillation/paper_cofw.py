"""The paper's setting with COFW's 29 points: L2 without teachers against KD-Loss, by visibility.

    python benchmarks/distillation/paper_cofw.py --data "$KD_LANDMARKS_DATA" --runs runs/paper

As the arms `paper-l2` and `paper-author-code`, in as many steps: linear head from scratch, 128
pixels, one seed. It learns from 348 faces of HELEN and 148 of LFPW, and is measured on 73 of LFPW,
since COFW itself is not at hand. The teachers are those of 300W, which go on to 29 points; they,
and so the student with teachers, have seen more faces than COFW has.
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

sys.path.insert(0, str(Path(__file__).parents[1]))
from record import record
from small_schemes import DATA, TEACHERS, gathered, of_visibility, read, show, write
from study import finish

from kd_landmarks.inference.checkpoints import METRICS
from kd_landmarks.training.recipe_settings import STAGE_LABELS

# As many steps as the arms of 300W have: 60 epochs of 1,826 faces.
EPOCHS = 220
SETTINGS = {
    **DATA,
    **TEACHERS,
    "recipe": "paper_300w",
    "scheme": "cofw29",
    "data.test_split": "test",
    # The recipe's teachers are the paper's, from nothing.
    "tough_teacher.head": "integral",
    "tough_teacher.head_strides": "[4, 8, 16, 32]",
    "tough_teacher.image_size": 192,
    "tough_teacher.loss.name": "wing",
    # On three times the faces of those teachers' own benchmark.
    "tough_teacher.epochs": 12,
    "tolerant_teacher.epochs": 6,
    "student.image_size": 128,
    "student.epochs": EPOCHS,
}


def main(
    data: Annotated[Path, typer.Option(help="Folder with lfpw29/ and helen29/.")],
    runs: Annotated[Path, typer.Option(help="Folder for the runs.")],
) -> None:
    """Write the split, train all four networks, print and record."""
    lfpw = read(data / "lfpw29/lfpw29.jsonl")
    parts = {name: [face for face in lfpw if face["split"] == name] for name in ("train", "test")}
    parts["train"] += read(data / "helen29/train.jsonl")
    for face in parts["train"]:  # which HELEN's do not have, and training does not need
        face.pop("visible", None)
    folder = write(parts, runs / "paper-cofw")
    finish(folder / "run", {"data": folder / "data", **SETTINGS})
    networks = json.loads((folder / "run" / METRICS).read_text(encoding="utf-8"))["networks"]
    measured = {stage: gathered([networks[stage]["test"]]) for stage in STAGE_LABELS}
    for stage, told in of_visibility(folder).items():
        measured[stage]["groups"] |= told
    show("cofw29", measured)
    print(record("paper_cofw", {"networks": measured}, 0))


if __name__ == "__main__":
    typer.run(main)
