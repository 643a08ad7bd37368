"""Train facial landmark detectors by knowledge distillation.

    accelerate launch train_accelerate.py                              # generated faces, minutes
    accelerate launch train_accelerate.py --recipe 300w --data DIR     # real faces
    accelerate launch train_accelerate.py --resume runs/300w           # continue after a stop

Four stages, each a network: the Tough-Teacher learns the ground truth, the Tolerant-Teacher the
Soft-landmarks, the student learns with both, the baseline is the same student without them. Every
value of a recipe can be given on the command line by its dotted name: --student.epochs 40.
"""

import errno
import os
import time
from pathlib import Path
from typing import Annotated

# Before torch loads OpenMP: threads that spin long while they wait take the cores from the loader
# and from whatever else runs, and on a crowded machine training crawls. Not spinning at all slows
# a free one (benchmarks/cpu_settings.py measures both).
os.environ["GOMP_SPINCOUNT"] = os.environ.get("GOMP_SPINCOUNT", "5000")

from kd_landmarks.utils.signals import quiet_start

if __name__ == "__main__":
    quiet_start()  # while torch loads, which takes seconds

import torch
import typer
from accelerate import Accelerator
from accelerate.utils import ProjectConfiguration, broadcast_object_list, set_seed
from datasets import Dataset

from kd_landmarks.data.crops import FaceCrops
from kd_landmarks.errors import KDLandmarksError
from kd_landmarks.evaluation.examiner import Examiner
from kd_landmarks.schemes import LandmarkScheme, get_scheme
from kd_landmarks.training.checkpoints import drop_checkpoints
from kd_landmarks.training.data import (
    add_soft_landmarks,
    fit_shape_model,
    load_sets,
    soft_landmarks_nme,
    with_generated,
)
from kd_landmarks.training.loop import StepLoss, train_network
from kd_landmarks.training.networks import build_network
from kd_landmarks.training.objectives import plain_step, student_step
from kd_landmarks.training.pseudo_labels import add_unlabeled, precompute_targets
from kd_landmarks.training.recipe import STAGES, Recipe, parse_overrides
from kd_landmarks.training.report import examine_networks, write_report
from kd_landmarks.training.run_folder import (
    check_trackers,
    kept_by_run,
    plan_run,
    run_identity,
    stage_is_finished,
    start_run,
)
from kd_landmarks.training.shutdown import one_ending
from kd_landmarks.training.teachers import (
    FrozenTeacher,
    check_stored_targets,
    find_teachers,
    load_teachers,
)
from kd_landmarks.training.transfer import adopt_landmarks
from kd_landmarks.utils.environment import keep_freed_memory, on_cpus
from kd_landmarks.utils.logging import set_up_logging

# The same words as above, laid out for a terminal: a line with \b keeps the next ones as they are.
HELP = """Train facial landmark detectors by knowledge distillation.

\b
Generated faces, in minutes:   accelerate launch train_accelerate.py
Real faces:                    … --recipe 300w --data DIR
Continue after a stop:         … --resume runs/300w

Stages: tough_teacher learns the ground truth, tolerant_teacher the Soft-landmarks, student with
both, baseline is the same student without them.

Every value of a recipe can be given by its dotted name, such as --student.epochs 40 or --data.box
dataset; kd_landmarks/training/recipe_settings.py explains them all.
"""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


def train(accelerator: Accelerator, recipe: Recipe, folder: Path) -> None:
    """Run a recipe's stages in `folder`, skipping what is finished there, and report."""
    say = accelerator.print
    scheme = get_scheme(recipe.scheme)
    sources = find_teachers(recipe, folder)

    # Data: faces, split by photo, and their Soft-landmarks.
    sets = load_sets(accelerator, recipe.data, scheme, recipe.run.seed)
    margin = recipe.data.crop_margin
    shape_model = fit_shape_model(sets.train, recipe.shape_model, margin)
    train_rows = with_generated(accelerator, sets.train, recipe.data, scheme)
    train_rows = add_soft_landmarks(train_rows, shape_model, margin)
    measured = sets.measured
    soft_nme = soft_landmarks_nme(add_soft_landmarks(measured, shape_model, margin), scheme)
    if accelerator.is_main_process:
        start_run(folder, recipe, shape_model)
    accelerator.wait_for_everyone()
    say(
        f"{sets.describe()}; run folder {folder}\n"
        f"shape model: {shape_model.num_components} components, Soft-landmarks against the ground "
        f"truth {soft_nme:.2f} % NME"
    )
    identity = {"run": run_identity(folder), "data": sets.digest()}
    accelerator.init_trackers(recipe.name, config={})

    # The networks, one after another.
    for stage in STAGES:
        if stage not in recipe.stages:
            continue
        if stage_is_finished(folder, stage):
            say(f"{stage} is finished already")
            if accelerator.is_main_process:
                drop_checkpoints(folder, stage)
            continue
        settings = getattr(recipe, stage)
        if settings.init in STAGES:
            settings = settings.model_copy(update={"init": str(folder / settings.init)})
        set_seed(recipe.run.seed)
        role = stage if stage.endswith("teacher") else "student"
        model, processor = build_network(settings, scheme, role, margin)
        if settings.init and adopt_landmarks(model, settings.init, sets.train, scheme):
            say(f"{stage} starts from {settings.init}, each landmark as the nearest one there")
        rows, image_size = train_rows, settings.image_size
        if stage == "student":
            teachers = load_teachers(accelerator, sources, scheme, margin)
            rows, image_size, step_loss = listen(recipe, teachers, scheme, rows)
            if recipe.unlabeled.source or recipe.unlabeled.targets:
                with accelerator.main_process_first():
                    rows = add_unlabeled(
                        rows,
                        recipe.unlabeled,
                        teachers,
                        scheme,
                        folder / "unlabeled",
                        recipe.data.skip_bad_rows,
                        recipe.data.allow_outside,
                    )
        else:
            target = "soft_landmarks" if stage == "tolerant_teacher" else "landmarks"
            step_loss = plain_step(settings, target)
        crops = FaceCrops(
            rows,
            image_size,
            margin,
            augmentation=settings.augmentation,
            flip_permutation=scheme.flip_permutation,
            loose_margin=recipe.data.loose_margin,
            keep=recipe.data.keep_crops and not recipe.data.streaming,
            seed=recipe.run.seed,
        )
        examiner = None
        if sets.validation is not None:
            examiner = Examiner(
                accelerator, sets.validation, scheme, settings.image_size, margin, keep=True
            )
        train_network(
            accelerator,
            stage,
            model,
            processor,
            crops,
            step_loss,
            settings,
            recipe.run,
            examiner,
            folder,
            identity,
        )

    # Every finished network of the folder, measured and drawn.
    networks = examine_networks(accelerator, folder, sets, scheme, margin)
    if accelerator.is_main_process:
        print(write_report(folder, recipe, sets, scheme, networks, soft_nme))
    for tracker in accelerator.trackers:
        tracker.finish()


