"""Processes that are started together know of one another, told to stay on CPUs or not."""

import os
import subprocess
import sys

import pytest
import torch

from kd_landmarks.processes import on_cpus

SCRIPT = """
from accelerate import PartialState
from kd_landmarks.processes import on_cpus
state = PartialState(cpu=on_cpus())
print(f"{state.process_index} of {state.num_processes}", flush=True)
state.destroy_process_group()
"""


@pytest.mark.skipif(torch.accelerator.is_available(), reason="for machines without accelerator")
def test_processes_on_cpus_share_the_work_without_being_told(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    environment = {key: value for key, value in os.environ.items() if key != "ACCELERATE_USE_CPU"}
    done = subprocess.run(
        [sys.executable, *launcher, str(tmp_path / "script.py")],
        env=environment | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["0 of 2", "1 of 2"]


@pytest.mark.parametrize(("word", "here", "expected"), [("true", True, True), ("", True, False)])
def test_cpus_are_for_who_asks_or_has_nothing_else(monkeypatch, word, here, expected):
    monkeypatch.setenv("ACCELERATE_USE_CPU", word or "false")
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: here)
    assert on_cpus() is expected
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    assert on_cpus()
