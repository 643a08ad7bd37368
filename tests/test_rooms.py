"""Imports go one way, and the light rooms import no torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import kd_landmarks

PACKAGE = Path(kd_landmarks.__file__).parent
# What a room may import: itself, and the rooms of the lines above its own.
LEVELS = [
    {"errors"},
    {"schemes", "utils"},
    {"imaging"},
    {"inference"},
    {"models", "losses", "synthetic"},
    {"data"},
    {"evaluation"},
    {"training"},
    {"hub"},
    {"demo"},
    {"cli"},
]
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
# The torch backend loads a detector: the models' classes, which are above it.
UPWARD = {("inference/backends/torch.py", "models")}
LIGHT = ("schemes", "utils", "imaging", "inference")
HEAVY = {"torch", "transformers", "timm", "datasets", "accelerate", "scipy", "matplotlib"}


def imports(file):
    """The rooms that a file imports from, at its head or within its functions."""
    place = file.relative_to(PACKAGE).parts
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = place[: len(place) - node.level]
            names = node.module.split(".") if node.module else []
            path = [*base, *names]
            yield from [path[0]] if path else [alias.name for alias in node.names]


def room_of(file):
    parts = file.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else parts[0].removesuffix(".py")


def test_every_folder_is_a_room():
    folders = {file.parent.name for file in PACKAGE.glob("*/__init__.py")}
    modules = {file.stem for file in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    assert folders | modules == LEVEL.keys()


def test_no_import_goes_up():
    upward = {
        (file.relative_to(PACKAGE).as_posix(), other)
        for file in PACKAGE.glob("*/**/*.py")
        for other in imports(file)
        if LEVEL.get(other, 0) > LEVEL[room_of(file)]
    }
    assert upward == UPWARD


def test_rooms_of_one_level_are_strangers():
    beside = {
        (file.relative_to(PACKAGE).as_posix(), other)
        for file in PACKAGE.glob("*/**/*.py")
        for other in imports(file)
        if LEVEL.get(other) == LEVEL[room_of(file)] and other != room_of(file)
    }
    # A scheme is read from YAML, whose bounds are a matter of parsing.
    assert {pair for pair in beside if pair[0].split("/")[0] != "schemes"} == set()


HEAVY_ALONE = ("inference/backends/torch.py", "inference/export.py")


@pytest.mark.parametrize("first", ["import kd_landmarks", "import kd_landmarks.cli"])
def test_the_light_rooms_import_no_torch(first):
    modules = [
        f"kd_landmarks.{file.relative_to(PACKAGE).with_suffix('').as_posix().replace('/', '.')}"
        for room in LIGHT
        for file in sorted((PACKAGE / room).rglob("*.py"))
        if file.relative_to(PACKAGE).as_posix() not in HEAVY_ALONE and file.stem != "__init__"
    ]
    code = "\n".join([first, *(f"import {name}" for name in modules), "import sys"])
    code += "\nprint(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not HEAVY & set(done.stdout.split())


LIGHT_COMMANDS = """
import sys
from typer.testing import CliRunner
from kd_landmarks.cli import app
for words in (["--help"], ["--version"], ["info"], ["predict", sys.argv[1]], ["video", "--help"]):
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
print(*{name.partition('.')[0] for name in sys.modules})
"""


def test_the_light_commands_import_no_torch(tmp_path):
    from PIL import Image

    Image.new("RGB", (64, 64)).save(tmp_path / "photo.png")
    done = subprocess.run(
        [sys.executable, "-c", LIGHT_COMMANDS, str(tmp_path / "photo.png")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not HEAVY & set(done.stdout.split())


WITHOUT = """
import sys
sys.modules |= dict.fromkeys(["torch", "transformers", "timm", "datasets", "accelerate", "scipy",
                              "matplotlib", "pydantic", "gradio", "safetensors"])
import kd_landmarks
from typer.testing import CliRunner
from kd_landmarks.cli import app
try:
    kd_landmarks.KDLandmarksConfig
except ImportError as error:
    print(error)
lines = ["train", "evaluate --data x", "calibrate . --data x", "convert 300w x --output y",
         "push --repo-id a/b", "card", "annotate --data x --output y", "export --output a.onnx",
         "push-space --repo-id a/b", "demo"]
for line in lines:
    result = CliRunner().invoke(app, line.split())
    assert result.exit_code == 2, (line, result.output, result.exception)
    print(result.output.strip())
"""


def test_what_an_extra_lacks_is_said_in_a_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr
    first, *commands = done.stdout.splitlines()
    assert first.startswith("kd_landmarks.KDLandmarksConfig needs")
    assert len(commands) == 10
    for line in commands:
        assert line.startswith("error: ")
        assert "pip install 'kd-landmarks[" in line or 'pip install "kd-landmarks[' in line
