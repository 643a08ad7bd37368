"""What each stage of a run trains: its network, its faces and its loss."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import set_seed
from datasets import Dataset

from ..data.columns import point_array
from ..data.crops import FaceCrops
from ..data.detector_boxes import usual_part
from ..evaluation.metrics import nme
from ..evaluation.predictions import predict_rows
from ..models import KDLandmarksForKeypointDetection, KDLandmarksImageProcessor
from ..schemes import SCHEMES, LandmarkScheme
from .checkpoints import checkpoints_of, finished_checkpoints
from .data import FaceSets
from .loop import Progress, StageTraining, StepLoss
from .networks import build_network, with_place_of_start
from .objectives import plain_step, student_step
from .pseudo_labels import precompute_targets
from .recipe_settings import NetworkSettings, Recipe
from .refinement import ENOUGH_FACES, refit_refinement, start_refinement
from .run_folder import stage_is_finished
from .teachers import FrozenTeacher, load_teachers, origins, stored_targets
from .transfer import adopt_landmarks
from .unlabeled import add_unlabeled, origins_of_targets, with_targets

# Folder of the targets of unlabeled faces, in that of the run.
PSEUDO_LABELS = "unlabeled"


@dataclass(frozen=True)
class Run:
    """What the stages of a run share.

    Attributes:
        accelerator, recipe, folder, scheme: of the run.
        sets: the labeled faces.
        rows: those to train on, with generated ones behind them.
        unlabeled: faces for the student without landmarks, or with stored targets; None for none.
        teachers: where the student's are or will be, by KD-Loss's names.
        identity: what a checkpoint must have come from to be continued.
        progress: of the stage in training.
    """

    accelerator: Accelerator
    recipe: Recipe
    folder: Path
    scheme: LandmarkScheme
    sets: FaceSets
    rows: Dataset
    unlabeled: Dataset | None
    teachers: dict[str, list[str]]
    identity: dict[str, str]
    progress: Progress

    @property
    def pseudo_labels(self) -> Path:
        """Where the targets of its unlabeled faces are kept."""
        return self.folder / PSEUDO_LABELS

    @cached_property
    def face_box(self) -> list[float] | None:
        """Where landmarks of one's own lie in a found face's box; the built-in are of all of it."""
        return None if self.scheme.name in SCHEMES else usual_part(self.sets.train)


def stage_training(run: Run, stage: str, steps_before: int) -> StageTraining:
    """A stage's network, and all that it is trained with."""
    recipe, scheme, sets = run.recipe, run.scheme, run.sets
    margin = recipe.data.crop_margin
    settings = with_place_of_start(getattr(recipe, stage), run.folder)
    set_seed(recipe.run.seed)
    model, processor = build_network(settings, scheme, stage, margin)
    if settings.init and adopt_landmarks(model, settings.init, sets.train, scheme):
        run.accelerator.print(
            f"{stage} starts from {settings.init}, each landmark as the nearest one there"
        )
    model.config.face_box = run.face_box
    target = "soft_landmarks" if stage == "tolerant_teacher" else "landmarks"
    labeled = run.rows.select(range(len(sets.train)))  # behind them, generated faces
    if model.config.refinement:
        begun = bool(finished_checkpoints(checkpoints_of(run.folder, stage)))
        fitted = settings.init is not None and not begun
        start_refinement(model, processor, labeled, scheme, target, fitted)
    if stage == "student":
        rows, image_size, step_loss = _student_lessons(run, model)
    else:
        rows, image_size, step_loss = run.rows, settings.image_size, plain_step(settings, target)
    if stage == "baseline":
        settings = _as_long_as_the_student(run, settings)
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
    return StageTraining(
        stage=stage,
        model=model,
        processor=processor,
        crops=crops,
        step_loss=step_loss,
        settings=settings,
        run=recipe.run,
        folder=run.folder,
        identity=run.identity,
        progress=run.progress,
        validate=validation(run.accelerator, model, processor, sets.validation, scheme),
        finish=finish,
        steps_before=steps_before,
    )


def _student_lessons(
    run: Run, model: KDLandmarksForKeypointDetection
) -> tuple[Dataset, int, StepLoss]:
    """The student's rows, crop size and loss; `model` then says which networks it comes from."""
    recipe, scheme = run.recipe, run.scheme
    teachers = load_teachers(run.accelerator, run.teachers, scheme, recipe.data.crop_margin)
    rows, image_size, step_loss = student_targets(recipe, teachers, scheme, run.rows)
    learned_from = origins(teachers)
    if run.unlabeled is not None:
        place = recipe.unlabeled.targets or run.pseudo_labels
        with run.accelerator.main_process_first():
            targets = with_targets(run.unlabeled, teachers, scheme, run.pseudo_labels)
            rows = add_unlabeled(rows, targets, place, scheme, recipe.data.box)
        learned_from |= origins_of_targets(place)
    model.config.derived_from = sorted(learned_from.union(model.config.derived_from))
    return rows, image_size, step_loss


def _as_long_as_the_student(run: Run, settings: NetworkSettings) -> NetworkSettings:
    """Without epochs of its own, the student alone takes as many steps as the taught one."""
    alike = settings.epochs == run.recipe.student.epochs
    if run.unlabeled is None or not alike or not stage_is_finished(run.folder, "student"):
        return settings
    targets = with_targets(run.unlabeled, {}, run.scheme, run.pseudo_labels)
    epochs = settings.epochs * (len(run.rows) + len(targets)) / len(run.rows)
    return settings.model_copy(update={"epochs": epochs})


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
