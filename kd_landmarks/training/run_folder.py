"""The folder of a run: opening, continuing, and what it must not overwrite."""

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accelerate.tracking import get_available_trackers

from ..errors import KDLandmarksError, shown
from ..inference.checkpoints import RECIPE, RUN, TRAINING
from ..utils.files import check_outside, leftovers, remove_leftovers, write_json, writing
from ..utils.parsing import read_json_object
from .checkpoints import checkpoints_of, finished_checkpoints
from .recipe import changed_values, load_recipe, save_recipe
from .recipe_settings import STAGES, Recipe
from .shape_model import WEIGHTS_NAME, ShapeModel


def plan_run(
    recipe: str | None,
    overrides: Mapping[str, Any],
    output: Path | None,
    resume: Path | None,
) -> tuple[Recipe, Path]:
    """The recipe and folder of a run, new or continued; writes nothing.

    Args:
        recipe: name or YAML file; None for `embedded`, or for the continued run's own.
        overrides: dotted recipe keys to values.
        output: folder of a new run; None for the first free of runs/NAME, runs/NAME-2, …
        resume: folder of the run to continue; None for a new one.

    Raises:
        KDLandmarksError: for a folder that is taken, or that holds no run; for a continued run
            whose recipe changed in what matters.
    """
    if resume is None:
        planned = load_recipe(recipe or "embedded", overrides)
        folder = _free_folder(output, planned.name)
        for source in planned.unlabeled.source:  # to any depth: the run's pictures would be faces
            check_outside(folder, source)
        return planned, folder
    if output is not None and output.resolve() != resume.resolve():
        raise KDLandmarksError(f"--resume {resume} continues in its own folder: drop --output")
    if not (resume / RECIPE).is_file():
        raise KDLandmarksError(
            f"{resume} holds no run to continue: it has no {RECIPE}; give the folder of a run"
        )
    stored = load_recipe(resume / RECIPE)
    planned = load_recipe(recipe or resume / RECIPE, overrides)
    changes = changed_values(stored, planned, sections_ahead(resume))
    if changes:
        listed = "\n".join(f"  {change}" for change in changes)
        raise KDLandmarksError(
            f"the recipe differs from the one that {resume} was started with:\n{listed}\n"
            "Continue without these changes, or start a new run with --output"
        )
    return planned, resume


def sections_ahead(folder: Path) -> set[str]:
    """The sections of a recipe that a run has not come to: they may still be changed."""
    ahead: set[str] = {
        stage
        for stage in STAGES
        if not stage_is_finished(folder, stage)
        and not finished_checkpoints(checkpoints_of(folder, stage))
    }
    if "student" in ahead and not (folder / "unlabeled").is_dir():
        ahead |= {"teachers", "unlabeled"}
    return ahead


def start_run(folder: Path, recipe: Recipe, shape_model: ShapeModel | None) -> None:
    """Make the folder: recipe, shape model, identity. Those of a continued run are left alone, but
    for what the recipe says of networks that it has not come to.

    The recipe comes first and is all that a continuation needs; the identity, without which nothing
    is trained, comes last. Whatever is missing between them, the run can be continued.

    Raises:
        KDLandmarksError: if the folder cannot be written.
    """
    with writing(folder, folder=True):
        remove_leftovers(folder)
        stored = load_recipe(folder / RECIPE) if (folder / RECIPE).is_file() else recipe
        ahead = {section: getattr(recipe, section) for section in sections_ahead(folder)}
        kept = stored.model_copy(update=ahead)
        if kept != stored or not (folder / RECIPE).is_file():
            save_recipe(kept, folder / RECIPE)
        # A continued run may have one more stage.
        if shape_model is not None and not (folder / "shape_model" / WEIGHTS_NAME).is_file():
            shape_model.save_pretrained(folder / "shape_model")
        if (folder / RUN).is_file():
            return
        write_json(folder / RUN, {"run": uuid.uuid4().hex})


def check_trackers(names: Sequence[str]) -> None:
    """Refuse trackers that Accelerate does not know, or would leave out without a word.

    Raises:
        KDLandmarksError: naming the tracker and those that are installed.
    """
    available = [str(tracker) for tracker in get_available_trackers()]
    for name in names:
        if name not in available:
            raise KDLandmarksError(
                f"run.trackers: {shown(name)} is not a tracker of Accelerate, or is not "
                f"installed (pip install it); installed: {', '.join(available) or 'none'}"
            )


def run_identity(folder: Path) -> str:
    """The identity that this run's checkpoints carry."""
    run = read_json_object(folder / RUN).get("run")
    if not isinstance(run, str) or not run:
        raise KDLandmarksError(
            f"{folder / RUN} is damaged: its run is {shown(run)}, no identity; start a new run"
        )
    return run


def kept_by_run(folder: Path | None) -> str:
    """What a run that stops now keeps, and how it goes on: a line; None is no folder yet."""
    if folder is None or not (folder / RECIPE).is_file():
        return "nothing was written yet; start again with the same command"
    kept = []
    for stage in STAGES:
        checkpoints = finished_checkpoints(checkpoints_of(folder, stage))
        if stage_is_finished(folder, stage):
            kept.append(f"the finished {stage}")
        elif checkpoints:
            kept.append(f"the checkpoint {checkpoints[-1].name} of the {stage}")
    return (
        f"{folder} keeps {', '.join(kept) or 'its recipe, and no checkpoint yet'}; continue with "
        f"--resume {folder}"
    )


def stage_is_finished(folder: Path, stage: str) -> bool:
    """Whether a stage's network is there; it appears in one step, whole."""
    return (folder / stage / "config.json").is_file()


def steps_of(folder: Path, stage: str) -> int:
    """Of a finished stage's training, as its record tells; 0 where there is none."""
    file = folder / stage / TRAINING
    steps = read_json_object(file).get("steps", 0) if file.is_file() else 0
    return steps if isinstance(steps, int) else 0


def _free_folder(output: Path | None, name: str) -> Path:
    if output is not None:
        if output.exists() and (not output.is_dir() or set(output.iterdir()) - leftovers(output)):
            raise KDLandmarksError(
                f"{output} exists and is not empty: continue its run with --resume {output}, or "
                "name another --output"
            )
        return output
    candidate, number = Path("runs") / name, 1
    while candidate.exists():
        number += 1
        candidate = Path("runs") / f"{name}-{number}"
    return candidate
