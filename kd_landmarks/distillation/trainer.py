"""Training one network: the loop that teachers and students share."""

import logging
import math
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from timm.utils import ModelEmaV3
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from ..data.crops import FaceCrops, TrainingOrder
from ..data.stream_order import training_order
from ..errors import KDLandmarksError, shown
from ..files import new_folder, write_json
from ..models import (
    KDLandmarksForKeypointDetection,
    KDLandmarksImageProcessor,
    KDLandmarksOutput,
)
from ..recipes import NetworkSettings
from ..recipes.schema import RunSettings
from .checkpoints import finished_checkpoints, load_checkpoint, save_checkpoint
from .evaluation import Examiner
from .networks import to_pixel_values

logger = logging.getLogger(__name__)

# A training step's loss: (the network's output, batch) to its parts, `loss` among them.
StepLoss = Callable[[KDLandmarksOutput, Mapping[str, Tensor]], Mapping[str, Tensor]]


@dataclass
class Progress:
    """How far a stage is; rides in its checkpoints."""

    step: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)

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
            raise ValueError(f"step {shown(step)} after {shown(seconds)} seconds is no progress")
        if not isinstance(history, list) or not all(isinstance(row, dict) for row in history):
            raise ValueError(f"{shown(history)} is no history")
        self.step, self.seconds, self.history = step, seconds, list(history)


def train_network(
    accelerator: Accelerator,
    stage: str,
    model: KDLandmarksForKeypointDetection,
    processor: KDLandmarksImageProcessor,
    crops: FaceCrops,
    step_loss: StepLoss,
    settings: NetworkSettings,
    run: RunSettings,
    examiner: Examiner | None,
    folder: Path,
    identity: Mapping[str, Any],
) -> KDLandmarksForKeypointDetection:
    """Train a network to the end of its schedule and save it as `folder/STAGE`.

    Continues from the stage's latest checkpoint, where there is one, to the same weights as a
    straight run: the order of faces, their augmentation, the optimizer, the schedule, the moving
    average and the random numbers of the network are all restored.

    Args:
        accelerator: of the run; freed of earlier stages.
        stage: name of the folder.
        model: the network, with its starting weights.
        processor: its image processor, saved beside it.
        crops: augmented training crops.
        step_loss: the network's output and the batch to the loss's parts.
        settings: the network's section of the recipe.
        run: the recipe's `run` section.
        examiner: measures on validation faces, or None.
        folder: of the run.
        identity: what a checkpoint of this run carries.

    Returns:
        The finished network (the moving average, where the recipe has one) on the run's device.

    Raises:
        KDLandmarksError: for a loss that is not finite, and as the checkpoints do.
    """
    per_step = settings.batch_size * accelerator.num_processes * run.gradient_accumulation
    steps = max(1, math.ceil(settings.epochs * len(crops) / per_step))
    steps_per_epoch = len(crops) / per_step
    parameters = _decayed(model, settings.weight_decay)
    optimizer = torch.optim.AdamW(parameters, lr=settings.learning_rate, fused=True)
    schedule = _schedule(optimizer, settings, steps)
    progress = Progress()
    checkpoints = folder / "checkpoints" / stage
    existing = finished_checkpoints(checkpoints)
    # Channels last: convolutions on CPUs and GPUs alike are up to 1.4 times faster.
    model.to(memory_format=torch.channels_last)
    # Model and optimizer first, since the loader starts where the checkpoint ends.
    network, optimizer = accelerator.prepare(model, optimizer)
    ema = ModelEmaV3(model, decay=settings.ema, use_warmup=True) if settings.ema else None
    accelerator._custom_objects.clear()
    accelerator.register_for_checkpointing(progress, schedule)
    if ema:
        accelerator.register_for_checkpointing(ema)
    identity = {**identity, "stage": stage, "processes": accelerator.num_processes}
    if existing:
        load_checkpoint(accelerator, existing[-1], identity)
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
    losses: list[dict[str, Tensor]] = []
    for batch in loader if progress.step < steps else ():
        with accelerator.accumulate(network):
            pixels = to_pixel_values(batch["image"], processor)
            pixels = pixels.contiguous(memory_format=torch.channels_last)
            output = network(pixel_values=pixels, output_maps=settings.loss.map_weight > 0)
            parts = step_loss(output, batch)
            accelerator.backward(parts["loss"])
            if settings.clip_norm and accelerator.sync_gradients:
                accelerator.clip_grad_norm_(network.parameters(), settings.clip_norm)
            optimizer.step()
            optimizer.zero_grad()
        losses.append({name: value.detach() for name, value in parts.items()})
        if not accelerator.sync_gradients:
            continue
        if not optimizer.step_was_skipped:
            schedule.step()
        if ema:
            ema.update(model, step=progress.step)
        progress.step += 1
        progress.seconds = before + time.monotonic() - began
        bar.update()
        if _due(progress.step, run.evaluate_every * steps_per_epoch, steps):
            best = ema.module if ema else model
            _record(accelerator, progress, losses, steps_per_epoch, stage, bar)
            if examiner:
                result = examiner(best, processor).result
                progress.history[-1]["validation_nme"] = result.nme
                accelerator.log({f"{stage}/validation_nme": result.nme}, step=progress.step)
                bar.set_postfix_str(f"{bar.postfix}, validation NME {result.nme:.2f}")
        if progress.step < steps and _due(
            progress.step, run.checkpoint_every * steps_per_epoch, steps
        ):
            save_checkpoint(accelerator, checkpoints, progress.step, identity, run.keep_checkpoints)
    bar.close()
    finished = ema.module if ema else accelerator.unwrap_model(network)
    if accelerator.is_main_process:
        try:
            _save_network(finished, processor, folder / stage, settings, progress)
        except Exception as error:
            raise KDLandmarksError(
                f"could not write the finished {stage} to {folder / stage} ({error}): make room, "
                "then run again with --resume, which repeats what came after its last checkpoint"
            ) from error
        shutil.rmtree(checkpoints, ignore_errors=True)
        if checkpoints.parent.is_dir() and not any(checkpoints.parent.iterdir()):
            checkpoints.parent.rmdir()
    accelerator.wait_for_everyone()
    accelerator.free_memory()
    return finished.eval()


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
    )


