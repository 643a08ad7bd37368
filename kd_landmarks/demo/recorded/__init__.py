"""Recorded measurements that the demo shows, as `benchmarks/demo_records.py` writes them."""

import json
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results.json"
AS_IT_IS = ("ours", "dlib")
"""How detectors are called whose points are iBUG's own. The others' points are mapped to them."""


@cache
def results() -> dict[str, Any]:
    """Figures of the released networks, of other detectors, and of confidence."""
    return json.loads(RESULTS.read_text(encoding="utf-8"))
