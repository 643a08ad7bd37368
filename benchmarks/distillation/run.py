"""Train the arms of the study one after the other, and record each as it ends.

    python benchmarks/distillation/run.py --data "$KD_LANDMARKS_DATA" --runs runs/distillation \
        --tough runs/teacher_192/tough_teacher --weights DIR

Works through `arms.yaml`; what `results/` has is skipped, what was stopped goes on where it was.
Only runs of seed 0 with teachers need --tough; other seeds learn from the released teachers.
A record has the errors of every face of 300W common and of the validation faces, the scores on the
106 WFLW faces, the recipe, and how training went.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from transformers.utils import logging as transformers_logging

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from record import describe, without_paths, write_json  # noqa: E402
from study import REPOSITORY, RESULTS, SCHEME, SEED, finish, plan  # noqa: E402

from kd_landmarks import KDLandmarksForKeypointDetection, load_rows  # noqa: E402
from kd_landmarks.evaluation.evaluate import evaluate_detector  # noqa: E402
from kd_landmarks.inference.checkpoints import METRICS, RECIPE  # noqa: E402
from kd_landmarks.models import KDLandmarksImageProcessor  # noqa: E402
from kd_landmarks.models.loading import load_detector  # noqa: E402
from kd_landmarks.training.recipe_settings import STAGES  # noqa: E402

BACKBONE = "mobilenetv2_100.safetensors"
RELEASED = REPOSITORY / "checkpoints"


@dataclass(frozen=True)
class Run:
    """One training: an arm and a seed."""

    arm: str
    group: str
    seed: int
    stage: str
    recipe: str
    settings: dict[str, Any]

    @property
    def name(self) -> str:
        """Of its folder and its record."""
        return f"{self.arm}-{self.seed}"


def main(
    data: Annotated[Path, typer.Option(help="Folder with 300w/ and wflw/.")],
    runs: Annotated[Path, typer.Option(help="Folder for the runs.")],
    weights: Annotated[
        Path | None,
        typer.Option(help=f"Folder with {BACKBONE}, which the paper's arms do without."),
    ] = None,
    tough: Annotated[
        Path | None, typer.Option(help="Tough-Teacher that saw no validation face of seed 0.")
    ] = None,
    only: Annotated[
        str | None, typer.Option(help="Comma-separated arms, groups of arms, or runs.")
    ] = None,
) -> None:
    """Train and record what is missing."""
    transformers_logging.disable_progress_bar()
    for run in wanted(only):
        record = RESULTS / f"{run.name}.json"
        if record.exists():
            continue
        folder = runs / run.name
        places = {"data": data, "runs": runs, "released": RELEASED, "seed": run.seed}
        places |= teachers(run, runs, tough)
        train(run, folder, weights, places)
        RESULTS.mkdir(exist_ok=True)
        write_json(record, measured(run, folder, data))
        print(record, flush=True)


def wanted(only: str | None) -> list[Run]:
    """The planned runs, or those of some arms or names of runs."""
    runs = planned()
    if only is None:
        return runs
    chosen = set(only.split(","))
    unknown = chosen - {name for run in runs for name in (run.arm, run.group, run.name)}
    if unknown:
        sys.exit(
            f"--only: there is no arm or run {', '.join(sorted(unknown))}. Arms: "
            f"{', '.join(dict.fromkeys(run.arm for run in runs))}; a run is an arm and a seed, as "
            f"{runs[0].name}"
        )
    return [run for run in runs if chosen & {run.arm, run.group, run.name}]


def planned() -> list[Run]:
    """All runs, group by group; in a group the first seeds of all arms before the second ones.

    What arms share is for the recipe that they share.
    """
    runs = [
        Run(
            arm["name"],
            arm["group"],
            seed,
            arm["stage"],
            arm.get("recipe", plan()["recipe"]),
            ({} if "recipe" in arm else plan()["shared"]) | arm.get("settings", {}),
        )
        for arm in plan()["arms"]
        for seed in arm.get("seeds", [0])
    ]
    return sorted(runs, key=lambda run: (run.group, run.seed))


def teachers(run: Run, runs: Path, tough: Path | None) -> dict[str, Path]:
    """Those that a run may learn from, as far as they are at hand."""
    if run.seed != SEED:
        return {name: RELEASED / f"{name}-teacher-300w" for name in ("tough", "tolerant")}
    if tough is None:
        return {}
    return {"tough": tough, "tolerant": runs / f"tolerant-{SEED}/tolerant_teacher"}


def train(run: Run, folder: Path, weights: Path | None, places: dict[str, Any]) -> None:
    """Train a run to its end, from wherever it is."""
    start = {"recipe": run.recipe, "stages": run.stage, "run.seed": run.seed}
    if "data.source" not in run.settings:
        start["data"] = places["data"] / "300w"
    if run.stage in ("student", "baseline") and run.recipe == plan()["recipe"]:
        if weights is None:
            sys.exit(f"{run.name} needs --weights: a folder with {BACKBONE}")
        start[f"{run.stage}.backbone_weights"] = weights / BACKBONE
    for key, value in run.settings.items():
        try:
            start[key] = value.format(**places) if isinstance(value, str) else value
        except KeyError as error:
            sys.exit(
                f"{run.name} needs {error}, so --tough: a Tough-Teacher that has seen no "
                f"validation face. {HERE.name}/README.md says how to train it."
            )
        if not (folder / RECIPE).exists():  # a begun run has what it starts from
            check_start(run, start[key], places["runs"])
    finish(folder, start)


def check_start(run: Run, value: Any, runs: Path) -> None:
    """End the program where a run starts from what an earlier one has not left behind."""
    if not isinstance(value, str) or not Path(value).is_relative_to(runs) or Path(value).exists():
        return
    earlier = Path(value).relative_to(runs).parts[0]
    if earlier not in {one.name for one in planned()}:
        sys.exit(
            f"{run.name} needs {value}, which {earlier.replace('-', '_')}.py of {HERE.name} writes"
        )
    how = f"--only {earlier}"
    if (RESULTS / f"{earlier}.json").exists():
        how += f", with results/{earlier}.json out of the way, since what is recorded is skipped"
    sys.exit(f"{run.name} needs {value}, which is not there. Train {earlier} first: {how}")


def measured(run: Run, folder: Path, data: Path) -> dict[str, Any]:
    """What is recorded of a finished run."""
    metrics = json.loads((folder / METRICS).read_text(encoding="utf-8"))
    training = json.loads((folder / run.stage / "training.json").read_text(encoding="utf-8"))
    model, processor = load_detector(folder / run.stage)
    hard = evaluate_detector(
        model, processor, load_rows(data / "wflw/faces.jsonl", scheme=SCHEME), SCHEME
    ).to_dict()
    hard["errors"] = [face["nme"] for face in hard["errors"]]  # in the order of the file
    recipe = yaml.safe_load((folder / RECIPE).read_text(encoding="utf-8"))
    # Networks that this run did not train would only seem to say something.
    recipe = {key: told for key, told in recipe.items() if key == run.stage or key not in STAGES}
    return {
        "arm": run.arm,
        "seed": run.seed,
        "stage": run.stage,
        "measured": metrics["networks"][run.stage],
        "soft_landmarks_nme": metrics.get("soft_landmarks_nme"),
        "stretched_nme": stretched(model, processor, data),
        "wflw": hard,
        "minutes": training["seconds"] / 60,
        "steps": training["steps"],
        "history": training["history"],
        "recipe": without_paths(recipe),
        **describe(),
    }


def stretched(
    model: KDLandmarksForKeypointDetection, processor: KDLandmarksImageProcessor, data: Path
) -> float:
    """The error on 300W common as the paper measures it, in percent."""
    rows = load_rows(data / "300w", "common", scheme=SCHEME)
    by = "inter_ocular_stretched"
    return evaluate_detector(model, processor, rows, SCHEME, normalizer=by).result.nme


if __name__ == "__main__":
    typer.run(main)
