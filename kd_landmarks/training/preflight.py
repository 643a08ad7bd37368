"""What keeps a recipe from training on its data, all of it at once and before torch is loaded."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from ..data.bad_rows import OtherLandmarks
from ..data.parquet import holds_parquet
from ..data.splits import NoSplit
from ..errors import KDLandmarksError
from ..schemes import get_scheme
from .recipe_settings import NO_DATA, Recipe
from .sources import load_source


def check_start(recipe: Recipe) -> None:
    """Look at a recipe's data and files as far as that takes no picture and no network.

    Args:
        recipe: of a new run.

    Raises:
        KDLandmarksError: naming everything that is found to be wrong, each with what mends it.
    """
    logger = logging.getLogger("kd_landmarks")
    level = logger.level
    logger.setLevel(logging.ERROR)  # what is left out is said when it is loaded
    try:
        problems = [
            *_data_problems(recipe),
            *_file_problems(recipe),
            *_unlabeled_problems(recipe),
        ]
    finally:
        logger.setLevel(level)
    if problems:
        listed = "".join(f"\n  - {problem}" for problem in problems)
        raise KDLandmarksError(
            f"this run cannot start:{listed}" if len(problems) > 1 else problems[0]
        )


def _data_problems(recipe: Recipe) -> list[str]:
    data = recipe.data
    if data.source is None:
        return [NO_DATA]
    problems: list[str] = []
    path = Path(os.path.expanduser(data.source))
    if data.source == "generated" or not path.exists() or holds_parquet(path):
        return problems  # drawn, or of a data set that tells of itself when it is loaded
    for key, split in (("train_split", data.train_split), ("test_split", data.test_split)):
        if split is None and key == "test_split":
            continue
        try:
            rows = load_source(split, data, get_scheme(recipe.scheme))
        except OtherLandmarks as error:
            problems.append(
                f"{path} has faces of {error.count} landmarks, and the recipe's scheme "
                f"{recipe.scheme} has others: give the scheme of the data (--scheme)"
            )
            break
        except NoSplit as error:
            what = "all of it" if key == "train_split" else "none"
            problems.append(f"{error} (--data.{key} NAME, or null for {what})")
            continue
        except KDLandmarksError as error:
            problems.append(str(error))
            continue
        wanted = bool(data.validation_faces)
        if key == "train_split" and len(set(rows["photo"])) < 1 + wanted:
            problems.append(
                f"all training faces of {path} ({len(rows)}) are of one photo, so that none can "
                "be held back to validate on: give more photos, or measure on a test split alone "
                "(--data.validation_faces 0)"
            )
    return problems


def _unlabeled_problems(recipe: Recipe) -> list[str]:
    """Of what the student meets only once its teachers are trained."""
    told = recipe.unlabeled
    if "student" not in recipe.stages or not told.given:
        return []
    problems = [
        f"there is no file or folder {source} (--unlabeled.source)"
        for source in told.source
        if source.startswith(("/", "./", "../", "~")) and not Path(source).expanduser().exists()
    ]
    if told.targets and not Path(told.targets).is_dir():
        problems.append(
            f"there is no folder {told.targets}: --unlabeled.targets takes the folder `unlabeled` "
            "of an earlier run"
        )
    if told.source and not recipe.student.loss.teachers:
        problems.append(
            "unlabeled faces need a teacher: give the student a KD-Loss (--student.loss.name kd) "
            "that uses one, or leave unlabeled.source out"
        )
    elif told.source and recipe.teachers.targets == "stored":
        problems.append(
            "unlabeled faces need a teacher to be asked, and teachers.targets is stored: choose "
            "other targets, or leave unlabeled.source out"
        )
    return problems


def _file_problems(recipe: Recipe) -> list[str]:
    """Of the files and folders that the stages start from."""
    problems = []
    missing = set()  # said once, though a stage inherits it from another
    for stage in recipe.stages:
        settings = getattr(recipe, stage)
        weights, init = settings.backbone_weights, settings.init
        named = init is None and weights not in ("imagenet", "none")
        if named and weights not in missing and not Path(weights).is_file():
            missing.add(weights)
            problems.append(
                f"there is no file of weights {weights}: give another one, imagenet or none "
                f"(--{stage}.backbone_weights)"
            )
        if init is not None and Path(init).is_absolute() and not Path(init).is_dir():
            problems.append(f"there is no checkpoint {init}: --{stage}.init names a folder")
    return problems
