"""Recorded measurements as tables and curves; every figure comes from `recorded`."""

from typing import Any

import numpy as np
import pandas as pd

from ..inference.pipeline import FaceLandmarkPipeline
from .overlay import table
from .recorded import AS_IT_IS, results

STUDENT = "mobilenetv2-300w"
TITLES = {
    STUDENT: "student, KD-Loss",
    "mobilenetv2-300w-160": "the same student, 160 pixels",
    "mobilenetv2-300w-no-teachers": "the same student, alone",
    "mobilenetv2-300w-nano": "nano student, KD-Loss",
    "mobilenetv2-300w-linear": "student with the paper's head, KD-Loss",
    "tough-teacher-300w": "Tough-Teacher",
    "tolerant-teacher-300w": "Tolerant-Teacher",
}
COMMON, WFLW = "300W common", "WFLW, 106 faces"


def headline(detect: FaceLandmarkPipeline) -> str:
    """The head of the page: what this is, in a line, and four figures."""
    released = results()["released"]["models"]
    student = released[STUDENT]
    common = student["tests"][COMMON]
    size = (detect.backend.description.parameters or 0) / 1e6
    facts = [
        f"<strong>{common['nme']:.2f} %</strong> error on 300W common",
        f"<strong>{common['failure_rate_10']:.1f} %</strong> failures at 10 %",
        f"<strong>{size:.2f} M</strong> parameters",
        f"<strong>{student['bytes'] / 1e6:.1f} MB</strong> on disk",
    ]
    return (
        '<header class="kd-head"><h1><span>kd</span>-landmarks</h1>'
        "<p>68 facial landmarks from a small, fast network, trained by knowledge distillation.</p>"
        f'</header><ul class="kd-facts">{"".join(f"<li>{fact}</li>" for fact in facts)}</ul>'
    )


def released_table() -> str:
    """The released networks."""
    rows = []
    released = results()["released"]
    for name, told in by_title(released["models"]).items():
        common, detected, wflw = (
            told["tests"][test] for test in (COMMON, f"{COMMON}, iBUG detector's box", WFLW)
        )
        low, high = common["interval"]
        rows.append(
            (
                name,
                f"{common['nme']:.2f} ({low:.2f} to {high:.2f})",
                f"{told['parameters'] / 1e6:.2f} M",
                f"{told['image_size']} px",
                f"{common['failure_rate_8']:.2f} / {common['failure_rate_10']:.2f}",
                f"{detected['nme']:.2f}",
                f"{wflw['nme']:.2f}",
                f"{told['milliseconds']:.1f}",
            )
        )
    header = (
        "network", "NME % (95 % interval)", "parameters", "input", "failures at 8 / 10, %",
        "NME %, detector's box", "NME %, 106 WFLW faces", "ms in PyTorch",
    )  # fmt: skip
    return table(header, rows, f"Released networks on 300W common, {origin(released)}")


def gain_text() -> str:
    """What the teachers brought. A gain is how much lower the error is with them."""
    gain = results()["released"]["gain"]
    change = "lower" if gain["mean"] > 0 else "raise"
    return (
        f"The teachers and their pseudo-labels {change} the NME on 300W common by "
        f"**{abs(gain['mean']):.3f} points**, {abs(gain['percent']):.1f} % of it (95 % interval of "
        f"the change {-gain['interval_high']:+.3f} to {-gain['interval_low']:+.3f} points, "
        f"Wilcoxon over faces p = {gain['wilcoxon_p']:.1g})."
    )


def peers_table(part: str) -> str:
    """Other detectors next to ours, on `common` or `wflw`, on one core."""
    peers = results()["peers"]
    rows = []
    for name, told in peers["errors"].items():
        entry, time = told[part], peers["times"][name]["1"]
        kind = entry["as it is" if name.startswith(AS_IT_IS) else "mapped"]
        rows.append(
            (
                name,
                f"{entry['found']} of {entry['faces']}",
                f"{kind['nme']:.2f}",
                f"{entry['student_nme_on_found']:.2f}",
                f"{kind['nme_misses_by_mean_shape']:.2f}",
                f"{time['step_ms']:.2f}",
                f"{time['photo_ms']:.1f}",
                peers["learned_from"].get(name, "300W, AFLW, unlabeled"),
            )
        )
    header = (
        "detector", "found", "NME %", "ours on these faces", "misses by the mean shape",
        "ms a face", "ms a photo", "learned from",
    )  # fmt: skip
    of = "300W common" if part == "common" else "the 106 WFLW faces"
    title = f"Detectors on {of}, each with its own face detector, {origin(peers)}"
    return table(header, rows, title)


def origin(recorded: dict[str, Any]) -> str:
    """Where milliseconds and scores come from."""
    processor = recorded["machine"]["processor"]
    return f"one core of {processor} ({recorded['date']}, commit {recorded['commit'][:10]})"


def error_curves(test: str) -> pd.DataFrame:
    """Cumulative error distributions as rows of error, faces and network."""
    models = by_title(results()["released"]["models"])
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "error, %": np.linspace(0, 10, len(told["tests"][test]["curve"])).round(2),
                    "faces, %": told["tests"][test]["curve"],
                    "network": name,
                }
            )
            for name, told in models.items()
        ]
    )


def risk_curves() -> pd.DataFrame:
    """The error of the surest faces, as rows of kept, error and order."""
    sure = results()["confidence"]
    orders = {"by confidence": "risk_curve", "by the true error (the best possible)": "best_curve"}
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "faces kept, %": np.linspace(0, 100, len(sure[key])).round(1),
                    "NME %": sure[key],
                    "sorted": name,
                }
            )
            for name, key in orders.items()
        ]
    )


def by_title(models: dict[str, Any]) -> dict[str, Any]:
    """Networks by what readers call them, the student first."""
    return {title: models[name] for name, title in TITLES.items() if name in models}
