"""`accelerate launch -m kd_landmarks.predict`: each row once, whatever stops it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import datasets
import numpy as np
import pytest
from detectors import save_detector
from PIL import Image

from kd_landmarks.data.generated import generate_face
from kd_landmarks.schemes import get_scheme

REPOSITORY = Path(__file__).resolve().parent.parent
ROWS = 11


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    points = np.linspace(0.3, 0.7, 136).reshape(68, 2)
    return save_detector(tmp_path_factory.mktemp("model") / "line", get_scheme("ibug68"), points)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Photos in four Parquet files: of a face, one of none, one that is broken."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "photos").mkdir()
    for number in range(ROWS):
        photo = generate_face(number, size=128).image if number != 4 else np.zeros((50, 60), "u1")
        Image.fromarray(photo).save(folder / f"photos/{number}.png")
    (folder / "photos/7.png").write_bytes(b"no picture")
    rows = [
        {
            "image": {"bytes": (folder / f"photos/{number}.png").read_bytes(), "path": None},
            "id": number,
        }
        for number in range(ROWS)
    ]
    features = datasets.Features({"image": datasets.Image(), "id": datasets.Value("int64")})
    (folder / "parquet").mkdir()
    for part in range(4):
        datasets.Dataset.from_list(rows[part::4], features=features).to_parquet(
            folder / f"parquet/train-{part}.parquet"
        )
    return folder


def command(model, data, output, *words, processes=1):
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    return [
        sys.executable,
        *(launcher if processes > 1 else []),
        *("-m", "kd_landmarks.predict", "--model", str(model), "--data", str(data)),
        *("--output", str(output), "--part-rows", "2", "--batch-size", "2", *words),
    ]


def environment(cache):
    return os.environ | {
        "HF_HOME": str(cache),
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(REPOSITORY),
        "ACCELERATE_USE_CPU": "true",
        "OMP_NUM_THREADS": "1",
    }


def run(words, cache):
    return subprocess.run(
        words, env=environment(cache), capture_output=True, text=True, check=False, timeout=300
    )


def read(output):
    rows = [
        row
        for file in sorted(output.glob("*.parquet"))
        for row in datasets.Dataset.from_parquet(str(file), cache_dir=str(output / ".cache"))
    ]
    return sorted(rows, key=lambda row: row["id"])


@pytest.mark.parametrize(("processes", "words"), [(1, []), (2, ["--streaming"])])
def test_every_row_is_there_once(model, data, tmp_path, processes, words):
    output = tmp_path / "out"
    done = run(command(model, data / "parquet", output, *words, processes=processes), tmp_path)
    assert done.returncode == 0, done.stderr
    shares = {file.name.rpartition("-")[0] for file in output.glob("*.parquet")}
    assert shares == {f"train-{rank:05d}-of-{processes:05d}" for rank in range(processes)}
    rows = read(output)
    assert [row["id"] for row in rows] == list(range(ROWS))
    assert set(rows[0]) == {"id", "faces", "error"}
    assert [len(row["faces"]) for row in rows] == [n not in (4, 7) for n in range(ROWS)]
    assert "picture" in rows[7]["error"]
    assert rows[0]["error"] is None
    assert np.shape(rows[0]["faces"][0]["keypoints"]) == (68, 2)


def test_a_stopped_run_goes_on_where_it_was(model, data, tmp_path):
    output, words = tmp_path / "out", command(model, data / "parquet", tmp_path / "out")
    begun = subprocess.Popen(words, env=environment(tmp_path), stderr=subprocess.DEVNULL)
    progress = output / ".train-00000-of-00001.json"
    while not progress.exists() and begun.poll() is None:
        time.sleep(0.01)
    begun.kill()
    begun.wait()
    first = output / "train-00000-of-00001-00000.parquet"
    written = first.stat().st_mtime_ns
    assert run(words, tmp_path).returncode == 0
    assert [row["id"] for row in read(output)] == list(range(ROWS))
    assert first.stat().st_mtime_ns == written
    # And once more: there is nothing left to do.
    files = {file: file.stat().st_mtime_ns for file in output.glob("*.parquet")}
    assert run(words, tmp_path).returncode == 0
    assert {file: file.stat().st_mtime_ns for file in output.glob("*.parquet")} == files


def test_a_folder_of_photos_will_do(model, data, tmp_path):
    (data / "photos/7.png").unlink()
    done = run(command(model, data / "photos", tmp_path / "out"), tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"{ROWS - 1} rows in" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--split", "validation"], "cannot load"),
        (["--model", "./nowhere"], "no checkpoint at ./nowhere"),
        (["--min-score", "0.7"], "was begun with min_score 0.6, not 0.7"),
    ],
)
def test_bad_words_end_with_one_clear_message(model, data, tmp_path, words, message):
    (tmp_path / "out").mkdir()
    plan = {"min_score": 0.6}
    if "--min-score" in words:
        plan |= {
            "data": str(data / "parquet"), "split": "train", "revision": None, "model": str(model),
            "part_rows": 2, "processes": 1,
        }  # fmt: skip
        (tmp_path / "out/plan.json").write_text(json.dumps(plan))
    done = run(command(model, data / "parquet", tmp_path / "out", *words), tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
