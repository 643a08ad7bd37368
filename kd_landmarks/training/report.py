"""What a run leaves to look at: metrics.json, a table, the CED plot and drawn predictions."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from datasets import Dataset

from ..data.columns import spread
from ..evaluation.examiner import Examiner, Predictions, milliseconds_per_face
from ..evaluation.plots import plot_ced
from ..evaluation.report import SCORE_COLUMNS, face_pictures, score_cells, versions
from ..imaging.drawing import contact_sheet
from ..imaging.output import save_drawing
from ..models.loading import load_detector
from ..schemes import LandmarkScheme
from ..utils.files import write_json
from ..utils.tables import text_table
from .data import FaceSets
from .recipe import Recipe
from .recipe_settings import STAGE_LABELS, STAGES
from .run_folder import METRICS, stage_is_finished

# Sheet of predictions: this many faces, spread over the test set.
DRAWN_FACES = 6


@dataclass(frozen=True)
class ExaminedNetwork:
    """A finished network: what metrics.json says of it, and its predictions on the measured set."""

    entry: dict[str, Any]
    predictions: Predictions


def examine_networks(
    accelerator: Accelerator, folder: Path, sets: FaceSets, scheme: LandmarkScheme, margin: float
) -> dict[str, ExaminedNetwork]:
    """Score every finished network of a run on its validation and test faces.

    Every process takes part; the drawn and plotted set is the test set, where there is one.
    """
    examined = {}
    for stage in STAGES:
        if not stage_is_finished(folder, stage):
            continue
        model, processor = load_detector(folder / stage)
        model = model.to(accelerator.device)
        size = model.config.image_size
        entry: dict[str, Any] = {}
        for name in ("validation", "test"):
            rows = getattr(sets, name)
            if rows is not None:
                found = Examiner(accelerator, rows, scheme, size, margin)(model, processor)
                entry[name] = found.result.to_dict()
        entry["parameters"] = sum(value.numel() for value in model.parameters())
        if accelerator.is_main_process:
            entry["torch_ms_per_face"] = milliseconds_per_face(model)
        examined[stage] = ExaminedNetwork(entry, found)
    return examined


def write_report(
    folder: Path,
    recipe: Recipe,
    sets: FaceSets,
    scheme: LandmarkScheme,
    networks: Mapping[str, ExaminedNetwork],
    soft_nme: float,
) -> str:
    """Write metrics.json, ced.png and predictions.png; return the table to print."""
    split = "validation" if sets.test is None else "test"
    rows = getattr(sets, split)
    data = recipe.data
    entries = {stage: network.entry for stage, network in networks.items()}
    metrics = {
        "recipe": recipe.name,
        "protocol": {"scheme": scheme.name, "box": data.box, "crop_margin": data.crop_margin},
        "faces": {name: len(part) for name, part in vars(sets).items() if part is not None},
        "soft_landmarks_nme": soft_nme,
        "seed": recipe.run.seed,
        "versions": versions(),
        "networks": entries,
    }
    write_json(folder / METRICS, metrics)
    predictions = {stage: network.predictions for stage, network in networks.items()}
    title = f"{recipe.name}, {len(rows)} {split} faces, inter-ocular, box: {data.box}"
    draw_ced(predictions, title, folder / "ced.png")
    drawn = folder / "predictions.png"
    draw_predictions(rows, predictions, scheme, data.crop_margin, drawn)
    return (
        f"\n{title}\n{results_table(entries)}\n"
        f"Soft-landmarks against the ground truth: {soft_nme:.2f} % NME\n"
        "ms per face: PyTorch, one CPU thread, batch 1, median\n\n"
        f"{folder}: {', '.join(networks)} (each for from_pretrained), {METRICS}, ced.png, "
        "predictions.png, recipe.yaml"
    )


def results_table(networks: Mapping[str, Mapping[str, Any]]) -> str:
    """The networks of a run side by side, as text.

    Args:
        networks: stage to its entry in metrics.json.
    """
    rows = [("network", *SCORE_COLUMNS, "parameters", "ms per face")]
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
    predictions: Mapping[str, Predictions],
    scheme: LandmarkScheme,
    margin: float,
    path: Path,
) -> None:
    """One row of pictures per network: its points over the ground truth on a few faces.

    Args:
        rows: the faces measured.
        predictions: stage to its points on them.
        scheme: of the points.
        margin: of the networks' crop.
        path: of the PNG to write.
    """
    chosen = spread(len(rows), DRAWN_FACES)
    pictures = [
        picture
        for found in predictions.values()
        for picture in face_pictures(rows, found.points, chosen, scheme, margin)
    ]
    save_drawing(contact_sheet(pictures, columns=len(chosen)), path, "plots")


def draw_ced(predictions: Mapping[str, Predictions], title: str, path: Path) -> None:
    """Cumulative error curves of the run's networks."""
    curves = {STAGE_LABELS[stage]: found.result.errors for stage, found in predictions.items()}
    plot_ced(curves, path, title=title)
