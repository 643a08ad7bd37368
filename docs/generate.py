"""Fill in what pages take from elsewhere: measured figures, recipes, commands.

    python docs/generate.py

Replaces what stands between `<!-- table: NAME -->` and `<!-- end -->`. Figures are those of
benchmarks' results/ (`tables.py`), recipes those of the schema, commands those of the command line.
Needs `kd-landmarks[train]`.
"""

import inspect
import re
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from inspect import Parameter, signature
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from records import markdown_table
from tables import TABLES
from typer.models import ArgumentInfo, ParameterInfo

import kd_landmarks
from kd_landmarks.cli import app
from kd_landmarks.training.recipe import FOLDER, load_recipe
from kd_landmarks.training.recipe_settings import NetworkSettings, Recipe
from kd_landmarks.utils.files import write_text
from kd_landmarks.utils.parsing import read_yaml

ROOT = Path(__file__).parent.parent
MARKED = re.compile(r"(?s)(<!-- table: ([a-z ]+) -->\n).*?(<!-- end -->)")
# Public, though not at the package's root.
MORE = {
    "FaceTracker": "inference.tracking",
    "Smoothing": "inference.smoothing",
    "YuNet": "imaging.detection",
}
SPECIAL = str.maketrans({"|": "\\|", "<": "&lt;"})


def pages() -> list[Path]:
    """The pages that have such places."""
    study = ROOT / "benchmarks/distillation/README.md"
    return [ROOT / "README.md", study, *sorted((ROOT / "docs").glob("*.md"))]


def filled(text: str) -> str:
    """A page with what belongs into its places.

    Raises:
        KeyError: for a name that nothing is known of.
    """
    made = TABLES | {
        "recipes": recipes,
        "recipe values": partial(recipe_values, Recipe),
        "network values": partial(recipe_values, NetworkSettings, "NETWORK."),
        "commands": commands,
        "api": api,
        "training commands": training_commands,
    }
    return MARKED.sub(lambda place: place[1] + made[place[2]]() + "\n" + place[3], text)


def recipes() -> str:
    """The recipes that come with the package."""
    rows = []
    for path in sorted(FOLDER.glob("*.yaml")):
        recipe = load_recipe(path)
        needs = "--data" if read_yaml(path)["data"].get("source") is None else "nothing"
        rows.append((f"`{path.stem}`", needs, recipe.scheme, " ".join(recipe.description.split())))
    return markdown_table(("recipe", "needs", "landmarks", "what it is"), rows)


def recipe_values(model: type[BaseModel], prefix: str = "") -> str:
    """Every value of a part of a recipe; networks have a table of their own."""
    rows = [
        (f"`{key}`", _kind(field.annotation), _default(field), _told(field.description or ""))
        for key, field in _fields(model, prefix)
    ]
    return markdown_table(("value", "type", "default", "meaning"), rows)


def _fields(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            yield prefix + name, field
        elif kind is not NetworkSettings:
            yield from _fields(kind, f"{prefix}{name}.")


def _kind(kind: Any) -> str:
    """A type in words."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _kind(inner[0])
    if origin is Literal:
        return ", ".join(f"`{word}`" for word in inner)
    if origin in (Union, UnionType):
        return " or ".join("null" if one is NoneType else _kind(one) for one in inner)
    if origin in (list, tuple):
        return "list"
    names = {
        str: "text",
        int: "whole number",
        float: "number",
        bool: "true or false",
        Path: "path",
    }
    return names.get(kind, "mapping")


def _default(field: Any) -> str:
    value = field.default
    if value is PydanticUndefined:
        return "the file's name"
    return f"`{_plain(value)}`"


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_plain, value))}]"
    words = {None: "null", True: "true", False: "false", "": '""'}
    # 1 and 0 are equal to True and False.
    return words[value] if isinstance(value, str | bool | None) and value in words else f"{value}"


def _told(text: str) -> str:
    return " ".join(text.split()).translate(SPECIAL)


def commands() -> str:
    """Every command with its arguments and options, as its function declares them."""
    parts: list[str] = []
    # typer declares all of these as maybe None, which a registered command's are not.
    groups: list[tuple[str, Any]] = [
        ("", app),
        *((f"{group.name} ", group.typer_instance) for group in app.registered_groups),
    ]
    named = [
        (before + (told.name or told.callback.__name__.replace("_", "-")), told)
        for before, group in groups
        for told in group.registered_commands
    ]
    for name, told in sorted(named, key=lambda pair: pair[0]):
        parts += [f"## {name}", *_help(told.help)]
        hints = get_type_hints(told.callback, include_extras=True)
        arguments: list[tuple[str, ...]] = []
        options: list[tuple[str, ...]] = []
        for parameter in signature(told.callback).parameters.values():
            kind, *infos = get_args(hints[parameter.name]) or (None,)
            info = next((one for one in infos if isinstance(one, ParameterInfo)), None)
            if isinstance(info, ArgumentInfo):
                title = info.metavar or parameter.name.upper()
                arguments.append((f"`{title}`", _told(info.help or "")))
            elif info is not None:
                default = parameter.default
                options.append(
                    (
                        _option(parameter.name, info),
                        _told(info.help or ""),
                        *_values(kind, info, default),
                    )
                )
        if arguments:
            parts.append(markdown_table(("argument", "meaning"), arguments))
        if options:
            parts.append(markdown_table(("option", "meaning", "values", "default"), options))
    return "\n\n".join(parts)


def api() -> str:
    """What is public, with the first line of its documentation; the site puts in the rest."""
    parts = []
    for name, room in sorted({**kd_landmarks._ROOMS, **MORE}.items()):
        made = getattr(import_module(f"kd_landmarks.{room}"), name)
        first = (inspect.getdoc(made) or "").partition("\n")[0]
        parts.append(f"## {name}\n\n{first}\n\n<!-- api: kd_landmarks.{room}.{name} -->")
    return "\n\n".join(parts)


def training_commands() -> str:
    """How the released networks were trained, as their cards say it."""
    texts = read_yaml(ROOT / "kd_landmarks/hub/released.yaml")
    parts = {"all that its own commands do not make": texts.pop("shared")["commands"]}
    parts |= {name: text["commands"] for name, text in texts.items() if "commands" in text}
    lines = "\n\n".join(f"# == {name}\n{told.strip()}" for name, told in parts.items())
    return f"```bash\n{lines}\n```"


def _help(text: str) -> Iterator[str]:
    """Paragraphs; those that keep their lines are examples."""
    for part in text.strip().split("\n\n"):
        if part.startswith("\b\n"):
            yield f"```text\n{part[2:]}\n```"
        else:
            yield " ".join(part.split())


def _option(name: str, info: ParameterInfo) -> str:
    declared = info.param_decls or (f"--{name.replace('_', '-')}",)
    return ", ".join(f"`{one}`" for one in declared)


def _values(kind: Any, info: ParameterInfo, default: Any) -> tuple[str, str]:
    """What an option takes, and what holds without it."""
    if kind is bool:
        return "", "off"
    told = _kind(kind).removesuffix(" or null").replace("list", "text, several times")
    if info.min is not None:
        told += f" from {info.min:g}" + ("" if info.max is None else f" to {info.max:g}")
    if default is Parameter.empty:
        return told, "required"
    return told, "" if default is None or default == [] else f"`{default}`"


def main() -> None:
    """Fill all pages."""
    for page in pages():
        text = page.read_text(encoding="utf-8")
        new = filled(text)
        if new != text:
            write_text(page, new)
            print(f"{page.relative_to(ROOT)} is filled anew")


if __name__ == "__main__":
    main()
