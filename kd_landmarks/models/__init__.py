"""The detector as transformers knows it: configuration, model, image processor.

Files here import one another alone, since a repository pushed to the Hub carries them. The classes
load on first use: `crop_kd_landmarks` is for deployments without torch and transformers, too.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .configuration_kd_landmarks import KDLandmarksConfig
    from .image_processing_kd_landmarks import KDLandmarksImageProcessor
    from .modeling_kd_landmarks import KDLandmarksForKeypointDetection, KDLandmarksOutput

__all__ = [
    "KDLandmarksConfig",
    "KDLandmarksForKeypointDetection",
    "KDLandmarksImageProcessor",
    "KDLandmarksOutput",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(".registered", __name__), name)
