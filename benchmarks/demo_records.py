"""What the demo shows of the recorded results, and its shape model.

    python benchmarks/demo_records.py --data "$KD_LANDMARKS_DATA"

Writes `kd_landmarks/demo/recorded/results.json` from the records in `benchmarks/results/`, whose
errors per face it keeps as curves, and, where `--data` is given, the shape model of the training
faces of 300W.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from record import RESULTS

from kd_landmarks import load_rows
from kd_landmarks.data.columns import point_array
from kd_landmarks.demo import recorded
from kd_landmarks.schemes import get_scheme
from kd_landmarks.training.shape_model import ShapeModel
from kd_landmarks.utils.files import write_json

CURVE_ERRORS = np.linspace(0, 10, 101)
SCORES = ("nme", "interval", "failure_rate_8", "failure_rate_10", "auc_10", "faces")
RETAINED_VARIANCE = 0.99


def main(
    data: Annotated[Path | None, typer.Option(help="Folder with 300w/, for the shapes.")] = None,
) -> None:
    """Write both files."""
    write_json(recorded.RESULTS, gather())
    print(recorded.RESULTS)
    if data is not None:
        rows = load_rows(data / "300w", "train", scheme=get_scheme("ibug68"))
        shapes = ShapeModel.fit(point_array(rows, "landmarks"), RETAINED_VARIANCE)
        print(shapes.save_pretrained(recorded.FOLDER), shapes)


def gather() -> dict[str, Any]:
    """The part of the records that is shown."""
    released, peers, confidence = (
        json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("released", "peers", "confidence")
    )
    measured = released["measured"]
    sure = confidence["measured"]["300W common"]
    return {
        "released": {
            **origin(released),
            "models": {name: network(told) for name, told in measured["models"].items()},
            "gain": measured["gain"],
        },
        "peers": {**origin(peers), **peers["measured"]},
        "confidence": {
            **origin(confidence),
            "risk_curve": thinned(sure["risk_curve"]),
            "best_curve": thinned(sure["best_curve"]),
        },
    }


def origin(record: dict[str, Any]) -> dict[str, Any]:
    """Where a record comes from."""
    return {key: record[key] for key in ("date", "commit", "machine", "seed")}


def network(told: dict[str, Any]) -> dict[str, Any]:
    """A released network's scores and error curves."""
    tests = {
        name: {key: test[key] for key in SCORES} | {"curve": curve(test["errors"])}
        for name, test in told["tests"].items()
    }
    parameters = next(iter(told["tests"].values()))["parameters"]
    kept = {key: told[key] for key in ("bytes", "milliseconds", "image_size")}
    return {**kept, "parameters": parameters, "tests": tests}


def curve(errors: list[float]) -> list[float]:
    """The share of faces, in percent, with an error of at most 0, 0.1, … 10 %."""
    found = np.searchsorted(np.sort(errors), CURVE_ERRORS, side="right") / len(errors)
    return (100 * found).round(2).tolist()


def thinned(values: list[float]) -> list[float]:
    """About a hundred of the values, the first and the last among them."""
    return [values[index] for index in np.linspace(0, len(values) - 1, 101).astype(int).tolist()]


if __name__ == "__main__":
    typer.run(main)
