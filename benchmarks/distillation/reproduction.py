"""The paper in its own setting: what it reports, what comes out here, what teachers have in it.

    python benchmarks/distillation/paper_data.py --data "$KD_LANDMARKS_DATA" --runs runs/paper
    python benchmarks/distillation/run.py --only paper,paper-224,paper-teachers --runs runs/paper \
        --data "$KD_LANDMARKS_DATA"
    python benchmarks/distillation/reproduction.py

Reads the records of the arms `paper-…`, prints the tables and draws docs/reproduction.png:
the error in training, and at its end. `docs/generate.py` puts the tables into docs/reproduction.md.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import typer
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import sem, t

sys.path.insert(0, str(Path(__file__).parents[1]))
from record import markdown_table, shrink_picture
from report import COMMON, by_arm, common_seeds, errors_of, gain, interval, over_seeds
from study import REPOSITORY, plan

from kd_landmarks.training.recipe_settings import STAGE_LABELS

PLOT = REPOSITORY / "docs/reproduction.png"
SEEN = ("visible", "hidden")
# Arms with a curve, and what the legend calls them; seven others would lie on that of KD-Loss.
DRAWN = {
    "l2": ("C0", "no teacher, L2"),
    "l1": ("C1", "no teacher, L1"),
    "author-code": ("C3", "KD-Loss, author code, both teachers"),
    "main": ("C2", "KD-Loss's main term alone"),
}
MARKERS = "os^"
COFW = REPOSITORY / "benchmarks/results/paper_cofw.json"
# What the paper reports on 300W common, in its stretched crops: NME % and, where told, FR10 %.
PAPER = {"l2": "3.93 (0.18)", "author-code": "3.56 (0.18)", "tough": "3.85", "tolerant": "3.73"}
# What is compared: title, the arm without, the arm with, and the paper's gain in percent.
Comparisons = tuple[tuple[str, str, str, float | None], ...]
LARGE = "224-"
WITH_TEACHERS: Comparisons = (
    ("KD-Loss, author code, both teachers", "l2", "author-code", 9.4),
    ("KD-Loss as the paper plots it, both teachers", "l2", "figures", 9.4),
    ("KD-Loss, our variant, both teachers", "l2", "ours", None),
    ("author code, Tough-Teacher alone", "l2", "tough", 2.0),
    ("author code, Tolerant-Teacher alone", "l2", "tolerant", 5.1),
    ("author code, teachers asked at every step", "l2", "online", None),
    ("author code, teachers as the paper's", "l2", "own-teachers", 9.4),
    ("author code, teachers of 224 pixels", "l2", "better-teachers", 9.4),
)
AGAINST_L2: Comparisons = (
    *WITH_TEACHERS,
    ("no teacher, L1", "l2", "l1", None),
    ("KD-Loss's main term alone", "l2", "main", None),
)
OF_TEACHERS: Comparisons = (
    *((title, "l1", with_, None) for title, _, with_, _ in WITH_TEACHERS),
    ("author code, both teachers, against its main term alone", "main", "author-code", None),
    ("both teachers, against the Tough-Teacher alone", "tough", "author-code", 7.5),
    ("both teachers, against the Tolerant-Teacher alone", "tolerant", "author-code", 4.6),
    ("asked at every step, against asked once", "author-code", "online", None),
    ("teachers as the paper's, against the released ones", "author-code", "own-teachers", None),
    ("teachers of 224 pixels, against the released ones", "author-code", "better-teachers", None),
)


def main() -> None:
    """Print and draw."""
    print(arms(), *(table() for table in GAINS.values()), sep="\n\n")
    draw()


def recorded_arms() -> dict[str, str]:
    """The arms that have records, and what they are."""
    return {
        arm["name"]: arm["about"]
        for arm in plan()["arms"]
        if arm["group"].startswith("paper") and arm["name"] in by_arm()
    }


def kind(name: str) -> str:
    """What an arm is, at whichever size."""
    return name.removeprefix("paper-").removeprefix(LARGE)


def arms() -> str:
    """Every arm's scores on 300W common, their spread over seeds, and the paper's beside them."""
    rows = []
    for name, about in recorded_arms().items():
        records = by_arm()[name]
        tests = [record["measured"]["test"] for record in records]
        rows.append(
            (
                about,
                len(tests),
                over_seeds([test["nme"] for test in tests], 3),
                f"{np.mean([test['failure_rate_8'] for test in tests]):.2f}",
                f"{np.mean([test['failure_rate_10'] for test in tests]):.2f}",
                f"{np.mean([record['stretched_nme'] for record in records]):.2f}",
                PAPER.get(kind(name), ""),
            )
        )
    header = ("arm", "seeds", "NME % (spread over seeds)", "FR8 %", "FR10 %")
    more = ("in stretched crops, NME %", "the paper there: NME % (FR10 %)")
    return markdown_table((*header, *more), rows)


def gains(comparisons: Comparisons, size: str = "") -> str:
    """Comparisons at a size, beside what the paper reports."""
    rows = []
    for title, without, with_, paper in comparisons:
        pair = f"paper-{size}{without}", f"paper-{size}{with_}"
        if not common_seeds(*pair):
            continue
        told = gain(title, *pair, paper)
        by_seed = told["by_seed"]
        rows.append(
            (
                title,
                interval(told[COMMON]),
                ", ".join(f"{value:.1f}" for value in by_seed) if len(by_seed) > 1 else "",
                over_trainings(by_seed),
                "" if paper is None else f"{paper:g}",
            )
        )
    header = ("what is compared", f"gain on {COMMON}, % of the error (95 % interval over faces)")
    more = ("by seed", "95 % interval over trainings", "the paper")
    # A column that no row fills says nothing.
    kept = [column for column in zip((*header, *more), *rows, strict=True) if any(column[1:])]
    names, *values = zip(*kept, strict=True)
    return markdown_table(names, values)


GAINS = {
    "reproduction gains": lambda: gains(AGAINST_L2),
    "reproduction teachers": lambda: gains(OF_TEACHERS),
    "reproduction gains large": lambda: gains(AGAINST_L2, LARGE),
    "reproduction teachers large": lambda: gains(OF_TEACHERS, LARGE),
}


def over_trainings(by_seed: list[float]) -> str:
    """Where the mean of several trainings' gains lies, by Student's t."""
    if len(by_seed) < 2:
        return ""
    low, high = t.interval(0.95, len(by_seed) - 1, np.mean(by_seed), sem(by_seed))
    return f"{low:.1f} to {high:.1f}"


def cofw() -> str:
    """Every network's error on all 29 landmarks, on the visible and on the hidden ones."""
    networks = json.loads(COFW.read_text("utf-8"))["measured"]["networks"]
    rows = [
        (
            STAGE_LABELS[stage],
            f"{told['nme']:.2f}",
            *(f"{told['groups'][f'landmarks: {kind}']['nme']:.2f}" for kind in SEEN),
        )
        for stage, told in networks.items()
    ]
    return markdown_table(("network", "NME %", *(f"{kind} landmarks" for kind in SEEN)), rows)


