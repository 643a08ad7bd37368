"""The figures of a card, read from `metrics.json`.

A checkpoint's figures stand in one of

- `metrics.json` beside its weights: `{"tests": {NAME: TEST, …}}`, where each TEST is what
  `kd-landmarks evaluate --json` writes, with or without `errors`; or one such TEST alone.
  Optional beside `tests`: `milliseconds` (a face, one CPU thread, PyTorch), `machine` (which that
  was measured on) and `training` (what a run's `training.json` has);
- `metrics.json` of the run that the checkpoint is a stage of.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import KDLandmarksError, shown
from ..evaluation.metrics import bootstrap_interval
from ..inference.facts import score_cells

MOST_ERRORS = 30_000
"""Faces of a file whose errors are drawn from at random, 10,000 times, for intervals."""


class Scores(BaseModel):
    """What some faces scored, as `kd_landmarks.evaluation.metrics.ErrorSummary`."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    nme: float = Field(ge=0)
    failure_rate_8: float = Field(ge=0, le=100)
    failure_rate_10: float = Field(ge=0, le=100)
    auc_8: float = Field(ge=0, le=1)
    auc_10: float = Field(ge=0, le=1)
    faces: int = Field(ge=1)

    def cells(self) -> tuple[str, ...]:
        """Of a table: the faces and the scores."""
        return (str(self.faces), *score_cells(self.model_dump()))


class Measurement(Scores):
    """One test of a detector, with the protocol.

    Attributes:
        name: of the test.
        data: the path or Hub id that was tested on.
    """

    name: str = Field(min_length=1)
    normalizer: str
    box: str
    data: str | None = None
    split: str | None = None
    interval: tuple[float, float] | None = None
    subsets: dict[str, Scores] = {}
    attributes: dict[str, Scores] = {}

    @property
    def parts(self) -> dict[str, Scores]:
        """Subsets, where there are several, and attributes."""
        return {**(self.subsets if len(self.subsets) > 1 else {}), **self.attributes}


def named_measurements(values: Mapping[str, Any], where: Path) -> tuple[Measurement, ...]:
    """The tests of a `metrics.json` beside weights.

    Raises:
        KDLandmarksError: if it is none.
    """
    tests = values.get("tests", {})
    if "nme" in values:
        place = [str(values.get(key) or "") for key in ("data", "split")]
        tests = {" ".join(filter(None, [Path(place[0]).name, place[1]])): values}
    if not isinstance(tests, dict) or not tests:
        raise KDLandmarksError(
            f'{where} has no figures: it is to have {{"tests": {{NAME: …}}}}, each as '
            "`kd-landmarks evaluate --json` writes it"
        )
    drawn = [
        len(test["errors"])
        for test in tests.values()
        if isinstance(test, dict) and isinstance(test.get("errors"), list)
    ]
    if sum(drawn) > MOST_ERRORS:
        raise KDLandmarksError(
            f"{where} has the errors of {sum(drawn)} faces, whose intervals would take minutes: "
            "leave `errors` out, and give each test its `interval`"
        )
    return tuple(_measurement(name, test, where) for name, test in tests.items())


def run_measurement(
    entry: Mapping[str, Any],
    protocol: Mapping[str, Any],
    data: str,
    test_split: str | None,
    where: Path,
) -> Measurement:
    """The test of a run's network, or its validation where there was no test.

    Args:
        entry: of the network in the run's `metrics.json`.
        protocol: of that file.
        data: what the recipe calls its faces.
        test_split: what the recipe calls its test faces.
        where: the file.

    Raises:
        KDLandmarksError: if it is not what a run writes.
    """
    split = "test" if "test" in entry else "validation"
    try:
        test = dict(entry[split])
        groups = test.get("groups", {})
        test["subsets"] = {name: part for name, part in groups.get("subset", {}).items() if name}
        test["attributes"] = {
            name: part["1"] for name, part in groups.items() if name != "subset" and "1" in part
        }
        test |= {"box": protocol["box"], "data": data}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise KDLandmarksError(f"{where} is not what a run writes: {error!r}") from error
    if data == "generated":
        return _measurement(f"generated faces, {split}", test, where)
    name = Path(data).name
    if split == "test" and test_split:
        return _measurement(f"{name} {test_split}", {**test, "split": test_split}, where)
    return _measurement(f"{name}, {split} faces", test, where)


def _measurement(name: str, test: Any, where: Path) -> Measurement:
    try:
        values = dict(test)
        faces = values.get("errors", ())
        errors = [face["nme"] if isinstance(face, dict) else face for face in faces]
        if errors and values.get("interval") is None:
            values["interval"] = bootstrap_interval(errors)[1:]
        found = Measurement.model_validate({**values, "name": cell(name)})
        if errors and not np.isclose(np.mean(errors), found.nme):
            raise ValueError(f"nme is {found.nme}, but the mean of errors {np.mean(errors)}")
    except ValidationError as error:
        first = error.errors()[0]
        reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise KDLandmarksError(
            f"{where}: invalid metrics of test {shown(name)}: {reason}"
        ) from error
    except (ArithmeticError, KeyError, TypeError, ValueError) as error:
        raise KDLandmarksError(
            f"{where}: invalid metrics of test {shown(name)}: {error}"
        ) from error
    return found


def cell(text: str) -> str:
    """Text that ends no cell of a table."""
    return " ".join(text.replace("|", "/").split())
