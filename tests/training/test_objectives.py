"""What a step asks of its network is what the recipe says, landmark by landmark."""

import pytest
import torch
from torch import nn

from kd_landmarks.losses.kd import KDLoss
from kd_landmarks.models import KDLandmarksOutput
from kd_landmarks.training.objectives import plain_step, student_step
from kd_landmarks.training.optimization import decayed_parameters, learning_rate_schedule
from kd_landmarks.training.recipe_settings import NetworkSettings
from kd_landmarks.training.teachers import mean_points

FACES, LANDMARKS = 3, 5


def settings(map_weight=0.0, **loss):
    return NetworkSettings(loss={"name": "kd", "map_weight": map_weight, **loss})


@pytest.fixture
def output():
    torch.manual_seed(0)
    maps = torch.randn(FACES, LANDMARKS, 64).log_softmax(-1).unflatten(-1, (8, 8))
    return KDLandmarksOutput(keypoints=torch.rand(FACES, LANDMARKS, 2), maps=maps)


@pytest.fixture
def batch():
    torch.manual_seed(1)
    names = ("landmarks", "soft_landmarks", "tough_landmarks", "tolerant_landmarks")
    return {name: torch.rand(FACES, LANDMARKS, 2) for name in names}


def weighted(batch):
    weights = torch.ones(FACES, LANDMARKS)
    weights[0] = 0.2
    return {**batch, "weights": weights}


STEPS = {
    "student": lambda **words: student_step(settings(**words), None),
    "no teacher": lambda **words: plain_step(settings(**words)),
    "wing": lambda **words: plain_step(settings(**{**words, "name": "wing"})),
}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("map_weight", [0, 0.5])
def test_weights_of_landmarks_reach_the_loss_and_the_maps(output, batch, step, map_weight):
    told = step(map_weight=map_weight)(output, batch)
    other = step(map_weight=map_weight)(output, weighted(batch))
    assert other["loss"] != told["loss"]
    if map_weight:
        assert other["maps"] != told["maps"]
        assert told["loss"] > step()(output, batch)["loss"]


@pytest.mark.parametrize(
    "change",
    [{"variant": "paper"}, {"tough_weight": 3}, {"tolerant_weight": 3}, {"assist": "l1"}],
    ids=str,
)
def test_the_recipes_kd_loss_is_the_students(output, batch, change):
    plain, other = (student_step(settings(**words), None) for words in ({}, change))
    assert plain(output, batch)["loss"] != other(output, batch)["loss"]
    words = {"variant": "ours", **change}
    truth, tough, tolerant = (
        batch[name] for name in ("landmarks", "tough_landmarks", "tolerant_landmarks")
    )
    expected = KDLoss(words.pop("variant"), **words)(
        output.keypoints, truth, tough=tough, tolerant=tolerant
    )
    assert other(output, batch)["loss"] == expected["loss"]


def test_a_teacher_learns_the_points_that_its_stage_names(output, batch):
    near = KDLandmarksOutput(keypoints=batch["soft_landmarks"].clone(), maps=output.maps)
    soft, hard = (
        plain_step(settings(name="l2"), target)(near, batch)["loss"]
        for target in ("soft_landmarks", "landmarks")
    )
    assert soft == 0 < hard


def test_all_teachers_of_a_kind_are_asked(batch):
    told = [torch.zeros(2, 5, 2), torch.ones(2, 5, 2)]
    points = mean_points([lambda images, at=at: at for at in told], torch.zeros(2, 3, 8, 8))
    assert torch.equal(points, torch.full((2, 5, 2), 0.5))


def test_only_what_multiplies_decays():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))
    groups = {
        id(parameter): group["weight_decay"]
        for group in decayed_parameters(model)
        for parameter in group["params"]
    }
    decayed = {name for name, value in model.named_parameters() if groups[id(value)] > 0}
    assert decayed == {"0.weight", "2.weight"}


def test_the_learning_rate_rises_to_its_peak_and_falls_to_nothing():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule = learning_rate_schedule(optimizer, 0.1, 200)
    rates = []
    for _ in range(200):
        rates += schedule.get_last_lr()
        optimizer.step()
        schedule.step()
    peak = rates.index(max(rates))
    assert max(rates) == pytest.approx(0.1, rel=1e-3)
    assert rates[0] < 0.05
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] < 1e-3 * max(rates)
