"""Shared fixtures: everything runs offline and on fixed seeds."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
# Drawn faces are cached, which would be in the home folder. Further test processes inherit it.
if not {"HF_HOME", "HF_DATASETS_CACHE"} & set(os.environ):
    _CACHE = tempfile.TemporaryDirectory(prefix="kd-landmarks-tests-", ignore_cleanup_errors=True)
    os.environ["HF_DATASETS_CACHE"] = _CACHE.name
# As `kd-landmarks train` does: waiting OpenMP threads that spin make a busy machine crawl.
os.environ.setdefault("GOMP_SPINCOUNT", "5000")
# One of several test processes keeps to one core.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# What a shell runs in the background ignores Ctrl-C, and so would the programs that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import numpy as np
import pytest
from fake_hub.clients import LocalHub
from small_networks import save_small


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real faces (300w/, wflw/, …); the test is skipped where there is none."""
    root = os.environ.get("KD_LANDMARKS_DATA")
    if not root:
        pytest.skip("KD_LANDMARKS_DATA is unset: no real faces to test on")
    if not Path(root).is_dir():
        pytest.fail(f"KD_LANDMARKS_DATA={root} is not a folder: unset it or point it at the faces")
    return Path(root)


@pytest.fixture
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parquet is cached as Arrow: nothing of an earlier test is found again."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", cache)


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded generator, fresh for every test."""
    return np.random.default_rng(20221)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """A Hub of this machine's own, to which the test's clients are logged in (helpers/fake_hub)."""
    with LocalHub(tmp_path / "hub", monkeypatch) as local:
        yield local


@pytest.fixture(scope="session")
def noise_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network that has seen noise, as exports and their int8 need it; do not change it."""
    folder: Path = tmp_path_factory.mktemp("noise") / "small"
    return save_small(folder, spread=0.2, noise=30)
