"""The YAML at the head of a README.md: read it, and say what the Hub would refuse about it."""

import re
from typing import Any

import yaml

TEXTS = (
    *("license", "language", "tags", "datasets", "models", "metrics", "base_model"),
    "task_categories",
)
"""Metadata that is a string or a list of strings."""
ONE_TEXT = ("library_name", "pipeline_tag", "license_name", "pretty_name", "sdk")
COLORS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
SDKS = ("gradio", "docker", "static")
LONGEST_DESCRIPTION = 60


def card_data(readme: str) -> dict[str, Any]:
    """The metadata of a card, empty where it has none.

    Raises:
        ValueError: The YAML cannot be read or is no mapping.
    """
    head = re.match(r"---[ \t]*\r?\n(.*?\r?\n)?---[ \t]*(\r?\n|$)", readme, re.DOTALL)
    try:
        data = yaml.safe_load(head[1] or "") if head else {}
    except yaml.YAMLError as error:
        raise ValueError(f"YAML metadata could not be read: {error}") from error
    if not isinstance(data or {}, dict):
        raise ValueError("YAML metadata is not a mapping")
    return data or {}


def card_errors(readme: str, repo_type: str = "model") -> list[str]:
    """What the Hub refuses to take a card for."""
    try:
        data = card_data(readme)
    except ValueError as error:
        return [str(error)]
    errors = [f'"{name}" must be a string' for name in ONE_TEXT if not _is_text(data.get(name, ""))]
    for name in TEXTS:
        value = data.get(name, [])
        if not all(map(_is_text, value if isinstance(value, list) else [value])):
            errors.append(f'"{name}" must be a string or an array of strings')
    errors += _space_errors(data) if repo_type == "space" else []
    return errors + _index_errors(data.get("model-index", []))


def _space_errors(data: dict[str, Any]) -> list[str]:
    """What the Hub refuses of a Space's settings, which stand in its card."""
    errors = []
    for name, known in (("colorFrom", COLORS), ("colorTo", COLORS), ("sdk", SDKS)):
        if data.get(name, known[0]) not in known:
            errors.append(f'"{name}" must be one of [{", ".join(known)}]')
    if len(data.get("short_description", "")) > LONGEST_DESCRIPTION:
        most = f"less than or equal to {LONGEST_DESCRIPTION} characters long"
        errors.append(f'"short_description" length must be {most}')
    return errors


def _index_errors(index: Any) -> list[str]:
    if not isinstance(index, list):
        return ['"model-index" must be an array']
    errors = []
    for place, model in enumerate(index):
        where = f"model-index[{place}]"
        if not _has(model, "name", str) or not _has(model, "results", list):
            errors.append(f'"{where}" must have a name and results')
            continue
        for number, result in enumerate(model["results"]):
            errors += _result_errors(result, f"{where}.results[{number}]")
    return errors


def _result_errors(result: Any, where: str) -> list[str]:
    """What one entry of a model index lacks."""
    if not isinstance(result, dict):
        return [f'"{where}" must be an object']
    wanted = (("task", "type"), ("dataset", "type"), ("dataset", "name"))
    errors = [
        f'"{where}.{name}.{key}" is required'
        for name, key in wanted
        if not _has(result.get(name), key, str)
    ]
    metrics = result.get("metrics")
    if not isinstance(metrics, list) or not metrics:
        return [*errors, f'"{where}.metrics" must be an array']
    for number, metric in enumerate(metrics):
        if not _has(metric, "type", str) or not _has(metric, "value", (str, int, float)):
            errors.append(f'"{where}.metrics[{number}]" must have a type and a value')
    return errors


def _has(part: Any, key: str, kind: type | tuple[type, ...]) -> bool:
    return isinstance(part, dict) and isinstance(part.get(key), kind)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)
