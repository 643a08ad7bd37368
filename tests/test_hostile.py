"""The benchmark of damaged files goes, and a sample of them brings no foreign errors."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
# A process of its own: threads that this one has would not survive the forks.
SAMPLE = """
import json, sys
sys.path.insert(0, "benchmarks")
import hostile
told = {}
for name, group in hostile.GROUPS.items():
    cases = [case for case in group.cases() if not case.name.startswith(tuple(sys.argv[2:]))]
    told[name] = [vars(one) for one in hostile.try_all(cases[:: int(sys.argv[1])])]
print(json.dumps(told))
"""


def tried(every: int, seconds: int, *without: str) -> dict[str, list[dict]]:
    """The outcomes of every so-manieth case by group, without those of some beginnings."""
    done = subprocess.run(
        [sys.executable, "-c", SAMPLE, str(every), *without],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def check(groups: dict[str, list[dict]], least: int) -> None:
    for name, outcomes in groups.items():
        assert len(outcomes) >= least
        assert not [one for one in outcomes if one["kind"] == "foreign"], name
        assert {"refused"} <= {one["kind"] for one in outcomes}
        assert all(one["seconds"] < 60 and one["megabytes"] < 1000 for one in outcomes)


def test_a_sample_of_damaged_files_is_answered_or_refused_clearly():
    # What takes seconds to make is left out.
    costly = ("ONNX", "plan.json", "progress", "PNG of 13300", "PNG of 7000", "WEBP of", "TIFF of")
    check(tried(60, 300, *costly), least=4)


@pytest.mark.slow
def test_many_damaged_files_are_answered_or_refused_clearly():
    check(tried(6, 900), least=30)
