"""Photos that are fetched as they are needed: the same faces, pictures, order and measurements."""

import gc
import io
import json
import pickle
import shutil
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, get_ident
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from accelerate import Accelerator
from datasets import Image
from safetensors.torch import load_file
from small_networks import TINY
from streams import SCHEME, TEST_FACES, TRAIN_FACES, write_parquet
from torch._utils import ExceptionWrapper
from training import REPOSITORY, tiny_arguments
from typer.testing import CliRunner

from kd_landmarks.cli import app
from kd_landmarks.data import bad_rows, streaming
from kd_landmarks.data.augmentation import AugmentationSettings
from kd_landmarks.data.crops import FaceCrops, crop_points
from kd_landmarks.data.loading import load_rows
from kd_landmarks.data.photos import Photos
from kd_landmarks.data.stream_order import training_order
from kd_landmarks.errors import KDLandmarksError
from kd_landmarks.hub.push_data import push_folder
from kd_landmarks.synthetic import generated_dataset
from kd_landmarks.training import distributed as shares
from kd_landmarks.training import loop as trainer
from kd_landmarks.training import pseudo_labels
from kd_landmarks.training.data import FaceSets, load_sets
from kd_landmarks.training.distributed import leave_out_bad_rows
from kd_landmarks.training.recipe import changed_values, load_recipe
from kd_landmarks.training.recipe_settings import (
    DataSettings,
    NetworkSettings,
    RunSettings,
    ShapeModelSettings,
)
from kd_landmarks.training.soft_landmarks import fit_shape_model

REPO = "ada/faces"


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """The data set as a folder of Parquet files."""
    return write_parquet(tmp_path_factory.mktemp("faces"))


@pytest.fixture
def few_held(monkeypatch):
    """Readers that hold two row groups only, so that these few faces make them fetch."""
    monkeypatch.setattr(streaming, "HELD_GROUPS", 2)


def rows_of(source, split="train", **options):
    return load_rows(source, split, scheme=SCHEME, **options)


def crops_of(rows, **options):
    return FaceCrops(
        rows,
        32,
        augmentation=AugmentationSettings(),
        flip_permutation=SCHEME.flip_permutation,
        keep=False,
        **options,
    )


def same_rows(one, other):
    assert one.features == other.features
    light = [name for name in one.column_names if name != "image"]
    assert one.select_columns(light).to_dict() == other.select_columns(light).to_dict()
    first, second = Photos(one), Photos(other)
    assert [first[row] for row in range(len(one))] == [second[row] for row in range(len(other))]


def test_streamed_rows_are_those_on_disk(faces):
    streamed = rows_of(faces, streaming=True)
    assert len(streamed) == TRAIN_FACES
    same_rows(streamed, rows_of(faces))
    held = Photos(streamed)
    assert sum(len(group) for group in held.groups()) == TRAIN_FACES
    assert len(held.groups()) == 17  # 10 + 10 + 10 + 10 + 3 faces by threes
    file = faces / "data/train-00001-of-00005.parquet"
    alone = rows_of(file, split=None, streaming=True)
    assert alone["source"] == streamed["source"][10:20]


def test_a_key_gives_the_same_picture_streamed_or_not(faces):
    streamed, stored = (crops_of(rows_of(faces, streaming=value)) for value in (True, False))
    for key in (0, 5, TRAIN_FACES - 1, TRAIN_FACES + 5, 7 * TRAIN_FACES + 20):
        one, other = streamed[key], stored[key]
        assert one.keys() == other.keys()
        assert one["index"] == other["index"] == key % TRAIN_FACES
        assert all(torch.equal(one[name], other[name]) for name in ("image", "landmarks"))


def test_a_worker_that_is_not_forked_reads_the_same(faces):
    crops = crops_of(rows_of(faces, streaming=True))
    sent = pickle.loads(pickle.dumps(crops))
    streaming._footers.clear()
    assert torch.equal(sent[4]["image"], crops[4]["image"])


