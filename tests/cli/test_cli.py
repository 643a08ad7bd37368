"""The `kd-landmarks` command: it answers at once, and says what it can do."""

import importlib
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from detectors import evaluate, save_detector, write_faces
from typer.testing import CliRunner

from kd_landmarks.cli import app
from kd_landmarks.data.loading import load_rows
from kd_landmarks.errors import KDLandmarksError
from kd_landmarks.evaluation.evaluate import evaluate_detector
from kd_landmarks.models.loading import load_detector
from kd_landmarks.schemes import get_scheme

REPOSITORY = Path(__file__).resolve().parents[2]
SCHEME = get_scheme("ibug68")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    middle = np.full((68, 2), 0.5, np.float32)
    return save_detector(tmp_path_factory.mktemp("model"), SCHEME, middle)


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    write_faces(folder, numbers=(1, 2))
    return folder


def test_help_needs_no_heavy_library():
    code = """
import sys
sys.argv = ["kd-landmarks", "evaluate", "--help"]
try:
    import kd_landmarks.__main__
except SystemExit as stop:
    assert stop.code == 0
heavy = {"torch", "transformers", "timm", "numpy", "datasets"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Usage: kd-landmarks evaluate")


def test_without_words_it_says_what_it_can_do():
    result = CliRunner().invoke(app, [])
    assert "Usage:" in result.output
    assert re.search(r"^ +evaluate +Measure a detector", result.output, re.MULTILINE)
    result = CliRunner().invoke(app, ["evaluate"])
    assert "kd-landmarks evaluate --data 300w/test_common.jsonl" in result.output


def test_an_unknown_option_is_refused():
    result = CliRunner().invoke(app, ["evaluate", "--dta", "x"])
    assert result.exit_code == 2
    assert "--dta" in result.output


def test_the_installed_script_is_this_command():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, name = project["scripts"]["kd-landmarks"].partition(":")
    assert callable(getattr(importlib.import_module(module), name))


# --- what is refused


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "./nowhere.jsonl"], "there is no file or folder"),
        (["--split", "train"], "there is no split 'train'; splits there: empty, test"),
        ([], "name a split; splits there: empty, test"),
        (["--split", "empty"], "it holds no labeled face"),
        (["--split", "test", "--box", "dataset"], "test.jsonl:1: the row has no box of its own"),
        (["--split", "test", "--normalizer", "mean"], "--normalizer='mean': give one of"),
        (["--split", "test", "--model", "./nowhere"], "no checkpoint at ./nowhere"),
        (["--split", "test", "--revision", "main"], "is for Hub data sets"),
        (["--split", "test", "--json", "."], "error: . is a folder: name a file in it"),
        (["--split", "test", "--plots", "/dev/null/plots"], "cannot write"),
        (["--split", "test", "--json", "/proc/scores.json"], "cannot write /proc/scores.json"),
    ],
)
def test_bad_input_ends_with_one_clear_message(checkpoint, tmp_path, words, message):
    write_faces(tmp_path, numbers=(1,))
    (tmp_path / "empty.jsonl").write_text("\n")
    result = evaluate("--data", tmp_path, "--model", checkpoint, *words)
    assert result.exit_code == 2, result.output
    assert result.output.count("error: ") == 1
    assert message in result.output


def test_a_detector_of_other_landmarks_is_refused(faces, checkpoint, tmp_path):
    scheme = get_scheme("cofw29")
    other = save_detector(tmp_path / "model29", scheme, np.zeros((29, 2), np.float32))
    result = evaluate("--data", faces, "--model", other)
    assert result.exit_code == 2
    assert "has faces of 68 landmarks" in result.output
    assert "detects 29 (cofw29): give a detector of the data's landmarks" in result.output
    rows = load_rows(faces, scheme=SCHEME)
    with pytest.raises(KDLandmarksError, match=r"landmarks of cofw29, not of ibug68"):
        evaluate_detector(*load_detector(other), rows, SCHEME)
    with pytest.raises(KDLandmarksError, match="no faces to evaluate on"):
        evaluate_detector(*load_detector(checkpoint), rows.select([]), SCHEME)


def test_a_detector_without_a_scheme_is_refused(faces, checkpoint, tmp_path):
    model, processor = load_detector(checkpoint)
    model.config.scheme = None
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    result = evaluate("--data", faces, "--model", tmp_path)
    assert result.exit_code == 2
    assert "does not say what its 68 landmarks are" in result.output


def test_a_face_that_cannot_be_measured_is_named(checkpoint, tmp_path):
    points = write_faces(tmp_path, numbers=(1, 2))
    points[1, 36] = points[1, 45]
    lines = [json.loads(line) for line in (tmp_path / "test.jsonl").open()]
    lines[1]["landmarks"] = points[1].tolist()
    (tmp_path / "test.jsonl").write_text("\n".join(map(json.dumps, lines)))
    result = evaluate("--data", tmp_path, "--model", checkpoint)
    assert result.exit_code == 2
    assert "error: test.jsonl:2: the normalizer 'inter_ocular'" in result.output


def test_a_message_comes_on_stderr_without_a_traceback(faces, checkpoint):
    words = ("--data", faces, "--model", checkpoint, "--box", "tight")
    done = subprocess.run(
        [sys.executable, "-m", "kd_landmarks", "evaluate", *map(str, words)],
        env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("error: --box='tight'")
    assert "Traceback" not in done.stderr
