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
from labels import ALONE, CHOSEN, LABELED, TRIED, TRIED_AT, TURNED, UNLABELED
from matplotlib.figure import Figure
from numpy.typing import NDArray
from record import markdown_table, shrink_picture
from report import compared, interval
from study import REPOSITORY, RESULTS, SEED

PLOT = REPOSITORY / "docs/faces-without-labels.png"
HARD = "106 WFLW faces"
TESTS = ("300W validation", HARD, TURNED)
# From the next number on, more labels alone are hardly better.
FEW = LABELED[:2]
# Of a bootstrap over faces.
DRAWS, RANGE = 2000, (2.5, 97.5)
Grid = dict[tuple[int, int, str], dict[str, Any]]


def main() -> None:
    """Print and draw."""
    print(errors(), few_faces(), forms(), sep="\n\n")
    draw()


@cache
def recorded() -> Grid:
    """What every network scored, by its labeled faces, its unlabeled ones and their form."""
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
        if alone is None:
            continue
        if (teacher := grid.get((labeled, 0, ALONE))) is not None:
            own = [f"{teacher[test]['nme']:.2f}" for test in TESTS]
            rows.append([f"{labeled:,}", "the teacher", own[0], "", "", own[1], "", "", own[2], ""])
        for unlabeled, form in (*((one, CHOSEN) for one in UNLABELED), (max(UNLABELED), "wing")):
            tests = grid.get((labeled, unlabeled, form))
            if tests is None:
                continue
            cells = scores(tests, alone)
            for number, test in enumerate(TESTS[:2]):
                told = as_many(grid, test, tests) if unlabeled and labeled in FEW else ""
                cells.insert(2 + 3 * number, told)
            in_form = "" if form == CHOSEN else ", wing loss"
            rows.append([f"{labeled:,}", f"{unlabeled:,}{in_form}", *cells])
    return markdown_table(header, rows)


def few_faces() -> str:
    """How many of WFLW's faces get better, and what is left of the gain without the best three."""
    grid = recorded()
    rows = []
    for labeled in FEW:
        for unlabeled in UNLABELED[1:]:
            places = [(labeled, count, CHOSEN) for count in (0, unlabeled)]
            if not all(place in grid for place in places):
                continue
            without, with_ = (np.array(grid[one][HARD]["errors"]) for one in places)
            others = np.argsort(without - with_)[:-3]
            told = compared(without, with_)
            rows.append(
                (
                    *(f"{labeled:,}", f"{unlabeled:,}", f"{told['percent']:.1f}"),
                    f"{100 * np.mean(with_ < without):.0f} %",
                    f"{told['p']:.2g}",
                    f"{100 * (1 - with_[others].mean() / without[others].mean()):.1f}",
                )
            )
    header = ("labeled faces", "faces without labels", "gain on the 106 WFLW faces, %")
    more = ("faces that get better", "Wilcoxon p", "gain without the three that gain most, %")
    return markdown_table((*header, *more), rows)


def scores(tests: dict[str, Any], base: dict[str, Any]) -> list[str]:
    """The error on every test and the gain over a base, which has none over itself."""
    cells = []
    for test in TESTS:
        pair = [np.array(one[test]["errors"]) for one in (base, tests)]
        gain = "" if tests is base else interval(compared(*pair))
        cells += [f"{tests[test]['nme']:.2f}", gain]
    return cells


def as_many(grid: Grid, test: str, tests: dict[str, Any]) -> str:
    """How many labeled faces alone reach a network's error, with an interval over faces."""
    alone = {count: grid.get((count, 0, CHOSEN)) for count in LABELED}
    errors = {count: np.array(one[test]["errors"]) for count, one in alone.items() if one}
    own = np.array(tests[test]["errors"])
    faces = np.random.default_rng(SEED).integers(len(own), size=(DRAWS, len(own)))
    drawn = [labels_for({n: e[one] for n, e in errors.items()}, own[one]) for one in faces]
    ends = [in_words(value) for value in np.percentile(drawn, RANGE)]
    return f"{in_words(labels_for(errors, own))} ({ends[0]} to {ends[1]})"


def labels_for(errors: dict[int, NDArray[np.float64]], own: NDArray[np.float64]) -> float:
    """Between the numbers that were tried, on a logarithmic scale."""
    reached: list[float] = []  # from the largest number on, which need not have the least error
    counts: list[int] = []
    for count, told in errors.items():
        if not reached or told.mean() < reached[0]:
            reached.insert(0, told.mean())
            counts.insert(0, count)
    return float(np.exp(np.interp(own.mean(), reached, np.log(counts), right=0)))


def in_words(count: float) -> str:
    """To tens; less than the smallest number that was tried only so."""
    return f"under {LABELED[0]}" if count < LABELED[0] else f"{round(count, -1):,.0f}"


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
    """Errors by the number of labels, and what faces without labels take off them."""
    grid = recorded()
    figure = Figure(figsize=(12, 7), dpi=110, layout="constrained")
    panels = figure.subplots(2, len(TESTS), sharex=True)
    for (above, below), test in zip(panels.T, TESTS, strict=True):
        for number, unlabeled in enumerate(UNLABELED):
            there = [one for one in LABELED if (one, unlabeled, CHOSEN) in grid]
            told = [grid[one, unlabeled, CHOSEN][test] for one in there]
            line = {"color": f"C{number}", "label": f"{unlabeled:,} faces without labels"}
            above.plot(there, [one["nme"] for one in told], "o-", **line)
            if not unlabeled:
                continue
            gains = [
                compared(
                    *(np.array(one["errors"]) for one in (grid[labeled, 0, CHOSEN][test], own))
                )
                for labeled, own in zip(there, told, strict=True)
            ]
            middle = np.array([one["percent"] for one in gains])
            ends = np.array([[one["low"], one["high"]] for one in gains]).T
            places = np.array(there) * 1.06 ** (number - 2)  # beside each other
            below.errorbar(places, middle, abs(ends - middle), fmt="o", capsize=3, **line)
        above.set(title=test, ylabel="error, %")
        below.axhline(0, color="black", linewidth=0.8)
        below.set(xscale="log", xlabel="labeled faces", ylabel="less error, % (95 % over faces)")
        below.set_xticks(LABELED, [f"{count:,}" for count in LABELED])
        below.minorticks_off()
        for axes in (above, below):
            axes.grid(alpha=0.3)
    lines = panels[0, 0].get_lines()
    figure.legend(handles=lines, loc="outside upper center", ncols=len(lines))
    figure.savefig(PLOT)
    shrink_picture(PLOT)


if __name__ == "__main__":
    typer.run(main)
