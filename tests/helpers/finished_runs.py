"""A finished run on disk without the training: tiny networks, and the files beside them."""

import json

import numpy as np
from small_networks import save_small

from kd_landmarks.evaluation.metrics import summarize
from kd_landmarks.training.recipe import load_recipe, save_recipe

MARGIN = 1.4


def scores(seed, faces=40, subset="helen"):
    """What the errors of some faces come to, as a run writes it."""
    errors = np.random.default_rng(seed).gamma(9.0, 0.5, faces)
    half = faces // 2
    parts = {subset: vars(summarize(errors[:half])), "lfpw": vars(summarize(errors[half:]))}
    return {
        **vars(summarize(errors)),
        "normalizer": "inter_ocular",
        "errors": errors.tolist(),
        "groups": {"subset": parts, "blur": {"1": vars(summarize(errors[::3]))}},
    }


def save_run(folder, stages=("tough_teacher", "student"), source="/data/somewhere/300w"):
    """A run of recipe 300w with some of its stages finished."""
    folder.mkdir(parents=True)
    recipe = load_recipe("300w", {"data.source": source, "student.epochs": 3})
    save_recipe(recipe, folder / "recipe.yaml")
    metrics = {
        "recipe": "300w",
        "protocol": {"scheme": "ibug68", "box": "gt", "crop_margin": MARGIN},
        "faces": {"train": 1712, "validation": 300, "test": 40},
        "soft_landmarks_nme": 2.58,
        "versions": {"torch": "2.0"},
        "networks": {},
    }
    for seed, stage in enumerate(stages):
        role = "student" if stage == "baseline" else stage
        save_small(folder / stage, crop_margin=MARGIN, role=role)
        training = {"settings": getattr(recipe, stage).model_dump(mode="json")}
        training |= {"steps": 123, "seconds": 456.7, "history": []}
        (folder / stage / "training.json").write_text(json.dumps(training))
        metrics["networks"][stage] = {
            "validation": scores(seed + 10),
            "test": scores(seed),
            "parameters": 1,
            "torch_ms_per_face": 1.25,
        }
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


def change_json(path, **values):
    """Set some values of a JSON file; None removes."""
    told = json.loads(path.read_text())
    told = {name: value for name, value in {**told, **values}.items() if value is not None}
    path.write_text(json.dumps(told))
