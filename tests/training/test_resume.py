"""A run that is stopped at any moment continues to the very weights of a straight one."""

import errno
import hashlib
import json
import os
import shutil
import signal
import time
from contextlib import suppress

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from training import start_training, tiny_arguments, train_here
from typer.testing import CliRunner

from kd_landmarks.cli import app
from kd_landmarks.errors import KDLandmarksError
from kd_landmarks.training.checkpoints import finished_checkpoints, load_checkpoint, save_checkpoint
from kd_landmarks.training.health import StageMonitor
from kd_landmarks.training.loop import Progress
from kd_landmarks.training.objectives import student_step
from kd_landmarks.training.recipe import load_recipe
from kd_landmarks.training.run_folder import plan_run, run_identity, start_run
from kd_landmarks.training.shape_model import ShapeModel

# Long enough to be caught in the middle.
LONGER = {"student__epochs": 3, "tough_teacher__epochs": 1}
STAGES = ("tough_teacher", "tolerant_teacher", "student")


def arguments(folder):
    """Of that run; what the student does, the baseline would but repeat."""
    return tiny_arguments("--output", folder, "--stages", ",".join(STAGES), **LONGER)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A run that nobody disturbs."""
    folder = tmp_path_factory.mktemp("runs") / "straight"
    status, output = train_here(*arguments(folder))
    assert status == 0, output
    return folder


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """The same run, killed in the student's stage with a checkpoint behind it."""
    folder = tmp_path_factory.mktemp("runs") / "killed"
    checkpoints = folder / "checkpoints/student"
    kill_when(folder, lambda: len(finished_checkpoints(checkpoints)) == 2)
    assert not (folder / "student").exists()
    return folder


def kill_when(folder, condition, *words):
    """Start the run (or continue it by `words`) and kill it without warning once it is so."""
    process = start_training(*(words or arguments(folder)))
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def assert_same_networks(one, other):
    for stage in STAGES:
        first, second = (load_file(place / stage / "model.safetensors") for place in (one, other))
        assert first.keys() == second.keys()
        for name, value in first.items():
            torch.testing.assert_close(value, second[name], rtol=0, atol=1e-6)


