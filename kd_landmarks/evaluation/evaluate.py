"""Measuring a finished detector on faces with ground truth, as `kd-landmarks evaluate` does."""

import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from ..data.bad_rows import OtherLandmarks
from ..data.columns import box_array, point_array
from ..data.detector_boxes import replace_boxes, with_detected_boxes, with_upright_boxes
from ..data.loading import load_rows
from ..data.row_checks import check_rows
from ..data.rows import COLUMNS, TARGETS
from ..errors import KDLandmarksError
from ..imaging.crop import upright_box
from ..inference.checkpoints import METRICS, RECIPE, default_checkpoint
from ..inference.upright import LOOKS
from ..models import KDLandmarksForKeypointDetection, KDLandmarksImageProcessor
from ..models.loading import check_same_landmarks, detector_scheme, load_detector
from ..schemes import LandmarkScheme
from ..utils.environment import devices
from ..utils.parsing import read_yaml
from ..utils.values import one_of, whole
from .metrics import (
    EVALUATION_BOXES,
    NORMALIZERS,
    ErrorSummary,
    EvaluationResult,
    LandmarkEvaluator,
    bootstrap_interval,
    nme,
)
from .predictions import predict_rows

logger = logging.getLogger(__name__)

# Of the bootstrap interval: the same errors always give the same interval.
SEED = 0


@dataclass(frozen=True)
class Evaluation:
    """What a detector scored on rows.

    Attributes:
        rows: the faces.
        result: scores of all faces, each face's error in the order of the rows, and the scores of
            groups of faces.
        points: (rows, N, 2) the detector's landmarks in photo pixels.
        interval: 95 % bootstrap interval, over faces, of the NME in percent.
        scheme: the landmarks.
        crop_margin: of the detector's crop.
        parameters: of the detector.
        missed: sources of the faces that a face detector did not find, which are in nothing else
            here; None where boxes were given.
    """

    rows: Dataset
    result: EvaluationResult
    points: NDArray[np.float64]
    interval: tuple[float, float]
    scheme: LandmarkScheme
    crop_margin: float
    parameters: int
    missed: list[str] | None = None

    @property
    def sources(self) -> list[str]:
        """Where each face's row was read."""
        return list(self.rows["source"])

    @property
    def subset_of(self) -> list[str]:
        """Each face's subset, "" for none."""
        return list(self.rows["subset"])

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


def evaluate(
    model: str | Path | None,
    data: str | Path,
    split: str | None = None,
    *,
    box: str = "gt",
    normalizer: str | None = None,
    batch_size: int = 64,
    progress: bool = False,
    **loading: Any,
) -> Evaluation:
    """Measure a detector on faces with ground truth, as `kd-landmarks evaluate` does.

    Args:
        model: checkpoint folder or Hub id; None for the package's own detector.
        data: JSON lines or Parquet (a file or a folder), the official folder of 300W, WFLW or COFW,
            or the id of a data set on the Hub.
        split: part of the data; needed where there are several.
        box: around each face: `gt`, tight around the ground truth; `upright`, the same of the face
            held upright, with its roll; `dataset`, the data's own; or `detector`, the package's
            face detector's, whose misses are in no score, and for landmarks of a part of the face
            those that the pipeline comes to from there.
        normalizer: what errors are divided by, None for what the scheme has; see
            `kd_landmarks.evaluation.metrics.nme`.
        batch_size: faces per forward pass.
        progress: show progress bars on stderr.
        loading: `revision`, `skip_bad_rows`, `allow_outside` and `orientation` of `load_rows`.

    Raises:
        KDLandmarksError: for a model or data that cannot be read, bad rows, and as
            `evaluate_detector`.
    """
    one_of("box", box, EVALUATION_BOXES)
    if normalizer is not None:
        one_of("normalizer", normalizer, NORMALIZERS)
    source = model or default_checkpoint()
    warn_of_trained_faces(source, data, split)
    detector, processor = load_detector(source)
    scheme = detector_scheme(detector, source)
    boxes = box if box == "dataset" else "gt"
    try:
        rows = load_rows(str(data), split, scheme=scheme, box=boxes, **loading)
    except OtherLandmarks as error:
        raise KDLandmarksError(
            f"{data} has faces of {error.count} landmarks, but {source} detects "
            f"{scheme.num_landmarks} ({scheme.name}): give a detector of the data's landmarks "
            "(--model), or data with the detector's landmarks"
        ) from error
    rows = check_rows(rows, scheme, loading.get("skip_bad_rows", False))
    missed: list[str] | None = None
    if box == "detector":
        part = detector.config.face_box
        rows, missed = with_detected_boxes(rows, progress=progress, part=part)
        if part is not None:
            rows = _in_boxes_of_points(detector, processor, rows, batch_size)
    elif box == "upright":
        rows = with_upright_boxes(rows, scheme)
    found = evaluate_detector(
        detector,
        processor,
        rows,
        scheme,
        normalizer=normalizer,
        batch_size=batch_size,
        progress=progress,
    )
    return replace(found, missed=missed)


