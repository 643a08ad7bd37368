"""A cache that cannot be written has a stand-in, and a line says so."""

import os
import subprocess
import sys

import pytest

CODE = """
import logging, os
from kd_landmarks.utils.cache import usable_cache
logging.basicConfig(format="%(message)s")
usable_cache()
from huggingface_hub import constants
print(constants.HF_HOME, constants.HF_HUB_CACHE, os.path.isdir(constants.HF_HOME))
"""


def run(home):
    names = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN_PATH")
    kept = {key: value for key, value in os.environ.items() if key not in names}
    done = subprocess.run(
        [sys.executable, "-c", CODE],
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
    (home, fetched, there), told = run(tmp_path / "file/cache")
    assert not home.startswith(str(tmp_path))
    assert fetched.startswith(home)
    assert there == "True"
    assert not os.path.exists(home)  # it went with the process
    (line,) = told.splitlines()
    assert str(tmp_path / "file/cache") in line
    assert "HF_HOME" in line


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_what_was_fetched_is_still_read(tmp_path):
    (tmp_path / "cache/hub").mkdir(parents=True)
    (tmp_path / "cache").chmod(0o500)
    (home, fetched, _), _ = run(tmp_path / "cache")
    assert fetched == str(tmp_path / "cache/hub")
    assert home != str(tmp_path / "cache")
