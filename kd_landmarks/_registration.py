"""Tells transformers about the detector and its pipeline, without importing them or transformers.

transformers keeps two tables by which `from_pretrained` finds classes: configurations by the
`model_type` in config.json, image processors by their class's name in preprocessor_config.json; and
one by which `pipeline` finds the pipeline of a task. Stand-ins go into them, at once where a table
is there already, else as soon as transformers has made it. The first one used imports the real
class, and with it `kd_landmarks.models.registered`, which registers the real classes, the model
among them.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any
from warnings import warn

from .weights import DEFAULT_FOLDER

_AUTO = "transformers.models.auto."
_TASK = "keypoint-detection"


class _StandIn(type):
    """Classes that hand everything on to the class of their own name in `kd_landmarks`."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):  # what Python and its tools ask of any class
            raise AttributeError(name)
        return getattr(cls._real(), name)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return cls._real()(*args, **kwargs)

    def _real(cls) -> Any:
        return getattr(import_module("kd_landmarks"), cls.__name__)


class KDLandmarksConfig(metaclass=_StandIn):
    """Stands in for `kd_landmarks.models.KDLandmarksConfig`."""


class KDLandmarksImageProcessor(metaclass=_StandIn):
    """Stands in for `kd_landmarks.models.KDLandmarksImageProcessor`."""


class FaceLandmarkPipeline(metaclass=_StandIn):
    """Stands in for `kd_landmarks.inference.pipeline.FaceLandmarkPipeline`."""


def _enter_config(module: ModuleType) -> None:
    module.CONFIG_MAPPING.register("kd_landmarks", KDLandmarksConfig, exist_ok=True)


def _enter_image_processor(module: ModuleType) -> None:
    classes = {"torchvision": KDLandmarksImageProcessor}
    module.IMAGE_PROCESSOR_MAPPING.register(KDLandmarksConfig, classes, exist_ok=True)


def _enter_pipeline(module: ModuleType) -> None:
    # Imported already by this module, which has just been executed.
    from transformers.models.auto.modeling_auto import AutoModelForKeypointDetection

    if _TASK not in module.PIPELINE_REGISTRY.supported_tasks:  # transformers' own would come first
        module.PIPELINE_REGISTRY.register_pipeline(
            _TASK,
            pipeline_class=FaceLandmarkPipeline,
            pt_model=AutoModelForKeypointDetection,
            default={"model": (str(DEFAULT_FOLDER), None)},
            type="image",
        )


_TABLES = {
    _AUTO + "configuration_auto": _enter_config,
    _AUTO + "image_processing_auto": _enter_image_processor,
    "transformers.pipelines": _enter_pipeline,
}


def _enter(module: ModuleType) -> None:
    try:
        _TABLES[module.__name__](module)
    except (AttributeError, ImportError, TypeError) as error:
        warn(
            f"the Auto classes or pipelines of this transformers work differently ({error}): "
            "import kd_landmarks.models.registered before you load a detector with them",
            stacklevel=2,
        )


class _AfterImport(MetaPathFinder):
    """Has the stand-ins entered as soon as a module that defines a table has been executed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find the tables' modules where Python finds them; None for all others."""
        spec = PathFinder.find_spec(fullname, path, target) if fullname in _TABLES else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_enter(module: ModuleType) -> None:
            execute(module)
            _enter(module)

        spec.loader.exec_module = execute_and_enter  # type: ignore[method-assign]
        return spec


def register_on_demand() -> None:
    """Make transformers know detector and pipeline, now or when it is imported."""
    for name in _TABLES:
        if name in sys.modules:
            _enter(sys.modules[name])
    sys.meta_path.insert(0, _AfterImport())
