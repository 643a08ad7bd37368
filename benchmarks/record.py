"""How benchmarks print and record what they measured."""

import json
import platform
import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from kd_landmarks.training.report import versions
from kd_landmarks.utils.files import new_file, write_text
from kd_landmarks.utils.tables import markdown_table

RESULTS = Path(__file__).parent / "results"
NO_RESULTS = ":(exclude,top,glob)benchmarks/**/results/**"
# How each released network was trained.
TRAINING = RESULTS / "training"


def record(name: str, measured: dict[str, Any], seed: int) -> Path:
    """Write results/NAME.json: what was measured, and on what.

    Args:
        name: of the file.
        measured: plain JSON types.
        seed: that the measurement ran with.
    """
    entry = {"measured": measured, "seed": seed, **describe()}
    path = RESULTS / f"{name}.json"
    write_json(path, entry)
    return path


def write_json(path: Path, entry: dict[str, Any]) -> None:
    """Write a record that stays small: errors of faces to 1e-4 %, a face or numbers on one line."""
    text = json.dumps(_rounded(entry), indent=1)
    lists, faces = r"\[[-\d.,\s]+\]", r'\{\s*"source"[^][{}]*\}'
    text = re.sub(f"{lists}|{faces}", lambda match: " ".join(match[0].split()), text)
    write_text(path, text + "\n")


def _rounded(values: Any, inside_errors: bool = False) -> Any:
    if isinstance(values, dict):
        return {
            key: _rounded(value, inside_errors or key == "errors") for key, value in values.items()
        }
    if isinstance(values, list):
        return [_rounded(value, inside_errors) for value in values]
    return round(values, 4) if inside_errors and isinstance(values, float) else values


def shrink_picture(path: Path) -> Path:
    """Bring a plot down to 64 colors: a quarter of the bytes, and no difference to see."""
    with Image.open(path) as picture:
        few = picture.convert("RGB").quantize(64)
    with new_file(path) as partial:
        few.save(partial, optimize=True)
    return path


def describe() -> dict[str, Any]:
    """When, with which code, on what machine and with which versions something is measured."""
    commit = _git("rev-parse", "HEAD")
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit,
        # What an earlier benchmark recorded changes nothing in what is measured.
        "clean": bool(commit) and not _git("status", "--porcelain", "--", ":/", NO_RESULTS),
        "machine": {
            "processor": processor_name(),
            "threads": torch.get_num_threads(),
            "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
        "versions": versions(),
    }


def print_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows as a Markdown table."""
    print(markdown_table(header, rows))


def without_paths(values: Any) -> Any:
    """The same JSON with the last name of each path: where files lay means nothing elsewhere."""
    if isinstance(values, dict):
        return {key: without_paths(value) for key, value in values.items()}
    if isinstance(values, list):
        return [without_paths(value) for value in values]
    return Path(values).name if isinstance(values, str) and values.startswith("/") else values


def processor_name() -> str:
    """What this machine's processor is called."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.split(": ")[1] for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def _git(*words: str) -> str:
    done = subprocess.run(
        ["git", *words], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()
