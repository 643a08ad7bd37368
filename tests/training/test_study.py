"""The study's plan: every arm is a recipe that can be trained."""

import subprocess
import sys
from pathlib import Path

STUDY = Path(__file__).resolve().parents[2] / "benchmarks/distillation"

# In a process of its own, whose search path is the study's.
ARMS = """
from run import planned
from kd_landmarks.training.recipe import load_recipe

names = {run.name for run in planned()}
assert len(names) == len(planned())
for run in planned():
    given = {"run.seed": run.seed, "stages": [run.stage]} | run.settings
    recipe = load_recipe(run.recipe, given)
    assert recipe.stages == (run.stage,), run.name
print(len(names))
"""


def test_every_arm_of_the_study_is_a_recipe():
    done = subprocess.run(
        [sys.executable, "-c", ARMS], cwd=STUDY, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 50
