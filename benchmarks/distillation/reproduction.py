"""The paper in its own setting: what it reports, what comes out here, what teachers have in it.

    python benchmarks/distillation/paper_data.py --data "$KD_LANDMARKS_DATA" --runs runs/paper
    python benchmarks/distillation/run.py --only paper --data "$KD_LANDMARKS_DATA" \
        --runs runs/paper --weights DIR
    python benchmarks/distillation/reproduction.py

Reads the records of the arms of group `paper` and of paper_cofw.py, prints the tables, puts them
into docs/reproduction.md, and draws docs/reproduction.png: gains, and the error in training.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import typer
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).parents[1]))
from record import markdown_table
from report import COMMON, common_seeds, errors_of, gain, interval, over_seeds, with_tables
from training import REPOSITORY, RESULTS, plan

from kd_landmarks.training.recipe_settings import STAGE_LABELS

PAGE = REPOSITORY / "docs/reproduction.md"
PLOT = REPOSITORY / "docs/reproduction.png"
SEEN = ("visible", "hidden")
COFW = REPOSITORY / "benchmarks/results/paper_cofw.json"
# What is compared: title, the arm without, the arm with, what the paper reports in percent.
GAINS: tuple[tuple[str, str, str, float | None], ...] = (
    ("KD-Loss, author code, both teachers, against L2", "l2", "author-code", 9.4),
    ("KD-Loss, the paper's figures, against L2", "l2", "figures", 9.4),
    ("KD-Loss, our variant, against L2", "l2", "ours", None),
    ("Tough-Teacher alone, against L2", "l2", "tough", 2.0),
    ("Tolerant-Teacher alone, against L2", "l2", "tolerant", 5.1),
    ("teachers asked at every step, against L2", "l2", "online", None),
    ("loss: L1 instead of L2, no teacher", "l2", "l1", None),
    ("loss: KD-Loss's main term instead of L2", "l2", "main", None),
    ("teachers: both assistive terms beside that main term", "main", "author-code", None),
    ("teachers: KD-Loss, author code, against L1 without", "l1", "author-code", None),
)


def main() -> None:
    """Read, print, write and draw."""
    by_arm: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for file in sorted(RESULTS.glob("paper-*.json")):
        record = json.loads(file.read_text("utf-8"))
        by_arm[record["arm"]].append(record)
    if not by_arm:
        sys.exit(
            f"there are no records of group paper in {RESULTS}: run.py --only paper writes them"
        )
    gains = [
        gain(title, f"paper-{without}", f"paper-{with_}", paper, by_arm)
        for title, without, with_, paper in GAINS
        if common_seeds(f"paper-{without}", f"paper-{with_}", by_arm)
    ]
    arms = {arm["name"]: arm["about"] for arm in plan()["arms"] if by_arm.get(arm["name"])}
    tables = {"arms": arms_table(arms, by_arm), "gains": gains_table(gains)}
    if COFW.exists():
        tables["cofw"] = cofw_table(json.loads(COFW.read_text("utf-8"))["networks"])
    with_tables(PAGE, tables)
    draw(arms, by_arm)


def arms_table(arms: dict[str, str], by_arm: dict[str, list[dict[str, Any]]]) -> str:
    """Every arm's scores on 300W common, their spread over seeds, and the paper's own measure."""
    rows = []
    for name, about in arms.items():
        tests = [record["measured"]["test"] for record in by_arm[name]]
        rows.append(
            (
                about,
                len(tests),
                over_seeds([test["nme"] for test in tests], 3),
                f"{np.mean([test['failure_rate_8'] for test in tests]):.2f}",
                f"{np.mean([test['failure_rate_10'] for test in tests]):.2f}",
                f"{np.mean([record['stretched_nme'] for record in by_arm[name]]):.2f}",
            )
        )
    header = ("arm", "seeds", "NME % (spread over seeds)", "FR8 %", "FR10 %")
    return markdown_table((*header, "in the paper's stretched crop %"), rows)


def gains_table(gains: list[dict[str, Any]]) -> str:
    """Every comparison, beside what the paper reports."""
    rows = [
        (
            one["title"],
            one["seeds"],
            interval(one[COMMON]),
            ", ".join(f"{value:.1f}" for value in one["by_seed"]),
            "" if one["target"] is None else f"{one['target']:g}",
        )
        for one in gains
    ]
    gain_on_common = f"gain on {COMMON}, % of the error (95 % interval over faces)"
    return markdown_table(
        ("what is compared", "seeds", gain_on_common, "by seed", "the paper"), rows
    )


def cofw_table(networks: dict[str, Any]) -> str:
    """Every network's error on all 29 landmarks, on the visible and on the hidden ones."""
    rows = [
        (
            STAGE_LABELS[stage],
            f"{told['nme']:.2f}",
            *(f"{told['groups'][f'landmarks: {kind}']['nme']:.2f}" for kind in SEEN),
        )
        for stage, told in networks.items()
    ]
    return markdown_table(("network", "NME %", *(f"{kind} landmarks" for kind in SEEN)), rows)


def draw(arms: dict[str, str], by_arm: dict[str, list[dict[str, Any]]]) -> None:
    """The error on validation faces in training, and on 300W common at the end, by seed."""
    figure = Figure(figsize=(11, 4.5), dpi=110, layout="constrained")
    curves, ends = figure.subplots(1, 2)
    for row, (name, about) in enumerate(arms.items()):
        records = by_arm[name]
        told = [
            [(at["epoch"], at["validation_nme"]) for at in one["history"] if "validation_nme" in at]
            for one in records
        ]
        epochs, errors = np.mean(told, axis=0).T
        curves.plot(epochs, errors, label=about, color=f"C{row}")
        scores = [errors_of([one], COMMON).mean() for one in records]
        ends.plot(scores, [row] * len(scores), "o", color=f"C{row}")
    curves.set(xlabel="epoch", ylabel="NME on validation faces, %", yscale="log")
    curves.legend(fontsize="x-small")
    ends.set_yticks(range(len(arms)), arms.values(), fontsize="small")
    ends.set_xlabel("NME on 300W common, %, a dot a seed")
    ends.grid(axis="x", alpha=0.3)
    PLOT.parent.mkdir(exist_ok=True)
    figure.savefig(PLOT)


if __name__ == "__main__":
    typer.run(main)
