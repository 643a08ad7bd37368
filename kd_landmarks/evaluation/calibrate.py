"""Fitting the confidence of a finished detector to faces with ground truth."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from datasets import Dataset
from numpy.typing import ArrayLike, NDArray

from ..data.columns import box_array, longer_sides, point_array
from ..errors import KDLandmarksError
from ..inference.backends.torch import describe
from ..inference.checkpoints import CONFIG, INT8_FILE, ONNX_FILE
from ..inference.confidence import Calibration, log_spread, sigmoid
from ..inference.export import describe_anew
from ..models import KDLandmarksForKeypointDetection, KDLandmarksImageProcessor
from ..utils.environment import need_packages
from ..utils.files import check_writable, new_file
from ..utils.parsing import read_json_object
from .predictions import predict_rows

# A point counts as right within this share of the face box's longer side of the truth: about 6 % of
# the distance between the eyes' outer corners, twice a good detector's mean error.
TOLERANCE = 0.03
# Pulls each landmark's intercept towards the mean of all, as this many faces would.
_PRIOR_FACES = 10.0
_ROUNDS = 50


def scores_and_errors(
    model: KDLandmarksForKeypointDetection,
    processor: KDLandmarksImageProcessor,
    rows: Dataset,
    progress: bool = False,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How concentrated each point's map is, and how far the point is from the truth.

    Args:
        model: a detector whose head has maps.
        processor: its image processor.
        rows: checked faces in the row format.
        progress: show a progress bar on stderr.

    Returns:
        Scores (rows, N) from 0 to 1, and errors (rows, N) in longer sides of the face box; NaN for
        landmarks that are not there.

    Raises:
        KDLandmarksError: for a head without maps, and a photo that cannot be decoded.
    """
    if model.config.head != "integral":
        raise KDLandmarksError(
            f"a {model.config.head} head has no maps whose spread tells how sure a point is: "
            "calibrate a detector with an integral head"
        )
    found = predict_rows(model, processor, rows, progress=progress)
    away = np.linalg.norm(found.points - point_array(rows, "landmarks"), axis=-1)
    assert found.scores is not None, "the integral head has scores"
    return found.scores, away / longer_sides(box_array(rows))[:, None]


def calibrate_checkpoint(
    folder: str | Path,
    model: KDLandmarksForKeypointDetection,
    processor: KDLandmarksImageProcessor,
    rows: Dataset,
    progress: bool = False,
) -> Calibration:
    """Fit a detector's confidence, and write it to `confidence` in its config.json.

    What the folder has for ONNX Runtime tells it from then on, too.

    Args:
        folder: of the checkpoint; its weights stay as they are.
        model: the detector.
        processor: its image processor.
        rows: checked faces, best such as it was not trained on.
        progress: show a progress bar on stderr.

    Raises:
        KDLandmarksError: for a head without maps; where there is nothing to learn from the faces;
            for files that cannot be written, of ONNX without the package onnx.
    """
    file = Path(folder) / CONFIG
    exported = [path for name in (ONNX_FILE, INT8_FILE) if (path := Path(folder) / name).is_file()]
    if exported:
        need_packages("export", "onnx", why=f"calibrating {exported[0]}")
    for path in (file, *exported):
        check_writable(path)
    found = fit_calibration(*scores_and_errors(model, processor, rows, progress))
    values = read_json_object(file) | {"confidence": found.to_dict()}
    # A link may lead into the Hub's cache, whose files belong to others too.
    with new_file(file, follow=False) as partial:
        # As transformers writes it.
        text = json.dumps(values, indent=2, sort_keys=True) + "\n"
        partial.write_text(text, encoding="utf-8", newline="\n")
    description = replace(describe(model, processor), calibration=found)
    for path in exported:
        describe_anew(path, description)
    return found


def fit_calibration(
    scores: ArrayLike, errors: ArrayLike, tolerance: float = TOLERANCE
) -> Calibration:
    """The most likely calibration, by Newton's method.

    Args:
        scores: (faces, N) of the integral head, on faces that it was not trained on.
        errors: (faces, N) distances from the ground truth, in longer sides of the face box; NaN
            for landmarks that are not there, from which nothing is learned.
        tolerance: how near a right point is.

    Raises:
        KDLandmarksError: for arrays that do not fit one another; where all points are right, all
            wrong, or more spread does not mean more error, so that there is nothing to learn.
    """
    spread = log_spread(np.asarray(scores, dtype=np.float64))
    away = np.asarray(errors, dtype=np.float64)
    there, right = ~np.isnan(away), away <= tolerance
    if spread.ndim != 2 or spread.shape != right.shape:
        raise KDLandmarksError(f"scores {spread.shape} and errors {right.shape} do not fit")
    if not spread[there].std() > 0:
        raise KDLandmarksError("on these faces all scores are the same: nothing tells errors apart")
    share = right[there].mean()
    if share in (0, 1):
        raise KDLandmarksError(
            f"{'all' if share else 'none'} of the points are within {tolerance} box sides of "
            "the truth: choose another tolerance"
        )
    center, width = spread[there].mean(), spread[there].std()
    z = (spread - center) / width
    count = z.shape[1]
    prior = _PRIOR_FACES * share * (1 - share)
    common = np.log(share / (1 - share))
    # Parameters: an intercept for each landmark, then the slope.
    theta = np.append(np.full(count, common), -1.0)
    for _ in range(_ROUNDS):
        chance = sigmoid(theta[:count] + theta[count] * z)
        weight = there * chance * (1 - chance)
        over = there * (chance - right)
        gradient = np.append(over.sum(0) + prior * (theta[:count] - common), (over * z).sum())
        curvature = np.diag(np.append(weight.sum(0) + prior, (weight * z**2).sum()))
        curvature[:count, count] = curvature[count, :count] = (weight * z).sum(0)
        step = np.linalg.solve(curvature, gradient)
        theta -= step
        if np.abs(step).max() < 1e-8:
            break
    slope = theta[count] / width
    if not slope < 0:
        raise KDLandmarksError("on these faces, points of more spread are not further off")
    intercepts = theta[:count] - slope * center
    # More digits than the faces could have taught would only fill configurations.
    found = Calibration(tolerance, round(float(slope), 4), tuple(intercepts.round(4).tolist()))
    try:
        return Calibration.from_dict(found.to_dict())  # as whoever loads it will
    except KDLandmarksError as error:
        raise KDLandmarksError(
            "on these faces, a point's spread tells next to nothing of its error: give more faces"
        ) from error
