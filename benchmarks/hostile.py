"""Damaged photos, clips, checkpoints, data and recipes: what comes of each, how soon, at what cost.

    python benchmarks/hostile.py
    python benchmarks/hostile.py --only photos

Makes them all itself, in a temporary folder and always the same ones, and tries each in a process
of its own. Ends with 1 where anything but an answer or a clear refusal came, and records
`results/hostile.json` where all were tried. Needs Linux.
"""

import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import datasets
import huggingface_hub
import torch
import typer
from hostile_cases import Case, checkpoints, clips, data, photos
from hostile_cases.trial import ANSWERED, FOREIGN, REFUSED, Outcome, try_cases
from record import print_table, record
from tqdm.auto import tqdm

GROUPS = {"photos": photos, "clips": clips, "checkpoints": checkpoints, "data": data}
SEED = 0


def main(
    only: Annotated[str | None, typer.Option(help=f"One of {', '.join(GROUPS)}.")] = None,
) -> None:
    """Make, try, print and record."""
    if only is not None and only not in GROUPS:
        raise typer.BadParameter(f"there is no {only}: give one of {', '.join(GROUPS)}")
    names = list(GROUPS) if only is None else [only]
    start = time.monotonic()
    outcomes = {name: try_all(GROUPS[name].cases()) for name in names}
    header = ("tried", "answered", "refused clearly", "foreign errors", "longest, s", "most MB")
    print_table(
        ("", *header), [(name, *summary(found).values()) for name, found in outcomes.items()]
    )
    foreign = [
        (name, one) for name, found in outcomes.items() for one in found if one.kind == FOREIGN
    ]
    for name, one in foreign:
        print(f"{name}, {one.name}: {one.told}")
    print(f"{time.monotonic() - start:.0f} s")
    if only is None:
        print(record("hostile", {name: told(found) for name, found in outcomes.items()}, SEED))
    sys.exit(1 if foreign else 0)


def try_all(cases: list[Case]) -> list[Outcome]:
    """Every case's outcome, in their order, nothing downloaded."""
    torch.set_num_threads(1)  # threads do not survive a fork
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as name:
        huggingface_hub.constants.HF_HUB_OFFLINE = True
        datasets.config.HF_DATASETS_CACHE = Path(name, "cache")
        photos.look(photos.picture())  # what is loaded once is loaded before the fork
        found = try_cases(cases, Path(name), SEED)
        by_name = {one.name: one for one in tqdm(found, total=len(cases), leave=False)}
    return [by_name[case.name] for case in cases]


def summary(outcomes: list[Outcome]) -> dict[str, Any]:
    """How many came to what, and the most that one took."""
    kinds = Counter(one.kind for one in outcomes)
    return {
        "tried": len(outcomes),
        "answered": kinds[ANSWERED],
        "refused": kinds[REFUSED],
        "foreign": kinds[FOREIGN],
        "seconds": round(max(one.seconds for one in outcomes), 2),
        "megabytes": round(max(one.megabytes for one in outcomes)),
    }


def told(outcomes: list[Outcome]) -> dict[str, Any]:
    """What is recorded of a group."""
    slow = sorted(outcomes, key=lambda one: -one.seconds)[:5]
    large = sorted(outcomes, key=lambda one: -one.megabytes)[:5]
    return {
        **summary(outcomes),
        "slowest": {one.name: round(one.seconds, 2) for one in slow},
        "largest": {one.name: round(one.megabytes) for one in large},
        "foreign_errors": {one.name: one.told for one in outcomes if one.kind == FOREIGN},
    }


if __name__ == "__main__":
    typer.run(main)
