"""README's section "Use it" does as printed."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

REPOSITORY = Path(__file__).resolve().parent.parent
EXAMPLES = REPOSITORY / "examples"
PHOTO = REPOSITORY / "kd_landmarks/demo/examples/astronaut.jpg"


def block(section, language):
    """The first block of a language in a section."""
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    [body] = re.findall(rf"(?ms)^## {section}\n(.*?)^## ", text)
    return re.search(rf"(?s)```{language}\n(.*?)```", body)[1]


@pytest.fixture
def here(tmp_path):
    """A folder with a photo."""
    shutil.copy(PHOTO, tmp_path / "photo.jpg")
    return tmp_path


def test_three_lines_of_python_find_a_face(here):
    code = block("Use it", "python")
    statements = [line for line in code.splitlines() if line.strip()]
    assert len(statements) <= 5
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=here, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("(68, 2)") == 1


def test_the_command_draws_the_picture_that_readme_shows(here):
    words = block("Use it", "bash").split()
    program = Path(sys.executable).with_name(words[0])
    # As on a new machine, where libraries set themselves up, and tell.
    env = os.environ | {"MPLCONFIGDIR": str(here / "matplotlib")}
    done = subprocess.run(
        [str(program), *words[1:]], cwd=here, env=env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "1 face in 1 photo, 0 failed, drawn\n"
    drawn = np.asarray(Image.open(here / "drawn/photo.png").convert("RGB"), dtype=float)
    shown = np.asarray(Image.open(EXAMPLES / "astronaut-landmarks.png").convert("RGB"), dtype=float)
    # Other processors round otherwise: an outline may move by a hair.
    assert np.abs(drawn - shown).mean() < 1
    assert "examples/astronaut-landmarks.png" in (REPOSITORY / "README.md").read_text("utf-8")
