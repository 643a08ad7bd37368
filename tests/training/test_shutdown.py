"""Errors and signals end all processes of a command, with one line and one exit code."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

# The frame of the command line around a command that waits.
WAITING = """
import time
from kd_landmarks.cli.app import app
from kd_landmarks.utils.signals import quiet_start

@app.command()
def wait():
    print("ready", flush=True)
    time.sleep(60)

quiet_start()
app(["wait"])
"""

# What was forked in between lives as long as its parent.
FORKING = """
import multiprocessing, os, signal, sys, time
from kd_landmarks.utils.signals import loader_worker, stop_signals

def work():
    if sys.argv[1] == "loader":
        loader_worker(0)
    print(os.getpid(), flush=True)
    time.sleep(60)

with stop_signals(lambda: "nothing"):
    multiprocessing.get_context("fork").Process(target=work, daemon=True).start()
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        print("parent", flush=True)
        time.sleep(60)
"""

# Faces drawn on two cores, more of them than anybody waits for.
DRAWING = """
from kd_landmarks.synthetic import generated_dataset
generated_dataset(1_000_000, size=32, num_proc=2, cache=False)
"""

# Two processes: the first waits for the second, which does something else.
TWO = """
import os, signal, sys
from kd_landmarks.training.shutdown import one_ending
from kd_landmarks.errors import KDLandmarksError
import typer

def main(how: str):
    with one_ending(lambda: "all that was done stays") as state:
        state.wait_for_everyone()
        if state.process_index == 1 and how == "error":
            raise KDLandmarksError("all rows are bad")
        if state.process_index == 1 and how == "bug":
            raise TypeError("a mistake of ours")
        if state.process_index == 1 and how == "stop":
            os.kill(os.getpid(), signal.SIGTERM)
        if state.process_index == 1 and how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        state.wait_for_everyone()
        print("done")

typer.run(main)
"""


def start(*words, **environment):
    return subprocess.Popen(
        [sys.executable, *map(str, words)],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"} | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell that starts the tests in the background has them ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_command_that_is_stopped_says_so_in_one_line(number, code):
    process = start("-c", WAITING)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert errors.startswith("stopped: finished files are kept")
    assert errors.count("\n") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells a process of its parent's end")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_processes_that_draw_leave_ctrl_c_to_their_parent_and_end_with_it(number):
    process = start("-c", DRAWING)
    deadline = time.monotonic() + 60
    while len(children := drawing_processes(process.pid)) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    # A terminal sends Ctrl-C to all.
    for target in (*children, process.pid) if number == signal.SIGINT else (process.pid,):
        os.kill(target, number)
    _, errors = process.communicate(timeout=60)
    assert number == signal.SIGKILL or errors.count("Traceback") == 1
    while any(map(is_running, children)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def drawing_processes(parent):
    """Of Linux's /proc: its children, less the one that tidies up shared memory."""
    files = Path(f"/proc/{parent}/task").glob("*/children")
    found = [int(number) for file in files for number in file.read_text().split()]
    return [
        number for number in found if b"spawn_main" in Path(f"/proc/{number}/cmdline").read_bytes()
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells a process of its parent's end")
def test_what_was_forked_ends_with_its_parent_even_if_that_is_killed():
    process = start("-c", FORKING, "pool")
    child = int(process.stdout.readline())
    os.kill(child, signal.SIGINT)  # is the parent's business
    time.sleep(0.2)
    assert process.poll() is None
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 30
    while is_running(child):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_loader_worker_stays_while_its_parent_comes_to_an_end():
    process = start("-c", FORKING, "loader")
    worker = int(process.stdout.readline())
    for one in (worker, process.pid):
        os.kill(one, signal.SIGTERM)
    assert process.stdout.readline() == "parent\n"
    assert is_running(worker)
    process.send_signal(signal.SIGINT)  # a second signal, which ends the parent at once
    time.sleep(0.6)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped: nothing" in errors


def is_running(number):
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("how", "code", "line"),
    [
        ("error", 2, "error: all rows are bad"),
        pytest.param("stop", 143, "stopped: all that was done", marks=pytest.mark.slow),
        pytest.param("bug", 1, "TypeError: a mistake of ours", marks=pytest.mark.slow),
        pytest.param("kill", 1, "error: another process of this run", marks=pytest.mark.slow),
    ],
)
def test_what_ends_one_process_ends_all(tmp_path, how, code, line):
    """Started by hand, without a launcher that would kill those who are left."""
    (tmp_path / "script.py").write_text(TWO)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    place |= {"ACCELERATE_USE_CPU": "true", "LOCAL_WORLD_SIZE": "2"}
    processes = [
        start(tmp_path / "script.py", how, RANK=str(rank), LOCAL_RANK=str(rank), **place)
        for rank in (0, 1)
    ]
    ended = [process.communicate(timeout=120) for process in processes]
    codes = [process.returncode for process in processes]
    assert codes == [code, -signal.SIGKILL if how == "kill" else code]
    assert "".join(errors for _, errors in ended).count(line) == 1
    assert "done" not in "".join(output for output, _ in ended)
    assert "Traceback" not in ended[0][1]
