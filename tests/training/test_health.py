"""Numbers that are not finite get into no checkpoint, and the message says what to change."""

import signal

import pytest
import torch
from accelerate import Accelerator

from kd_landmarks.errors import KDLandmarksError
from kd_landmarks.training import checkpoints
from kd_landmarks.training.checkpoints import load_checkpoint, save_checkpoint
from kd_landmarks.training.health import MOST_SKIPPED, NotFinite, StageMonitor
from kd_landmarks.utils.signals import Stopped, stop_signals, stopping_between_steps

NAN = float("nan")
COLUMNS = ("landmarks", "tough_landmarks", "tolerant_landmarks")


@pytest.fixture
def accelerator():
    one = Accelerator(cpu=True)
    one.free_memory()
    yield one
    one.free_memory()


def batch(*rows, column=None):
    """Points of rows by number; those of `column` are spoilt in the last row."""
    values = {name: torch.zeros(len(rows), 68, 2) for name in COLUMNS}
    if column is not None:
        values[column][-1, 3, 1] = NAN
    return {"image": torch.zeros(len(rows), 3, 8, 8), "index": torch.tensor(rows), **values}


def test_a_loss_that_is_not_finite_is_found_at_the_next_look(accelerator):
    monitor = StageMonitor(accelerator, ["a", "b", "c"])
    for loss in (1.0, float("inf"), 1.0):
        monitor.add(torch.tensor(loss), batch(0, 1))
        monitor.step(skipped=False)
    with pytest.raises(NotFinite, match=r"^the loss is inf$"):
        monitor.read()


def test_landmarks_that_are_not_there_are_not_blamed(accelerator):
    monitor = StageMonitor(accelerator, ["gap.jsonl:1", "gap.jsonl:2"])
    gap = batch(0, 1, column="landmarks")
    gap["tough_landmarks"] = gap["landmarks"].clone()  # no teacher's point counts there
    monitor.add(torch.tensor(NAN), gap)
    monitor.step(skipped=False)
    with pytest.raises(NotFinite, match=r"^the loss is nan$"):
        monitor.read()


@pytest.mark.parametrize("column", ["tough_landmarks", "tolerant_landmarks"])
def test_the_row_whose_targets_are_not_finite_is_named(accelerator, column):
    monitor = StageMonitor(accelerator, ["train.jsonl:1", "train.jsonl:2", "train.jsonl:3"])
    monitor.add(torch.tensor(NAN), batch(1, 2, column=column))
    monitor.step(skipped=False)
    with pytest.raises(NotFinite, match=f"the {column} of train.jsonl:3 are not finite"):
        monitor.read()


def test_steps_that_loss_scaling_leaves_out_are_no_fault_unless_there_is_no_other(accelerator):
    monitor = StageMonitor(accelerator, ["a"])
    for _ in range(MOST_SKIPPED - 1):
        monitor.add(torch.tensor(NAN), batch(0))
        monitor.step(skipped=True)
    monitor.add(torch.tensor(1.0), batch(0))
    monitor.step(skipped=False)
    assert monitor.read() == 0
    for _ in range(MOST_SKIPPED - 1):
        monitor.step(skipped=True)
    with pytest.raises(NotFinite, match="gradients of the last"):
        monitor.step(skipped=True)


def test_a_signal_is_told_at_the_next_look(accelerator):
    monitor = StageMonitor(accelerator, ["a"])

    def steps():
        with stopping_between_steps():
            signal.raise_signal(signal.SIGTERM)
            seen.append((monitor.due(1), monitor.read()))

    seen = []
    with stop_signals(lambda: None), pytest.raises(Stopped):  # behind the last step
        steps()
    assert seen == [(True, signal.SIGTERM)]


@pytest.fixture
def state(accelerator):
    """A network and its optimizer, with a step behind them."""
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    model, optimizer = accelerator.prepare(model, torch.optim.AdamW(model.parameters()))
    model(torch.eye(3)).square().sum().backward()
    optimizer.step()
    moments = optimizer.state[model[0].weight]["exp_avg"]
    places = {
        "weights": model[0].weight,
        "statistics": model[1].running_var,
        "moments": moments,
    }
    return accelerator, places, (model, optimizer)


@pytest.mark.parametrize("place", ["weights", "statistics", "moments"])
@pytest.mark.parametrize("value", [NAN, float("inf")])
def test_no_checkpoint_of_such_a_state_is_written(state, tmp_path, place, value):
    accelerator, places, state = state
    save_checkpoint(accelerator, state, tmp_path, 1, {}, keep=1)
    with torch.no_grad():
        places[place].view(-1)[0] = value
    with pytest.raises(NotFinite, match="weights are not finite"):
        save_checkpoint(accelerator, state, tmp_path, 2, {}, keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["step_00000001"]


def test_a_checkpoint_of_such_a_state_is_refused(state, tmp_path, monkeypatch):
    accelerator, places, state = state
    with torch.no_grad():
        places["weights"].view(-1)[0] = NAN
    with monkeypatch.context() as earlier:
        earlier.setattr(checkpoints, "check_finite", lambda *_: None)
        path = save_checkpoint(accelerator, state, tmp_path, 1, {}, keep=1)
    with pytest.raises(KDLandmarksError, match=r"step_00000001 is unusable.*Delete that folder"):
        load_checkpoint(accelerator, state, path, {})


def test_of_two_signals_one_is_told(accelerator, monkeypatch):
    """Of several processes each may have its own."""
    monkeypatch.setattr(accelerator, "reduce", lambda flags, how: torch.ones_like(flags) - flags)
    monitor = StageMonitor(accelerator, ["a"])
    monkeypatch.setattr(monitor, "_unseen", [(torch.tensor(NAN), batch(0))])  # 1 - 1 is 0
    assert monitor.read() in (signal.SIGINT, signal.SIGTERM)
