"""Measuring a finished detector on faces with ground truth, as `kd-landmarks evaluate` does."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from accelerate import Accelerator
from datasets import Dataset
from numpy.typing import NDArray

from ..data.columns import point_array
from ..errors import KDLandmarksError
from ..models import KDLandmarksForKeypointDetection, KDLandmarksImageProcessor
from ..models.loading import check_same_landmarks
from ..schemes import LandmarkScheme
from ..utils.environment import on_cpus
from ..utils.values import one_of, whole
from .examiner import Examiner
from .metrics import NORMALIZERS, ErrorSummary, EvaluationResult, bootstrap_interval, nme

# Of the bootstrap interval: the same errors always give the same interval.
SEED = 0


@dataclass(frozen=True)
class Evaluation:
    """What a detector scored on rows.

    Attributes:
        result: scores of all faces, each face's error in the order of the rows, and the scores of
            groups of faces.
        points: (rows, N, 2) the detector's landmarks in photo pixels.
        sources: where each face's row was read.
        subset_of: each face's subset, "" for none.
        interval: 95 % bootstrap interval, over faces, of the NME in percent.
        scheme: the landmarks.
        crop_margin: of the detector's crop.
        parameters: of the detector.
        missed: sources of the faces that a face detector did not find, which are in nothing else
            here; None where boxes were given.
    """

    result: EvaluationResult
    points: NDArray[np.float64]
    sources: list[str]
    subset_of: list[str]
    interval: tuple[float, float]
    scheme: LandmarkScheme
    crop_margin: float
    parameters: int
    missed: list[str] | None = None

    @property
    def subsets(self) -> dict[str, ErrorSummary]:
        """Scores by subset; faces without one are in none."""
        return {name: scores for name, scores in self.result.groups["subset"].items() if name}

    @property
    def attributes(self) -> dict[str, ErrorSummary]:
        """Scores of the faces that have an attribute (its flag is 1), as is usual for WFLW."""
        groups = self.result.groups.items()
        return {name: values["1"] for name, values in groups if name != "subset" and "1" in values}

    def worst(self, count: int) -> list[int]:
        """Rows of the `count` largest errors, the largest first."""
        return np.argsort(-np.asarray(self.result.errors), kind="stable")[:count].tolist()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, nothing rounded.

        - `nme`, `failure_rate_8`, `failure_rate_10` in percent; `auc_8`, `auc_10` from 0 to 1;
          `faces`, their number; `normalizer`, what errors are divided by
        - `interval`: low and high end of the NME's 95 % bootstrap interval over faces, drawn with
          `seed`
        - `scheme`, `crop_margin`, `parameters`: of the detector
        - `subsets`, `attributes`: name to the first six of these, of its faces alone
        - `missed`: where a face detector gave the boxes, the `source` of each face that it missed
        - `errors`: a list of each face's `source`, `subset` and `nme`, in the order of the rows
        """
        scores = self.result.to_dict()
        del scores["groups"]
        errors = zip(self.sources, self.subset_of, scores.pop("errors"), strict=True)
        return {
            **scores,
            "interval": list(self.interval),
            "seed": SEED,
            "scheme": self.scheme.name,
            "crop_margin": self.crop_margin,
            "parameters": self.parameters,
            "subsets": {name: asdict(group) for name, group in self.subsets.items()},
            "attributes": {name: asdict(group) for name, group in self.attributes.items()},
            **({} if self.missed is None else {"missed": self.missed}),
            "errors": [
                {"source": source, "subset": subset, "nme": error}
                for source, subset, error in errors
            ],
        }


def evaluate_detector(
    model: KDLandmarksForKeypointDetection,
    processor: KDLandmarksImageProcessor,
    rows: Dataset,
    scheme: LandmarkScheme,
    *,
    normalizer: str = "inter_ocular",
    batch_size: int = 64,
    accelerator: Accelerator | None = None,
    progress: bool = False,
) -> Evaluation:
    """Measure a detector on faces, in photo pixels, on the crop that it was trained on.

    Args:
        model: the detector; it is moved to the accelerator's device.
        processor: its image processor.
        rows: checked faces in the row format (`load_rows`, then `check_rows`).
        scheme: the landmarks of the rows.
        normalizer: what errors are divided by; see `kd_landmarks.evaluation.metrics.nme`.
        batch_size: faces per process and forward pass.
        accelerator: where to compute; None for the GPU where there is one, in float32. All its
            processes must call this and get the same.
        progress: show a progress bar on stderr.

    Raises:
        KDLandmarksError: no rows; a detector of other landmarks; a face, named by its source, whose
            ground truth has no length to divide by; an unknown normalizer.
    """
    one_of("normalizer", normalizer, NORMALIZERS)
    whole("batch_size", batch_size)
    if not len(rows):
        raise KDLandmarksError("there are no faces to evaluate on: give rows")
    check_same_landmarks(model, scheme, "the model")
    sources = list(rows["source"])
    _check_truth(point_array(rows, "landmarks"), sources, scheme, normalizer)
    accelerator = accelerator or Accelerator(cpu=on_cpus(), mixed_precision="no")
    examiner = Examiner(
        accelerator,
        rows,
        scheme,
        model.config.image_size,
        processor.crop_margin,
        batch_size=batch_size,
        normalizer=normalizer,
        progress="faces" if progress else "",
    )
    found = examiner(model.to(accelerator.device), processor)
    _, low, high = bootstrap_interval(found.result.errors, seed=SEED)
    return Evaluation(
        result=found.result,
        points=found.points,
        sources=sources,
        subset_of=list(rows["subset"]),
        interval=(low, high),
        scheme=scheme,
        crop_margin=processor.crop_margin,
        parameters=sum(value.numel() for value in model.parameters()),
    )


def _check_truth(
    truth: NDArray[np.float64], sources: Sequence[str], scheme: LandmarkScheme, normalizer: str
) -> None:
    """Find what cannot be measured before the detector runs, and call it by its source."""
    for source, face in zip(sources, truth, strict=True):
        try:
            nme(face[None], face[None], scheme, normalizer)
        except KDLandmarksError as error:
            raise KDLandmarksError(f"{source}: {error}") from error
