"""Running a detector over rows: the one loop of validation, evaluation and calibration."""

import statistics
import time
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from datasets import Dataset
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Subset
from tqdm.auto import tqdm

from ..data.crops import FaceCrops
from ..errors import in_our_words
from ..imaging.crop import check_finite, to_photo_pixels
from ..models import KDLandmarksForKeypointDetection, KDLandmarksImageProcessor


@dataclass(frozen=True)
class Predictions:
    """What a detector says of faces.

    Attributes:
        points: (rows, N, 2) landmarks in photo pixels.
        scores: (rows, N) from 0 to 1, how concentrated each point's map is; None for a head without
            maps.
    """

    points: NDArray[np.float64]
    scores: NDArray[np.float64] | None


@torch.no_grad()
def predict_rows(
    model: KDLandmarksForKeypointDetection,
    processor: KDLandmarksImageProcessor,
    faces: Dataset | FaceCrops,
    *,
    batch_size: int = 64,
    accelerator: Accelerator | None = None,
    progress: bool = False,
) -> Predictions:
    """Run a detector over faces, each in its box, on the crop that it was trained on.

    In float32, but for a network in training, which accelerate's mixed precision has wrapped.

    Args:
        model: the detector, on the device to compute on.
        processor: its image processor.
        faces: checked rows, whatever their landmarks; or their plain crops, to use them again.
        batch_size: faces per process and forward pass.
        accelerator: whose processes take a share each, and all get the whole; None for this process
            alone.
        progress: show a progress bar on stderr.

    Raises:
        KDLandmarksError: for numbers that are not finite, and a photo that cannot be decoded.
    """
    if isinstance(faces, FaceCrops):
        crops = faces
    else:
        size, margin = model.config.image_size, processor.crop_margin
        crops = FaceCrops(faces, size, margin, keep=False)
    # Layers can hide what is not finite: once, of the darkest and the brightest picture.
    ends = torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1).expand(2, 3, 1, 1)
    with in_our_words():
        check_finite(to_pixel_values(ends, processor), "the image processor's pixels")
    processes, rank = 1, 0
    if accelerator is not None:
        processes, rank = accelerator.num_processes, accelerator.process_index
    share = Subset(crops, range(rank, len(crops), processes))
    # With a generator of its own: validating must not change what dropout draws next.
    loader = DataLoader(share, batch_size, generator=torch.Generator())
    found: dict[int, tuple[NDArray[np.float64], NDArray[np.float64] | None]] = {}
    training = model.training
    # Channels last: convolutions on CPUs take half of the time so, for many faces.
    model.eval().to(memory_format=torch.channels_last)  # type: ignore[call-arg]  # transformers wraps it
    for batch in tqdm(loader, "faces", unit="batch", disable=not (progress and rank == 0)):
        pixels = to_pixel_values(batch["image"].to(model.device), processor)
        output = model(pixel_values=pixels)
        points = output.keypoints.double().cpu().numpy()
        scores = [None] * len(points)
        with in_our_words():
            check_finite(points, "the network's keypoints")
            if output.scores is not None:
                scores = output.scores.double().cpu().numpy()
                check_finite(scores, "the network's scores")
        for row, face, score in zip(batch["index"].tolist(), points, scores, strict=True):
            found[row] = (to_photo_pixels(face, crops.crops[row]), score)
    model.train(training)
    if processes > 1:
        found = dict(gather_object(list(found.items())))
    every = [found[row] for row in range(len(crops))]
    scored = [scores for _, scores in every if scores is not None]
    return Predictions(
        np.stack([points for points, _ in every]), np.stack(scored) if scored else None
    )


def to_pixel_values(images: Tensor, processor: KDLandmarksImageProcessor) -> Tensor:
    """uint8 crops (batch, 3, S, S) to a network's input, resized where its size is another."""
    size = (processor.size["height"], processor.size["width"])
    pixels = images.float()
    if pixels.shape[-2:] != size:
        pixels = F.interpolate(pixels, size, mode="bilinear", antialias=True)
    mean, std = (
        torch.tensor(values, device=images.device).view(3, 1, 1) * 255
        for values in (processor.image_mean, processor.image_std)
    )
    return (pixels - mean) / std


def milliseconds_per_face(model: KDLandmarksForKeypointDetection) -> float:
    """Median time of one face on one CPU thread in PyTorch, after warm-up."""
    size = model.config.image_size
    model = model.to("cpu", torch.float32).eval()  # type: ignore[arg-type]  # transformers wraps it
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        pixels = torch.zeros(1, 3, size, size)
        times = []
        with torch.inference_mode():
            for _ in range(35):
                start = time.perf_counter()
                model(pixel_values=pixels)
                times.append(time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads)
    return 1000 * statistics.median(times[5:])
