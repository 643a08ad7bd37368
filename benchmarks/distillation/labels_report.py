"""What faces without labels are worth: the tables and the figure of labels.py.

    python benchmarks/distillation/labels_report.py

Reads the records of labels.py, prints the tables, puts them into docs/faces-without-labels.md, and
draws docs/faces-without-labels.png.
"""

import json
import sys
from typing import Any

import numpy as np
import typer
from labels import CHOSEN, LABELED, TRIED, TRIED_AT, TURNED, UNLABELED
from matplotlib.figure import Figure
from report import compared, interval, with_tables
from training import REPOSITORY, RESULTS

PAGE = REPOSITORY / "docs/faces-without-labels.md"
PLOT = PAGE.with_suffix(".png")
TESTS = ("300W validation", "106 WFLW faces", TURNED)
Grid = dict[tuple[int, int, str], dict[str, Any]]


def main() -> None:
    """Read, print, write and draw."""
    records = [json.loads(file.read_text("utf-8")) for file in RESULTS.glob("labels-*.json")]
    grid = {(one["labeled"], one["unlabeled"], one["form"]): one["tests"] for one in records}
    if not grid:
        sys.exit(
            f"there are no records of faces without labels in {RESULTS}: labels.py writes them"
        )
    with_tables(PAGE, {"grid": grid_table(grid), "forms": forms_table(grid)})
    draw(grid)


def grid_table(grid: Grid) -> list[str]:
    """Errors by labeled and unlabeled faces, and how many labels alone are as good."""
    lines = [
        "| labeled faces | faces without labels | 300W validation: NME % "
        "| gain, % of the error (95 % interval) | as good as so many labels alone "
        "| 106 WFLW faces: NME % | gain | AFLW, turned: % of the box | gain |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for labeled in LABELED:
        for unlabeled in UNLABELED:
            tests = grid.get((labeled, unlabeled, CHOSEN))
            alone = grid.get((labeled, 0, CHOSEN))
            if tests is None or alone is None:
                continue
            cells = [f"{labeled:,}", f"{unlabeled:,}"]
            for test in TESTS:
                gain = compared(*(np.array(one[test]["errors"]) for one in (alone, tests)))
                cells += [f"{tests[test]['nme']:.2f}", interval(gain) if unlabeled else ""]
                if test == TESTS[0]:
                    cells.append(as_many_labels(grid, tests[test]["nme"]) if unlabeled else "")
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def as_many_labels(grid: Grid, error: float) -> str:
    """How many labeled faces alone reach an error, between those that were tried."""
    known = [
        (grid[one, 0, CHOSEN][TESTS[0]]["nme"], one) for one in LABELED if (one, 0, CHOSEN) in grid
    ]
    errors, counts = zip(*sorted(known), strict=True)
    if error < errors[0]:
        return f"more than {counts[0]:,}"
    return f"{round(float(np.exp(np.interp(error, errors, np.log(counts)))), -1):,.0f}"


def forms_table(grid: Grid) -> list[str]:
    """What else was tried with pseudo-labels, against what the package does."""
    default = grid.get((*TRIED_AT, CHOSEN))
    lines = [
        "| pseudo-labels | 300W validation: NME % | gain over the default, % (95 % interval) "
        "| 106 WFLW faces: NME % | gain | AFLW, turned: % of the box | gain |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    about = (
        "weights by the views' spread; faces with much of it, or off their five points, left out"
    )
    for form, words in {CHOSEN: f"{about} (the default)", **TRIED}.items():
        tests = grid.get((*TRIED_AT, form))
        if tests is None or default is None:
            continue
        cells = [words]
        for test in TESTS:
            gain = compared(*(np.array(one[test]["errors"]) for one in (default, tests)))
            told = "" if form == CHOSEN else interval(gain)
            cells += [f"{tests[test]['nme']:.2f}", told]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def draw(grid: Grid) -> None:
    """Errors against the number of labels, a line for each number of faces without."""
    figure = Figure(figsize=(12, 4), dpi=110, layout="constrained")
    for axes, test in zip(figure.subplots(1, len(TESTS)), TESTS, strict=True):
        for unlabeled in UNLABELED:
            told = [
                (labeled, grid[labeled, unlabeled, CHOSEN][test]["nme"])
                for labeled in LABELED
                if (labeled, unlabeled, CHOSEN) in grid
            ]
            if told:
                axes.plot(*zip(*told, strict=True), "o-", label=f"{unlabeled:,} without labels")
        axes.set(xscale="log", xlabel="labeled faces", ylabel=f"error on {test}, %")
        axes.set_xticks(LABELED, [f"{count:,}" for count in LABELED])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    figure.axes[0].legend(fontsize="small")
    figure.savefig(PLOT)


if __name__ == "__main__":
    typer.run(main)