def _in_boxes_of_points(
    model: KDLandmarksForKeypointDetection,
    processor: KDLandmarksImageProcessor,
    rows: Dataset,
    batch_size: int,
) -> Dataset:
    """Faces in the boxes that `predict` comes to for landmarks of a part of the face."""
    model = model.to(devices()[0])  # type: ignore[arg-type]  # transformers wraps it
    for _ in range(LOOKS):
        points = predict_rows(model, processor, rows, batch_size=batch_size).points
        faces = zip(points, box_array(rows), strict=True)
        rows = replace_boxes(rows, [upright_box(face, box[4]).tolist() for face, box in faces])
    return rows


def evaluate_detector(
    model: KDLandmarksForKeypointDetection,
    processor: KDLandmarksImageProcessor,
    rows: Dataset,
    scheme: LandmarkScheme,
    *,
    normalizer: str | None = None,
    batch_size: int = 64,
    progress: bool = False,
) -> Evaluation:
    """Measure a loaded detector, in photo pixels, on the crop that it was trained on, in float32.

    Args:
        model: the detector; it is moved to the GPU, where there is one.
        processor: its image processor.
        rows: checked faces in the row format (`load_rows`, then `check_rows`).
        scheme: the landmarks of the rows.
        normalizer: what errors are divided by, None for what the scheme has; see
            `kd_landmarks.evaluation.metrics.nme`.
        batch_size: faces per forward pass.
        progress: show a progress bar on stderr.

    Raises:
        KDLandmarksError: no rows; a detector of other landmarks; a face, named by its source, whose
            ground truth has no length to divide by; an unknown normalizer.
    """
    if normalizer is not None:
        one_of("normalizer", normalizer, NORMALIZERS)
    whole("batch_size", batch_size)
    if not len(rows):
        raise KDLandmarksError("there are no faces to evaluate on: give rows")
    check_same_landmarks(model, scheme, "the model")
    _, problems = measurable(rows, scheme, normalizer)
    if problems:
        raise KDLandmarksError(problems[0])
    model = model.to(devices()[0])  # type: ignore[arg-type]  # transformers wraps it
    points = predict_rows(model, processor, rows, batch_size=batch_size, progress=progress).points
    result = measure(points, rows, scheme, normalizer)
    _, low, high = bootstrap_interval(result.errors, seed=SEED)
    return Evaluation(
        rows=rows,
        result=result,
        points=points,
        interval=(low, high),
        scheme=scheme,
        crop_margin=processor.crop_margin,
        parameters=sum(value.numel() for value in model.parameters()),
    )


def measure(
    points: NDArray[np.float64],
    rows: Dataset,
    scheme: LandmarkScheme,
    normalizer: str | None = None,
) -> EvaluationResult:
    """Compare points with the ground truth of rows.

    Args:
        points: (rows, N, 2) in photo pixels.
        rows: in the row format.
        scheme: the landmarks of both.
        normalizer: what errors are divided by, None for what the scheme has; see
            `kd_landmarks.evaluation.metrics.nme`.
    """
    evaluator = LandmarkEvaluator(scheme, normalizer)
    groups = group_columns(rows)
    evaluator.update(np.arange(len(rows)), points, point_array(rows, "landmarks"), groups)
    return evaluator.compute(expected=len(rows))


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


def warn_of_trained_faces(checkpoint: str | Path, data: str | Path, split: str | None) -> None:
    """Say so where a run's network is about to be tried on what the run has learned from.

    Args:
        checkpoint: the network, which need not be of a run.
        data: the faces.
        split: which of them, None for all.
    """
    try:
        trained = read_yaml(Path(checkpoint).resolve().parent / RECIPE)["data"]
        source, own_split = trained["source"], trained["train_split"]
    except (OSError, KDLandmarksError, KeyError, TypeError):
        return  # not a run's
    same = isinstance(source, str) and (
        source == str(data) or Path(source).resolve() == Path(data).resolve()
    )
    if same and split in (None, own_split):
        logger.warning(
            "%s was trained on faces of %s: errors on new faces are larger. %s has its errors on "
            "held-back faces",
            checkpoint,
            data if split is None else f"{data}, {split}",
            Path(checkpoint).parent / METRICS,
        )


def measurable(
    rows: Dataset, scheme: LandmarkScheme, normalizer: str | None = None
) -> tuple[Dataset, list[str]]:
    """The faces whose ground truth has a length to divide errors by, and why others have none.

    Args:
        rows, scheme, normalizer: as for `measure`.

    Returns:
        Those rows, and of each other one its source and what is wrong.
    """
    good, problems = [], []
    for number, face in enumerate(point_array(rows, "landmarks")):
        try:
            nme(np.nan_to_num(face), face, scheme, normalizer)
            good.append(number)
        except KDLandmarksError as error:
            problems.append(f"{rows['source'][number]}: {error}")
    return rows.select(good) if problems else rows, problems
