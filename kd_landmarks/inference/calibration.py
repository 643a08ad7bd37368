"""Fitting the confidence of a finished detector to faces with ground truth."""

import json
from pathlib import Path

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from ..checkpoint_files import CONFIG
from ..data.columns import box_array, longer_sides, point_array
from ..errors import KDLandmarksError
from ..files import check_writable, new_file
from ..models import KDLandmarksForKeypointDetection, KDLandmarksImageProcessor
from ..parsing import read_json_object
from .confidence import Calibration, fit_calibration
from .labeled import detect_rows


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
        Scores (rows, N) from 0 to 1, and errors (rows, N) in longer sides of the face box.

    Raises:
        KDLandmarksError: for a head without maps, and a photo that cannot be decoded.
    """
    if model.config.head != "integral":
        raise KDLandmarksError(
            f"a {model.config.head} head has no maps whose spread tells how sure a point is: "
            "calibrate a detector with an integral head"
        )
    points, scores = detect_rows(model, processor, rows, progress)
    away = np.linalg.norm(points - point_array(rows, "landmarks"), axis=-1)
    assert scores is not None, "the integral head has scores"
    return scores, away / longer_sides(box_array(rows))[:, None]


def calibrate_checkpoint(
    folder: str | Path,
    model: KDLandmarksForKeypointDetection,
    processor: KDLandmarksImageProcessor,
    rows: Dataset,
    progress: bool = False,
) -> Calibration:
    """Fit a detector's confidence, and write it to `confidence` in its config.json.

    Args:
        folder: of the checkpoint; its weights stay as they are.
        model: the detector.
        processor: its image processor.
        rows: checked faces, best such as it was not trained on.
        progress: show a progress bar on stderr.

    Raises:
        KDLandmarksError: for a head without maps; where there is nothing to learn from the faces;
            for a config.json that cannot be written.
    """
    file = Path(folder) / CONFIG
    check_writable(file)
    found = fit_calibration(*scores_and_errors(model, processor, rows, progress))
    values = read_json_object(file) | {"confidence": found.to_dict()}
    # A link may lead into the Hub's cache, whose files belong to others too.
    with new_file(file, follow=False) as partial:
        # As transformers writes it.
        text = json.dumps(values, indent=2, sort_keys=True) + "\n"
        partial.write_text(text, encoding="utf-8", newline="\n")
    return found
