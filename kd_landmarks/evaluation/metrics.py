"""How far predicted landmarks are from the ground truth: NME, failure rate, AUC, CED.

NME is in percent everywhere. All points are pixels of the photo (or of an unstretched crop of it),
never of a stretched network input.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import KDLandmarksError
from ..schemes import LandmarkScheme, get_scheme
from ..utils.values import one_of

Array = NDArray[np.float64]

# Fard and Mahoor cut their 300W test crops from the box of the ground-truth points plus 10 px.
STRETCHED_CROP_MARGIN = 10.0


def _inter_ocular(targets: Array, scheme: LandmarkScheme) -> Array:
    if scheme.eye_corners is None:
        raise KDLandmarksError(f"scheme {scheme.name} has no eye_corners: take 'box'")
    left, right = scheme.eye_corners
    return np.linalg.norm(targets[:, left] - targets[:, right], axis=-1)


def _inter_pupil(targets: Array, scheme: LandmarkScheme) -> Array:
    if scheme.pupils is None:
        raise KDLandmarksError(f"scheme {scheme.name} has no pupils: take another normalizer")
    left, right = (targets[:, list(points)].mean(axis=1) for points in scheme.pupils)
    return np.linalg.norm(left - right, axis=-1)


def _box(targets: Array, scheme: LandmarkScheme) -> Array:
    return np.sqrt(np.prod(_extent(targets), axis=-1))


def _extent(targets: Array) -> Array:
    """Width and height (B, 2) of the tight boxes of the points that are there."""
    return np.nanmax(targets, axis=1) - np.nanmin(targets, axis=1)


EVALUATION_BOXES = ("gt", "upright", "dataset", "detector")
"""What faces can be cut by: see `evaluate`."""

# Each gives one length per face from targets (B, N, 2) and the scheme.
NORMALIZERS: dict[str, Callable[[Array, LandmarkScheme], Array]] = {
    "inter_ocular": _inter_ocular,
    "inter_pupil": _inter_pupil,
    "box": _box,
    "inter_ocular_stretched": _inter_ocular,
}


def nme(
    predictions: ArrayLike,
    targets: ArrayLike,
    scheme: str | LandmarkScheme = "ibug68",
    normalizer: str | None = None,
) -> Array:
    """Normalized mean error of each face: mean point distance / a length of the face, in percent.

    It needs no torch.

    Args:
        predictions: (B, N, 2) photo pixels, or (N, 2) of one face.
        targets: The same; NaN for landmarks that are not there, which are left out of the mean.
        scheme: The landmark scheme of the points, or its name.
        normalizer: The length, always of the targets; None for the scheme's own, the first of the
            next three that it has:
            "inter_ocular": between the outer eye corners; today's usual one for 300W and WFLW.
            "inter_pupil": between the pupils (the mean of the eye's points where a scheme has no
            pupils); the paper's for WFLW, numbers about 1.41 times larger.
            "box": sqrt(width * height) of the tight box of the points.
            "inter_ocular_stretched": the paper's for 300W: the tight box of the points plus 10 px
            on each side is stretched to a square; error and outer eye corners are measured there.

    Returns:
        (B,) percent; for one face (N, 2) a number.

    Raises:
        KDLandmarksError: Shapes that do not fit, an unknown scheme or normalizer, or, naming the
            face, a coordinate that is not finite, a face without landmarks, or a normalizing length
            that is 0 or whose landmarks are not there.
    """
    scheme = get_scheme(scheme)
    normalizer = scheme.normalizer if normalizer is None else normalizer
    one_of("normalizer", normalizer, NORMALIZERS)
    predicted, truth = _array(predictions), _array(targets)
    if predicted.ndim == 2 and truth.ndim == 2:
        return nme(predicted[None], truth[None], scheme, normalizer)[0]
    if predicted.shape != truth.shape or truth.shape[1:] != (scheme.num_landmarks, 2):
        raise KDLandmarksError(
            f"predictions have shape {predicted.shape} and targets {truth.shape}: scheme "
            f"{scheme.name} needs (faces, {scheme.num_landmarks}, 2) of both"
        )

    def which(face: int) -> str:
        return f"face {face}" if len(truth) > 1 else "the face"

    there: NDArray[np.bool_] = np.logical_not(np.isnan(truth).all(axis=-1))
    for name, points in (("prediction", predicted), ("target", truth)):
        broken = np.flatnonzero((there & ~np.isfinite(points).all(axis=-1)).any(axis=1))
        if broken.size:
            raise KDLandmarksError(f"the {name} of {which(broken[0])} is not finite")
    empty = np.flatnonzero(~there.any(axis=1))
    if empty.size:
        raise KDLandmarksError(f"none of the landmarks of {which(empty[0])} is there: leave it out")
    if normalizer == "inter_ocular_stretched":
        side = _extent(truth)[:, None] + 2 * STRETCHED_CROP_MARGIN
        predicted, truth = predicted / side, truth / side
    length = NORMALIZERS[normalizer](truth, scheme)
    degenerate = np.flatnonzero(~(length > 0))
    if degenerate.size:
        face = degenerate[0]
        what = (
            "is 0: its target points coincide or lie on one line; correct its labels or leave it "
            "out"
        )
        if np.isnan(length[face]):
            what = (
                "needs landmarks that are not there: take normalizer 'box', or leave the face out"
            )
        raise KDLandmarksError(f"the normalizer {normalizer!r} of {which(face)} {what}")
    away = np.linalg.norm(predicted - truth, axis=-1)
    return 100 * np.nanmean(np.where(there, away, np.nan), axis=-1) / length


def failure_rate(errors: ArrayLike, threshold: float) -> float:
    """Percent of the faces whose error is above the threshold (same units; NME percent)."""
    return float(100 * (_errors(errors) > _positive(threshold)).mean())


def auc(errors: ArrayLike, threshold: float) -> float:
    """Area under the cumulative error distribution up to the threshold, divided by it: 0 to 1.

    Exact: the integral of the empirical step function, no grid.
    """
    return float(np.clip(1 - _errors(errors) / _positive(threshold), 0, None).mean())


def ced(errors: ArrayLike, max_error: float = 10.0) -> tuple[Array, Array]:
    """Cumulative error distribution, exactly: draw it as steps (`drawstyle="steps-post"`).

    Args:
        errors: (B,) errors; infinite ones count as faces without a prediction.
        max_error: Where the curve ends.

    Returns:
        x: 0, every error up to `max_error` in rising order, and `max_error`; y: the share of all
        faces with an error of at most x, 0 to 1.
    """
    values = np.sort(_errors(errors))
    inner = values[values <= _positive(max_error)]
    x = np.concatenate([[0.0], inner, [max_error]])
    return x, np.searchsorted(values, x, side="right") / len(values)


# Faces that the bootstrap draws at a time, each in 16 bytes.
MOST_DRAWN = 10_000_000


def bootstrap_interval(errors: ArrayLike, seed: int = 0) -> tuple[float, float, float]:
    """Mean and its 95 % percentile bootstrap interval over faces: (mean, low, high).

    Of paired differences of two models it is the interval of the gain.
    """
    values = _errors(errors)
    mean = float(values.mean())
    if len(values) == 1:  # which has nothing to be drawn from
        return mean, mean, mean
    from scipy.stats import bootstrap  # here, so that errors are told without the extra `train`

    found = bootstrap(
        (values,),
        np.mean,
        n_resamples=10_000,
        batch=max(1, min(1000, MOST_DRAWN // len(values))),
        confidence_level=0.95,
        method="percentile",
        random_state=seed,
    ).confidence_interval
    return mean, float(found.low), float(found.high)


def gain_interval(
    without: ArrayLike, with_: ArrayLike, seed: int = 0
) -> tuple[float, float, float]:
    """How much lower paired errors are, in percent of those without: (mean, low, high).

    Raises:
        KDLandmarksError: for errors that are not pairs, or are all 0 without.
    """
    base, other = _errors(without), _errors(with_)
    if base.shape != other.shape:
        raise KDLandmarksError(
            f"there are {len(base)} errors without and {len(other)} with: give both of each face"
        )
    if not base.any():
        raise KDLandmarksError("the errors without are all 0: there is nothing to gain")
    mean, low, high = bootstrap_interval(base - other, seed=seed)
    scale = 100 / float(base.mean())
    return scale * mean, scale * low, scale * high


@dataclass(frozen=True)
class ErrorSummary:
    """What a set of faces scored: NME and failure rates at 8 and 10 % in percent, AUC 0 to 1."""

    nme: float
    failure_rate_8: float
    failure_rate_10: float
    auc_8: float
    auc_10: float
    faces: int


def summarize(errors: ArrayLike) -> ErrorSummary:
    """Summarize the errors (B,) of some faces, in percent."""
    values = _errors(errors)
    return ErrorSummary(
        nme=float(values.mean()),
        failure_rate_8=failure_rate(values, 8),
        failure_rate_10=failure_rate(values, 10),
        auc_8=auc(values, 8),
        auc_10=auc(values, 10),
        faces=len(values),
    )


@dataclass(frozen=True)
class EvaluationResult(ErrorSummary):
    """The summary of all faces, each face's error, and the summaries of groups of faces.

    Attributes:
        normalizer: What the errors are divided by; see `nme`.
        errors: NME of each face in percent, in the order of the faces' indices.
        groups: Column -> value -> summary, such as `groups["subset"]["helen"].nme`.
    """

    normalizer: str
    errors: list[float]
    groups: dict[str, dict[str, ErrorSummary]]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, nothing rounded."""
        return asdict(self)