def test_photos_are_held_up_to_the_limit(faces, few_held):
    photos = Photos(rows_of(faces, streaming=True))
    for row in range(TRAIN_FACES):
        assert photos[row]["bytes"]
        assert len(photos._row_groups._held) <= photos.groups_at_once == 2


def test_fat_row_groups_are_held_one_at_a_time(faces, monkeypatch):
    monkeypatch.setattr(streaming, "HELD_BYTES", 10)
    assert Photos(rows_of(faces, streaming=True)).groups_at_once == 1


@pytest.mark.parametrize("workers", [0, 2])
def test_the_loader_of_a_process_gives_every_face_once_an_epoch(faces, few_held, workers):
    crops = crops_of(rows_of(faces, streaming=True))
    settings, run = NetworkSettings(batch_size=4), RunSettings(workers=workers)
    order = training_order(crops, 4, max(1, workers), total=3 * TRAIN_FACES + 3, seed=0)
    loader = trainer._loader(crops, order, settings, run)
    seen = torch.cat([batch["index"] for batch in loader]).tolist()
    assert len(seen) == 132
    for epoch in range(3):
        part = seen[epoch * TRAIN_FACES : (epoch + 1) * TRAIN_FACES]
        assert sorted(part) == list(range(TRAIN_FACES))


def test_streamed_and_stored_sets_are_the_same(faces):
    accelerator = Accelerator(cpu=True)
    settings = DataSettings(source=str(faces), validation_faces=8)
    stored = load_sets(accelerator, settings, SCHEME, seed=4)
    streamed = load_sets(
        accelerator, settings.model_copy(update={"streaming": True}), SCHEME, seed=4
    )
    for name in ("train", "validation", "test"):
        same_rows(getattr(streamed, name), getattr(stored, name))
    assert Photos(streamed.train).streamed
    assert not Photos(streamed.validation).streamed
    assert not Photos(streamed.test).streamed
    shapes = crop_points(stored.test, "landmarks", 1.25)
    soft = [
        fit_shape_model(sets.train, ShapeModelSettings(), 1.25).soften(shapes)
        for sets in (streamed, stored)
    ]
    assert np.array_equal(*soft)


def test_a_run_goes_on_with_the_same_row_groups_only(faces, tmp_path):
    digests = [FaceSets(rows_of(faces, streaming=True), None, None).digest() for _ in range(2)]
    assert digests[0] == digests[1]
    for file in (shutil.copytree(faces, tmp_path / "other") / "data").iterdir():
        pq.write_table(pq.read_table(file), file, row_group_size=2)
    assert FaceSets(rows_of(tmp_path / "other", streaming=True), None, None).digest() != digests[0]


def test_photos_come_by_the_row_group_and_past_a_shaky_hub(faces, hub):
    push_folder(faces, REPO, private=True)
    photos = Photos(rows_of(REPO, streaming=True))
    stored = Photos(rows_of(faces))
    hub.requests.clear()
    assert [photos[row] for row in (0, 1, 2, 3)] == [stored[row] for row in (0, 1, 2, 3)]
    assert [asked.method for asked in hub.requests] == ["GET", "GET"]
    assert all(asked.status == 206 for asked in hub.requests)
    hub.cut_next("train-00004", after=100)
    hub.fail_next("train-00004", status=429, retry_after=1)
    hub.fail_next("train-00004", status=503)
    assert photos[TRAIN_FACES - 1] == stored[TRAIN_FACES - 1]
    assert not hub.unused_faults


class Unreadable(io.BytesIO):
    def read(self, size=-1):
        raise OSError("the disk is gone")


