"""The study so far: scores of every arm, and what teachers buy, face by face.

    python benchmarks/distillation/report.py

Reads `results/` and prints the tables; `docs/generate.py` puts them into README.md beside this
file. An arm's score is the mean over its seeds; gains are those of errors averaged over seeds, with
a bootstrap interval over faces and a paired Wilcoxon test.
"""

import json
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import typer
from numpy.typing import NDArray
from scipy.stats import wilcoxon

sys.path.insert(0, str(Path(__file__).parent.parent))
from record import markdown_table
from study import RESULTS, SEED, plan

from kd_landmarks.evaluation.metrics import gain_interval

# Title of a comparison, the arm without, the arm with, and the target in percent. Our head and 40
# epochs, unless the title says otherwise; the linear head has 80.
GAINS: tuple[tuple[str, str, str, float | None], ...] = (
    ("both teachers", "half-none", "half-both", 4.0),
    ("Tough-Teacher alone", "half-none", "half-tough", None),
    ("Tolerant-Teacher alone", "half-none", "half-tolerant", None),
    ("80 epochs: both teachers", "none", "both", 4.0),
    ("both teachers and unlabeled faces", "half-none", "half-unlabeled", 4.0),
    ("80 epochs: both teachers and unlabeled faces", "none", "unlabeled", 4.0),
    ("Tough-Teacher's points on unlabeled faces, no KD-Loss", "half-none", "half-points", None),
    ("a better teacher alone, of 160 pixels", "half-none", "half-tough-160", 4.0),
    ("a better teacher and unlabeled faces", "half-none", "half-unlabeled-160", 4.0),
    ("linear head: both teachers", "linear-none", "linear-both", 8.0),
    ("linear head: both teachers and unlabeled faces", "linear-none", "linear-unlabeled", 8.0),
    (
        "linear head: both teachers and unlabeled faces, in wing loss",
        "linear-none",
        "linear-wing-unlabeled",
        8.0,
    ),
    ("linear head, 20 more epochs: both teachers", "linear-on-none", "linear-on-both", 8.0),
    (
        "linear head, 20 more epochs: both teachers, asked at every step",
        "linear-on-none",
        "linear-on-online",
        8.0,
    ),
    (
        "linear head, 20 more epochs: both teachers and unlabeled faces",
        "linear-on-none",
        "linear-on-unlabeled",
        8.0,
    ),
    (
        "linear head: teachers' points on unlabeled faces, no KD-Loss",
        "linear-none",
        "linear-points",
        None,
    ),
    ("the paper's constants instead of ours", "half-both", "half-paper", None),
    ("the authors' constants instead of ours", "half-both", "half-author-code", None),
    ("plain L1 to the Tough-Teacher, against no teacher", "half-none", "half-l1-to-tough", None),
    ("teachers that have not seen the face", "half-both", "half-folds", None),
    ("teachers asked at every step", "half-both", "half-online", None),
    ("10 epochs: teachers asked at every step", "quarter-both", "quarter-online", None),
    ("80 % of the variance instead of 90", "half-both", "half-80", None),
    ("97 % of the variance instead of 90", "half-both", "half-97", None),
    ("shapes not aligned", "half-both", "half-unaligned", None),
    ("160 pixels instead of 128", "half-none", "input-160", None),
    ("160 pixels: from a network that had 40 epochs at 128", "input-160", "on-160-long", None),
    ("nano student: both teachers", "nano-none", "nano", None),
    ("nano student: both teachers and unlabeled faces", "nano-none", "nano-unlabeled", None),
)
VALIDATION, COMMON, WFLW = "validation faces", "300W common", "106 WFLW faces"


Records = dict[str, list[dict[str, Any]]]


def main() -> None:
    """Print the tables."""
    print(arms(), gains(), sep="\n\n")


@cache
def by_arm() -> Records:
    """Every arm's records, one a seed."""
    found: Records = defaultdict(list)
    for file in sorted(RESULTS.glob("*.json")):
        record = json.loads(file.read_text("utf-8"))
        found[record["arm"]].append(record)
    if not found:
        sys.exit(f"there are no records in {RESULTS}: run.py writes them")
    return found


@cache
def compared_arms() -> list[dict[str, Any]]:
    """Every comparison that both arms are recorded for."""
    return [gain(*one) for one in GAINS if common_seeds(one[1], one[2])]


