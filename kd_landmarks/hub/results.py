"""The figures of a card shown: as tables, for machines, and held against what was measured."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml
from huggingface_hub import EvalResult, EvalResultEntry, ModelCard, eval_result_entries_to_yaml
from huggingface_hub.repocard import REGEX_YAML_BLOCK

from ..errors import KDLandmarksError, shown
from ..evaluation.report import SCORE_COLUMNS
from ..utils.parsing import parse_yaml
from ..utils.tables import markdown_table
from .measurements import Measurement, cell

TASK = "keypoint-detection"
# What a face box was, in the words of tables; `kd-landmarks evaluate --box`.
BOXES = {
    "gt": "ground truth",
    "upright": "ground truth, upright",
    "dataset": "data set's own",
    "detector": "face detector's",
}
NORMALIZERS = {
    "inter_ocular": "the distance of the outer eye corners",
    "inter_pupil": "the distance of the pupils",
    "inter_ocular_stretched": "the distance of the outer eye corners, both in the crop stretched "
    "to a square",
    "box": "the square root of the area of the points' tight box",
}
METRIC_LABELS = {
    "nme": "NME %",
    "failure_rate_8": "failure rate at 8 % NME, %",
    "failure_rate_10": "failure rate at 10 % NME, %",
    "auc_8": "area under the error curve to 8 %, 0 to 1",
    "auc_10": "area under the error curve to 10 %, 0 to 1",
}
_HEADER = ("test", "box", "faces", *SCORE_COLUMNS, "95 % interval of the NME")
_PART_HEADER = ("test", "part", "faces", *SCORE_COLUMNS)
_MEND = ": write the card again (kd-landmarks card CHECKPOINT --output README.md), or measure again"


def score_rows(tests: Iterable[Measurement]) -> list[tuple[str, ...]]:
    """The rows of the table of tests, without its header."""
    return [
        (
            test.name,
            BOXES.get(test.box, test.box),
            *test.cells(),
            "{:.2f} to {:.2f}".format(*test.interval) if test.interval else "",
        )
        for test in tests
    ]


def part_rows(tests: Iterable[Measurement]) -> list[tuple[str, ...]]:
    """The rows of the table of subsets and attributes, without its header."""
    return [
        (test.name, cell(part), *scores.cells())
        for test in tests
        for part, scores in test.parts.items()
    ]


def results_text(tests: Sequence[Measurement]) -> str:
    """The figures in Markdown: what they are, all tests, then their parts."""
    if not tests:
        return ""
    lengths = sorted({NORMALIZERS.get(test.normalizer, test.normalizer) for test in tests})
    text = (
        f"NME: mean distance of a face's points from the ground truth, divided by "
        f"{' or by '.join(lengths)}, in %, measured in the pixels of the photo. FR8, FR10: faces "
        "with an NME above 8 or 10 %. AUC8, AUC10: area under the cumulative error curve up to "
        "there, 0 to 1."
    )
    if any(test.interval for test in tests):
        text += " Intervals: bootstrap over faces."
    text += f"\n\n{markdown_table(_HEADER, score_rows(tests))}"
    parts = part_rows(tests)
    return f"{text}\n\n{markdown_table(_PART_HEADER, parts)}" if parts else text


def dataset_of(test: Measurement, datasets: Sequence[str]) -> str | None:
    """Which of the Hub's data sets a test was made on: the one of the same name."""
    name = Path(test.data or "").name.lower()
    return next((known for known in datasets if known.split("/")[-1].lower() == name), None)


def eval_results(tests: Iterable[Measurement], datasets: Sequence[str]) -> list[EvalResult]:
    """The tests for a card's `model-index`."""
    return [
        EvalResult(
            task_type=TASK,
            task_name="Facial landmark detection",
            dataset_type=dataset_of(test, datasets) or _slug(test.name),
            dataset_name=test.name,
            dataset_config=None if test.box == "gt" else f"box-{test.box}",
            dataset_split=test.split,
            metric_type=metric,
            metric_name=label,
            metric_value=float(text),
            metric_args={"normalizer": test.normalizer, "box": test.box},
        )
        for test in tests
        for (metric, label), text in zip(METRIC_LABELS.items(), test.cells()[1:], strict=True)
    ]