def copy_of(folder, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(folder, tmp_path / "run")


def resume_in_process(folder, *words):
    return CliRunner().invoke(app, ["train", "--resume", str(folder), *words])


def snapshot(folder):
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_a_killed_run_continues_to_the_same_weights(straight, killed, tmp_path, caplog):
    folder = copy_of(killed, tmp_path)
    with caplog.at_level("INFO", "kd_landmarks"):
        status, output = train_here("--resume", folder)
    assert status == 0, output
    assert "tough_teacher is finished already" in output
    assert "student continues from step_" in caplog.text
    assert_same_networks(straight, folder)
    errors = [
        json.loads((place / "metrics.json").read_text())["networks"]["student"]["test"]["errors"]
        for place in (straight, folder)
    ]
    assert errors[0] == pytest.approx(errors[1], abs=1e-4)


@pytest.mark.slow
def test_a_run_killed_while_it_writes_a_checkpoint_continues(straight, killed, tmp_path):
    folder = copy_of(killed, tmp_path)
    stages = folder / "checkpoints"
    kill_when(folder, lambda: list(stages.glob("*/.step_*.partial")), "--resume", folder)
    assert list(stages.glob("*/.step_*.partial")), "the kill came between two checkpoints"
    status, output = train_here("--resume", folder)
    assert status == 0, output
    assert_same_networks(straight, folder)
    assert not (folder / "checkpoints").exists()


def test_a_finished_run_is_measured_again_and_not_trained(straight, tmp_path):
    """And what an earlier end left of its checkpoints is removed."""
    folder = copy_of(straight, tmp_path)
    (folder / "metrics.json").unlink()
    (folder / "checkpoints/student/step_00000001").mkdir(parents=True)
    (folder / ".student.0123456789ab.partial").mkdir()
    result = resume_in_process(folder)
    assert result.exit_code == 0, result.output
    assert (folder / "metrics.json").is_file()
    assert_same_networks(straight, folder)
    assert not (folder / "checkpoints").exists()
    assert not list(folder.glob(".*"))


def damaged(file, damage):
    content = file.read_bytes()
    if damage == "lost":
        file.unlink()
    else:
        file.write_bytes(content[:-20] + (b"\xff" * 20 if damage == "altered" else b""))


def test_a_damaged_checkpoint_is_named_with_advice_that_works(straight, killed, tmp_path):
    folder = copy_of(killed, tmp_path)
    latest = finished_checkpoints(folder / "checkpoints/student")[-1]
    damaged(latest / "model.safetensors", "cut")
    before = snapshot(folder)
    result = resume_in_process(folder)
    assert result.exit_code == 2, result.output
    assert str(latest) in result.output
    assert "model.safetensors" in result.output
    assert "Delete that folder to continue from the checkpoint before it" in result.output
    assert snapshot(folder) == before
    shutil.rmtree(latest)
    result = resume_in_process(folder)
    assert result.exit_code == 0, result.output
    assert_same_networks(straight, folder)


def test_a_recipe_that_changed_in_what_matters_is_refused(killed, tmp_path):
    folder = copy_of(killed, tmp_path)
    before = snapshot(folder)
    result = resume_in_process(folder, "--student.learning_rate", "0.5", "--run.workers", "1")
    assert result.exit_code == 2
    assert "student.learning_rate: 0.002 in the run, 0.5 now" in result.output
    assert "workers" not in result.output
    assert snapshot(folder) == before


def test_checkpoints_of_another_run_or_of_other_faces_are_refused(killed, tmp_path):
    folder = copy_of(killed, tmp_path)
    manifest = finished_checkpoints(folder / "checkpoints/student")[-1] / "manifest.json"
    sound = manifest.read_text()
    values = json.loads(sound)
    values["identity"]["data"] = "0" * 16
    manifest.write_text(json.dumps(values))
    result = resume_in_process(folder)
    assert result.exit_code == 2
    assert "its data is '0000000000000000'" in result.output
    manifest.write_text(sound)
    (folder / "run.json").write_text(json.dumps({"run": "another"}))
    before = snapshot(folder)
    result = resume_in_process(folder)
    assert result.exit_code == 2
    assert "belongs to another run" in result.output
    assert snapshot(folder) == before


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_run_that_is_told_to_stop_keeps_the_step_and_continues(
    straight, killed, tmp_path, monkeypatch, number
):
    folder = copy_of(killed, tmp_path)
    look, steps = StageMonitor.read, []

    def stop_at_the_third(watch):
        steps.append(watch)
        if len(steps) == 3:
            signal.raise_signal(number)
        return look(watch)

    words = ("--run.checkpoint_every", "100")  # none of its own
    last = int(finished_checkpoints(folder / "checkpoints/student")[-1].name.split("_")[1]) + 3
    with monkeypatch.context() as patched:
        patched.setattr(StageMonitor, "read", stop_at_the_third)
        result = resume_in_process(folder, *words)
    assert result.exit_code == 128 + number
    (line,) = [line for line in result.output.splitlines() if line.startswith("stopped: ")]
    assert f"the checkpoint step_{last:08d} of the student" in line
    assert line.endswith(f"--resume {folder}")
    assert "Traceback" not in result.output
    result = resume_in_process(folder, *words)
    assert result.exit_code == 0, result.output
    assert_same_networks(straight, folder)


@pytest.mark.parametrize("how", ["gradient", pytest.param("loss", marks=pytest.mark.slow)])
def test_a_run_that_diverges_keeps_what_was_finite(straight, killed, tmp_path, monkeypatch, how):
    folder = copy_of(killed, tmp_path)
    steps = []

    def spoilt(*arguments):
        step = student_step(*arguments)

        def spoil(output, batch):
            parts = dict(step(output, batch))
            steps.append(how)
            if len(steps) == 3 and how == "loss":
                parts["loss"] = parts["loss"] * float("nan")
            if len(steps) == 3 and how == "gradient":  # that of a root is infinite at 0
                parts["loss"] = parts["loss"] + (output.keypoints * 0).sqrt().sum()
            return parts

        return spoil

    last = int(finished_checkpoints(folder / "checkpoints/student")[-1].name.split("_")[1]) + 2
    with monkeypatch.context() as patched:
        patched.setattr("kd_landmarks.training.stages.student_step", spoilt)
        result = resume_in_process(folder)
    assert result.exit_code == 2
    assert f"after {last + 1} steps" in result.output
    for word in ("--student.learning_rate", f"continues from step_{last:08d}"):
        assert word in result.output
    assert finished_checkpoints(folder / "checkpoints/student")[-1].name == f"step_{last:08d}"
    result = resume_in_process(folder)
    assert result.exit_code == 0, result.output
    assert_same_networks(straight, folder)


def test_a_run_that_is_killed_while_it_starts_can_be_continued_or_started_anew(
    tmp_path, monkeypatch
):
    """What lies in the folder before and after each of its files gets its name."""
    recipe = load_recipe("embedded", {"student.epochs": 3})
    shapes = np.random.default_rng(0).normal(0.5, 0.1, (20, 68, 2))
    moments = []

    def snapshot_around(replace):
        def replaced(source, target):
            moments.append(shutil.copytree(tmp_path / "run", tmp_path / f"{len(moments)}"))
            replace(source, target)
            moments.append(shutil.copytree(tmp_path / "run", tmp_path / f"{len(moments)}"))

        return replaced

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", snapshot_around(os.replace))
        start_run(tmp_path / "run", recipe, ShapeModel.fit(shapes))
    assert len(moments) == 2 * 3  # recipe, shape model, identity
    for folder in moments:
        begun = (folder / "recipe.yaml").exists()
        if begun:
            with pytest.raises(KDLandmarksError, match="continue its run with --resume"):
                plan_run(None, {}, folder, None)
        ways = {"output": None, "resume": folder} if begun else {"output": folder, "resume": None}
        planned, place = plan_run(None, {} if begun else {"student.epochs": 3}, **ways)
        assert place == folder
        assert planned.student.epochs == 3
        start_run(folder, planned, ShapeModel.fit(shapes))
        assert run_identity(folder)
        assert load_recipe(folder / "recipe.yaml") == planned
        assert ShapeModel.from_pretrained(folder / "shape_model")
        assert not list(folder.glob(".*"))


def new_state():
    """An accelerator with a model and its optimizer, and one step behind them."""
    accelerator = Accelerator(cpu=True)
    model = torch.nn.Linear(3, 2)
    model, optimizer = accelerator.prepare(model, torch.optim.AdamW(model.parameters()))
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return accelerator, (model, optimizer)


@pytest.fixture(scope="module")
def tiny_state():
    """For tests that leave it as it was."""
    return new_state()


def change_manifest(folder, **values):
    """Change a checkpoint's manifest; a file's new content is told by its checksum."""
    manifest = folder / "manifest.json"
    told = json.loads(manifest.read_text()) | values
    manifest.write_text(json.dumps(told))


@pytest.fixture
def sealed(tiny_state, tmp_path):
    """A checkpoint, and what loads it."""
    accelerator, state = tiny_state
    folder = save_checkpoint(accelerator, state, tmp_path / "student", 7, {"run": "a"}, keep=1)
    return folder, lambda: load_checkpoint(accelerator, state, folder, {"run": "a"})


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.bin", "manifest.json"])
@pytest.mark.parametrize("damage", ["cut", "lost", "altered"])
def test_any_damage_to_any_file_is_found(sealed, name, damage):
    folder, load = sealed
    damaged(folder / name, damage)
    before = snapshot(folder)
    with pytest.raises(KDLandmarksError, match=f"{name}.*Delete that folder") as caught:
        load()
    assert str(folder) in str(caught.value)
    assert snapshot(folder) == before


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b"[" * 10**5,
        b'{"step": ' + b"9" * 5000 + b"}",
        b"\xff\xfe",
        b" " * 5 * 10**6,
    ],
    ids=range(7),
)
def test_a_manifest_that_is_no_object_is_told_with_the_mend(sealed, content):
    folder, load = sealed
    (folder / "manifest.json").write_bytes(content)
    with pytest.raises(KDLandmarksError, match=r"manifest.json .*Delete that folder") as caught:
        load()
    assert len(str(caught.value)) <= 510