def errors_of(records: list[dict[str, Any]], faces: str) -> NDArray[np.float64]:
    """Errors of each face, averaged over the records' seeds; validation faces differ by seed."""
    if faces == VALIDATION:
        return np.concatenate([one["measured"]["validation"]["errors"] for one in records])
    every = [
        (one["wflw"] if faces == WFLW else one["measured"]["test"])["errors"] for one in records
    ]
    return np.mean(np.array(every, dtype=float), axis=0)


def arms() -> str:
    """Every arm's scores; the paper's own arms are reproduction.py's."""
    header = ("arm", "seeds", "epochs", "validation NME %", "300W common NME % (spread over seeds)")
    rows = []
    for arm in plan()["arms"]:
        records = by_arm().get(arm["name"])
        if not records or arm["group"].startswith("paper"):
            continue
        tests = [record["measured"]["test"] for record in records]
        epochs = records[0]["recipe"][arm["stage"]]["epochs"]
        # Other seeds hold other faces back, which the teachers have seen.
        validation = [
            one["measured"]["validation"]["nme"] for one in records if one["seed"] == SEED
        ]
        rows.append(
            (
                arm["about"],
                len(records),
                f"{epochs:g}",
                ", ".join(f"{nme:.2f}" for nme in validation),
                over_seeds([test["nme"] for test in tests], 3),
                f"{mean(test['failure_rate_8'] for test in tests):.2f}",
                over_seeds([record["wflw"]["nme"] for record in records], 2),
                f"{mean(record['minutes'] for record in records):.0f}",
            )
        )
    more = ("FR8 %", "106 WFLW faces NME % (spread)", "minutes a run")
    return markdown_table((*header, *more), rows)


def over_seeds(values: list[float], places: int) -> str:
    """Their mean, and how far seeds lie apart (standard deviation)."""
    spread = f" ({np.std(values, ddof=1):.{places}f})" if len(values) > 1 else ""
    return f"{np.mean(values):.{places}f}{spread}"


def mean(values: Any) -> float:
    """Of an iterator."""
    return float(np.mean(list(values)))


def common_seeds(without: str, with_: str) -> set[int]:
    """Seeds that both arms have been trained with."""
    seeds = [{one["seed"] for one in by_arm().get(name, [])} for name in (without, with_)]
    return seeds[0] & seeds[1]


def gain(title: str, without: str, with_: str, target: float | None) -> dict[str, Any]:
    """What an arm has over another one, in percent of the other's error, for seeds of both."""
    seeds = common_seeds(without, with_)
    pair = [
        [one for one in records if one["seed"] in seeds]
        for records in (by_arm()[without], by_arm()[with_])
    ]
    told = {
        faces: compared(*(errors_of(one, faces) for one in pair))
        for faces in (VALIDATION, COMMON, WFLW)
    }
    by_seed = [
        100 * float(1 - with_one.mean() / without_one.mean())
        for without_one, with_one in zip(
            *([errors_of([one], COMMON) for one in records] for records in pair), strict=True
        )
    ]
    return {"title": title, "seeds": len(seeds), "target": target, "by_seed": by_seed, **told}


def compared(base: NDArray[np.float64], better: NDArray[np.float64]) -> dict[str, float]:
    """Gain in percent of the first ones, its interval, and p of no difference."""
    found, low, high = gain_interval(base, better, seed=SEED)
    p = float(wilcoxon(base, better).pvalue)
    return {"percent": found, "low": low, "high": high, "p": p}


def gains() -> str:
    """Every comparison."""
    header = (
        *("what is added", "seeds", f"gain on {VALIDATION}, % of the error (95 % interval)"),
        *(f"gain on {COMMON}, % (95 % interval)", "Wilcoxon p", "target"),
        *(f"gain on {WFLW}, % (95 % interval)", "Wilcoxon p"),
    )
    rows = [
        (
            one["title"],
            one["seeds"],
            interval(one[VALIDATION]),
            *(interval(one[COMMON]), f"{one[COMMON]['p']:.1g}"),
            "" if one["target"] is None else f"{one['target']:g}",
            *(interval(one[WFLW]), f"{one[WFLW]['p']:.1g}"),
        )
        for one in compared_arms()
    ]
    return markdown_table(header, rows)


def interval(one: dict[str, float]) -> str:
    """A gain and where it lies."""
    return f"{one['percent']:.1f} ({one['low']:.1f} to {one['high']:.1f})"


if __name__ == "__main__":
    typer.run(main)
