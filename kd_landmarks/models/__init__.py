"""The detector as transformers knows it: configuration, model, image processor.

Importing this room tells transformers' Auto classes and pipelines about them.
"""

from transformers import AutoConfig, AutoImageProcessor, AutoModelForKeypointDetection

from .configuration_kd_landmarks import KDLandmarksConfig
from .image_processing_kd_landmarks import KDLandmarksImageProcessor
from .modeling_kd_landmarks import KDLandmarksForKeypointDetection, KDLandmarksOutput
from .transformers_pipeline import register_pipeline

AutoConfig.register(KDLandmarksConfig.model_type, KDLandmarksConfig, exist_ok=True)
AutoModelForKeypointDetection.register(
    KDLandmarksConfig, KDLandmarksForKeypointDetection, exist_ok=True
)
AutoImageProcessor.register(
    KDLandmarksConfig,
    image_processor_classes={"torchvision": KDLandmarksImageProcessor},
    exist_ok=True,
)
register_pipeline()

__all__ = [
    "KDLandmarksConfig",
    "KDLandmarksForKeypointDetection",
    "KDLandmarksImageProcessor",
    "KDLandmarksOutput",
]
