"""The stages of a run, one network after another, and its report."""

import errno
import os
import time
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import (
    GradientAccumulationPlugin,
    ProjectConfiguration,
    broadcast_object_list,
)
from datasets import Dataset

from ..errors import KDLandmarksError
from ..schemes import LandmarkScheme, get_scheme
from ..utils.environment import on_cpus
from .checkpoints import drop_checkpoints
from .data import FaceSets, load_sets, with_generated
from .loop import Progress, train_network
from .networks import check_networks
from .recipe_settings import STAGES, Recipe
from .report import examine_networks, write_report
from .run_folder import run_identity, stage_is_finished, start_run, steps_of
from .soft_landmarks import add_soft_landmarks, fit_shape_model, soft_landmarks_nme
from .stages import PSEUDO_LABELS, Run, stage_training
from .teachers import find_teachers, stored_targets
from .unlabeled import unlabeled_faces


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
    scheme = get_scheme(recipe.scheme)
    teachers = find_teachers(recipe, folder)
    sets = load_sets(accelerator, recipe.data, scheme, recipe.run.seed)
    margin = recipe.data.crop_margin
    rows = with_generated(accelerator, sets.train, recipe.data, scheme)
    check_networks(recipe, scheme, folder)
    unlabeled = _student_needs(accelerator, recipe, folder, scheme, sets, rows)
    shape_model = soft_nme = None
    if "tolerant_teacher" in recipe.stages or stage_is_finished(folder, "tolerant_teacher"):
        shape_model = fit_shape_model(sets.train, recipe.shape_model, margin)
        rows = add_soft_landmarks(rows, shape_model, margin)
        measured = add_soft_landmarks(sets.measured, shape_model, margin)
        soft_nme = soft_landmarks_nme(measured, scheme)
    if accelerator.is_main_process:
        start_run(folder, recipe, shape_model)
    accelerator.wait_for_everyone()
    beside = "" if unlabeled is None else f"; {len(unlabeled)} unlabeled faces"
    accelerator.print(f"{sets.describe()}{beside}; run folder {folder}")
    if shape_model is not None:
        accelerator.print(
            f"shape model: {shape_model.num_components} components, Soft-landmarks against the "
            f"ground truth {soft_nme:.2f} % NME"
        )
    identity = {"run": run_identity(folder), "data": sets.digest()}
    accelerator.init_trackers(recipe.name, config={})
    progress = Progress()
    accelerator.register_for_checkpointing(progress)
    run = Run(
        accelerator, recipe, folder, scheme, sets, rows, unlabeled, teachers, identity, progress
    )
    done = 0
    for stage in STAGES:
        if stage not in recipe.stages:
            continue
        if stage_is_finished(folder, stage):
            accelerator.print(f"{stage} is finished already")
            done += steps_of(folder, stage)
            if accelerator.is_main_process:
                drop_checkpoints(folder, stage)
            continue
        train_network(accelerator, stage_training(run, stage, done))
        done += progress.step

    # Every finished network of the folder, measured and drawn.
    networks = examine_networks(accelerator, folder, sets, scheme)
    if accelerator.is_main_process:
        print(write_report(folder, recipe, sets, scheme, networks, soft_nme))
    for tracker in accelerator.trackers:
        tracker.finish()


def _student_needs(
    accelerator: Accelerator,
    recipe: Recipe,
    folder: Path,
    scheme: LandmarkScheme,
    sets: FaceSets,
    rows: Dataset,
) -> Dataset | None:
    """The unlabeled faces; what they or stored targets lack is said before hours of training."""
    left = [stage for stage in recipe.stages if not stage_is_finished(folder, stage)]
    if "student" in left and recipe.teachers.targets == "stored":
        stored_targets(rows, recipe.student.loss)
    beside_student = "baseline" in left and stage_is_finished(folder, "student")
    if not recipe.unlabeled.given or not ("student" in left or beside_student):
        return None
    with accelerator.main_process_first():
        apart = list(sets.all_measured.values())
        place = folder / PSEUDO_LABELS
        return unlabeled_faces(recipe.unlabeled, recipe.data, scheme, place, apart)


def share_cores(accelerator: Accelerator, threads: int | None) -> None:
    """Use all cores: `accelerate launch` gives a process on a CPU one thread if not told more."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    torch.set_num_threads(threads or max(1, (cores or 1) // accelerator.num_processes))