def eval_results_files(tests: Iterable[Measurement], datasets: Sequence[str]) -> dict[str, str]:
    """`.eval_results/*.yaml`, path to content: the NME of tests on data sets of the Hub.

    The format knows data sets of the Hub alone; a test of no such one is left out.
    Source: https://github.com/huggingface/hub-docs/blob/main/docs/hub/eval-results.md
    """
    entries: dict[str, list[EvalResultEntry]] = {}
    for test in tests:
        dataset = dataset_of(test, datasets)
        if dataset is not None:
            task = "_".join([test.split or "default", *([test.box] if test.box != "gt" else [])])
            notes = (
                f"NME in %, {test.faces} faces, divided by "
                f"{NORMALIZERS.get(test.normalizer, test.normalizer)}; "
                f"box: {BOXES.get(test.box, test.box)}"
            )
            entry = EvalResultEntry(dataset, task, float(f"{test.nme:.2f}"), notes=notes)
            entries.setdefault(dataset, []).append(entry)
    return {
        f".eval_results/{_slug(dataset.split('/')[-1])}.yaml": yaml.safe_dump(
            eval_result_entries_to_yaml(of_one), sort_keys=False, allow_unicode=True, width=100
        )
        for dataset, of_one in entries.items()
    }


def model_card(text: str, where: str) -> ModelCard:
    """A card with its metadata, whose YAML is within bounds.

    Raises:
        KDLandmarksError: naming `where`, for metadata that are not valid YAML, or invalid.
    """
    metadata = REGEX_YAML_BLOCK.search(text)
    if metadata is not None:  # huggingface_hub would read any
        parse_yaml(metadata[2], f"the metadata of {where}")
    try:
        return ModelCard(text)
    except Exception as error:  # huggingface_hub's, what strange values lead to
        raise KDLandmarksError(f"{where}: its metadata cannot be read: {error}") from error


def check_figures(card: str, tests: Sequence[Measurement], where: str) -> None:
    """Refuse a card that says other figures than were measured, in its tables or for machines.

    Rows of other things than the tests, such as other people's models, are left alone.

    Raises:
        KDLandmarksError: naming the first that differs.
    """
    try:
        index = model_card(card, where).data.to_dict().get("model-index") or []
        figures = [
            ((result["dataset"]["name"], metric["type"]), float(metric["value"]))
            for model in index
            for result in model["results"]
            for metric in result["metrics"]
        ]
    except KDLandmarksError:
        raise
    except Exception as error:  # huggingface_hub's, what strange values lead to
        raise KDLandmarksError(f"{where}: its metadata cannot be read: {error}") from error
    listed = dict(figures)
    for (name, metric), value in figures:
        if value != listed[name, metric]:
            raise KDLandmarksError(
                f"{where}: its model-index says {metric!s:.80} {value:g} and "
                f"{listed[name, metric]:g} for {shown(name)}{_MEND}"
            )
    measured = {
        (result.dataset_name, result.metric_type): result.metric_value
        for result in eval_results(tests, ())
    }
    for name, metric in sorted(measured.keys() | listed.keys(), key=str):
        stated, true = listed.get((name, metric)), measured.get((name, metric))
        if stated != true:
            raise KDLandmarksError(
                f"{where}: its model-index says {metric!s:.80} {_or_nothing(stated)} for "
                f"{shown(name)}, metrics.json {_or_nothing(true)}{_MEND}"
            )
    rows = [
        tuple(text.strip() for text in line.strip().strip("|").split("|"))
        for line in card.splitlines()
        if line.lstrip().startswith("|")
    ]
    names = {test.name for test in tests}
    wanted = [*score_rows(tests), *part_rows(tests)]
    for row in wanted:
        if row not in rows:
            raise KDLandmarksError(f"{where}: it has no row {' | '.join(row)!r}{_MEND}")
    for row in rows:
        if row[0] in names and row not in wanted:
            raise KDLandmarksError(
                f"{where}: metrics.json disagrees with its row {' | '.join(row)!r}{_MEND}"
            )


def _or_nothing(value: float | None) -> str:
    return "nothing" if value is None else f"{value:g}"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