def share_cores(accelerator: Accelerator, threads: int | None) -> None:
    """Use all cores: `accelerate launch` gives a process on a CPU one thread if not told more."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    torch.set_num_threads(threads or max(1, (cores or 1) // accelerator.num_processes))


def listen(
    recipe: Recipe, teachers: dict[str, FrozenTeacher], scheme: LandmarkScheme, rows: Dataset
) -> tuple[Dataset, int, StepLoss]:
    """The student's rows, crop size and loss: teachers asked now, at every step, or not at all."""
    settings = recipe.student
    if recipe.teachers.targets == "stored":
        check_stored_targets(rows, settings.loss)
        return rows, settings.image_size, student_step(settings, None)
    if recipe.teachers.targets == "precomputed":
        rows = precompute_targets(rows, teachers, scheme, recipe.teachers.views)
        return rows, settings.image_size, student_step(settings, None)
    sizes = [teacher.image_size for teacher in teachers.values()]
    return rows, max([settings.image_size, *sizes]), student_step(settings, teachers)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, help=HELP)
def main(
    context: typer.Context,
    recipe: Annotated[
        str | None, typer.Option(help="embedded (default), 300w, wflw, cofw or a YAML file.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Folder, file or Hub data set id; sets data.source.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="New run folder. Default: the first free runs/RECIPE.")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Run folder to continue.")] = None,
    init: Annotated[
        str | None,
        typer.Option(help="Checkpoint that the student starts from; sets student.init."),
    ] = None,
    stages: Annotated[
        str | None, typer.Option(help=f"Comma-separated, of {', '.join(STAGES)}.")
    ] = None,
    streaming: Annotated[
        bool, typer.Option("--streaming", help="Fetch photos as they are needed; of Parquet, Hub.")
    ] = False,
    skip_bad_rows: Annotated[
        bool, typer.Option("--skip_bad_rows", help="Leave broken rows out instead of stopping.")
    ] = False,
    allow_outside: Annotated[
        bool,
        typer.Option(
            "--allow_outside",
            "--allow-outside",  # as messages about rows call it
            help="Take pictures that lie outside of the data's folder too, of data you trust.",
        ),
    ] = False,
) -> None:
    """Parse the command line and run; see the module's docstring."""
    set_up_logging()
    began = time.monotonic()
    keep_freed_memory()
    folder: Path | None = None

    def kept() -> str:
        if folder is None:
            return "nothing was written yet; start again with the same command"
        return kept_by_run(folder)

    with one_ending(kept):
        overrides = parse_overrides(context.args)
        shortcuts = {
            "data.source": data,
            "student.init": init,
            "stages": stages.split(",") if stages else None,
            "data.streaming": streaming or None,
            "data.skip_bad_rows": skip_bad_rows or None,
            "data.allow_outside": allow_outside or None,
        }
        overrides |= {key: value for key, value in shortcuts.items() if value is not None}
        planned, folder = plan_run(recipe, overrides, output, resume)
        check_trackers(planned.run.trackers)
        accelerator = Accelerator(
            cpu=on_cpus(),
            mixed_precision=planned.run.mixed_precision,
            gradient_accumulation_steps=planned.run.gradient_accumulation,
            log_with=list(planned.run.trackers) or None,
            project_config=ProjectConfiguration(project_dir=str(folder)),
            step_scheduler_with_optimizer=False,
        )
        # Every process looked for a free folder; they go by the first one's.
        folder = broadcast_object_list([folder])[0]
        share_cores(accelerator, planned.run.threads)
        try:
            train(accelerator, planned, folder)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise KDLandmarksError(
                f"the disk of {folder} is full: make room, then --resume it"
            ) from error
        accelerator.print(f"{(time.monotonic() - began) / 60:.1f} minutes")


if __name__ == "__main__":
    app()
