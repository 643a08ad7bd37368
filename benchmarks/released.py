"""The released models on real faces: README's headline table.

    python benchmarks/released.py --data "$KD_LANDMARKS_DATA"

Scores every network of `checkpoints/` and the one inside the package on 300W common (all faces,
ground-truth box and the iBUG detector's box) and on the 106 WFLW faces with 68 points, times each
beside the first trial's network (MobileNetV2, 128 pixels, integral head, untrained), and says what
teachers bought the student. Writes the figures beside each network's weights too, for its card.
"""

import json
import statistics
import time
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from record import RESULTS, TRAINING, print_table, processor_name, record, shrink_picture
from scipy.stats import wilcoxon
from transformers.utils import logging as transformers_logging

import kd_landmarks
from kd_landmarks import KDLandmarksConfig, KDLandmarksForKeypointDetection, load_rows
from kd_landmarks.evaluation.evaluate import Evaluation, evaluate_detector
from kd_landmarks.evaluation.metrics import bootstrap_interval
from kd_landmarks.evaluation.plots import plot_ced
from kd_landmarks.models.loading import load_detector
from kd_landmarks.schemes import get_scheme
from kd_landmarks.training.run_folder import METRICS
from kd_landmarks.utils.files import write_json

CHECKPOINTS = Path(__file__).parent.parent / "checkpoints"
SCHEME = get_scheme("ibug68")
STUDENT, ALONE = "mobilenetv2-300w", "mobilenetv2-300w-no-teachers"
# Name, path below --data, split, box.
TESTS = (
    ("300W common", "300w", "common", "gt"),
    ("300W common, iBUG detector's box", "300w", "common", "dataset"),
    ("WFLW, 106 faces", "wflw/faces.jsonl", None, "gt"),
)
SEED = 0


def main(data: Annotated[Path, typer.Option(help="Folder with 300w/ and wflw/.")]) -> None:
    """Score, time, print, draw and record."""
    transformers_logging.disable_progress_bar()
    folders = {STUDENT: Path(kd_landmarks.default_checkpoint())}
    folders |= {path.parent.name: path.parent for path in sorted(CHECKPOINTS.glob("*/config.json"))}
    detectors = {name: load_detector(folder) for name, folder in folders.items()}
    scores: dict[str, dict[str, Evaluation]] = {name: {} for name in detectors}
    for test, path, split, box in TESTS:
        rows = load_rows(data / path, split, scheme=SCHEME, box=box)
        for name, (model, processor) in detectors.items():
            scores[name][test] = evaluate_detector(model, processor, rows, SCHEME)
    times = milliseconds({name: model for name, (model, _) in detectors.items()})
    trial = times.pop("trial")
    first, detected, wflw = (test for test, *_ in TESTS)
    table = []
    for name, found in scores.items():
        common = found[first].result
        table.append(
            (
                name,
                f"{found[first].parameters / 1e6:.2f} M",
                detectors[name][0].config.image_size,
                f"{common.nme:.2f}",
                f"{common.failure_rate_8:.2f}",
                f"{common.failure_rate_10:.2f}",
                f"{common.auc_10:.3f}",
                f"{found[detected].result.nme:.2f}",
                f"{found[wflw].result.nme:.2f}",
                f"{times[name] / trial:.2f}",
            )
        )
    header = ("model", "parameters", "input", "NME %", "FR8 %", "FR10 %", "AUC10")
    print_table((*header, "NME %, detector's box", "WFLW NME %", "time"), table)
    asked = {test: {"data": path, "split": split, "box": box} for test, path, split, box in TESTS}
    entries: dict[str, Any] = {
        name: {
            "tests": {
                test: {**asked[test], **scored.to_dict(), "errors": scored.result.errors}
                for test, scored in found.items()
            },
            "bytes": (folders[name] / "model.safetensors").stat().st_size,
            "milliseconds": times[name],
            "image_size": detectors[name][0].config.image_size,
        }
        for name, found in scores.items()
    }
    # The order of each test's errors, which is every network's.
    faces = {test: scored.sources for test, scored in scores[STUDENT].items()}
    measured: dict[str, Any] = {"models": entries, "faces": faces, "trial_milliseconds": trial}
    if ALONE in scores:
        measured["gain"] = gain(*(scores[name][first].result.errors for name in (ALONE, STUDENT)))
        print(
            "bought by the teachers: {mean:.3f} points of NME ({percent:.1f} %), 95 % interval "
            "{interval_low:.3f} to {interval_high:.3f}, Wilcoxon p {wilcoxon_p:.1g}".format(
                **measured["gain"]
            )
        )
    # Before anything else is written: the record says whether the tree was clean.
    print(record("released", measured, SEED))
    for name, entry in entries.items():
        write_metrics(folders[name], name, entry)
    for test, file in ((first, "released_ced"), (wflw, "released_ced_wflw")):
        curves = {name: found[test].result.errors for name, found in scores.items()}
        count = scores[STUDENT][test].result.faces
        title = f"{test}, {count} faces, ground-truth box"
        shrink_picture(plot_ced(curves, RESULTS / f"{file}.png", title=title))


def write_metrics(folder: Path, name: str, entry: dict[str, Any]) -> None:
    """What a card reads, beside the weights: scores, time and how the network was trained."""
    training = json.loads((TRAINING / f"{name}.json").read_text(encoding="utf-8"))
    del training["history"]
    # Each face's error is in the benchmark's record.
    tests = {
        test: {key: value for key, value in scores.items() if key != "errors"}
        for test, scores in entry["tests"].items()
    }
    metrics = {
        "tests": tests,
        "milliseconds": entry["milliseconds"],
        "machine": processor_name(),
        "training": training,
    }
    write_json(folder / METRICS, metrics)


def gain(alone: list[float], taught: list[float]) -> dict[str, float]:
    """How much smaller the errors are with teachers, face by face."""
    difference = np.subtract(alone, taught)
    mean, low, high = bootstrap_interval(difference, seed=SEED)
    return {
        "mean": mean,
        "interval_low": low,
        "interval_high": high,
        "percent": 100 * mean / float(np.mean(alone)),
        "wilcoxon_p": float(wilcoxon(difference).pvalue),
    }


def milliseconds(
    models: dict[str, KDLandmarksForKeypointDetection], rounds: int = 100
) -> dict[str, float]:
    """Median time of one face on one thread, all networks and the trial's taking turns."""
    torch.manual_seed(SEED)
    trial = KDLandmarksForKeypointDetection(KDLandmarksConfig()).eval()
    networks = {"trial": trial, **models}
    times: dict[str, list[float]] = {name: [] for name in networks}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.inference_mode():
        for name, model in chain.from_iterable(networks.items() for _ in range(rounds)):
            face = torch.zeros(1, 3, model.config.image_size, model.config.image_size)
            start = time.perf_counter()
            model(pixel_values=face)
            times[name].append(1000 * (time.perf_counter() - start))
    torch.set_num_threads(threads)
    return {name: statistics.median(values[rounds // 10 :]) for name, values in times.items()}


if __name__ == "__main__":
    typer.run(main)
