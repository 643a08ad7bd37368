"""README: short, and its first command draws the picture that it shows."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from pages import ROOT, blocks
from PIL import Image

README = ROOT / "README.md"
PHOTO = ROOT / "kd_landmarks/demo/examples/astronaut.jpg"


def test_readme_is_short_and_names_both_licenses_first():
    lines = README.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 200
    first_screen = " ".join(lines[:12])
    assert "Apache-2.0" in first_screen
    assert "non-commercial research only" in first_screen


def test_three_lines_of_python_draw_a_face():
    code = next(block.code for block in blocks(README) if block.language == "python")
    assert len([line for line in code.splitlines() if line.strip()]) == 3


def test_the_command_draws_the_picture_that_readme_shows(tmp_path):
    (tmp_path / "photo.jpg").symlink_to(PHOTO)
    command = next(block.code for block in blocks(README) if "--draw" in block.code)
    program, *words = command.split()
    program = Path(sys.executable).with_name(program)
    # As on a new machine, where libraries set themselves up, and tell.
    env = os.environ | {"MPLCONFIGDIR": str(tmp_path / "matplotlib")}
    done = subprocess.run(
        [str(program), *words], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "1 face in 1 photo, 0 failed, drawn\n"
    drawn = np.asarray(Image.open(tmp_path / "drawn/photo.png").convert("RGB"), dtype=float)
    shown = ROOT / "examples/astronaut-landmarks.png"
    # Other processors round otherwise: an outline may move by a hair.
    assert np.abs(drawn - np.asarray(Image.open(shown).convert("RGB"), dtype=float)).mean() < 1
    assert "examples/astronaut-landmarks.png" in README.read_text("utf-8")
