"""How a network was trained, in words: what its run's recipe and records say, and no more."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from ..data.known_data_sets import PUBLISHED
from ..inference.checkpoints import DEFAULT_FOLDER
from ..training.recipe_settings import NetworkSettings, Recipe
from .card_facts import Checkpoint, Training

_BOXES = {
    "gt": "the tight box of the ground-truth points",
    "upright": "the tight box of the ground-truth points, each face held upright",
    "dataset": "the data set's own box",
}
_STARTS = {
    "imagenet": "timm's ImageNet weights",
    "none": "nothing",
    "package": f"`{DEFAULT_FOLDER.name}` of kd-landmarks",
}


def training_text(checkpoint: Checkpoint) -> str:
    """Markdown; empty where nothing is known."""
    training = checkpoint.training
    if training is None:
        return ""
    lines = [*_data(training), *_network(checkpoint, training), *_teachers(checkpoint, training)]
    if training.versions:
        libraries = ", ".join(f"{name} {version}" for name, version in training.versions.items())
        lines.append(f"Software: {libraries}.")
    text = "\n".join(f"- {line}" for line in lines)
    if training.settings:
        settings = yaml.safe_dump(_without_paths(training.settings), sort_keys=False)
        text += (
            "\n\n<details>\n<summary>The network's section of the recipe</summary>\n\n"
            f"```yaml\n{settings}```\n\n</details>"
        )
    return text.strip()


def trained_on_generated_faces(checkpoint: Checkpoint) -> bool:
    """Whether it is known to have seen generated faces alone."""
    recipe = checkpoint.training.recipe if checkpoint.training else None
    return recipe is not None and recipe.data.source == "generated"


def distilled(checkpoint: Checkpoint) -> bool:
    """Whether it is known to be a student that KD-Loss trained."""
    settings = checkpoint.training.settings if checkpoint.training else {}
    return checkpoint.config.role == "student" and settings.get("loss", {}).get("name") == "kd"


def _data(training: Training) -> list[str]:
    recipe = training.recipe
    if recipe is None:
        return []
    data, faces = recipe.data, training.faces or {}
    generated = data.source == "generated"
    # `faces` counts those of all sources together.
    sources = _listed([data.source, *(more.source for more in data.more)])
    what = "Generated faces" if generated and not data.more else f"Faces of {sources}"
    count = f"{faces['train']:,} to train on, " if "train" in faces else ""
    lines = [
        f"Recipe `{recipe.name}`, seed {recipe.run.seed}. {what}: {count}cut by {_BOXES[data.box]}."
    ]
    if faces.get("validation"):
        lines[0] += f" {faces['validation']:,} more were held back for validation."
    lacking = None if generated or data.more else _lacking(recipe, faces)
    if lacking:
        lines.append(lacking)
    if data.generated_extra:
        lines.append(f"{data.generated_extra:,} generated faces with turned heads joined them.")
    unlabeled = recipe.unlabeled.source or (recipe.unlabeled.targets,)
    if any(unlabeled):
        lines.append(
            f"Faces without landmarks from {_listed(unlabeled)} joined the student's training, "
            "with a teacher's points as targets."
        )
    return lines


def _lacking(recipe: Recipe, faces: Any) -> str | None:
    """How many of a published data set's training faces were there, where it is one."""
    name = _short(recipe.data.source).split("/")[-1].lower()
    published = PUBLISHED.get(name)
    if published is None or published.scheme != recipe.scheme or "train" not in faces:
        return None
    official = sum(part.faces for part in published.splits["train"])
    there = faces["train"] + faces.get("validation", 0)
    if there == official:
        return None
    return (
        f"At hand were {there:,} of the official {official:,} training faces of {published.title} "
        f"({100 * there / official:.0f} %)."
    )


def _network(checkpoint: Checkpoint, training: Training) -> list[str]:
    if not training.settings:
        return []
    # What they leave unsaid is as in a recipe's section.
    settings = NetworkSettings.model_validate(training.settings).model_dump(mode="json")
    start = settings.get("init") or settings["backbone_weights"]
    # The texts of a released network say which other one it went on from.
    told = checkpoint.texts is not None and settings.get("init")
    lines = [] if told else [f"Started from {_STARTS.get(start, f'`{_short(start)}`')}."]
    loss = settings["loss"]
    name = f"KD-Loss, variant `{loss['variant']}`" if loss["name"] == "kd" else f"`{loss['name']}`"
    took = ""
    if training.steps and training.seconds:
        took = f"; {training.steps:,} steps in {training.seconds / 60:.3g} minutes"
    lines.append(
        f"{settings['epochs']:g} epochs, {settings['batch_size']} faces a step and process, AdamW "
        f"with a learning rate of up to {settings['learning_rate']:g} (one cycle), "
        f"loss {name}{took}."
    )
    return lines


def _teachers(checkpoint: Checkpoint, training: Training) -> list[str]:
    recipe, role = training.recipe, checkpoint.config.role
    if recipe is None:
        return []
    lines = []
    if distilled(checkpoint):
        targets = recipe.teachers.targets
        lines.append(f"Teachers assisted it, their targets {targets}.")
    soft = training.soft_landmarks_nme
    if soft is not None and (lines or role == "tolerant_teacher"):
        model = recipe.shape_model
        lines.append(
            f"Soft-landmarks ({'aligned' if model.aligned else 'un-aligned'}, "
            f"{100 * model.retained_variance:.0f} % of the variance) are {soft:.2f} % NME from the "
            "ground truth."
        )
    return lines


def _listed(sources: Iterable[Any]) -> str:
    return ", ".join(f"`{_short(source)}`" for source in sources)


def _short(source: Any) -> str:
    """A Hub id as it is, of a path the last name: where files lay means nothing elsewhere."""
    text = str(source)
    is_path = text.count("/") != 1 or text.startswith((".", "/", "~")) or Path(text).suffix
    return Path(text).name if is_path else text


def _without_paths(settings: Any) -> dict[str, Any]:
    named = ("backbone_weights", "init")
    return {
        name: _short(value) if name in named and value else value
        for name, value in settings.items()
    }
