"""Processes that are started together know of one another; memory is kept for the next tensors."""

import os
import platform
import subprocess
import sys

import pytest
import torch

from kd_landmarks.utils.environment import on_cpus

# A file each: lines of processes that share an output can run into one another.
SCRIPT = """
from pathlib import Path
from accelerate import PartialState
from kd_landmarks.utils.environment import on_cpus
state = PartialState(cpu=on_cpus())
Path(__file__).with_name(f"{state.process_index} of {state.num_processes}").touch()
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
    assert sorted(path.name for path in tmp_path.glob("* of *")) == ["0 of 2", "1 of 2"]


@pytest.mark.parametrize(("word", "here", "expected"), [("true", True, True), ("", True, False)])
def test_cpus_are_for_who_asks_or_has_nothing_else(monkeypatch, word, here, expected):
    monkeypatch.setenv("ACCELERATE_USE_CPU", word or "false")
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: here)
    assert on_cpus() is expected
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    assert on_cpus()


FAULTS = """
import resource, sys, torch
from kd_landmarks.utils.environment import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
torch.zeros(1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(40):
    torch.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_tensors_of_the_size_of_freed_ones_get_their_memory():
    # The heap may have no room to grow where the system placed it, and starts again elsewhere: then
    # the first few tensors of the forty are cleared too.
    assert page_faults("kept") < page_faults("given back") / 2


def page_faults(way):
    clean = {key: text for key, text in os.environ.items() if not key.startswith("MALLOC_")}
    clean.pop("GLIBC_TUNABLES", None)
    command = [sys.executable, "-c", FAULTS, way]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=clean)
    return int(done.stdout)
