"""`kd-landmarks annotate`: each row once, whatever stops it."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pytest
from detectors import save_detector
from full_disk import full_disk
from PIL import Image
from tqdm.auto import tqdm
from typer.testing import CliRunner

from kd_landmarks.cli import app
from kd_landmarks.data import annotate
from kd_landmarks.data.data_folder import DataFolder
from kd_landmarks.errors import KDLandmarksError
from kd_landmarks.schemes import get_scheme
from kd_landmarks.synthetic import generate_face
from kd_landmarks.utils.file_names import path_from_text

pytestmark = pytest.mark.usefixtures("own_cache")
REPOSITORY = Path(__file__).resolve().parents[2]
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
        *("-m", "kd_landmarks", "annotate", "--model", str(model), "--data", str(data)),
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


def here(model, data, output, *words):
    """The same in this process."""
    words = [
        "annotate",
        "--model",
        str(model),
        "--data",
        str(data),
        "--output",
        str(output),
        *words,
    ]
    return CliRunner().invoke(app, [*words, "--part-rows", "2", "--batch-size", "2"])


def told(output):
    return [
        row
        for file in sorted(output.glob("*.parquet"))
        for row in datasets.Dataset.from_parquet(str(file), cache_dir=str(output / ".cache"))
    ]


def read(output):
    return sorted(told(output), key=lambda row: row["id"])


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_every_row_is_there_once(model, data, tmp_path, processes):
    output = tmp_path / "out"
    if processes == 1:
        done = here(model, data / "parquet", output)
        assert done.exit_code == 0, done.stderr
    else:
        done = run(command(model, data / "parquet", output, "--streaming", processes=2), tmp_path)
        assert done.returncode == 0, done.stderr
    shares = {file.name.rpartition("-")[0] for file in output.glob("*.parquet")}
    assert shares == {f"train-{rank:05d}-of-{processes:05d}" for rank in range(processes)}
    rows = read(output)
    assert [row["id"] for row in rows] == list(range(ROWS))
    assert set(rows[0]) == {"id", "image_path", "image_row", "faces", "error"}
    assert [len(row["faces"]) for row in rows] == [n not in (4, 7) for n in range(ROWS)]
    assert "picture" in rows[7]["error"]
    assert rows[0]["error"] is None
    assert np.shape(rows[0]["faces"][0]["keypoints"]) == (68, 2)


def test_a_stopped_run_goes_on_where_it_was(model, data, tmp_path, monkeypatch):
    output, write = tmp_path / "out", annotate.write_json

    def write_and_stop(path, values):
        write(path, values)
        if path.name == ".train-00000-of-00001.json":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(annotate, "write_json", write_and_stop)
        assert here(model, data / "parquet", output).exit_code != 0
    assert [file.name for file in output.glob("*.parquet")] == [
        "train-00000-of-00001-00000.parquet"
    ]
    first = output / "train-00000-of-00001-00000.parquet"
    written = first.stat().st_mtime_ns
    assert here(model, data / "parquet", output).exit_code == 0
    assert [row["id"] for row in read(output)] == list(range(ROWS))
    assert first.stat().st_mtime_ns == written
    # And once more: there is nothing left to do.
    files = {file: file.stat().st_mtime_ns for file in output.glob("*.parquet")}
    assert here(model, data / "parquet", output).exit_code == 0
    assert {file: file.stat().st_mtime_ns for file in output.glob("*.parquet")} == files


def test_rows_say_which_photo_they_are(model, data, tmp_path):
    """Parquet: the path that is stored with the picture, and the row's number, streamed or not."""
    picture = (data / "photos/0.png").read_bytes()
    rows = [{"image": {"bytes": picture, "path": f"p{number}.png"}} for number in range(5)]
    features = datasets.Features({"image": datasets.Image()})
    datasets.Dataset.from_list(rows, features=features).to_parquet(tmp_path / "photos.parquet")
    for name, words in (("a", []), ("b", ["--streaming"])):
        done = here(model, tmp_path / "photos.parquet", tmp_path / name, *words)
        assert done.exit_code == 0, done.output
        found = told(tmp_path / name)
        assert [(row["image_path"], row["image_row"]) for row in found] == [
            (f"p{number}.png", number) for number in range(5)
        ]


