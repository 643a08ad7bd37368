"""Tells the Auto classes of transformers about the detector, without importing it or transformers.

transformers keeps two tables by which `from_pretrained` finds classes: configurations by the
`model_type` in config.json, image processors by their class's name in preprocessor_config.json.
Stand-ins go into both, at once where a table is there already, else as soon as transformers has
made it. The first one used imports `kd_landmarks.models`, which registers the real classes, the
model among them.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any
from warnings import warn

_AUTO = "transformers.models.auto."


class _StandIn(type):
    """Classes that hand everything on to the class of their own name in `kd_landmarks.models`."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):  # what Python and its tools ask of any class
            raise AttributeError(name)
        return getattr(cls._real(), name)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return cls._real()(*args, **kwargs)

    def _real(cls) -> Any:
        return getattr(import_module("kd_landmarks.models"), cls.__name__)


class KDLandmarksConfig(metaclass=_StandIn):
    """Stands in for `kd_landmarks.models.KDLandmarksConfig`."""


class KDLandmarksImageProcessor(metaclass=_StandIn):
    """Stands in for `kd_landmarks.models.KDLandmarksImageProcessor`."""


def _enter_config(module: ModuleType) -> None:
    module.CONFIG_MAPPING.register("kd_landmarks", KDLandmarksConfig, exist_ok=True)


def _enter_image_processor(module: ModuleType) -> None:
    classes = {"torchvision": KDLandmarksImageProcessor}
    module.IMAGE_PROCESSOR_MAPPING.register(KDLandmarksConfig, classes, exist_ok=True)


_TABLES = {
    _AUTO + "configuration_auto": _enter_config,
    _AUTO + "image_processing_auto": _enter_image_processor,
}


def _enter(module: ModuleType) -> None:
    try:
        _TABLES[module.__name__](module)
    except (AttributeError, TypeError) as error:
        warn(
            f"the Auto classes of this transformers work differently ({error}): import "
            "kd_landmarks.models before you load a detector with them",
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
    """Make the Auto classes know the detector, now or when transformers is imported."""
    for name in _TABLES:
        if name in sys.modules:
            _enter(sys.modules[name])
    sys.meta_path.insert(0, _AfterImport())
