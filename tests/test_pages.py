"""README and docs/: code runs as printed, links lead somewhere, figures are the recorded ones."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import yaml
from clips import write_clip
from pages import PAGES, ROOT, anchors, blocks, links
from PIL import Image

from kd_landmarks import default_checkpoint
from kd_landmarks.synthetic import generate_face
from kd_landmarks.training.recipe import load_recipe, recipe_keys

PHOTO = ROOT / "kd_landmarks/demo/examples/astronaut.jpg"
LINKED = [*PAGES, *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"))]
LINKED += sorted((ROOT / "benchmarks").rglob("README.md"))
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def names(pages):
    return [page.relative_to(ROOT).as_posix() for page in pages]


def with_blocks(*modes):
    found = [page for page in PAGES if any(block.mode in modes for block in blocks(page))]
    return pytest.mark.parametrize("page", found, ids=names(found))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with what the pages' code takes: a photo, and a few labeled faces."""
    shutil.copy(PHOTO, tmp_path / "photo.jpg")
    write_faces(tmp_path / "faces", {"train": 6})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_faces(folder, counts):
    folder.mkdir(parents=True)
    for split, count in counts.items():
        lines = []
        for seed in range(count):
            face = generate_face(seed, size=128)
            Image.fromarray(face.image).save(folder / f"{split}{seed}.png")
            points = face.landmarks.round(2).tolist()
            lines.append(json.dumps({"image": f"{split}{seed}.png", "landmarks": points}))
        (folder / f"{split}.jsonl").write_text("\n".join(lines))


def run(page, modes, folder):
    """A page's blocks in their order: those of Python share their names, as in a notebook."""
    shared = {"__name__": "__main__"}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    variables = {
        "PATH": path,
        "ACCELERATE_USE_CPU": "true",
        "PYTHONPATH": str(ROOT),
        "KD_LANDMARKS_DATA": str(folder / "data"),
    }
    for block in blocks(page):
        if block.mode not in modes:
            continue
        if block.language == "python":
            exec(compile(block.code, page.name, "exec"), shared)
        else:
            done = subprocess.run(
                ["bash", "-euc", block.code],
                cwd=folder,
                env=os.environ | variables,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, f"{block.code}\n{done.stdout}\n{done.stderr}"


@with_blocks("run")
def test_code_runs_as_printed(page, here):
    run(page, ("run",), here)


@pytest.mark.slow
@with_blocks("slow")
def test_long_code_runs_as_printed(page, here, monkeypatch):
    write_faces(here / "data/300w", {"train": 20, "common": 8})
    write_faces(here / "data/aflw68", {"train": 20})
    monkeypatch.setenv("KD_LANDMARKS_DATA", str(here / "data"))
    portrait = np.asarray(Image.open(PHOTO).convert("RGB"))
    write_clip(here / "talk.mp4", [portrait] * 12, 30)
    (here / "photos").mkdir()
    shutil.copy(PHOTO, here / "photos/1.jpg")
    shutil.copytree(default_checkpoint(), here / "runs/300w/student")
    (here / "examples").symlink_to(ROOT / "examples")
    run(page, ("run", "slow"), here)


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_code_that_is_not_run_here_can_be_right(page, tmp_path, monkeypatch):
    monkeypatch.setenv("FACES", "faces")
    for block in blocks(page):
        if block.mode not in ("run", "slow", "read"):
            assert (ROOT / block.mode).is_file(), f"{page.name}: {block.mode} is to run it"
        if block.language == "python":
            compile(block.code, page.name, "exec")
        elif block.language == "json":
            json.loads(block.code)
        elif block.language == "yaml":
            (tmp_path / "mine.yaml").write_text(block.code)
            assert load_recipe(tmp_path / "mine.yaml").name == "mine"
        elif block.language == "bash":
            for line in block.code.replace("\\\n", " ").splitlines():
                check_command(shlex.split(line, comments=True))


@cache
def known_options():
    """The options of each command, as the page of the command line lists them."""
    text = (ROOT / "docs/command-line.md").read_text(encoding="utf-8")
    parts = re.split(r"(?m)^## (.+)$", text)
    told = {
        name: set(re.findall(r"(?m)^\| `(--[\w-]+)`", body))
        for name, body in zip(parts[1::2], parts[2::2], strict=True)
    }
    told["train"] |= {f"--{key}" for key in recipe_keys()}
    return told


def check_command(words):
    """Refuse a command line with files, extras, commands or options that there are not."""
    for number, word in enumerate(words):
        if word.endswith((".py", ".sh")) and words[number - 1] in ("python", "bash"):
            assert (ROOT / word).is_file(), words
        if word == "pip":
            for extra in re.findall(r"\[([\w,]+)\]", " ".join(words)):
                assert set(extra.split(",")) <= EXTRAS.keys(), words
    starts = [n for n, word in enumerate(words) if word in ("kd-landmarks", "kd_landmarks")]
    if "train_accelerate.py" in words:
        rest = ["train", *words[words.index("train_accelerate.py") + 1 :]]
    elif starts:
        rest = words[starts[0] + 1 :]
    else:
        return
    if rest[0].startswith("--"):
        return
    known = known_options()
    name = next(name for name in (" ".join(rest[:2]), rest[0]) if name in known)
    asked = {word.partition("=")[0] for word in rest if word.startswith("--")}
    assert asked <= known[name], f"{name} has no {asked - known[name]}"


@pytest.mark.parametrize("page", LINKED, ids=names(LINKED))
def test_links_lead_somewhere(page):
    for link in links(page):
        if re.match(r"\w+:", link):
            parts = urlsplit(link)
            assert parts.scheme in ("http", "https"), link
            assert parts.netloc, link
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), f"{page.name}: {link}"
        assert target.is_relative_to(ROOT), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


def test_the_site_leads_to_every_page():
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    assert sorted(re.findall(r"'([\w-]+\.md)'", str(nav))) == sorted(
        page.name for page in PAGES[1:]
    )


FILLED = [*PAGES, ROOT / "benchmarks/distillation/README.md"]


@pytest.mark.parametrize("page", FILLED, ids=names(FILLED))
def test_figures_recipes_and_commands_are_those_of_now(page, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    from generate import filled

    text = page.read_text(encoding="utf-8")
    assert filled(text) == text, "run: python docs/generate.py"


def test_troubleshooting_quotes_real_messages():
    page = ROOT / "docs/troubleshooting.md"
    source = "".join(path.read_text("utf-8") for path in (ROOT / "kd_landmarks").rglob("*.py"))
    source = re.sub(r'"\s*\n\s*f?"', "", source)  # texts in several pieces
    quoted = [block.code.strip() for block in blocks(page) if block.language == "text"]
    assert quoted
    for message in quoted:
        for piece in message.split("…"):
            assert piece.strip() in source, message