def test_a_folders_rows_say_which_photo_they_are(model, data, tmp_path):
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    picture = (data / "photos/0.png").read_bytes()
    names = ["a.png", "deep/a.png", "deep/test_1.png", os.fsdecode(b"\xe9.png"), r"\xe9.png"]
    for name in names:
        (folder / name).write_bytes(picture)
    (folder / "._a.png").write_bytes(b"none")
    done = here(model, folder, tmp_path / "out")
    assert done.exit_code == 0, done.output
    found = {path_from_text(row["image_path"]): row for row in told(tmp_path / "out")}
    assert found.keys() == set(names)
    assert sorted(row["image_row"] for row in found.values()) == list(range(5))
    assert {len(row["faces"]) for row in found.values()} == {1}
    done = here(model, folder, tmp_path / "part", "--split", "deep[:1]")
    assert done.exit_code == 0, done.output
    assert [row["image_path"] for row in told(tmp_path / "part")] == ["deep/a.png"]
    for split in ("test", "train[:x]"):
        done = here(model, folder, tmp_path / "none", "--split", split)
        assert done.exit_code == 2
        assert split in done.output


def test_a_folder_of_photos_will_do(model, data, tmp_path):
    (data / "photos/7.png").unlink()
    done = here(model, data / "photos", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    assert f"{ROWS - 1} rows in" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--split", "validation"], "Unknown split"),
        (["--model", "./nowhere"], "no checkpoint at ./nowhere"),
        (["--min-score", "0.7"], "was begun with min_score 0.6, not 0.7"),
        (["--output", "{data}/parquet/new"], "is inside the input folder {data}/parquet"),
    ],
)
def test_bad_options_end_with_one_clear_message(model, data, tmp_path, words, message):
    (tmp_path / "out").mkdir()
    plan = {"min_score": 0.6}
    if "--min-score" in words:
        plan |= {
            "data": str(data / "parquet"), "split": "train", "revision": None, "model": str(model),
            "part_rows": 2, "processes": 1, "streaming": False,
        }  # fmt: skip
        (tmp_path / "out/plan.json").write_text(json.dumps(plan))
    words = [word.format(data=data) for word in words]
    done = here(model, data / "parquet", tmp_path / "out", *words)
    assert done.exit_code == 2
    assert message.format(data=data) in done.stderr


# --- its own files, damaged or another's

NAME = "train-00000-of-00001"


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """Progress of two finished parts of two rows each, and what goes on with them."""
    monkeypatch.setattr(annotate, "detect_each", lambda _, photos, __: [[] for _ in photos])
    photo = io.BytesIO()
    Image.new("RGB", (20, 20)).save(photo, "PNG")
    features = {"image": datasets.Image(decode=False), "id": datasets.Value("int64")}
    rows = datasets.Dataset.from_list(
        [{"image": {"bytes": photo.getvalue(), "path": None}, "id": n} for n in range(7)],
        features=datasets.Features(features),
    )

    def go_on():
        shards = rows.to_iterable_dataset(num_shards=3)
        with tqdm(disable=True) as bar:
            pictures = DataFolder(tmp_path)
            return annotate.annotate_rows(shards, pictures, None, tmp_path, NAME, 2, 2, bar)

    write = annotate.write_json

    def write_and_stop(path, values):
        write(path, values)
        if values["parts"] == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(annotate, "write_json", write_and_stop)
    with pytest.raises(KeyboardInterrupt):
        go_on()
    monkeypatch.setattr(annotate, "write_json", write)
    return tmp_path / f".{NAME}.json", go_on


