"""The released models on real faces: README's headline table.

    python benchmarks/released.py --data "$KD_LANDMARKS_DATA"

Scores every network of `checkpoints/` and the one inside the package on 300W common (all faces,
ground-truth box and the iBUG detector's box), on the 106 WFLW faces with 68 points and on the faces
of AFLW that its training held back (turned ones by their visible points, in shares of the face box,
since an eye may be hidden). Times each beside the first trial's network (MobileNetV2, 128 pixels,
integral head, untrained), and says what teachers bought the student. Writes the figures beside each
network's weights too, for its card.
"""

import json
import statistics
import time
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
import typer
from record import RESULTS, TRAINING, print_table, processor_name, record, shrink_picture
from scipy.stats import wilcoxon
from transformers.utils import logging as transformers_logging

import kd_landmarks
from kd_landmarks import KDLandmarksConfig, KDLandmarksForKeypointDetection, load_rows
from kd_landmarks.data.splits import split_by_photo
from kd_landmarks.evaluation.evaluate import Evaluation, evaluate_detector
from kd_landmarks.evaluation.metrics import bootstrap_interval
from kd_landmarks.evaluation.plots import plot_ced
from kd_landmarks.inference.checkpoints import METRICS
from kd_landmarks.models.loading import load_detector
from kd_landmarks.schemes import get_scheme
from kd_landmarks.utils.files import write_json

CHECKPOINTS = Path(__file__).parent.parent / "checkpoints"
SCHEME = get_scheme("ibug68")
STUDENT, ALONE = "mobilenetv2-300w", "mobilenetv2-300w-no-teachers"
SEED = 0


class Test(NamedTuple):
    """What networks are measured on: a path below --data, a split, a box, and how."""

    data: str
    split: str | None = None
    box: str = "gt"
    normalizer: str = "inter_ocular"
    held_back: int = 0
    """So many faces of the recipe's seed, which no training saw; 0 for all."""


COMMON, DETECTED, WFLW = "300W common", "300W common, iBUG detector's box", "WFLW, 106 faces"
AFLW, TURNED = "AFLW, 100 faces", "AFLW, 100 turned faces"
TESTS = {
    COMMON: Test("300w", "common"),
    DETECTED: Test("300w", "common", "dataset"),
    WFLW: Test("wflw/faces.jsonl"),
    AFLW: Test("aflw68/train.jsonl", held_back=100),
    TURNED: Test("aflw68/train_self_occluded.jsonl", normalizer="box", held_back=100),
}


def main(data: Annotated[Path, typer.Option(help="Folder with 300w/ and wflw/.")]) -> None:
    """Score, time, print, draw and record."""
    transformers_logging.disable_progress_bar()
    folders = {STUDENT: Path(kd_landmarks.default_checkpoint())}
    folders |= {path.parent.name: path.parent for path in sorted(CHECKPOINTS.glob("*/config.json"))}
    detectors = {name: load_detector(folder) for name, folder in folders.items()}
    scores: dict[str, dict[str, Evaluation]] = {name: {} for name in detectors}
    for test, asked in TESTS.items():
        rows = load_rows(data / asked.data, asked.split, scheme=SCHEME, box=asked.box)
        if asked.held_back:
            _, rows = split_by_photo(rows, asked.held_back, SEED)
        for name, (model, processor) in detectors.items():
            scores[name][test] = evaluate_detector(
                model, processor, rows, SCHEME, normalizer=asked.normalizer
            )
    times = milliseconds({name: model for name, (model, _) in detectors.items()})
    trial = times.pop("trial")
    table = []
    for name, found in scores.items():
        common = found[COMMON].result
        table.append(
            (
                name,
                f"{found[COMMON].parameters / 1e6:.2f} M",
                detectors[name][0].config.image_size,
                f"{common.nme:.2f}",
                f"{common.failure_rate_8:.2f}",
                f"{common.failure_rate_10:.2f}",
                f"{common.auc_10:.3f}",
                *(f"{found[test].result.nme:.2f}" for test in (DETECTED, WFLW, AFLW, TURNED)),
                f"{times[name] / trial:.2f}",
            )
        )
    header = ("model", "parameters", "input", "NME %", "FR8 %", "FR10 %", "AUC10")
    others = ("NME %, detector's box", "WFLW NME %", "AFLW NME %", "turned, % of box", "time")
    print_table((*header, *others), table)
    entries: dict[str, Any] = {
        name: {
            "tests": {
                test: {
                    **TESTS[test]._asdict(),
                    **scored.to_dict(),
                    "errors": scored.result.errors,
                }
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
        measured["gain"] = gain(*(scores[name][COMMON].result.errors for name in (ALONE, STUDENT)))
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
    curves = {name: found[COMMON].result.errors for name, found in scores.items()}
    title = f"{COMMON}, {scores[STUDENT][COMMON].result.faces} faces, ground-truth box"
    shrink_picture(plot_ced(curves, RESULTS / "released_ced.png", title=title))


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
