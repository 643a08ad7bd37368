"""Record what a finished run measured, with its recipe, as benchmarks/results/NAME.json.

python benchmarks/record_run.py runs/300w NAME
"""

import json
from pathlib import Path
from typing import Annotated

import typer
from record import record, without_paths

from kd_landmarks.training.recipe import load_recipe


def main(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    name: Annotated[str, typer.Argument(help="Of the JSON file.")],
) -> None:
    """Copy metrics, recipe and training times of a run into the results."""
    recipe = load_recipe(run / "recipe.yaml")
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    for stage, entry in metrics["networks"].items():
        training = json.loads((run / stage / "training.json").read_text(encoding="utf-8"))
        entry["training"] = {key: training[key] for key in ("steps", "seconds", "history")}
    values = without_paths(recipe.model_dump(mode="json"))
    print(record(name, {**metrics, "recipe": values}, recipe.run.seed))


if __name__ == "__main__":
    typer.run(main)
