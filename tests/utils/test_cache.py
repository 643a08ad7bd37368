"""A cache that cannot be written has a stand-in, and a line says so."""

import os
import subprocess
import sys

import pytest

CODE = """
import logging, os, sys
from kd_landmarks.utils import cache
# As for a user without the rights; nothing is read-only for root.
check = cache._writable
cache._writable = lambda folder: str(folder) not in sys.argv and check(folder)
logging.basicConfig(format="%(message)s")
cache.usable_cache()
from huggingface_hub import constants
print(constants.HF_HOME, constants.HF_HUB_CACHE, os.path.isdir(constants.HF_HOME))
print(os.path.isfile(os.path.join(constants.HF_HUB_CACHE, "models--a", "file")))
"""


def run(home, *read_only):
    names = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN_PATH")
    kept = {key: value for key, value in os.environ.items() if key not in names}
    done = subprocess.run(
        [sys.executable, "-c", CODE, *map(str, read_only)],
        env=kept | {"HF_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split(), done.stderr


def test_a_cache_that_can_be_written_stays(tmp_path):
    (home, *_), told = run(tmp_path / "new/cache")
    assert (home, told) == (str(tmp_path / "new/cache"), "")
    assert not (tmp_path / "new").exists()


def test_another_one_is_stood_in_for_and_named(tmp_path):
    (tmp_path / "file").touch()
    (home, fetched, there, _), told = run(tmp_path / "file/cache")
    assert not home.startswith(str(tmp_path))
    assert fetched.startswith(home)
    assert there == "True"
    assert not os.path.exists(home)  # it went with the process
    (line,) = told.splitlines()
    assert str(tmp_path / "file/cache") in line
    assert "HF_HOME" in line


@pytest.mark.parametrize("room", [True, False])
def test_what_was_fetched_is_still_read_and_more_can_be_fetched(tmp_path, room):
    cache, hub = tmp_path / "cache", tmp_path / "cache/hub"
    (hub / "models--a").mkdir(parents=True)
    (hub / "models--a/file").touch()
    (home, fetched, _, found), _ = run(cache, cache, *([] if room else [hub]))
    assert not home.startswith(str(tmp_path))
    assert found == "True"
    assert fetched == (str(hub) if room else f"{home}/hub")
    assert (hub / "models--a/file").is_file()  # it outlives the stand-in
