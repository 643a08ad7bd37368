"""The paper in its own setting: what it reports, what comes out here, what teachers have in it.

    python benchmarks/distillation/paper_data.py --data "$KD_LANDMARKS_DATA" --runs runs/paper
    python benchmarks/distillation/run.py --only paper,paper-224,paper-teachers --runs runs/paper \
        --data "$KD_LANDMARKS_DATA" --weights DIR
    python benchmarks/distillation/reproduction.py

Reads the records of the arms `paper-…`, prints the tables and draws docs/reproduction.png:
the error in training, and at its end. `docs/generate.py` puts the tables into docs/reproduction.md.
"""

import json
import sys
from pathlib import Path

import numpy as np
import typer
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).parents[1]))
from record import markdown_table, shrink_picture
from report import COMMON, by_arm, common_seeds, errors_of, gain, interval, over_seeds
from study import REPOSITORY, plan

from kd_landmarks.training.recipe_settings import STAGE_LABELS

PLOT = REPOSITORY / "docs/reproduction.png"
SEEN = ("visible", "hidden")
TICKS = (6, 8, 10, 15, 20, 30)
COFW = REPOSITORY / "benchmarks/results/paper_cofw.json"
# What is compared: title, the arm without, the arm with, what the paper reports in percent.
GAINS: tuple[tuple[str, str, str, float | None], ...] = (
    ("KD-Loss, author code, both teachers, against L2", "l2", "author-code", 9.4),
    ("KD-Loss as the paper plots it, both teachers, against L2", "l2", "figures", 9.4),
    ("KD-Loss, our variant, both teachers, against L2", "l2", "ours", None),
    ("Tough-Teacher alone, against L2", "l2", "tough", 2.0),
    ("Tolerant-Teacher alone, against L2", "l2", "tolerant", 5.1),
    ("teachers asked at every step, against L2", "l2", "online", None),
    ("teachers as the paper's, against L2", "l2", "own-teachers", 9.4),
    ("teachers as much better as the paper's, against L2", "l2", "better-teachers", 9.4),
    ("loss: L1 instead of L2, no teacher", "l2", "l1", None),
    ("loss: KD-Loss's main term instead of L2", "l2", "main", None),
    ("teachers: both assistive terms beside that main term", "main", "author-code", None),
    ("teachers: KD-Loss, author code, against L1 without", "l1", "author-code", None),
    ("teachers: KD-Loss as the paper plots it, against L1 without", "l1", "figures", None),
    ("teachers: KD-Loss, our variant, against L1 without", "l1", "ours", None),
    ("teachers: the same with teachers as the paper's", "l1", "own-teachers", None),
    ("teachers: the same with teachers as much better", "l1", "better-teachers", None),
    ("224 pixels: KD-Loss, author code, against L2", "224-l2", "224-author-code", 9.4),
    ("224 pixels: as the paper plots it, against L2", "224-l2", "224-figures", 9.4),
    ("224 pixels: our variant, against L2", "224-l2", "224-ours", None),
    ("224 pixels: Tough-Teacher alone, against L2", "224-l2", "224-tough", 2.0),
    ("224 pixels: Tolerant-Teacher alone, against L2", "224-l2", "224-tolerant", 5.1),
    ("224 pixels: teachers asked at every step, against L2", "224-l2", "224-online", None),
    ("224 pixels: L1 instead of L2, no teacher", "224-l2", "224-l1", None),
    ("224 pixels: KD-Loss's main term instead of L2", "224-l2", "224-main", None),
    ("224 pixels: KD-Loss, author code, against L1 without", "224-l1", "224-author-code", None),
)


def main() -> None:
    """Print and draw."""
    print(arms(), gains(), sep="\n\n")
    draw()


def recorded_arms() -> dict[str, str]:
    """The arms that have records, and what they are."""
    return {
        arm["name"]: arm["about"]
        for arm in plan()["arms"]
        if arm["group"].startswith("paper") and arm["name"] in by_arm()
    }


def arms() -> str:
    """Every arm's scores on 300W common, their spread over seeds, and the paper's own measure."""
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
            )
        )
    header = ("arm", "seeds", "NME % (spread over seeds)", "FR8 %", "FR10 %")
    return markdown_table((*header, "in the paper's stretched crop %"), rows)


def gains() -> str:
    """Every comparison, beside what the paper reports."""
    told = [
        gain(title, f"paper-{without}", f"paper-{with_}", paper)
        for title, without, with_, paper in GAINS
        if common_seeds(f"paper-{without}", f"paper-{with_}")
    ]
    rows = [
        (
            one["title"],
            one["seeds"],
            interval(one[COMMON]),
            ", ".join(f"{value:.1f}" for value in one["by_seed"]),
            "" if one["target"] is None else f"{one['target']:g}",
        )
        for one in told
    ]
    gain_on_common = f"gain on {COMMON}, % of the error (95 % interval over faces)"
    return markdown_table(
        ("what is compared", "seeds", gain_on_common, "by seed", "the paper"), rows
    )


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
    """The error on validation faces in training, and on 300W common at the end, by seed."""
    figure = Figure(figsize=(11, 5.2), dpi=110, layout="constrained")
    curves, ends = figure.subplots(1, 2)
    names = recorded_arms()
    # Arms of one seed have no curve: there would be more lines than one can tell apart.
    colors = dict.fromkeys(names, "black")
    colors |= {name: f"C{i}" for i, name in enumerate(n for n in names if len(by_arm()[n]) > 1)}
    for row, name in enumerate(names):
        records = by_arm()[name]
        scores = [errors_of([one], COMMON).mean() for one in records]
        ends.plot(scores, [-row] * len(scores), "o", color=colors[name])
        if len(records) == 1:
            continue
        told = [
            [(at["epoch"], at["validation_nme"]) for at in one["history"] if "validation_nme" in at]
            for one in records
        ]
        epochs, errors = np.mean(told, axis=0).T
        curves.plot(epochs, errors, color=colors[name])
    curves.set(xlabel="epoch", ylabel="NME on 300 validation faces, %: mean of 3 seeds")
    curves.set_yscale("log")
    curves.set_yticks(TICKS, map(str, TICKS))
    curves.minorticks_off()
    ends.set_xlabel("NME on 300W common, %: a dot a seed")
    ends.set_yticks([-row for row in range(len(names))], names.values(), fontsize="small")
    for label, color in zip(ends.get_yticklabels(), colors.values(), strict=True):
        label.set_color(color)
    for axes in (curves, ends):
        axes.grid(alpha=0.3)
    figure.savefig(PLOT)
    shrink_picture(PLOT)


if __name__ == "__main__":
    typer.run(main)
