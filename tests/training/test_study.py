"""The study's plan: every arm is a recipe that can be trained."""

from pathlib import Path

import pytest

from kd_landmarks.training.recipe import load_recipe

STUDY = Path(__file__).resolve().parents[2] / "benchmarks/distillation"


@pytest.fixture
def runs(monkeypatch):
    monkeypatch.syspath_prepend(str(STUDY))
    import run

    return run.planned()


def test_every_arm_of_the_study_is_a_recipe(runs):
    assert len({run.name for run in runs}) == len(runs)
    for run in runs:
        recipe = load_recipe(run.recipe, {"run.seed": run.seed} | run.settings)
        assert run.stage in recipe.model_dump(), run.name
