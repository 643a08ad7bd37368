"""Whether the first thing that a newcomer sees holds: the default training, with five seeds.

    python benchmarks/first_training.py --runs runs/first

Trains recipe `embedded` with seeds 0 to 4 (what is finished is not repeated), and tells what the
teachers brought in each, with its interval over faces. The sign has to be the same in all.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from record import print_table, record

from kd_landmarks.inference.checkpoints import METRICS

SEEDS = range(5)


def main(runs: Annotated[Path, typer.Option(help="Folder for the runs.")]) -> None:
    """Train what is missing, print and record."""
    told = [trained(runs / f"seed-{seed}", seed) for seed in SEEDS]
    networks = list(told[0]["networks"])
    gains = [one["teachers_gain"] for one in told]
    print_table(
        ("seed", *networks, "teachers bring, % (95 % interval)"),
        [
            (
                str(seed),
                *(f"{one['networks'][name]['test']['nme']:.2f}" for name in networks),
                f"{gain['percent']:.1f} ({gain['interval'][0]:.1f} to {gain['interval'][1]:.1f})",
            )
            for seed, one, gain in zip(SEEDS, told, gains, strict=True)
        ],
    )
    percents = [gain["percent"] for gain in gains]
    print(f"on the mean {np.mean(percents):.1f} %, least {min(percents):.1f} %")
    measured = {
        str(seed): {
            "nme": {name: one["networks"][name]["test"]["nme"] for name in networks},
            "teachers_gain": one["teachers_gain"],
        }
        for seed, one in zip(SEEDS, told, strict=True)
    }
    print(record("first_training", measured, SEEDS[0]))


def trained(folder: Path, seed: int) -> dict:
    """The metrics of a run, which is begun, continued or finished already."""
    if not (folder / METRICS).exists():
        words = ["--resume", str(folder)]
        if not (folder / "recipe.yaml").exists():
            words = ["--run.seed", str(seed), "--output", str(folder)]
        done = subprocess.run([sys.executable, "-m", "kd_landmarks", "train", *words])
        if done.returncode:
            sys.exit(f"seed {seed} ended with exit status {done.returncode}")
    return json.loads((folder / METRICS).read_text(encoding="utf-8"))


if __name__ == "__main__":
    typer.run(main)
