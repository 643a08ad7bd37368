"""What a detector says of faces in the row format."""

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from tqdm.auto import tqdm

from ..data.columns import box_array
from ..data.photos import Photos
from ..errors import KDLandmarksError
from ..models import KDLandmarksForKeypointDetection, KDLandmarksImageProcessor
from ..models.crops import crop_faces

_BATCH = 64


def detect_rows(
    model: KDLandmarksForKeypointDetection,
    processor: KDLandmarksImageProcessor,
    rows: Dataset,
    progress: bool = False,
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """A detector's points of each face, in the face's box.

    Args:
        model: the detector.
        processor: its image processor.
        rows: checked faces in the row format, whatever their landmarks.
        progress: show a progress bar on stderr.

    Returns:
        Points (rows, N, 2) in photo pixels, and scores (rows, N) from 0 to 1, None for a head
        without.

    Raises:
        KDLandmarksError: for a photo that cannot be decoded, and for numbers that are not finite.
    """
    photos, boxes = Photos(rows), box_array(rows)
    points, scores = [], []
    chunks = np.array_split(np.arange(len(rows)), range(_BATCH, len(rows), _BATCH))
    for chunk in tqdm(chunks, "faces", unit="batch", leave=False, disable=not progress):
        try:
            crops = [crop_faces(photos.open(index), boxes[[index]], processor) for index in chunk]
            with torch.inference_mode():
                output = model(pixel_values=torch.cat(crops).to(model.device))
            found = processor.post_process_keypoint_detection(output, boxes[chunk, None].tolist())
        except ValueError as error:
            raise KDLandmarksError(str(error)) from error
        for [face] in found:
            points.append(face["keypoints"].cpu().numpy())
            if face["scores"] is not None:
                scores.append(face["scores"].cpu().numpy())
    every = np.stack(points).astype(np.float64)
    return every, np.stack(scores).astype(np.float64) if scores else None
