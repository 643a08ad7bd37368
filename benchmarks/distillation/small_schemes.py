"""98 and 29 points: the same training on the few faces at hand, from the networks of 300W.

    python benchmarks/distillation/small_schemes.py --data "$KD_LANDMARKS_DATA" \
        --runs runs/small_schemes

Trains Tough-Teacher, Tolerant-Teacher, student and student without teachers on 87 faces of WFLW's
test set (five folds by photo; scores are of all 87, each by the networks that have not seen it) and
on 148 faces with COFW's 29 points (73 to score on, with visibility). Every network starts from its
like of 300W. That proves that both schemes train, are evaluated and drawn; the figures are not WFLW
or COFW results, and none of these networks may be scored on 300W common, since the 29-point faces
are some of its photos.

Sheets of predictions lie in the runs' folders.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from record import print_table, record  # noqa: E402
from study import REPOSITORY, finish  # noqa: E402

from kd_landmarks import default_checkpoint, load_rows  # noqa: E402
from kd_landmarks.data.columns import point_array  # noqa: E402
from kd_landmarks.data.photo_names import photo_id  # noqa: E402
from kd_landmarks.evaluation.metrics import nme  # noqa: E402
from kd_landmarks.evaluation.predictions import predict_rows  # noqa: E402
from kd_landmarks.inference.checkpoints import METRICS  # noqa: E402
from kd_landmarks.models.loading import load_detector  # noqa: E402
from kd_landmarks.schemes import get_scheme  # noqa: E402
from kd_landmarks.training.recipe_settings import STAGE_LABELS  # noqa: E402

FOLDS, SEED = 5, 0
CHECKPOINTS = REPOSITORY / "checkpoints"
DATA = {
    "data.validation_faces": 0,
    "data.allow_outside": True,  # the pictures stay where they are
}
TEACHERS = {
    "tough_teacher.backbone": "tf_efficientnet_lite2",
    "tough_teacher.init": str(CHECKPOINTS / "tough-teacher-300w"),
    "tough_teacher.epochs": 30,
    "tough_teacher.batch_size": 16,
    "tough_teacher.learning_rate": 4.0e-4,
    "tolerant_teacher.init": "tough_teacher",
    "tolerant_teacher.epochs": 10,
    "tolerant_teacher.learning_rate": 2.0e-4,
}
# What all networks of both schemes are trained with, beside their recipe.
SETTINGS = {
    **DATA,
    **TEACHERS,
    "student.init": default_checkpoint(),
    "student.epochs": 60,
    "student.batch_size": 16,
    "baseline.init": str(CHECKPOINTS / "mobilenetv2-300w-no-teachers"),
}


def main(
    data: Annotated[Path, typer.Option(help="Folder with wflw/ and lfpw29/.")],
    runs: Annotated[Path, typer.Option(help="Folder for the runs.")],
) -> None:
    """Write the splits, train, gather, print and record."""
    sets = {"wflw98": wflw_folds(data, runs), "cofw29": [lfpw_split(data, runs)]}
    measured = {}
    for scheme, folders in sets.items():
        recipe = "wflw" if scheme == "wflw98" else "cofw"
        metrics = [train(recipe, folder) for folder in folders]
        measured[scheme] = {
            stage: gathered([one["networks"][stage]["test"] for one in metrics])
            for stage in STAGE_LABELS
        }
        if scheme == "cofw29":
            for stage, told in of_visibility(folders[0]).items():
                measured[scheme][stage]["groups"] |= told
        show(scheme, measured[scheme])
    print(record("small_schemes", measured, SEED))


def wflw_folds(data: Path, runs: Path) -> list[Path]:
    """The faces with 98 points in five folds; all faces of a photo are in one."""
    faces = [face for face in read(data / "wflw/faces.jsonl") if face["landmarks_98"]]
    photos = sorted({photo_id(face["image"]) for face in faces})
    order = np.random.default_rng(SEED).permutation(photos).tolist()
    fold_of = {photo: place % FOLDS for place, photo in enumerate(order)}
    folders = []
    for fold in range(FOLDS):
        inside = [fold_of[photo_id(face["image"])] == fold for face in faces]
        parts = {
            "train": [face for face, held in zip(faces, inside, strict=True) if not held],
            "test": [face for face, held in zip(faces, inside, strict=True) if held],
        }
        folders.append(write(parts, runs / f"wflw98-{fold}"))
    return folders


def lfpw_split(data: Path, runs: Path) -> Path:
    """The 29-point faces as they are split."""
    faces = read(data / "lfpw29/lfpw29.jsonl")
    parts = {name: [face for face in faces if face["split"] == name] for name in ("train", "test")}
    return write(parts, runs / "cofw29")


def read(path: Path) -> list[dict[str, Any]]:
    """JSON lines, with whole paths of the pictures."""
    faces = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [{**face, "image": str((path.parent / face["image"]).resolve())} for face in faces]


def write(parts: dict[str, list[dict[str, Any]]], folder: Path) -> Path:
    """A data set folder for a run beside it."""
    place = folder / "data"
    place.mkdir(parents=True, exist_ok=True)
    for name, faces in parts.items():
        lines = "".join(
            json.dumps({key: value for key, value in face.items() if key != "split"}) + "\n"
            for face in faces
        )
        (place / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    return folder


def train(recipe: str, folder: Path) -> dict[str, Any]:
    """All four networks, from wherever the run is; its metrics."""
    run = folder / "run"
    finish(run, {"recipe": recipe, "data": folder / "data", **SETTINGS}, compiled=False)
    return json.loads((run / METRICS).read_text(encoding="utf-8"))


def gathered(tests: list[dict[str, Any]]) -> dict[str, Any]:
    """Scores of all folds together, and of their attributes."""
    errors = np.concatenate([test["errors"] for test in tests])
    groups: dict[str, list[tuple[float, int]]] = {}
    for test in tests:
        for kind, values in test["groups"].items():
            for name, told in values.items():
                if not name:
                    continue  # these faces have no subsets
                groups.setdefault(f"{kind}: {name}", []).append((told["nme"], told["faces"]))
    return {
        "faces": len(errors),
        "nme": float(errors.mean()),
        "failure_rate_10": float(100 * (errors > 10).mean()),
        "groups": {
            name: {
                "faces": sum(faces for _, faces in told),
                "nme": sum(nme * faces for nme, faces in told) / sum(faces for _, faces in told),
            }
            for name, told in groups.items()
        },
        "errors": errors.tolist(),
    }


def of_visibility(folder: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Scores of every network on the landmarks that can be seen, and on those that are hidden."""
    scheme = get_scheme("cofw29")
    rows = load_rows(folder / "data/test.jsonl", scheme=scheme, allow_outside=True)
    truth, seen = point_array(rows, "landmarks"), np.array(rows["visible"], bool)
    told: dict[str, dict[str, dict[str, Any]]] = {}
    for stage in STAGE_LABELS:
        model, processor = load_detector(folder / "run" / stage)
        found = predict_rows(model, processor, rows).points
        told[stage] = {}
        for name, chosen in (("visible", seen), ("hidden", ~seen)):
            faces = chosen.any(axis=1)
            # The others count as found exactly, and the mean is taken over the chosen alone.
            points = np.where(chosen[..., None], found, truth)[faces]
            share = chosen[faces].mean(axis=1)
            score = (nme(points, truth[faces], scheme) / share).mean()
            told[stage][f"landmarks: {name}"] = {"faces": int(faces.sum()), "nme": float(score)}
    return told


def show(scheme: str, measured: dict[str, Any]) -> None:
    """Print a scheme's table."""
    names = list(next(iter(measured.values()))["groups"])
    rows = [
        (
            STAGE_LABELS[stage],
            told["faces"],
            f"{told['nme']:.2f}",
            f"{told['failure_rate_10']:.1f}",
            *(f"{told['groups'][name]['nme']:.2f}" for name in names),
        )
        for stage, told in measured.items()
    ]
    print(f"\n{scheme}:\n")
    print_table(("network", "faces", "NME %", "FR10 %", *names), rows)


if __name__ == "__main__":
    typer.run(main)