class LandmarkEvaluator:
    """Collects each face's error batch by batch; exact over any number of processes.

    Faces are kept by their index in the data set, so that one which comes twice (as distributed
    samplers pad the last batch) counts once, as it came last. Either feed every process what
    `accelerator.gather_for_metrics` returns, or feed each its own faces and call `gather` once.

    Args:
        scheme: The landmark scheme of the points, or its name.
        normalizer: What the errors are divided by; see `nme`.

    Raises:
        KDLandmarksError: for a scheme or normalizer that is not known.
    """

    def __init__(self, scheme: LandmarkScheme | str, normalizer: str | None = None) -> None:
        self.scheme = get_scheme(scheme)
        self.normalizer = normalizer or self.scheme.normalizer
        one_of("normalizer", self.normalizer, NORMALIZERS)
        self._errors: dict[int, float] = {}
        self._groups: dict[int, dict[str, str]] = {}

    def update(
        self,
        index: Any,
        predictions: Any,
        targets: Any,
        groups: Mapping[str, Sequence[Any]] | None = None,
    ) -> None:
        """Add a batch; numpy arrays or torch tensors.

        Args:
            index: (B,) of each face in the data set, 0 or more.
            predictions: (B, N, 2) photo pixels.
            targets: (B, N, 2) photo pixels.
            groups: Column -> each face's value, such as `{"subset": ["helen", "lfpw"]}`.

        Raises:
            KDLandmarksError: As `nme` (faces counted within the batch); columns of other lengths.
        """
        faces = [int(i) for i in _array(index).reshape(-1)]
        errors = nme(predictions, targets, self.scheme, self.normalizer)
        columns = dict(groups or {})
        for name, column in {"index": faces, **columns}.items():
            if len(column) != len(errors):
                raise KDLandmarksError(
                    f"{name} has {len(column)} values for a batch of {len(errors)} faces"
                )
        for row, (face, error) in enumerate(zip(faces, errors, strict=True)):
            self._errors[face] = float(error)
            of_face = {name: np.asarray(column[row]) for name, column in columns.items()}
            self._groups[face] = {name: str(value) for name, value in of_face.items()}

    def gather(self) -> None:
        """Give every accelerate process the faces of all; call it on all, before `compute`."""
        from accelerate.utils import gather_object

        for errors, groups in gather_object([(self._errors, self._groups)]):
            self._errors.update(errors)
            self._groups.update(groups)

    def compute(self, expected: int | None = None) -> EvaluationResult:
        """The result over all faces so far.

        Args:
            expected: `len(dataset)`: faces 0 to expected - 1 must all have come, and no others.

        Raises:
            KDLandmarksError: No faces, or others than expected, which are named.
        """
        if expected is not None:
            wanted = set(range(expected))
            _refuse(wanted - self._errors.keys(), f"of {expected} have not been evaluated")
            _refuse(self._errors.keys() - wanted, f"are not among the {expected} expected")
        faces = sorted(self._errors)
        errors = [self._errors[face] for face in faces]
        members: dict[str, dict[str, list[float]]] = {}
        for face, error in zip(faces, errors, strict=True):
            for column, value in self._groups[face].items():
                members.setdefault(column, {}).setdefault(value, []).append(error)
        groups = {
            column: {value: summarize(values[value]) for value in sorted(values)}
            for column, values in sorted(members.items())
        }
        return EvaluationResult(
            **asdict(summarize(errors)),
            normalizer=self.normalizer,
            errors=errors,
            groups=groups,
        )


def _refuse(faces: Iterable[int], problem: str) -> None:
    listed = sorted(faces)
    if listed:
        shown = ", ".join(map(str, listed[:10])) + (", ..." if len(listed) > 10 else "")
        raise KDLandmarksError(
            f"{len(listed)} faces {problem}: indices {shown}; feed every face of the data set once"
        )


def _array(values: Any) -> Array:
    """A float64 array of what may be a torch tensor on any device, in any type."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().double().numpy()
    return np.asarray(values, dtype=np.float64)


def _errors(errors: ArrayLike) -> Array:
    values = _array(errors).reshape(-1)
    if not values.size:
        raise KDLandmarksError("there are no errors: evaluate at least one face")
    broken = np.flatnonzero(np.isnan(values))
    if broken.size:
        raise KDLandmarksError(f"the error of face {broken[0]} is NaN")
    return values


def _positive(threshold: float) -> float:
    if not threshold > 0:
        raise KDLandmarksError(f"threshold is {threshold}: give an error above 0, in percent")
    return threshold