def test_a_read_that_fails_lets_go_of_its_file(faces, monkeypatch):
    """What Arrow still holds while the interpreter ends aborts the process, now and then."""
    photos, opened = Photos(rows_of(faces, streaming=True)), []

    def open_broken(file):
        handle = Unreadable(Path(file).read_bytes())
        opened.append(weakref.ref(handle))
        return handle

    monkeypatch.setattr(streaming, "_open", open_broken)
    with pytest.raises(KDLandmarksError, match="the disk is gone"):
        photos[0]
    gc.collect()
    assert [handle() for handle in opened] == [None]


def command(*words):
    return CliRunner().invoke(app, ["train", *map(str, words)])


# The teacher's points are precomputed from the stream, and generated faces join the photos.
STUDENT = {
    "stages": "tough_teacher,student",
    "student.loss.tolerant_weight": 0,
    "data.generated_extra": 6,
    "run.checkpoint_every": 0.5,
    "run.workers": 0,
    "tough_teacher.backbone": TINY,
    "student.backbone": TINY,
}


def streaming_arguments(folder, source):
    words = tiny_arguments(
        "--recipe", "embedded", "--output", folder, "--data", source, "--streaming"
    )
    more = [word for key, value in STUDENT.items() for word in (f"--{key}", value)]
    return [*words, *more]


def same_weights(one, other, *stages):
    for stage in stages:
        first, second = (load_file(place / stage / "model.safetensors") for place in (one, other))
        for name, value in first.items():
            torch.testing.assert_close(value, second[name], rtol=0, atol=1e-6)


def test_a_stream_that_breaks_off_is_taken_up_again(faces, few_held, hub, tmp_path, monkeypatch):
    push_folder(faces, REPO, private=True)
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    unlabeled = ("--unlabeled.source", faces.parent / "lines", "--unlabeled.split", "train")
    monkeypatch.setattr(pseudo_labels, "TOLERANCE", 1)  # whatever the hardly trained teacher says
    result = command(*streaming_arguments(straight, REPO), *unlabeled)
    assert result.exit_code == 0, result.output
    assert f"{TRAIN_FACES - 8} train, 8 validation, {TEST_FACES} test faces" in result.output
    # Nothing of the photos has come to the disk.
    assert not list(hub.folder.rglob("*.parquet"))
    assert all("generated" in str(file) for file in hub.folder.rglob("*.arrow"))

    save = trainer.save_checkpoint

    def save_and_fall(accelerator, state, folder, *rest, **options):
        save(accelerator, state, folder, *rest, **options)
        if folder.name == "student" and len(finished_of(folder)) == 2:
            hub.down()

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "save_checkpoint", save_and_fall)
        result = command(*streaming_arguments(broken, REPO), *unlabeled)
    assert result.exit_code == 2, result.output
    assert "error: cannot read hf://datasets/ada/faces@" in result.output
    assert "goes on from its last checkpoint with --resume" in result.output.replace("\n", " ")
    assert not (broken / "student").exists()
    hub.up()
    result = command("--resume", broken)
    assert result.exit_code == 0, result.output
    same_weights(straight, broken, "tough_teacher", "student")

    # The same networks, measured on the downloaded data set.
    stored = shutil.copytree(straight, tmp_path / "stored")
    recipe = (stored / "recipe.yaml").read_text()
    assert recipe.count("streaming: true") == 1
    (stored / "recipe.yaml").write_text(recipe.replace("streaming: true", "streaming: false"))
    (stored / "metrics.json").unlink()
    result = command("--resume", stored)
    assert result.exit_code == 0, result.output
    scores = [json.loads((place / "metrics.json").read_text()) for place in (straight, stored)]
    for metrics in scores:
        for entry in metrics["networks"].values():
            del entry["torch_ms_per_face"]
    assert scores[0] == scores[1]


def finished_of(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.startswith("step_")]


