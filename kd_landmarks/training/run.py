"""The stages of a run, one network after another, and its report."""

import errno
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import (
    GradientAccumulationPlugin,
    ProjectConfiguration,
    broadcast_object_list,
    set_seed,
)
from datasets import Dataset

from ..data.columns import point_array
from ..data.crops import FaceCrops
from ..errors import KDLandmarksError
from ..evaluation.metrics import nme
from ..evaluation.predictions import predict_rows
from ..models import KDLandmarksForKeypointDetection, KDLandmarksImageProcessor
from ..schemes import LandmarkScheme, get_scheme
from ..utils.environment import on_cpus
from .checkpoints import checkpoints_of, drop_checkpoints, finished_checkpoints
from .data import load_sets, with_generated
from .loop import Progress, StageTraining, StepLoss, train_network
from .networks import build_network, check_networks, with_place_of_start
from .objectives import plain_step, student_step
from .pseudo_labels import precompute_targets
from .recipe_settings import STAGES, Recipe
from .refinement import ENOUGH_FACES, refit_refinement, start_refinement
from .report import examine_networks, write_report
from .run_folder import run_identity, stage_is_finished, start_run, steps_of
from .soft_landmarks import add_soft_landmarks, fit_shape_model, soft_landmarks_nme
from .teachers import FrozenTeacher, find_teachers, load_teachers, origins, stored_targets
from .transfer import adopt_landmarks
from .unlabeled import add_unlabeled, origins_of_targets, unlabeled_faces, with_targets


def run_recipe(recipe: Recipe, folder: Path) -> None:
    """Train a recipe's networks in a folder, on all processes, and say how long it took.

    Args:
        recipe: as planned.
        folder: of the run, new or continued; the main process's counts.

    Raises:
        KDLandmarksError: for bad data, a full disk, and numbers that are not finite.
        Stopped: by a signal, behind a checkpoint of the last step.
    """
    began = time.monotonic()
    accelerator = Accelerator(
        cpu=on_cpus(),
        mixed_precision=recipe.run.mixed_precision,
        # The plain argument would give way to a variable of Accelerate's.
        gradient_accumulation_plugin=GradientAccumulationPlugin(recipe.run.gradient_accumulation),
        log_with=list(recipe.run.trackers) or None,
        project_config=ProjectConfiguration(project_dir=str(folder)),
        step_scheduler_with_optimizer=False,
    )
    # Every process looked for a free folder; they go by the first one's.
    folder = broadcast_object_list([folder])[0]
    share_cores(accelerator, recipe.run.threads)
    try:
        train(accelerator, recipe, folder)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise KDLandmarksError(
            f"the disk of {folder} is full: make room, then continue it with --resume"
        ) from error
    accelerator.print(f"{(time.monotonic() - began) / 60:.1f} minutes")


