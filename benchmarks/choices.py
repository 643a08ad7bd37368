"""What was tried before the released networks were trained: one table of finished runs.

    python benchmarks/choices.py --data "$KD_LANDMARKS_DATA" "maps 0.6=runs/maps06/baseline" …

Each network was trained without the 300 validation faces of its run and measured on them there;
here it is measured on the 106 WFLW faces with 68 points as well, the development set of hard faces.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from record import print_table, record, without_paths
from transformers.utils import logging as transformers_logging

from kd_landmarks import load_rows
from kd_landmarks.evaluation.evaluate import evaluate_detector
from kd_landmarks.inference.checkpoints import METRICS, RECIPE
from kd_landmarks.models.loading import load_detector
from kd_landmarks.schemes import get_scheme

SCHEME = get_scheme("ibug68")


def main(
    networks: Annotated[list[str], typer.Argument(help="WORDS=RUN/STAGE of each.")],
    data: Annotated[Path, typer.Option(help="Folder with wflw/.")],
) -> None:
    """Measure, print and record."""
    transformers_logging.disable_progress_bar()
    rows = load_rows(data / "wflw/faces.jsonl", scheme=SCHEME)
    found: dict[str, dict[str, Any]] = {}
    for network in networks:
        words, _, place = network.rpartition("=")
        run, stage = Path(place).parent, Path(place).name
        model, processor = load_detector(place)
        hard = evaluate_detector(model, processor, rows, SCHEME).to_dict()
        del hard["errors"]
        metrics = json.loads((run / METRICS).read_text(encoding="utf-8"))
        recipe = yaml.safe_load((run / RECIPE).read_text(encoding="utf-8"))
        training = json.loads((run / stage / "training.json").read_text(encoding="utf-8"))
        found[words] = {
            "validation": metrics["networks"][stage]["validation"],
            "wflw": hard,
            "training": training["history"],
            "minutes": training["seconds"] / 60,
            "settings": without_paths(training["settings"]),
            "data": without_paths(recipe["data"]),
            "teachers": without_paths(recipe["teachers"]),
            "unlabeled": without_paths(recipe.get("unlabeled")),
            "seed": recipe["run"]["seed"],
        }
    print_table(
        ("tried", "validation NME %", "WFLW NME %", "WFLW FR10 %", "WFLW pose", "minutes"),
        [
            (
                words,
                f"{entry['validation']['nme']:.2f}",
                f"{entry['wflw']['nme']:.2f}",
                f"{entry['wflw']['failure_rate_10']:.1f}",
                f"{entry['wflw']['attributes']['pose']['nme']:.1f}",
                f"{entry['minutes']:.0f}",
            )
            for words, entry in found.items()
        ],
    )
    print(record("choices", found, seed=0))


if __name__ == "__main__":
    typer.run(main)