@pytest.mark.parametrize(
    "values",
    [
        {"format": None},
        {"format": "x" * 10**5},
        *[{"step": step} for step in ("7", 7.0, True, None, -1, 8, 10**4000, [7])],
        *[
            {"files": files}
            for files in (None, {}, [], "x", {"model.safetensors": 3}, [["a", "b"]])
        ],
        *[{"identity": identity} for identity in (None, [], "a", 3)],
    ],
    ids=range(20),
)
def test_a_manifest_of_other_shape_is_told_with_the_mend(sealed, values):
    folder, load = sealed
    change_manifest(folder, **values)
    with pytest.raises(
        KDLandmarksError, match=r"is not a checkpoint .*Delete that folder"
    ) as caught:
        load()
    assert len(str(caught.value)) <= 510


@pytest.mark.parametrize("name", ["../canary", "{folder}/../canary", "link", "", ".", "x" * 300])
def test_a_manifest_makes_nobody_read_a_file_outside(sealed, name, monkeypatch):
    folder, load = sealed
    canary = folder.parent / "canary"
    canary.write_text("private")
    (folder / "link").symlink_to(canary)
    name = name.format(folder=folder)
    files = json.loads((folder / "manifest.json").read_text())["files"]
    change_manifest(folder, files={**files, name: "0" * 64})
    read = []
    digest = hashlib.file_digest
    monkeypatch.setattr(
        hashlib, "file_digest", lambda file, kind: read.append(file) or digest(file, kind)
    )
    with pytest.raises(KDLandmarksError, match="is missing"):
        load()
    assert read
    assert not [
        file.name for file in read if "canary" in str(file.name) or "link" in str(file.name)
    ]


