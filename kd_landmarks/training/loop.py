"""Training one network: the loop that teachers and students share."""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from ..data.crops import FaceCrops, TrainingOrder
from ..data.stream_order import training_order
from ..errors import KDLandmarksError, shown
from ..evaluation.predictions import to_pixel_values
from ..inference.checkpoints import TRAINING
from ..models import KDLandmarksForKeypointDetection, KDLandmarksImageProcessor, KDLandmarksOutput
from ..utils.files import new_folder, write_json
from ..utils.signals import Stopped, loader_worker, stopping_between_steps
from .checkpoints import (
    checkpoints_of,
    drop_checkpoints,
    finished_checkpoints,
    load_checkpoint,
    save_checkpoint,
)
from .health import NotFinite, StageMonitor, check_finite
from .optimization import decayed_parameters, learning_rate_schedule
from .recipe_settings import NetworkSettings, RunSettings

logger = logging.getLogger(__name__)

# A training step's loss: (the network's output, batch) to its parts, `loss` among them.
StepLoss = Callable[[KDLandmarksOutput, Mapping[str, Tensor]], Mapping[str, Tensor]]


@dataclass
class Progress:
    """How far the stage in training is; part of its checkpoints."""

    step: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)

    def reset(self) -> None:
        """Begin another stage."""
        self.step, self.seconds, self.history = 0, 0.0, []

    def state_dict(self) -> dict[str, Any]:
        """Plain values, for Accelerate."""
        return {"step": self.step, "seconds": self.seconds, "history": self.history}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore them.

        Raises:
            ValueError: for what `state_dict` does not give.
        """
        step, seconds, history = (state.get(name) for name in ("step", "seconds", "history"))
        if type(step) is not int or step < 0 or not isinstance(seconds, int | float):
            raise ValueError(f"invalid progress: step {shown(step)}, {shown(seconds)} seconds")
        if not isinstance(history, list) or not all(isinstance(row, dict) for row in history):
            raise ValueError(f"invalid history: {shown(history)}")
        self.step, self.seconds, self.history = step, seconds, list(history)


@dataclass(frozen=True)
class StageTraining:
    """One network to be trained, and what its training takes.

    Attributes:
        stage: name of the folder.
        model: the network, with its starting weights.
        processor: its image processor, saved beside it.
        crops: augmented training crops.
        step_loss: the network's output and the batch to the loss's parts.
        settings: the network's section of the recipe.
        run: the recipe's `run` section.
        folder: of the run.
        identity: what a checkpoint of this run carries.
        progress: registered with the accelerator for its checkpoints; started anew here.
        validate: NME in percent on the validation faces, on all processes; None without any.
        finish: what is left to do with the trained network before it is saved; None for nothing.
        steps_before: of the stages before this one: some trackers take no step twice.
    """

    stage: str
    model: KDLandmarksForKeypointDetection
    processor: KDLandmarksImageProcessor
    crops: FaceCrops
    step_loss: StepLoss
    settings: NetworkSettings
    run: RunSettings
    folder: Path
    identity: Mapping[str, Any]
    progress: Progress
    validate: Callable[[], float] | None = None
    finish: Callable[[], None] | None = None
    steps_before: int = 0

    @property
    def checkpoints(self) -> Path:
        """Where its checkpoints are."""
        return checkpoints_of(self.folder, self.stage)


def train_network(accelerator: Accelerator, training: StageTraining) -> None:
    """Train a network to the end of its schedule and save it as `folder/STAGE`.

    Continues from the stage's latest checkpoint, where there is one, to the same weights as a
    straight run: the order of faces, their augmentation, the optimizer, the schedule and the random
    numbers of the network are all restored.

    Args:
        accelerator: of the run; freed of earlier stages.
        training: the stage.

    Raises:
        KDLandmarksError: for numbers that are not finite, and as the checkpoints do.
        Stopped: by a signal (`kd_landmarks.utils.signals`), behind a checkpoint of that step.
    """
    stage, model, processor = training.stage, training.model, training.processor
    settings, run, progress = training.settings, training.run, training.progress
    crops = training.crops
    progress.reset()
    per_step = settings.batch_size * accelerator.num_processes * run.gradient_accumulation
    steps = max(1, math.ceil(settings.epochs * len(crops) / per_step))
    steps_per_epoch = len(crops) / per_step
    parameters = decayed_parameters(model)
    optimizer = torch.optim.AdamW(parameters, lr=settings.learning_rate, fused=True)
    schedule = learning_rate_schedule(optimizer, settings.learning_rate, steps)
    existing = finished_checkpoints(training.checkpoints)
    # Channels last: convolutions on CPUs and GPUs alike are up to 1.4 times faster.
    model.to(memory_format=torch.channels_last)  # type: ignore[call-arg]  # transformers wraps it
    # Model and optimizer first, since the loader starts where the checkpoint ends.
    network, optimizer, schedule = accelerator.prepare(model, optimizer, schedule)
    state = (network, optimizer)
    # Of another length, it would be in the middle of another schedule.
    identity = {
        **training.identity,
        "stage": stage,
        "processes": accelerator.num_processes,
        "mixed_precision": accelerator.mixed_precision,
        "steps": steps,
    }
    if existing:
        load_checkpoint(accelerator, state, existing[-1], identity)
        if accelerator.is_main_process:
            logger.info("%s continues from %s", stage, existing[-1].name)
    order = training_order(
        crops,
        settings.batch_size,
        readers=accelerator.num_processes * max(1, run.workers),
        total=steps * per_step,
        seed=run.seed,
        start=progress.step * per_step,
    )
    loader = accelerator.prepare_data_loader(_loader(crops, order, settings, run))
    bar = tqdm(
        total=steps,
        initial=progress.step,
        desc=stage,
        unit="step",
        disable=not accelerator.is_main_process,
        mininterval=1.0,
    )
    network.train()
    began, before = time.monotonic(), progress.seconds
    monitor = StageMonitor(accelerator, crops.photos.sources)
    losses: list[dict[str, Tensor]] = []
    batches: list[dict[str, Tensor]] = []
    keep = run.keep_checkpoints
    with stopping_between_steps():
        with bar, _diverged(accelerator, training):
            for batch in loader if progress.step < steps else ():
                with accelerator.accumulate(network):
                    pixels = to_pixel_values(batch["image"], processor)
                    pixels = pixels.contiguous(memory_format=torch.channels_last)
                    with_maps = settings.loss.map_weight > 0
                    output = network(pixel_values=pixels, output_maps=with_maps)
                    parts = training.step_loss(output, batch)
                    accelerator.backward(parts["loss"])
                    optimizer.step()
                    optimizer.zero_grad()
                batches.append({name: value.detach() for name, value in parts.items()})
                monitor.add(parts["loss"], batch)
                if not accelerator.sync_gradients:
                    continue
                skipped = optimizer.step_was_skipped
                monitor.step(skipped)
                if not skipped:
                    schedule.step()
                    losses += batches
                batches = []
                progress.step += 1
                progress.seconds = before + time.monotonic() - began
                bar.update()
                to_evaluate, to_save = (
                    _due(progress.step, every * steps_per_epoch, steps)
                    for every in (run.evaluate_every, run.checkpoint_every)
                )
                stop = 0
                if to_evaluate or to_save or monitor.due(progress.step):
                    stop = monitor.read()
                if to_evaluate:
                    check_finite(accelerator, state)
                    _record(accelerator, training, losses, steps_per_epoch, bar)
                    if training.validate:
                        nme = training.validate()
                        progress.history[-1]["validation_nme"] = nme
                        step = training.steps_before + progress.step
                        accelerator.log({f"{stage}/validation_nme": nme}, step=step)
                        bar.set_postfix_str(f"{bar.postfix}, validation NME {nme:.2f}")
                if progress.step < steps and (to_save or stop):
                    place = training.checkpoints
                    save_checkpoint(accelerator, state, place, progress.step, identity, keep)
                    if stop:
                        raise Stopped(stop)
        if accelerator.is_main_process:
            if training.finish:
                # Without mixed precision, as it will be used.
                accelerator.unwrap_model(network, keep_fp32_wrapper=False)
                training.finish()
            try:
                _save_network(training)
            except Exception as error:
                raise KDLandmarksError(
                    f"could not write the finished {stage} to {training.folder} ({error}): make "
                    "room, then run again with --resume, which repeats what came after its last "
                    "checkpoint"
                ) from error
            drop_checkpoints(training.folder, stage)
        accelerator.wait_for_everyone()
    accelerator.free_memory()


@contextmanager
def _diverged(accelerator: Accelerator, training: StageTraining) -> Iterator[None]:
    """Say of numbers that are not finite what is left of the stage, and what to change."""
    try:
        yield
    except NotFinite as error:
        stage, folder, progress = training.stage, training.folder, training.progress
        kept = finished_checkpoints(training.checkpoints)
        rest = f"continues from {kept[-1].name}" if kept else f"restarts the {stage}"
        half = accelerator.mixed_precision == "fp16"
        raise KDLandmarksError(
            f"{stage}: {error} after {progress.step} steps; this state was not saved. "
            f"--resume {rest} with the same recipe, and most likely fails again. Start a "
            f"new run (--recipe {folder}/recipe.yaml) with --{stage}.learning_rate below "
            f"{training.settings.learning_rate:g}"
            + (" or --run.mixed_precision bf16 instead of fp16" if half else "")
        ) from error


def _loader(
    crops: FaceCrops, order: TrainingOrder, settings: NetworkSettings, run: RunSettings
) -> DataLoader:
    return DataLoader(
        crops,
        batch_size=settings.batch_size,
        sampler=order,
        drop_last=True,
        num_workers=run.workers,
        pin_memory=torch.cuda.is_available(),
        prefetch_factor=4 if run.workers else None,
        worker_init_fn=loader_worker,
        # Else each loader draws a number from the generator that dropout draws from, and a resumed
        # run has one more of them.
        generator=torch.Generator(),
    )


def _due(step: int, interval: float, steps: int) -> bool:
    """True at the first step past each whole interval, and at the end."""
    return step == steps or math.floor(step / interval) > math.floor((step - 1) / interval)


def _record(
    accelerator: Accelerator,
    training: StageTraining,
    losses: list[dict[str, Tensor]],
    steps_per_epoch: float,
    bar: tqdm,
) -> None:
    """Average the losses since the last record over steps and processes, and keep them."""
    progress, stage = training.progress, training.stage
    if not losses:  # loss scaling left all steps out
        progress.history.append({"epoch": progress.step / steps_per_epoch})
        return
    names = list(losses[0])
    stacked = torch.stack([torch.stack([step[name].float() for name in names]) for step in losses])
    means = accelerator.reduce(stacked.mean(0), "mean").tolist()
    losses.clear()
    values = dict(zip(names, means, strict=True))
    progress.history.append({"epoch": progress.step / steps_per_epoch, **values})
    told = {f"{stage}/{name}": value for name, value in values.items()}
    accelerator.log(told, training.steps_before + progress.step)
    bar.postfix = f"loss {values['loss']:.4f}"


def _save_network(training: StageTraining) -> None:
    """The `from_pretrained`-able folder: there whole, or not at all."""
    progress = training.progress
    record = {
        "settings": training.settings.model_dump(mode="json"),
        "steps": progress.step,
        "seconds": round(progress.seconds, 1),
        "history": progress.history,
    }
    model = training.model.eval()
    with new_folder(training.folder / training.stage) as folder:
        model.to(memory_format=torch.contiguous_format).save_pretrained(folder)
        training.processor.save_pretrained(folder)
        write_json(folder / TRAINING, record)
