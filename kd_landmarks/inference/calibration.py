"""Fitting the confidence of a finished detector to faces with ground truth."""

import json
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from tqdm.auto import tqdm

from ..checkpoint_files import CONFIG
from ..data.columns import box_array, point_array
from ..data.photos import Photos
from ..errors import KDLandmarksError, check_writable, writing
from ..models import KDLandmarksForKeypointDetection, KDLandmarksImageProcessor
from .confidence import Calibration, fit_calibration
from .faces import crop_faces

_BATCH = 64


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
    photos, truth = Photos(rows), point_array(rows, "landmarks")
    boxes = box_array(rows)
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    scores, errors = [], []
    chunks = np.array_split(np.arange(len(rows)), range(_BATCH, len(rows), _BATCH))
    for chunk in tqdm(chunks, "faces", unit="batch", leave=False, disable=not progress):
        crops = [crop_faces(photos.open(index), boxes[[index]], processor) for index in chunk]
        with torch.inference_mode():
            output = model(pixel_values=torch.cat(crops).to(model.device))
        found = processor.post_process_keypoint_detection(output, boxes[chunk, None].tolist())
        for index, [face] in zip(chunk, found, strict=True):
            away = np.linalg.norm(face["keypoints"].cpu().numpy() - truth[index], axis=1)
            errors.append(away / sides[index])
            scores.append(face["scores"].cpu().numpy())
    return np.stack(scores).astype(np.float64), np.stack(errors)


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
    with writing(file):
        values = json.loads(file.read_text(encoding="utf-8")) | {"confidence": found.to_dict()}
        partial = file.with_name(f".{CONFIG}.partial")
        # As transformers writes it.
        partial.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        partial.replace(file)
    return found
