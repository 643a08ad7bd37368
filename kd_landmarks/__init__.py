"""Small, fast, accurate facial landmark detectors by knowledge distillation.

Names load on first use, so that `import kd_landmarks` is quick, and what finds landmarks needs no
torch. `import kd_landmarks.models`, or the use of one of its classes, tells transformers' Auto
classes about the detector.
"""

import os
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

__version__ = version("kd-landmarks")

# Unless this is set when it is first imported, ONNX Runtime gives the machine a number, kept below
# ~/.cache/Microsoft, and reports its use to its maker.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_ROOMS = {
    "Face": "inference.results",
    "FaceLandmarkPipeline": "inference.pipeline",
    "Faces": "inference.results",
    "KDLandmarksConfig": "models",
    "KDLandmarksForKeypointDetection": "models",
    "KDLandmarksImageProcessor": "models",
    "KDLandmarksOutput": "models",
    "KDLandmarksError": "errors",
    "KDLoss": "losses.kd",
    "LandmarkEvaluator": "evaluation.metrics",
    "LandmarkScheme": "schemes",
    "ShapeModel": "training.shape_model",
    "default_checkpoint": "inference.checkpoints",
    "evaluate": "evaluation.evaluate",
    "get_scheme": "schemes",
    "load_rows": "data.loading",
    "nme": "evaluation.metrics",
    "track": "inference.video.follow",
}

if TYPE_CHECKING:
    from .data.loading import load_rows
    from .errors import KDLandmarksError
    from .evaluation.evaluate import evaluate
    from .evaluation.metrics import LandmarkEvaluator, nme
    from .inference.checkpoints import default_checkpoint
    from .inference.pipeline import FaceLandmarkPipeline
    from .inference.results import Face, Faces
    from .inference.video.follow import track
    from .losses.kd import KDLoss
    from .models import (
        KDLandmarksConfig,
        KDLandmarksForKeypointDetection,
        KDLandmarksImageProcessor,
        KDLandmarksOutput,
    )
    from .schemes import LandmarkScheme, get_scheme
    from .training.shape_model import ShapeModel

__all__ = [
    "Face",
    "FaceLandmarkPipeline",
    "Faces",
    "KDLandmarksConfig",
    "KDLandmarksError",
    "KDLandmarksForKeypointDetection",
    "KDLandmarksImageProcessor",
    "KDLandmarksOutput",
    "KDLoss",
    "LandmarkEvaluator",
    "LandmarkScheme",
    "ShapeModel",
    "default_checkpoint",
    "evaluate",
    "get_scheme",
    "load_rows",
    "nme",
    "track",
]


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f".{_ROOMS[name]}", __name__), name)
    except ModuleNotFoundError as error:
        from .utils.environment import explain_missing

        missing = explain_missing(error, f"kd_landmarks.{name}")
        if missing is None:
            raise
        raise missing from None


def __dir__() -> list[str]:
    return sorted([*globals(), *_ROOMS])
