"""What a card tells of a checkpoint, from its own files and those of its run."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import KDLandmarksError, shown
from ..inference.checkpoints import METRICS, RECIPE, TRAINING, WEIGHTS, find_checkpoint
from ..inference.facts import count_parameters
from ..models import KDLandmarksConfig
from ..models.loading import load_config, load_processor
from ..schemes import LandmarkScheme, get_scheme
from ..training.recipe import load_recipe
from ..training.recipe_settings import STAGES, NetworkSettings, Recipe
from ..utils.parsing import read_json_object
from .measurements import Measurement, named_measurements, run_measurement
from .released import ReleasedTexts, released_texts

ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True)
class Training:
    """How a network was trained, as far as its files tell.

    Attributes:
        settings: its section of the recipe.
        seconds, steps: what it took.
        recipe: of the whole run.
        faces: number of training, validation and test faces.
        soft_landmarks_nme: of the Soft-landmarks, in percent.
        versions: of Python and the libraries.
    """

    settings: Mapping[str, Any]
    seconds: float | None = None
    steps: int | None = None
    recipe: Recipe | None = None
    faces: Mapping[str, int] | None = None
    soft_landmarks_nme: float | None = None
    versions: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Checkpoint:
    """A finished detector on disk.

    Attributes:
        folder: where it is.
        name: what it is called.
        config: of the network.
        crop_margin: side of its square crop in longer sides of the face box.
        scheme: its landmarks.
        parameters: their number.
        megabytes: of the weights file.
        precision: of the weights in the file, such as float16.
        tests: what it scored.
        milliseconds: for one face on one CPU thread.
        machine: that `milliseconds` were measured on.
        training: how it was trained.
        texts: what people wrote about it, where it is a released one.
    """

    folder: Path
    name: str
    config: KDLandmarksConfig
    crop_margin: float
    scheme: LandmarkScheme
    parameters: int
    megabytes: float
    precision: str
    tests: tuple[Measurement, ...] = ()
    milliseconds: float | None = None
    machine: str | None = None
    training: Training | None = None
    texts: ReleasedTexts | None = None


class _Told(BaseModel):
    """A part of a JSON file beside the weights; what it does not name is of no concern here."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False, str_max_length=200)


class _History(_Told):
    """`training.json`."""

    settings: NetworkSettings
    seconds: float = Field(0, ge=0)
    steps: int = Field(0, ge=0)


class _OfRun(_Told):
    """`metrics.json` of a run."""

    networks: dict[str, dict[str, Any]] = {}
    protocol: dict[str, Any] = {}
    faces: dict[str, Annotated[int, Field(ge=0)]] | None = None
    soft_landmarks_nme: float | None = Field(None, ge=0)
    versions: dict[str, str] | None = None


class _BesideFigures(_Told):
    """What `metrics.json` beside weights tells besides figures."""

    machine: str | None = None
    training: _History | None = None


def read_checkpoint(folder: str | Path) -> Checkpoint:
    """Everything there is to tell, without loading the weights.

    Raises:
        KDLandmarksError: for what is not the folder of a kd-landmarks checkpoint, or broken files.
    """
    folder = Path(os.path.expanduser(folder))
    if not os.path.isdir(folder):
        raise KDLandmarksError(f"{folder} is not a folder: give a stage's folder in a finished run")
    files = find_checkpoint(folder.resolve())
    config = load_config(files)
    processor = load_processor(files, config)
    if config.scheme is None:
        raise KDLandmarksError(
            f"{folder} does not say what its {config.num_landmarks} landmarks are: set "
            "config.scheme = get_scheme(NAME).to_dict() and save it again"
        )
    weights = folder / WEIGHTS
    parameters, precision = count_parameters(weights)
    found: dict[str, Any] = {"name": folder.resolve().name}
    found |= _of_run(folder.resolve())
    found |= _beside_weights(folder, found.get("training"))
    return Checkpoint(
        folder=folder,
        config=config,
        crop_margin=processor.crop_margin,
        scheme=get_scheme(config.scheme),
        parameters=parameters,
        megabytes=weights.stat().st_size / 1e6,
        precision=precision,
        texts=released_texts(weights),
        **found,
    )


def _of_run(folder: Path) -> dict[str, Any]:
    """What the run knows of its stage, or nothing where the folder is not a stage of a run."""
    run, stage = folder.parent, folder.name
    if stage not in STAGES or not (run / RECIPE).is_file():
        return {}
    recipe = load_recipe(run / RECIPE, ignore_unknown=True)
    found: dict[str, Any] = {"name": f"{run.name}-{stage.replace('_', '-')}"}
    settings = getattr(recipe, stage).model_dump(mode="json")
    training = Training(settings=settings, recipe=recipe)
    if (run / METRICS).is_file():
        facts = _checked(_OfRun, read_json_object(run / METRICS), run / METRICS)
        entry = facts.networks.get(stage, {})
        if entry:
            data = recipe.data
            found["tests"] = (
                run_measurement(
                    entry, facts.protocol, str(data.source), data.test_split, run / METRICS
                ),
            )
            found["milliseconds"] = _time(entry.get("torch_ms_per_face"), run / METRICS)
        training = replace(
            training,
            faces=facts.faces,
            soft_landmarks_nme=facts.soft_landmarks_nme,
            versions=facts.versions,
        )
    return {**found, "training": training}


def _beside_weights(folder: Path, training: Training | None) -> dict[str, Any]:
    """What metrics.json and training.json in the folder itself say, which goes before the run."""
    found: dict[str, Any] = {}
    history = None
    if (folder / METRICS).is_file():
        values = read_json_object(folder / METRICS)
        facts = _checked(_BesideFigures, values, folder / METRICS)
        if values:
            found["tests"] = named_measurements(values, folder / METRICS)
        if "milliseconds" in values:
            found["milliseconds"] = _time(values["milliseconds"], folder / METRICS)
        if facts.machine is not None:
            found["machine"] = facts.machine
        history = facts.training
    if history is None and (folder / TRAINING).is_file():
        history = _checked(_History, read_json_object(folder / TRAINING), folder / TRAINING)
    if history is not None:
        known = history.model_dump(mode="json", exclude_unset=True)
        found["training"] = replace(training or Training(settings={}), **known)
    return found


def _checked(model: type[ModelT], values: dict[str, Any], path: Path) -> ModelT:
    try:
        # Settings of earlier versions are left out, too.
        return model.model_validate(values, extra="ignore")
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise KDLandmarksError(
            f"{path}: {place}: {first['msg']}, not {shown(first['input'])}: fix it, or remove the "
            "file to have a card without what it tells"
        ) from error


def _time(value: Any, path: Path) -> float | None:
    """Milliseconds a face."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
        raise KDLandmarksError(f"{path}: milliseconds is {shown(value)}, no time")
    return value
