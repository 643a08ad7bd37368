"""Running a detector over rows and measuring it: exact over any number of processes."""

import statistics
import time
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from datasets import Dataset
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from ..data.columns import point_array
from ..data.crops import FaceCrops
from ..data.rows import COLUMNS, TARGETS
from ..errors import KDLandmarksError
from ..imaging.crop import check_finite, to_photo_pixels
from ..models import KDLandmarksForKeypointDetection, KDLandmarksImageProcessor
from ..schemes import LandmarkScheme
from ..training.networks import to_pixel_values
from .metrics import EvaluationResult, LandmarkEvaluator


@dataclass(frozen=True)
class Predictions:
    """A detector's points for rows: `points` (rows, N, 2) in photo pixels, and their errors."""

    points: np.ndarray
    result: EvaluationResult


class Examiner:
    """Measures detectors on one set of rows, again and again: validation, then the test file.

    Every process predicts its share; the evaluator keys each face by its row, so that a face that
    Accelerate hands out twice to even the batches counts once.

    Args:
        accelerator: of the run.
        rows: faces with ground truth.
        scheme: their landmarks.
        image_size: of the detectors.
        margin: of the detectors' crop.
        batch_size: faces per process and forward pass.
        keep: hold the crops in memory between examinations.
        normalizer: what errors are divided by; see `kd_landmarks.evaluation.metrics.nme`.
        progress: label of a progress bar on stderr; none without.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        rows: Dataset,
        scheme: LandmarkScheme,
        image_size: int,
        margin: float,
        batch_size: int = 64,
        keep: bool = False,
        normalizer: str = "inter_ocular",
        progress: str = "",
    ) -> None:
        self.accelerator = accelerator
        self.scheme = scheme
        self.crops = FaceCrops(rows, image_size, margin, keep=keep)
        self.targets = point_array(rows, "landmarks")
        self.squares = self.crops.crops
        self.groups = group_columns(rows)
        self.batch_size = batch_size
        self.normalizer = normalizer
        self.progress = progress

    @torch.no_grad()
    def __call__(self, model: torch.nn.Module, processor: KDLandmarksImageProcessor) -> Predictions:
        """Predict every row and measure it; all processes get the same answer.

        Raises:
            KDLandmarksError: for numbers that are not finite, and a face that cannot be measured.
        """
        # Layers can hide what is not finite: once, of the darkest and the brightest picture.
        ends = torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1).expand(2, 3, 1, 1)
        try:
            check_finite(to_pixel_values(ends, processor), "the image processor's pixels")
        except ValueError as error:
            raise KDLandmarksError(str(error)) from error
        training = model.training
        model.eval()
        count = len(self.crops)
        processes, rank = self.accelerator.num_processes, self.accelerator.process_index
        mine = torch.utils.data.Subset(self.crops, range(rank, count, processes))
        evaluator = LandmarkEvaluator(self.scheme, self.normalizer)
        points: dict[int, np.ndarray] = {}
        hidden = not (self.progress and rank == 0)
        for batch in tqdm(
            DataLoader(mine, self.batch_size), self.progress, unit="batch", disable=hidden
        ):
            pixels = to_pixel_values(batch["image"].to(self.accelerator.device), processor)
            with self.accelerator.autocast():
                keypoints = model(pixel_values=pixels).keypoints
            index = batch["index"].tolist()
            found = [
                to_photo_pixels(face, self.squares[row])
                for row, face in zip(index, keypoints.double().cpu().numpy(), strict=True)
            ]
            points.update(zip(index, found, strict=True))
            groups = {name: [column[row] for row in index] for name, column in self.groups.items()}
            evaluator.update(np.array(index), np.stack(found), self.targets[index], groups)
        model.train(training)
        if processes > 1:
            from accelerate.utils import gather_object

            evaluator.gather()
            points = dict(gather_object(list(points.items())))
        result = evaluator.compute(expected=count)
        return Predictions(np.stack([points[row] for row in range(count)]), result)


def group_columns(rows: Dataset) -> dict[str, list[str] | list[int]]:
    """The columns by whose values faces are grouped: `subset`, and the attributes that are flags.

    Attributes are the whole numbers that the row format does not know. Those with other values
    than 0 and 1, such as an age or somebody's own id, make no groups.
    """
    groups = {"subset": list(rows["subset"])} if "subset" in rows.column_names else {}
    for name, kind in rows.features.items():
        whole = (getattr(kind, "dtype", None) or "").startswith(("int", "uint", "bool"))
        if whole and name not in (*COLUMNS, *TARGETS, "visible"):
            values = list(rows[name])
            if set(values) <= {0, 1}:
                groups[name] = [int(value) for value in values]
    return groups


def milliseconds_per_face(model: KDLandmarksForKeypointDetection, repeats: int = 30) -> float:
    """Median time of one face on one CPU thread in PyTorch, after warm-up."""
    size = model.config.image_size
    model = model.to("cpu", torch.float32).eval()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        pixels = torch.zeros(1, 3, size, size)
        times = []
        with torch.inference_mode():
            for _ in range(repeats + 5):
                start = time.perf_counter()
                model(pixel_values=pixels)
                times.append(time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads)
    return 1000 * statistics.median(times[5:])