@pytest.mark.parametrize(
    "name", ["custom_checkpoint_0.pkl", "optimizer.bin", "random_states_0.pkl"]
)
def test_resuming_unpickles_nothing_that_runs_code(tmp_path, name):
    """Whoever made the checkpoint, manifest and all."""
    accelerator, state = new_state()
    progress = Progress(step=7)
    accelerator.register_for_checkpointing(progress)
    folder = save_checkpoint(accelerator, state, tmp_path / "student", 7, {}, keep=1)
    assert load_checkpoint(accelerator, state, folder, {}) == 7
    torch.save(Trap(tmp_path / "ran"), folder / name)
    files = json.loads((folder / "manifest.json").read_text())["files"]
    digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    change_manifest(folder, files=files | {name: digest})
    with (
        suppress(KDLandmarksError)
        if name.startswith("random")
        else pytest.raises(KDLandmarksError, match="does not fit this run")
    ):
        load_checkpoint(accelerator, state, folder, {})
    assert not (tmp_path / "ran").exists()


class Trap:
    """Leaves a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize(
    "state",
    [{}, {"step": -1}, {"step": "7"}, {"seconds": None}, {"history": 3}, {"history": [1]}],
)
def test_a_progress_of_other_shape_is_refused(state):
    sound = {"step": 7, "seconds": 1.5, "history": [{"epoch": 1.0}]}
    Progress().load_state_dict(sound)
    with pytest.raises(ValueError, match="invalid"):
        Progress().load_state_dict({**sound, **state} if state else {})


@pytest.mark.parametrize(
    "content", [b"[]", b"{}", b'{"run": 3}', b'{"run": ""}', b"[" * 10**5, b""]
)
def test_a_damaged_identity_is_told(tmp_path, content):
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(KDLandmarksError, match=r"run\.json"):
        run_identity(tmp_path)


def test_a_full_disk_keeps_the_earlier_checkpoint(tiny_state, tmp_path, monkeypatch):
    accelerator, state = tiny_state
    model = state[0]
    folder = tmp_path / "checkpoints/student"
    save_checkpoint(accelerator, state, folder, 1, {"run": "a"}, keep=1)

    def full(path):
        (type(tmp_path)(path) / "model.safetensors").write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(accelerator, "save_state", full)
    with pytest.raises(KDLandmarksError, match=r"No space left.*continue from step_00000001"):
        save_checkpoint(accelerator, state, folder, 2, {"run": "a"}, keep=1)
    assert [path.name for path in folder.iterdir()] == ["step_00000001"]
    weights = model.weight.detach().clone()
    torch.nn.init.zeros_(model.weight)
    assert load_checkpoint(accelerator, state, folder / "step_00000001", {"run": "a"}) == 1
    assert torch.equal(model.weight, weights)


def test_only_the_latest_checkpoints_are_kept(tiny_state, tmp_path):
    accelerator, state = tiny_state
    for step in (1, 2, 3):
        save_checkpoint(accelerator, state, tmp_path, step, {}, keep=2)
    assert [path.name for path in finished_checkpoints(tmp_path)] == [
        "step_00000002",
        "step_00000003",
    ]


def test_a_disk_that_fills_at_the_end_of_a_stage_loses_nothing(
    straight, killed, tmp_path, monkeypatch
):
    folder = copy_of(killed, tmp_path)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr("kd_landmarks.training.loop.write_json", full)
        result = resume_in_process(folder)
    assert result.exit_code == 2, result.output
    assert "could not write the finished student" in result.output
    assert finished_checkpoints(folder / "checkpoints/student")
    result = resume_in_process(folder)
    assert result.exit_code == 0, result.output
    assert_same_networks(straight, folder)
    assert not list(folder.glob(".*"))


def test_what_a_run_has_not_come_to_may_change(tmp_path):
    place = tmp_path / "run"
    words = tiny_arguments("--output", place, "--stages", "tough_teacher", tough_teacher__epochs=1)
    status, output = train_here(*words)
    assert status == 0, output
    more = ("--resume", place, "--stages", "tough_teacher,student", "--student.epochs", "1")
    more += ("--student.loss.tolerant_weight", "0")
    status, output = train_here(*more, "--tough_teacher.epochs", "2")
    assert (status, "tough_teacher.epochs: 1.0 in the run, 2.0 now" in output) == (2, True)
    status, output = train_here(*more)
    assert status == 0, output
    assert "tough_teacher is finished already" in output
    stored = load_recipe(place / "recipe.yaml")
    assert (stored.student.epochs, stored.student.loss.tolerant_weight) == (1, 0)
    status, output = train_here("--resume", place, "--student.epochs", "3")
    assert (status, "student.epochs: 1.0 in the run, 3.0 now" in output) == (2, True)