def train(accelerator: Accelerator, recipe: Recipe, folder: Path) -> None:
    """Run a recipe's stages in `folder`, skipping what is finished there, and report."""
    say = accelerator.print
    scheme = get_scheme(recipe.scheme)
    sources = find_teachers(recipe, folder)

    # Data: faces, split by photo, and the Soft-landmarks that a Tolerant-Teacher learns.
    sets = load_sets(accelerator, recipe.data, scheme, recipe.run.seed)
    margin = recipe.data.crop_margin
    train_rows = with_generated(accelerator, sets.train, recipe.data, scheme)
    check_networks(recipe, scheme, folder)
    pseudo_labels = folder / "unlabeled"
    unlabeled = None
    left = [stage for stage in recipe.stages if not stage_is_finished(folder, stage)]
    if "student" in left and recipe.teachers.targets == "stored":
        stored_targets(train_rows, recipe.student.loss)  # a gap is said before hours of training
    beside_student = "baseline" in left and stage_is_finished(folder, "student")
    if recipe.unlabeled.given and ("student" in left or beside_student):
        with accelerator.main_process_first():
            apart = list(sets.all_measured.values())
            unlabeled = unlabeled_faces(recipe.unlabeled, recipe.data, scheme, pseudo_labels, apart)
    shape_model = soft_nme = None
    if "tolerant_teacher" in recipe.stages or stage_is_finished(folder, "tolerant_teacher"):
        shape_model = fit_shape_model(sets.train, recipe.shape_model, margin)
        train_rows = add_soft_landmarks(train_rows, shape_model, margin)
        measured = add_soft_landmarks(sets.measured, shape_model, margin)
        soft_nme = soft_landmarks_nme(measured, scheme)
    if accelerator.is_main_process:
        start_run(folder, recipe, shape_model)
    accelerator.wait_for_everyone()
    beside = "" if unlabeled is None else f"; {len(unlabeled)} unlabeled faces"
    say(f"{sets.describe()}{beside}; run folder {folder}")
    if shape_model is not None:
        say(
            f"shape model: {shape_model.num_components} components, Soft-landmarks against the "
            f"ground truth {soft_nme:.2f} % NME"
        )
    identity = {"run": run_identity(folder), "data": sets.digest()}
    accelerator.init_trackers(recipe.name, config={})
    progress = Progress()
    accelerator.register_for_checkpointing(progress)
    done = 0

    # The networks, one after another.
    for stage in STAGES:
        if stage not in recipe.stages:
            continue
        if stage_is_finished(folder, stage):
            say(f"{stage} is finished already")
            done += steps_of(folder, stage)
            if accelerator.is_main_process:
                drop_checkpoints(folder, stage)
            continue
        settings = with_place_of_start(getattr(recipe, stage), folder)
        set_seed(recipe.run.seed)
        model, processor = build_network(settings, scheme, stage, margin)
        if settings.init and adopt_landmarks(model, settings.init, sets.train, scheme):
            say(f"{stage} starts from {settings.init}, each landmark as the nearest one there")
        target = "soft_landmarks" if stage == "tolerant_teacher" else "landmarks"
        labeled = train_rows.select(range(len(sets.train)))  # behind them, generated faces
        if model.config.refinement:
            begun = bool(finished_checkpoints(checkpoints_of(folder, stage)))
            fitted = settings.init is not None and not begun
            start_refinement(model, processor, labeled, scheme, target, fitted)
        rows, image_size = train_rows, settings.image_size
        if stage == "student":
            teachers = load_teachers(accelerator, sources, scheme, margin)
            rows, image_size, step_loss = student_targets(recipe, teachers, scheme, rows)
            learned_from = origins(teachers)
            if unlabeled is not None:
                place = recipe.unlabeled.targets or pseudo_labels
                with accelerator.main_process_first():
                    unlabeled = with_targets(unlabeled, teachers, scheme, pseudo_labels)
                    rows = add_unlabeled(rows, unlabeled, place, scheme, recipe.data.box)
                learned_from |= origins_of_targets(place)
            model.config.derived_from = sorted(learned_from.union(model.config.derived_from))
        else:
            step_loss = plain_step(settings, target)
            # Without epochs of its own, the student alone takes as many steps as the taught one.
            alike = stage == "baseline" and settings.epochs == recipe.student.epochs
            if alike and unlabeled is not None and stage_is_finished(folder, "student"):
                targets = with_targets(unlabeled, {}, scheme, pseudo_labels)
                epochs = settings.epochs * (len(rows) + len(targets)) / len(rows)
                settings = settings.model_copy(update={"epochs": epochs})
        finish = None
        if model.config.refinement:
            fitted_to = labeled if len(labeled) >= ENOUGH_FACES else rows
            finish = partial(refit_refinement, model, processor, fitted_to, scheme, target)
        crops = FaceCrops(
            rows,
            image_size,
            margin,
            augmentation=settings.augmentation,
            flip_permutation=scheme.flip_permutation,
            keep=not recipe.data.streaming,
            seed=recipe.run.seed,
        )
        training = StageTraining(
            stage=stage,
            model=model,
            processor=processor,
            crops=crops,
            step_loss=step_loss,
            settings=settings,
            run=recipe.run,
            folder=folder,
            identity=identity,
            progress=progress,
            validate=validation(accelerator, model, processor, sets.validation, scheme),
            finish=finish,
            steps_before=done,
        )
        train_network(accelerator, training)
        done += progress.step

    # Every finished network of the folder, measured and drawn.
    networks = examine_networks(accelerator, folder, sets, scheme)
    if accelerator.is_main_process:
        print(write_report(folder, recipe, sets, scheme, networks, soft_nme))
    for tracker in accelerator.trackers:
        tracker.finish()


def share_cores(accelerator: Accelerator, threads: int | None) -> None:
    """Use all cores: `accelerate launch` gives a process on a CPU one thread if not told more."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    torch.set_num_threads(threads or max(1, (cores or 1) // accelerator.num_processes))


def validation(
    accelerator: Accelerator,
    model: KDLandmarksForKeypointDetection,
    processor: KDLandmarksImageProcessor,
    rows: Dataset | None,
    scheme: LandmarkScheme,
) -> Callable[[], float] | None:
    """What measures a network in training: NME in percent on rows, whose crops stay in memory."""
    if rows is None:
        return None
    crops = FaceCrops(rows, model.config.image_size, processor.crop_margin, keep=True)
    truth = point_array(rows, "landmarks")

    def measure() -> float:
        found = predict_rows(model, processor, crops, accelerator=accelerator)
        return float(nme(found.points, truth, scheme).mean())

    return measure


def student_targets(
    recipe: Recipe, teachers: dict[str, list[FrozenTeacher]], scheme: LandmarkScheme, rows: Dataset
) -> tuple[Dataset, int, StepLoss]:
    """The student's rows, crop size and loss: teachers asked now, at every step, or not at all."""
    settings = recipe.student
    if recipe.teachers.targets == "stored":
        rows = stored_targets(rows, settings.loss)
        return rows, settings.image_size, student_step(settings, None)
    if recipe.teachers.targets == "precomputed":
        rows = precompute_targets(rows, teachers, scheme, recipe.teachers.fill_gaps)
        return rows, settings.image_size, student_step(settings, None)
    sizes = [teacher.image_size for some in teachers.values() for teacher in some]
    return rows, max([settings.image_size, *sizes]), student_step(settings, teachers)
