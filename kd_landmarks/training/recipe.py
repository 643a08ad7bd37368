"""Recipes: YAML files that say how a run trains, their overrides and their checks."""

import os
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from ..errors import KDLandmarksError, shown
from ..utils.files import write_text
from ..utils.parsing import parse_yaml, read_yaml
from .recipe_settings import Recipe

FOLDER = Path(__file__).parent / "recipes"
LONGEST_KEY = 80
MOST_PROBLEMS = 20
"""Bad values that one message names."""
# What a network's section leaves unsaid it takes from another: the Tolerant-Teacher is the
# Tough-Teacher's twin, and the baseline is the student without teachers.
INHERITS = {"tolerant_teacher": "tough_teacher", "baseline": "student"}
# May change between a run and its continuation: they do not touch what is learned.
HARMLESS = {
    "description",
    "stages",
    "data.allow_outside",
    "data.source",
    "run.threads",
    "run.workers",
    "run.evaluate_every",
    "run.checkpoint_every",
    "run.keep_checkpoints",
    "run.trackers",
}


def load_recipe(
    spec: str | Path, overrides: Mapping[str, Any] | None = None, *, ignore_unknown: bool = False
) -> Recipe:
    """A recipe by its built-in name or YAML file, with values overridden by dotted keys.

    Args:
        spec: `embedded`, `300w`, `wflw`, `cofw`, or the path of a YAML file.
        overrides: such as `{"student.epochs": 3}`.
        ignore_unknown: leave unknown keys out, to read what an earlier version has finished.

    Raises:
        KDLandmarksError: for an unknown recipe, key or stage, and for bad values, each by name.
    """
    path = Path(spec)
    if path.suffix not in (".yaml", ".yml"):
        path = FOLDER / f"{spec}.yaml"
        if not os.path.isfile(path):  # which takes names of any length
            known = ", ".join(sorted(file.stem for file in FOLDER.glob("*.yaml")))
            raise KDLandmarksError(
                f"unknown recipe {shown(str(spec))}: one of {known}, or a .yaml file"
            )
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise KDLandmarksError(
            f"the recipe {path} holds {shown(values)}, not a mapping of keys to values"
        )
    for key, value in (overrides or {}).items():
        _set(values, key, value)
    for section, base in INHERITS.items():
        own = values.get(section)
        values[section] = _merged(values.get(base, {}), {} if own is None else own)
    values.setdefault("name", path.stem)
    try:
        return Recipe.model_validate(values, extra="ignore" if ignore_unknown else None)
    except ValidationError as error:
        raise KDLandmarksError(f"the recipe {spec} has bad values:\n{_problems(error)}") from error


def save_recipe(recipe: Recipe, path: Path) -> None:
    """Write a recipe with every value spelled out; `load_recipe` reads it back equal."""
    text = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    write_text(path, text)


def parse_overrides(arguments: Sequence[str]) -> dict[str, Any]:
    """`--student.epochs 3 --data.box=gt` to `{"student.epochs": "3", "data.box": "gt"}`.

    Values are text, null or [lists] of text: the recipe's types tell what is a number.

    Raises:
        KDLandmarksError: for an argument that is not a known recipe key, or has no value.
    """
    known = recipe_keys()
    parser = _Parser(add_help=False, allow_abbrev=False, argument_default=SUPPRESS)
    for key in known:
        parser.add_argument(f"--{key}", dest=key)
    values, rest = parser.parse_known_args(arguments)
    if rest:
        option = rest[0].partition("=")[0]
        raise KDLandmarksError(
            f"unknown option {shown(option)}{_near(option.removeprefix('--'), known)}"
        )
    return {key: _value(text) for key, text in vars(values).items()}


class _Parser(ArgumentParser):
    """One that leaves it to the command line to print errors and to exit."""

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong with an option."""
        raise KDLandmarksError(message.removeprefix("argument "))


def recipe_keys(model: type[BaseModel] = Recipe, prefix: str = "") -> dict[str, str]:
    """Every dotted key of a recipe with its meaning, and the words that it takes."""
    keys: dict[str, str] = {}
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            keys.update(recipe_keys(kind, f"{prefix}{name}."))
        else:
            words = get_args(kind) if get_origin(kind) is Literal else ()
            choices = f" ({', '.join(words)})" if words else ""
            keys[prefix + name] = f"{field.description}{choices}"
    return keys


def changed_values(old: Recipe, new: Recipe, ahead: Collection[str] = ()) -> list[str]:
    """What differs between two recipes in a way that changes the networks, a line each.

    Args:
        old: of the run.
        new: of its continuation.
        ahead: sections that the run has not come to.
    """
    before, after = (_flat(recipe.model_dump(mode="json")) for recipe in (old, new))
    # The order of a stream is shared out among the workers.
    harmless = HARMLESS - {"run.workers"} if old.data.streaming else HARMLESS
    return [
        f"{key}: {shown(before.get(key))} in the run, {shown(after.get(key))} now"
        for key in sorted(before.keys() | after.keys())
        if key not in harmless
        and key.partition(".")[0] not in ahead
        and before.get(key) != after.get(key)
    ]


def _set(values: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    for section in sections:
        inner = values.get(section)
        values[section] = values = dict(inner) if isinstance(inner, dict) else {}
    values[last] = value


def _merged(base: Any, own: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(own, dict):
        return own
    return {**base, **{key: _merged(base.get(key), value) for key, value in own.items()}}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat


def _value(text: str) -> str | list[str] | None:
    if text in ("null", "~", ""):
        return None
    if not text.startswith("["):
        return text
    try:
        # All as text: YAML 1.1 has no for false, 0123 for 83, 1e-4 for text.
        return parse_yaml(text, "the list", types=False)
    except KDLandmarksError:
        return text


def _problems(error: ValidationError) -> str:
    """A line for each bad value, but for those that one section has from another."""
    # An inherited value is the very object of its source: it is reported there.
    items = error.errors(include_url=False)
    reported = {(item["loc"], id(item["input"])) for item in items}
    lines: list[str] = []
    for item in items:
        section, *rest = item["loc"] or ("",)  # of several sections together
        if ((INHERITS.get(str(section)), *rest), id(item["input"])) in reported:
            continue
        if len(lines) == MOST_PROBLEMS:
            lines.append("  … and more")
            break
        lines.append(f"  {_explain(item)}")
    return "\n".join(lines)


def _explain(item: Any) -> str:
    key = ".".join(map(str, item["loc"]))
    name = key if len(key) <= LONGEST_KEY else shown(key)
    if item["type"] == "extra_forbidden":
        return f"{name}: unknown key{_near(key, recipe_keys())}"
    if item["type"] == "tuple_type":
        return f"{name}: give a list, [first, second], not {_shown(item['input'])}"
    if item["type"] == "value_error":  # of our own checks
        return f"{name}: {item['ctx']['error']}".removeprefix(": ")
    return f"{name}: {item['msg']}, not {_shown(item['input'])}"


def _shown(value: Any) -> str:
    """A number without quotes, though it came from the command line as text."""
    try:
        float(value)
    except (OverflowError, TypeError, ValueError):
        return shown(value)
    return shown(value).strip("'")


def _near(key: str, known: Mapping[str, str]) -> str:
    if len(key) > LONGEST_KEY:
        return ""
    leaf = key.split(".")[-1]
    same_leaf = [other for other in known if other.split(".")[-1] == leaf]
    near = (same_leaf or get_close_matches(key, known, n=3))[:4]
    return f" (did you mean {', '.join('--' + other for other in near)}?)" if near else ""