TWO_PROCESSES = """
import json, sys
from pathlib import Path
from kd_landmarks.training import loop as trainer, stages
from kd_landmarks.training.run import train
from accelerate import Accelerator, PartialState
from kd_landmarks.data import bad_rows, streaming
from kd_landmarks.training.recipe import load_recipe, parse_overrides

streaming.HELD_GROUPS = 2
folder, words = Path(sys.argv[1]), sys.argv[2:]
recipe = load_recipe("embedded", parse_overrides(words))
plain_step, save_checkpoint = stages.plain_step, trainer.save_checkpoint
seen = {}

class Stop(Exception):
    pass

def run(name, stop_at=None):
    def counting_step(*arguments, **options):
        step = plain_step(*arguments, **options)
        def counted(output, batch):
            seen.setdefault(name, []).append(batch["index"].tolist())
            return step(output, batch)
        return counted

    def save_and_stop(accelerator, state, folder, step, *rest):
        save_checkpoint(accelerator, state, folder, step, *rest)
        if step == stop_at:
            raise Stop

    stages.plain_step, trainer.save_checkpoint = counting_step, save_and_stop
    accelerator = Accelerator(cpu=True, step_scheduler_with_optimizer=False)
    try:
        train(accelerator, recipe, folder / name.partition("-")[0])
    except Stop:
        accelerator.free_memory()

run("straight")
run("stopped", stop_at=3)
run("stopped-resumed")
(folder / f"seen-{PartialState().process_index}.json").write_text(json.dumps(seen))
"""


