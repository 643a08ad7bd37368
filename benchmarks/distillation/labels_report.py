"""What faces without labels are worth: the tables and the figure of labels.py.

    python benchmarks/distillation/labels_report.py

Reads the records of labels.py, prints the tables and draws docs/faces-without-labels.png;
`docs/generate.py` puts the tables into docs/faces-without-labels.md.
"""

import json
import sys
from functools import cache
from typing import Any

import numpy as np
import typer
from labels import CHOSEN, LABELED, TRIED, TRIED_AT, TURNED, UNLABELED
from matplotlib.figure import Figure
from record import markdown_table, shrink_picture
from report import compared, interval
from study import REPOSITORY, RESULTS

PLOT = REPOSITORY / "docs/faces-without-labels.png"
TESTS = ("300W validation", "106 WFLW faces", TURNED)
Grid = dict[tuple[int, int, str], dict[str, Any]]


def main() -> None:
    """Print and draw."""
    print(errors(), forms(), sep="\n\n")
    draw()


@cache
def recorded() -> Grid:
    """What every student scored, by its labeled faces, its unlabeled ones and their form."""
    records = [json.loads(file.read_text("utf-8")) for file in RESULTS.glob("labels-*.json")]
    if not records:
        sys.exit(
            f"there are no records of faces without labels in {RESULTS}: labels.py writes them"
        )
    return {(one["labeled"], one["unlabeled"], one["form"]): one["tests"] for one in records}


def errors() -> str:
    """Errors by labeled and unlabeled faces, and how many labels alone are as good."""
    grid = recorded()
    header = [
        *("labeled faces", "faces without labels", "300W validation: NME %"),
        *("gain, % of the error (95 % interval)", "as good as so many labels alone"),
        *("106 WFLW faces: NME %", "gain", "as good as so many labels alone"),
        *("AFLW, turned: % of the box", "gain"),
    ]
    rows = []
    for labeled in LABELED:
        alone = grid.get((labeled, 0, CHOSEN))
        for unlabeled in UNLABELED:
            tests = grid.get((labeled, unlabeled, CHOSEN))
            if tests is None or alone is None:
                continue
            cells = scores(tests, alone)
            for number, test in enumerate(TESTS[:2]):
                as_many = as_many_labels(grid, test, tests[test]["nme"]) if unlabeled else ""
                cells.insert(2 + 3 * number, as_many)
            rows.append([f"{labeled:,}", f"{unlabeled:,}", *cells])
    return markdown_table(header, rows)


def scores(tests: dict[str, Any], base: dict[str, Any]) -> list[str]:
    """The error on every test and the gain over a base, which has none over itself."""
    cells = []
    for test in TESTS:
        pair = [np.array(one[test]["errors"]) for one in (base, tests)]
        gain = "" if tests is base else interval(compared(*pair))
        cells += [f"{tests[test]['nme']:.2f}", gain]
    return cells


def as_many_labels(grid: Grid, test: str, error: float) -> str:
    """How many labeled faces alone reach an error on a test, between those that were tried."""
    reached: list[float] = []  # from the largest number on, which need not have the least error
    counts: list[int] = []
    for count in LABELED:
        tests = grid.get((count, 0, CHOSEN))
        if tests is not None and (not reached or tests[test]["nme"] < reached[0]):
            reached.insert(0, tests[test]["nme"])
            counts.insert(0, count)
    if error < reached[0]:
        return f"more than {counts[0]:,}"
    if error > reached[-1]:
        return f"fewer than {counts[-1]:,}"
    return f"{round(float(np.exp(np.interp(error, reached, np.log(counts)))), -1):,.0f}"


def forms() -> str:
    """What else was tried with pseudo-labels, against what the package does."""
    grid = recorded()
    header = [
        *("labeled faces", "faces without labels", "pseudo-labels", "300W validation: NME %"),
        "gain over the default, % (95 % interval)",
        *("106 WFLW faces: NME %", "gain", "AFLW, turned: % of the box", "gain"),
    ]
    titles = {
        CHOSEN: "weights by the views' spread; faces of much spread or off their points5 left "
        "out (the default)",
        **TRIED,
    }
    rows = [
        [f"{place[0]:,}", f"{place[1]:,}", words, *scores(tests, grid[*place, CHOSEN])]
        for place in TRIED_AT
        for form, words in titles.items()
        if (tests := grid.get((*place, form))) is not None
    ]
    return markdown_table(header, rows)


def draw() -> None:
    """Errors against the number of labels, a line for each number of faces without."""
    grid = recorded()
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
    shrink_picture(PLOT)


if __name__ == "__main__":
    typer.run(main)
