"""`transformers.pipeline("keypoint-detection", model=…)` for detectors of this package."""

from typing import Any

from transformers import AutoModelForKeypointDetection
from transformers.pipelines import PIPELINE_REGISTRY

from ..inference.checkpoints import DEFAULT_FOLDER
from ..inference.pipeline import FaceLandmarkPipeline
from .configuration_kd_landmarks import KDLandmarksConfig

TASK = "keypoint-detection"


class KeypointDetectionPipeline:
    """Makes a `FaceLandmarkPipeline` on torch of a loaded detector, as transformers asks for one.

    Raises:
        KeyError: for other models, as transformers does for a task that it has no pipeline for.
    """

    # Whatever belongs to a detector, it loads itself.
    _load_image_processor = False
    _load_processor = False
    _load_video_processor = False
    _load_feature_extractor = False
    _load_tokenizer = False

    def __new__(cls, model: Any, task: str = TASK, **kwargs: Any) -> Any:
        """The pipeline; `kwargs` are its own."""
        kind = model.config.model_type
        if kind != KDLandmarksConfig.model_type:
            raise KeyError(
                f"Unknown task {task} for {kind}: kd_landmarks has a pipeline for its own models"
            )
        return FaceLandmarkPipeline(model, backend="torch", **kwargs)


def register_pipeline() -> None:
    """Make the task known to transformers, unless it has a pipeline of its own for it."""
    if TASK not in PIPELINE_REGISTRY.supported_tasks:
        PIPELINE_REGISTRY.register_pipeline(
            TASK,
            pipeline_class=KeypointDetectionPipeline,
            pt_model=AutoModelForKeypointDetection,
            default={"model": (str(DEFAULT_FOLDER), None)},
            type="image",
        )