def test_sound_progress_goes_on(begun):
    progress, go_on = begun
    assert go_on() == 7
    assert [row["id"] for row in read(progress.parent)] == list(range(7))
    assert go_on() == 7


def test_a_part_that_finds_no_room_is_written_the_next_time(begun):
    progress, go_on = begun
    before = {file.name for file in progress.parent.iterdir()}
    with full_disk(1500), pytest.raises(KDLandmarksError, match=rf"cannot write .*{NAME}-00002"):
        go_on()
    assert {file.name for file in progress.parent.iterdir()} == before
    assert go_on() == 7
    assert [row["id"] for row in read(progress.parent)] == list(range(7))


def change_state(state, **values):
    """Change a number of the innermost states."""
    if not isinstance(state, dict):
        return state
    return {key: values.get(key, change_state(value, **values)) for key, value in state.items()}


@pytest.mark.parametrize(
    "values",
    [
        *[{"parts": parts} for parts in (None, "2", -1, 3, 1, 0, 2.0, True, 10**30, [2])],
        *[{"rows": rows} for rows in (None, "4", -4, 5, 4.0, 10**4000, {})],
        *[{"state": state} for state in (None, 3, [], {}, {"epoch": 0}, {"x" * 10**5: 1}, "x")],
        *[
            {"inner": inner}
            for inner in (
                {"shard_idx": "0"},
                {"shard_idx": -1},
                {"shard_example_idx": 10**30},
                {"type": "OtherIterable"},
                {"previous_state": {"shard_idx": 0}},
                {"previous_state": [[[]]]},
                {"examples_iterable": None},
            )
        ],
    ],
    ids=range(31),
)
def test_progress_of_other_shape_is_told_with_the_mend(begun, values):
    progress, go_on = begun
    told = json.loads(progress.read_text())
    inner = values.get("inner")
    told |= {"state": change_state(told["state"], **inner)} if inner else values
    progress.write_text(json.dumps(told))
    with pytest.raises(KDLandmarksError, match=r"or give another --output$") as caught:
        go_on()
    assert str(progress) in str(caught.value)
    assert len(str(caught.value)) <= 510


@pytest.mark.parametrize("content", [b"", b"[]", b"[" * 10**5, b"\xff"])
def test_progress_that_is_no_object_is_told(begun, content):
    progress, go_on = begun
    progress.write_bytes(content)
    with pytest.raises(KDLandmarksError, match=NAME):
        go_on()


@pytest.mark.parametrize("content", [None, b"", b"no Parquet"])
def test_a_part_that_is_lost_or_damaged_is_told(begun, content):
    progress, go_on = begun
    part = progress.with_name(f"{NAME}-00001.parquet")
    part.unlink() if content is None else part.write_bytes(content)
    with pytest.raises(KDLandmarksError, match=f"{part.name} is missing or damaged"):
        go_on()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[]", "not an object"),
        (b"{}", "was begun with data None, not 'x'"),
        (b'{"data": "' + b"y" * 10**5 + b'"}', "was begun with data 'yyy"),
        (b"[" * 10**5, "nested too deeply"),
        (b"", "is not JSON"),
    ],
)
def test_a_plan_of_other_shape_is_told(tmp_path, content, message):
    (tmp_path / "plan.json").write_bytes(content)
    with pytest.raises(KDLandmarksError, match=message) as caught:
        annotate.check_plan(tmp_path, {"data": "x"}, write=True)
    assert "plan.json" in str(caught.value)
    assert len(str(caught.value)) <= 510


@pytest.mark.parametrize("split", ["../train", "a/b", "", ".", "x" * 300])
def test_a_split_that_is_no_files_name_is_refused(tmp_path, split):
    done = here("model", "nowhere", tmp_path / "out", "--split", split)
    assert done.exit_code == 2
    assert "error: the split" in done.stderr
    assert not list(tmp_path.iterdir())
