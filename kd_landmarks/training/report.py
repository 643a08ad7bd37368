"""What a run leaves to look at: metrics.json, a table, the CED plot and drawn predictions."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from datasets import Dataset
from numpy.typing import NDArray

from ..data.columns import evenly_spaced
from ..evaluation.evaluate import measure
from ..evaluation.metrics import EvaluationResult, gain_interval
from ..evaluation.plots import plot_ced
from ..evaluation.predictions import milliseconds_per_face, predict_rows
from ..evaluation.report import SCORE_COLUMNS, face_pictures, score_cells, versions
from ..imaging.drawing import contact_sheet
from ..imaging.output import save_drawing
from ..inference.checkpoints import METRICS
from ..models.loading import load_detector
from ..schemes import LandmarkScheme
from ..utils.files import write_json
from ..utils.tables import text_table
from .data import HELD_BACK, FaceSets
from .recipe_settings import STAGE_LABELS, STAGES, Recipe
from .run_folder import stage_is_finished

# Sheet of predictions: this many faces, spread over the test set.
DRAWN_FACES = 6


@dataclass(frozen=True)
class ExaminedNetwork:
    """A finished network.

    Attributes:
        entry: what metrics.json says of it.
        points: (rows, N, 2) its landmarks on the measured faces, in photo pixels.
        result: their errors.
    """

    entry: dict[str, Any]
    points: NDArray[np.float64]
    result: EvaluationResult


def examine_networks(
    accelerator: Accelerator, folder: Path, sets: FaceSets, scheme: LandmarkScheme
) -> dict[str, ExaminedNetwork]:
    """Score every finished network of a run on its validation, test and held-back faces.

    Every process takes part; the drawn and plotted set is the test set, where there is one.
    """
    examined: dict[str, ExaminedNetwork] = {}
    for stage in STAGES:
        if not stage_is_finished(folder, stage):
            continue
        model, processor = load_detector(folder / stage)
        model = model.to(accelerator.device)
        entry: dict[str, Any] = {}
        for name, rows in sets.all_measured.items():
            found = predict_rows(model, processor, rows, accelerator=accelerator).points
            scores = measure(found, rows, scheme)
            entry[name] = scores.to_dict()
            if name in ("validation", "test"):
                points, result = found, scores
        entry["parameters"] = sum(value.numel() for value in model.parameters())
        if accelerator.is_main_process:
            entry["torch_ms_per_face"] = milliseconds_per_face(model)
        examined[stage] = ExaminedNetwork(entry, points, result)
    return examined


def write_report(
    folder: Path,
    recipe: Recipe,
    sets: FaceSets,
    scheme: LandmarkScheme,
    networks: Mapping[str, ExaminedNetwork],
    soft_nme: float | None,
) -> str:
    """Write metrics.json, ced.png and predictions.png; return the table to print."""
    split = "validation" if sets.test is None else "test"
    rows = getattr(sets, split)
    data = recipe.data
    entries = {stage: network.entry for stage, network in networks.items()}
    gain = teachers_gain(networks)
    metrics = {
        "recipe": recipe.name,
        "protocol": {"scheme": scheme.name, "box": data.box, "crop_margin": data.crop_margin},
        "faces": {
            name: len(part)
            for name in ("train", "validation", "test")
            if (part := getattr(sets, name)) is not None
        },
        "soft_landmarks_nme": soft_nme,
        "seed": recipe.run.seed,
        "versions": versions(),
        "networks": entries,
        "teachers_gain": gain,
    }
    write_json(folder / METRICS, metrics)
    told = scheme.normalizer.replace("_", "-")
    title = f"{recipe.name}, {len(rows)} {split} faces, {told}, box: {data.box}"
    soft = f"Soft-landmarks against the ground truth: {soft_nme:.2f} % NME\n" if soft_nme else ""
    curves = {STAGE_LABELS[stage]: network.result.errors for stage, network in networks.items()}
    plot_ced(curves, folder / "ced.png", title)
    points = {stage: network.points for stage, network in networks.items()}
    draw_predictions(rows, points, scheme, data.crop_margin, folder / "predictions.png")
    return (
        f"\n{title}\n{results_table(entries)}\n"
        f"{_held_back_lines(entries)}"
        f"{_gain_line(gain, recipe)}"
        f"{soft}"
        "ms per face: PyTorch, one CPU thread, batch 1, median\n\n"
        f"{folder}: {', '.join(networks)} (each for from_pretrained), {METRICS}, ced.png, "
        "predictions.png, recipe.yaml"
    )


def teachers_gain(networks: Mapping[str, ExaminedNetwork]) -> dict[str, Any] | None:
    """How much lower the student's error is than that of the student alone; None without both.

    Returns:
        `percent` of the latter, and its 95 % bootstrap `interval` over faces.
    """
    if not {"student", "baseline"} <= set(networks):
        return None
    alone, taught = (networks[stage].result.errors for stage in ("baseline", "student"))
    percent, *interval = gain_interval(alone, taught)
    return {"percent": percent, "interval": interval}


def _gain_line(gain: Mapping[str, Any] | None, recipe: Recipe) -> str:
    """The gain as a line, and how teachers bring it; empty where there is none to tell."""
    if gain is None:
        return ""
    low, high = gain["interval"]
    how = (
        "with pseudo-labels on faces that the student without teachers cannot learn from"
        if recipe.unlabeled.given
        else "with the same labeled faces as the student without teachers"
    )
    return (
        f"Less error with teachers: {gain['percent']:.1f} % (95 % interval "
        f"{low:.1f} to {high:.1f}), {how}\n"
    )


def _held_back_lines(networks: Mapping[str, Mapping[str, Any]]) -> str:
    """Every network's error on the held-back faces of each further source, a line each."""
    parts = [name for name in next(iter(networks.values()), {}) if name.startswith(HELD_BACK)]
    return "".join(
        f"NME on faces {part}: "
        + ", ".join(f"{STAGE_LABELS[s]} {one[part]['nme']:.2f} %" for s, one in networks.items())
        + "\n"
        for part in parts
    )


def results_table(networks: Mapping[str, Mapping[str, Any]]) -> str:
    """The networks of a run side by side, as text.

    Args:
        networks: stage to its entry in metrics.json.
    """
    rows: list[tuple[str, ...]] = [("network", *SCORE_COLUMNS, "parameters", "ms per face")]
    rows += [
        (
            STAGE_LABELS[stage],
            *score_cells(entry["test"] if "test" in entry else entry["validation"]),
            f"{entry['parameters'] / 1e6:.2f} M",
            f"{entry['torch_ms_per_face']:.2f}",
        )
        for stage, entry in networks.items()
    ]
    return text_table(rows)


def draw_predictions(
    rows: Dataset,
    points: Mapping[str, NDArray[np.float64]],
    scheme: LandmarkScheme,
    margin: float,
    path: Path,
) -> None:
    """One row of pictures per network: its points over the ground truth on a few faces.

    Args:
        rows: the faces measured.
        points: stage to its points on them, (rows, N, 2).
        scheme: of the points.
        margin: of the networks' crop.
        path: of the PNG to write.
    """
    chosen = evenly_spaced(len(rows), DRAWN_FACES)
    pictures = [
        picture
        for found in points.values()
        for picture in face_pictures(rows, found, chosen, scheme, margin)
    ]
    save_drawing(contact_sheet(pictures, columns=len(chosen)), path, "plots")