@pytest.mark.slow
def test_two_processes_with_two_workers_each_share_a_stream(faces, hub, tmp_path):
    push_folder(faces, REPO, private=True)
    (tmp_path / "script.py").write_text(TWO_PROCESSES)
    words = tiny_arguments("--data.source", REPO, "--data.streaming", "true")
    words += ["--stages", "[baseline]", "--baseline.batch_size", "4", "--run.workers", "2"]
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    done = subprocess.run(
        [sys.executable, *launcher, str(tmp_path / "script.py"), str(tmp_path), *words],
        env=hub.environment(
            ACCELERATE_USE_CPU="true", OMP_NUM_THREADS="1", PYTHONPATH=str(REPOSITORY)
        ),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    seen = [json.loads((tmp_path / f"seen-{rank}.json").read_text()) for rank in (0, 1)]
    count = TRAIN_FACES - 8
    rows = {name: in_order([one[name] for one in seen]) for name in seen[0]}
    assert len(rows["straight"]) == 72  # 2 epochs of 35 faces, 2 processes of batch 4
    for epoch in (0, 1):
        assert sorted(rows["straight"][epoch * count : (epoch + 1) * count]) == list(range(count))
    assert len(rows["stopped"]) == 3 * 8
    assert rows["stopped"] + rows["stopped-resumed"] == rows["straight"]
    same_weights(tmp_path / "straight", tmp_path / "stopped", "baseline")


def in_order(processes):
    """The rows that processes met, batch by batch in turn."""
    return [row for step in zip(*processes, strict=True) for batch in step for row in batch]


@pytest.fixture
def spoilt(faces, tmp_path):
    """The data set with a photo of its twelfth face that ends in the middle."""
    folder = shutil.copytree(faces, tmp_path / "spoilt")
    file = folder / "data/train-00001-of-00005.parquet"
    table = pq.read_table(file)
    images = table["image"].to_pylist()
    images[1]["bytes"] = images[1]["bytes"][:200]
    place = table.column_names.index("image")
    table = table.set_column(place, table.schema.field(place), pa.array(images))
    pq.write_table(table, file, row_group_size=3)
    return folder


def test_a_broken_photo_is_named_when_it_is_met(spoilt, tmp_path):
    words = streaming_arguments(tmp_path / "run", spoilt)
    result = command(*words, "--data.validation_faces", "2")
    assert result.exit_code == 2, result.output
    assert "error: train.jsonl:12: the photo cannot be decoded" in result.output


def test_what_stops_a_worker_is_told_without_its_traceback(monkeypatch, tmp_path):
    def fail(*_):
        try:
            raise KDLandmarksError("the photo is gone")
        except KDLandmarksError:
            ExceptionWrapper(where="in DataLoader worker process 0").reraise()

    monkeypatch.setattr("kd_landmarks.training.run.train", fail)
    result = command("--output", tmp_path / "run")
    assert result.exit_code == 2
    assert result.output == "error: the photo is gone\n"


def test_broken_photos_are_left_out_as_of_stored_rows(spoilt, caplog):
    settings = DataSettings(source=str(spoilt), validation_faces=8, skip_bad_rows=True)
    sets = [
        load_sets(Accelerator(cpu=True), settings.model_copy(update=update), SCHEME, seed=0)
        for update in ({}, {"streaming": True})
    ]
    assert caplog.text.count("train.jsonl:12: the image 11.png cannot be decoded") == 2
    assert len(sets[0].train) + len(sets[0].validation) == TRAIN_FACES - 1
    for name in ("train", "validation", "test"):
        same_rows(getattr(sets[0], name), getattr(sets[1], name))


@pytest.mark.parametrize("good", [3, 0])
def test_a_process_may_have_nothing_but_bad_rows_while_another_has_good_ones(monkeypatch, good):
    monkeypatch.setattr(bad_rows, "MOST_LISTED", 2)
    rows = generated_dataset(6, cache=False)
    photos = [row["bytes"] for row in rows.cast_column("image", Image(decode=False))["image"]]
    spoilt = [{"bytes": photo[:200], "path": None} for photo in photos[: 6 - good]]
    whole = [{"bytes": photo, "path": None} for photo in photos[6 - good :]]
    rows = rows.remove_columns("image").add_column("image", spoilt + whole).cast(rows.features)
    # Two threads for two processes, each with half of the rows.
    both, gathered = Barrier(2, timeout=60), {}

    def work(rank):
        def gather(mine):
            gathered[rank] = mine
            both.wait()
            return gathered[0] + gathered[1]

        ranks[get_ident()] = gather
        return leave_out_bad_rows(
            SimpleNamespace(num_processes=2, process_index=rank), rows, SCHEME
        )

    ranks = {}
    monkeypatch.setattr(shares, "gather_object", lambda mine: ranks[get_ident()](mine))
    with ThreadPoolExecutor(2) as pool:
        processes = [pool.submit(work, rank) for rank in (0, 1)]
    for process in processes:
        if good:
            assert process.result()["source"][:] == rows["source"][6 - good :]
        else:
            assert "all 6 rows are bad" in str(process.exception())


def test_only_parquet_is_streamed(faces, tmp_path):
    result = command(*streaming_arguments(tmp_path / "run", faces.parent / "lines"))
    assert result.exit_code == 2
    assert "make Parquet of it with `kd-landmarks convert`" in result.output.replace("\n", " ")
    result = command(*tiny_arguments("--output", tmp_path / "run", "--streaming"))
    assert result.exit_code == 2
    assert "generated faces cannot be streamed" in result.output
    assert not (tmp_path / "run").exists()


def test_a_stream_is_refused_clearly_by_a_hub_that_is_down_or_has_no_parquet(faces, hub):
    push_folder(faces.parent / "lines", REPO, private=True)
    with pytest.raises(KDLandmarksError, match="not stored as Parquet"):
        rows_of(REPO, streaming=True)
    with pytest.raises(KDLandmarksError, match="no such data set on the Hub"):
        rows_of("ada/nothing", streaming=True)
    with pytest.raises(KDLandmarksError, match="with the stored token"):
        rows_of(REPO, streaming=True, token="hf_ada")
    hub.down()
    with pytest.raises(KDLandmarksError, match=r"out of reach .*streaming needs the Hub itself"):
        rows_of(REPO, streaming=True)
    assert not hub.waits


def test_a_continued_stream_keeps_its_number_of_workers():
    old, new = (
        load_recipe("embedded", {"data.streaming": True, "run.workers": count}) for count in (1, 2)
    )
    assert changed_values(old, new) == ["run.workers: 1 in the run, 2 now"]