def _decayed(model: torch.nn.Module, decay: float) -> list[dict[str, Any]]:
    """Weight decay for weights, none for biases and normalization."""
    weights = [value for value in model.parameters() if value.requires_grad and value.ndim > 1]
    others = [value for value in model.parameters() if value.requires_grad and value.ndim <= 1]
    return [
        {"params": weights, "weight_decay": decay},
        {"params": others, "weight_decay": 0.0},
    ]


def _schedule(
    optimizer: torch.optim.Optimizer, settings: NetworkSettings, steps: int
) -> LRScheduler:
    """The learning rate over optimizer steps."""
    warmup = settings.warmup * steps
    if settings.schedule == "one_cycle":
        # One spare step: the last call of step() may not run past the end.
        total, share = steps + 1, settings.warmup or 1e-6
        if share * total == 1:  # by which PyTorch divides by zero
            share /= 2
        return OneCycleLR(optimizer, settings.learning_rate, total_steps=total, pct_start=share)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup if warmup >= 1 else 1.0
        if settings.schedule == "constant":
            return 1.0
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1.0, steps - warmup)))

    return LambdaLR(optimizer, factor)


def _due(step: int, interval: float, steps: int) -> bool:
    """True at the first step past each whole interval, and at the end."""
    return step == steps or math.floor(step / interval) > math.floor((step - 1) / interval)


def _record(
    accelerator: Accelerator,
    progress: Progress,
    losses: list[dict[str, Tensor]],
    steps_per_epoch: float,
    stage: str,
    bar: tqdm,
) -> None:
    """Average the losses since the last record over steps and processes, and keep them."""
    names = list(losses[0])
    stacked = torch.stack([torch.stack([step[name].float() for name in names]) for step in losses])
    means = accelerator.reduce(stacked.mean(0), "mean").tolist()
    losses.clear()
    values = dict(zip(names, means, strict=True))
    if not all(math.isfinite(value) for value in means):
        raise KDLandmarksError(
            f"{stage}: the loss is {values} after {progress.step} steps: lower its learning_rate, "
            "or set clip_norm"
        )
    progress.history.append({"epoch": progress.step / steps_per_epoch, **values})
    accelerator.log({f"{stage}/{name}": value for name, value in values.items()}, progress.step)
    bar.postfix = f"loss {values['loss']:.4f}"


def _save_network(
    model: KDLandmarksForKeypointDetection,
    processor: KDLandmarksImageProcessor,
    final: Path,
    settings: NetworkSettings,
    progress: Progress,
) -> None:
    """The `from_pretrained`-able folder: there whole, or not at all."""
    training = {
        "settings": settings.model_dump(mode="json"),
        "steps": progress.step,
        "seconds": round(progress.seconds, 1),
        "history": progress.history,
    }
    with new_folder(final) as folder:
        model.to(memory_format=torch.contiguous_format).save_pretrained(folder)
        processor.save_pretrained(folder)
        write_json(folder / "training.json", training)