def draw() -> None:
    """At each size the error on validation faces in training, and on 300W common at the end."""
    figure = Figure(figsize=(11, 8), dpi=110, layout="constrained")
    rows = figure.subplots(2, 2, width_ratios=(5, 4), height_ratios=(3, 2))
    recorded = recorded_arms()
    large = [name for name in recorded if name.startswith(f"paper-{LARGE}")]
    small = [name for name in recorded if name not in large]
    for (curves, ends), names, pixels in zip(rows, (small, large), (128, 224), strict=True):
        for name in names:
            if kind(name) in DRAWN:
                color, label = DRAWN[kind(name)]
                curves.plot(*curve(by_arm()[name]), color=color, label=label)
        several = "mean of 3 seeds" if pixels == 128 else "one seed"
        curves.set(xlabel="epoch", xlim=(20, 61), ylim=(5.5, 13))
        curves.set_ylabel(f"NME on 300 validation faces, %\n{pixels} pixels, {several}")
        for row, name in enumerate(names):
            color, _ = DRAWN.get(kind(name), ("black", ""))
            for record in by_arm()[name]:
                error, marker = errors_of([record], COMMON).mean(), MARKERS[record["seed"]]
                ends.plot(error, -row, marker, color=color, fillstyle="none")
        about = [recorded[name].removesuffix(", 224 pixels") for name in names]
        ends.set_yticks([-row for row in range(len(names))], about, fontsize="small")
        ends.set_xlabel("NME on 300W common, %")
    lines = rows[0, 0].get_lines()
    figure.legend(handles=lines, loc="outside upper center", ncols=len(lines))
    rows[0, 1].set_title("circle, square and triangle: seeds 0, 1 and 2", fontsize="small")
    for axes in rows.flat:
        axes.grid(alpha=0.3)
    figure.savefig(PLOT)
    shrink_picture(PLOT)


def curve(records: list[dict[str, Any]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Epochs, and the mean error on each record's own validation faces there."""
    told = [
        [(at["epoch"], at["validation_nme"]) for at in one["history"] if "validation_nme" in at]
        for one in records
    ]
    epochs, errors = np.mean(told, axis=0).T
    return epochs, errors


if __name__ == "__main__":
    typer.run(main)
