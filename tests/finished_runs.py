"""A finished run on disk without the training: tiny networks, and the files beside them."""

import json

import numpy as np
import torch
from torch import nn

from kd_landmarks.metrics import summarize
from kd_landmarks.models import (
    KDLandmarksConfig,
    KDLandmarksForKeypointDetection,
    KDLandmarksImageProcessor,
)
from kd_landmarks.recipes import load_recipe, save_recipe
from kd_landmarks.schemes import get_scheme

MARGIN = 1.4
TINY = "test_efficientnet"  # timm's smallest: 0.1 M parameters


def save_network(folder, scheme="ibug68", head="integral", **settings):
    """A network whose answer depends on what it sees, unlike an untrained one's."""
    torch.manual_seed(0)
    scheme = get_scheme(scheme)
    config = KDLandmarksConfig(
        backbone=TINY,
        head=head,
        image_size=64,
        num_landmarks=scheme.num_landmarks,
        scheme=scheme.to_dict(),
        **settings,
    )
    model = KDLandmarksForKeypointDetection(config)
    last = model.head.maps if head == "integral" else model.head.linear
    nn.init.normal_(last.weight, std=0.5)
    model.save_pretrained(folder)
    KDLandmarksImageProcessor(size={"height": 64, "width": 64}, crop_margin=MARGIN).save_pretrained(
        folder
    )
    return folder


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
        save_network(folder / stage, role=stage)
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
