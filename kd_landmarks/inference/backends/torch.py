"""A detector on torch, on any of its devices."""

import os
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...errors import KDLandmarksError, shown
from ...schemes import get_scheme
from ...utils.environment import checked_device
from ..confidence import Calibration
from ..description import Description


class TorchBackend:
    """See `Backend`.

    Args:
        model: a checkpoint's folder, a Hub id or a loaded detector.
        image_processor: its image processor, or the folder or Hub id of one; None for the one that
            lies where the model came from.
        device: as torch or transformers' pipelines name it; None for the first accelerator, else
            the CPU.
        dtype: the floats to compute with; None or "auto" for float32, and for a loaded detector
            whatever it has.

    Raises:
        KDLandmarksError: for what is not a kd-landmarks detector, and for devices and dtypes that
            there are not.
    """

    name = "torch"

    def __init__(
        self, model: Any, image_processor: Any = None, *, device: Any = None, dtype: Any = None
    ) -> None:
        # Before the work of loading anything.
        place = checked_device(device)
        floats = None if dtype is None or dtype == "auto" else _as_dtype(dtype)
        # Here, since transformers takes seconds to import.
        from ...models import KDLandmarksConfig
        from ...models.loading import (
            check_pictures,
            check_weights,
            load_detector,
            load_processor,
        )
        from ..checkpoints import find_checkpoint

        if isinstance(model, str | os.PathLike):
            model, own = load_detector(os.fspath(model))
            # Convolutions on CPUs take a seventh less time for one face so, a third for many.
            model.to(memory_format=torch.channels_last)
            image_processor = own if image_processor is None else image_processor
        kind = getattr(getattr(model, "config", None), "model_type", type(model).__name__)
        if kind != KDLandmarksConfig.model_type:
            raise KDLandmarksError(
                f"model is a {kind}: give a kd-landmarks detector, its folder or its Hub id"
            )
        self.source = str(model.name_or_path or "the model")
        if floats is not None:
            model.to(floats)
        check_weights(model.state_dict(), self.source)
        revision = None
        if image_processor is None:
            revision = getattr(model, "hub_revision", None)  # which code on the Hub may not have
            image_processor = model.name_or_path
            if not image_processor:
                raise KDLandmarksError(
                    "image_processor is missing: the model came from no checkpoint"
                )
        if isinstance(image_processor, str | os.PathLike):
            files = find_checkpoint(os.fspath(image_processor), revision)
            image_processor = load_processor(files, model.config)
        if not hasattr(image_processor, "crop_margin"):
            raise KDLandmarksError(
                f"image_processor is a {type(image_processor).__name__}: give a "
                "KDLandmarksImageProcessor"
            )
        try:
            check_pictures(image_processor, model.config)
        except ValueError as error:
            raise KDLandmarksError(f"image_processor does not fit: its {error}") from error
        # Without a device the first accelerator, else the CPU.
        first = torch.accelerator.current_accelerator(check_available=True)
        self.model = model.to(place or first or torch.device("cpu")).eval()
        self.image_processor = image_processor
        self.description = describe(model, image_processor)
        self._process = os.getpid()

    def __setstate__(self, state: dict[str, Any]) -> None:
        # A pickled one may come from another process, which no thread is missed of.
        self.__dict__.update(state, _process=os.getpid())

    def run(
        self, pixels: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """See `Backend.run`."""
        if self._process != os.getpid():
            # OpenMP's threads did not come along with a fork, and would be waited for.
            torch.set_num_threads(1)
            self._process = os.getpid()
        with torch.inference_mode():
            faces = torch.from_numpy(pixels).to(self.model.device, self.model.dtype)
            output = self.model(pixel_values=faces)
        scores = None if output.scores is None else output.scores.float().cpu().numpy()
        return output.keypoints.float().cpu().numpy(), scores


def describe(model: Any, processor: Any) -> Description:
    """What a loaded detector and its image processor say of themselves."""
    config = model.config
    confidence = config.confidence
    return Description(
        crop_margin=processor.crop_margin,
        image_size=processor.size["height"],
        image_mean=_normalization(processor, "image_mean", 0.0),
        image_std=_normalization(processor, "image_std", 1.0),
        scheme=None if config.scheme is None else get_scheme(config.scheme),
        calibration=(
            None if confidence is None else Calibration.from_dict(confidence, config.num_landmarks)
        ),
        parameters=sum(value.numel() for value in model.parameters()),
        face_box=None if config.face_box is None else tuple(config.face_box),
    )


def _normalization(processor: Any, name: str, without: float) -> tuple[float, ...]:
    """An image processor's mean or standard deviation, or what stands for doing without."""
    values = getattr(processor, name) if processor.do_normalize else None
    return (without,) * 3 if values is None else tuple(map(float, values))


def _as_dtype(dtype: Any) -> torch.dtype:
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not (isinstance(found, torch.dtype) and found.is_floating_point):
        raise KDLandmarksError(
            f"dtype={shown(dtype)} is not a type of floats: give torch.float32, torch.float16, "
            "torch.bfloat16 or a name of them"
        )
    return found
