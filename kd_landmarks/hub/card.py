"""Model cards: what a detector is, what it scored and where it fails, from its own files.

`card_facts.read_checkpoint` collects the facts, `render_card` writes them down,
`results.check_figures` compares a card's figures with what was measured.
"""

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from huggingface_hub import ModelCard, ModelCardData, constants

from ..errors import KDLandmarksError, shown
from ..inference.checkpoints import DEFAULT_FOLDER
from ..models import KDLandmarksConfig
from ..schemes import LandmarkScheme
from .card_facts import Checkpoint
from .released import ReleasedTexts, released_terms
from .results import TASK, eval_results, model_card, results_text
from .training_text import distilled, trained_on_generated_faces, training_text

TEMPLATE = Path(__file__).parent / "card_template.md"
# The Hub's word for what was trained from others; without it, it takes several for a merge.
RELATION = "finetune"
# A part of a test this many times worse than the whole is told among the limits.
NOTABLY_WORSE = 1.1
TAGS = ["kd-landmarks", "face", "facial-landmarks", "face-alignment", "knowledge-distillation"]
ROLES = {
    "student": "A small detector",
    "tough_teacher": "A Tough-Teacher, a detector that learned the ground truth to teach a "
    "student,",
    "tolerant_teacher": "A Tolerant-Teacher, a detector that learned Soft-landmarks (the ground "
    "truth as an active shape model can express it) to teach a student,",
}


@dataclass(frozen=True)
class Links:
    """What a card ties its model to; all are ids on the Hub.

    Attributes:
        repo_id: of the model itself.
        base_models: that it came from: a student's teachers, or the network it started from.
        datasets: that it was trained on, and where a test's data are called the same, tested.
        students: that it taught.
        license: of the weights, as the Hub calls licenses.
    """

    repo_id: str | None = None
    base_models: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    students: tuple[str, ...] = ()
    license: str | None = None


def render_card(
    checkpoint: Checkpoint, links: Links | None = None, picture: str | None = None
) -> str:
    """The card in Markdown, with the metadata that the Hub reads at its head.

    What is not known is left out.

    Args:
        checkpoint: the facts.
        links: to other repositories; without a `repo_id` the card is about a folder.
        picture: where the picture of the landmarks lies, seen from the card; None for none.

    Raises:
        KDLandmarksError: for a released model whose texts are not written yet, and for a license
            of weights that are, or come from, released ones.
    """
    links = links or Links()
    config, texts = checkpoint.config, checkpoint.texts
    behind = [texts.name] if texts else config.derived_from
    if behind and links.license is not None:
        raise KDLandmarksError(
            f"--license {shown(links.license)}: these weights are, or come from, "
            f"{', '.join(behind)} of kd-landmarks, which is for non-commercial research only: "
            "leave --license out"
        )
    if texts is not None:
        texts = texts.checked(checkpoint.tests)
    name = links.repo_id.split("/")[-1] if links.repo_id else checkpoint.name
    written = {} if texts is None else {"measure": texts.measure, "commands": texts.commands}
    training = [texts.training if texts else "", training_text(checkpoint)]
    place = _place(checkpoint, links)
    card = ModelCard.from_template(
        _metadata(checkpoint, links, name, texts, behind),
        template_path=str(TEMPLATE),
        name=name,
        summary=texts.summary if texts else _summary(checkpoint),
        landmarks=config.num_landmarks,
        scheme=checkpoint.scheme.name,
        backbone=config.backbone,
        head=config.head,
        parameters=f"{checkpoint.parameters / 1e6:.2f} M",
        megabytes=f"{checkpoint.megabytes:.1f}",
        precision=checkpoint.precision,
        image_size=config.image_size,
        crop_margin=f"{checkpoint.crop_margin:g}",
        time=_time(checkpoint),
        lineage=_lineage(checkpoint, links),
        source=json.dumps(place, ensure_ascii=False) if place else "",
        model=f" --model {shlex.quote(place)}" if place else "",
        repo_id=links.repo_id,
        box_extent=" (brows to chin, ear to ear)" if config.num_landmarks >= 68 else "",
        scores=_scores(config),
        groups=_groups(checkpoint.scheme),
        picture=picture,
        results=results_text(checkpoint.tests),
        training="\n\n".join(filter(None, training)),
        limits=_limits(checkpoint, texts),
        license_text=_license(links, texts, behind),
        **written,
    )
    return re.sub(r"\n{3,}", "\n\n", str(card)).rstrip() + "\n"


def metadata_with(card: str, links: Links, where: str) -> str:
    """A card whose metadata have the given links besides their own; its words stay.

    Raises:
        KDLandmarksError: naming `where`, for a card of another license than the links'.
    """
    edited = model_card(card, where)
    stated = edited.data.get("license")
    if links.license not in (None, stated):
        raise KDLandmarksError(
            f"{where} states {'no license' if stated is None else shown(stated)}, not "
            f"{shown(links.license)}: change it there, in the metadata and in the words"
        )
    if links.base_models:
        edited.data["base_model"] = list(links.base_models)
        edited.data["base_model_relation"] = RELATION
    if links.datasets:
        edited.data["datasets"] = list(links.datasets)
    return str(edited)


def _metadata(
    checkpoint: Checkpoint,
    links: Links,
    name: str,
    texts: ReleasedTexts | None,
    behind: Sequence[str],
) -> ModelCardData:
    terms = texts or (released_terms() if behind else None)
    base_models, datasets = list(links.base_models), list(links.datasets)
    if texts is not None:
        base_models = base_models or [name for name in (texts.base_model,) if name]
        datasets = datasets or list(texts.datasets)
    return ModelCardData(
        license=terms.license_id if terms else links.license,
        license_name=terms.license_name if terms else None,
        license_link=terms.license_link if terms else None,
        library_name="transformers",
        pipeline_tag=TASK,
        tags=list(TAGS),
        base_model=base_models or None,
        base_model_relation=RELATION if base_models else None,
        datasets=datasets or None,
        model_name=name if checkpoint.tests else None,
        eval_results=eval_results(checkpoint.tests, links.datasets) or None,
    )


def _place(checkpoint: Checkpoint, links: Links) -> str:
    """What the pipeline and commands take; nothing for the package's own student."""
    if links.repo_id:
        return links.repo_id
    own = checkpoint.folder.resolve() == DEFAULT_FOLDER.resolve()
    return "" if own else checkpoint.folder.as_posix()


def _summary(checkpoint: Checkpoint) -> str:
    return (
        f"{ROLES[checkpoint.config.role]} for {checkpoint.config.num_landmarks} facial landmarks "
        "in crops of single faces, trained with `kd-landmarks`."
    )


def _time(checkpoint: Checkpoint) -> str | None:
    if checkpoint.milliseconds is None:
        return None
    machine = f", {checkpoint.machine}" if checkpoint.machine else ""
    return f"{checkpoint.milliseconds:.1f} ms a face: PyTorch, one CPU thread, batch 1{machine}"


def _lineage(checkpoint: Checkpoint, links: Links) -> str:
    """Which other models it comes from and has led to."""
    sentences = []
    if links.base_models:
        verb = "Its teachers, by KD-Loss:" if distilled(checkpoint) else "It was trained from"
        sentences.append(f"{verb} {_linked(links.base_models)}.")
    if links.students:
        sentences.append(f"It taught {_linked(links.students)}.")
    if links.datasets:
        sentences.append(f"Training data: {_linked(links.datasets, 'datasets/')}.")
    return " ".join(sentences)


def _linked(names: tuple[str, ...], below: str = "") -> str:
    links = [f"[{name}]({constants.ENDPOINT}/{below}{name})" for name in names]
    return " and ".join(filter(None, [", ".join(links[:-1]), links[-1]]))


def _groups(scheme: LandmarkScheme) -> str:
    """The points by what they are on: neighbors of one name are told together."""
    parts = []
    stems = enumerate(re.sub(r"_?\d+$", "", name) for name in scheme.names)
    for stem, members in groupby(stems, key=lambda pair: pair[1]):
        indices = [index for index, _ in members]
        span = str(indices[0]) if len(indices) == 1 else f"{indices[0]} to {indices[-1]}"
        parts.append(f"{stem.replace('_', ' ')} {span}")
    return f"Numbers count from 0: {', '.join(parts)}."


def _scores(config: KDLandmarksConfig) -> str:
    """What comes with the points."""
    if config.head != "integral":
        return "This head gives no scores."
    text = "Scores (0 to 1) tell how concentrated a point's map is"
    if config.confidence is None:
        return f"{text}; they are not calibrated."
    tolerance = 100 * config.confidence["tolerance"]
    return (
        f"{text}, and the confidence how likely a point is right, which is to say within "
        f"{tolerance:g} % of the box's longer side."
    )


def _limits(checkpoint: Checkpoint, texts: ReleasedTexts | None) -> str:
    """What it fails on: as written, then what can be told of any."""
    lines = []
    for test in checkpoint.tests:
        worst = max(test.parts, key=lambda part: test.parts[part].nme, default=None)
        if worst is not None and test.parts[worst].nme > NOTABLY_WORSE * test.nme:
            lines.append(f"Of {test.name}, it errs most on the part {worst}: see the table.")
    if trained_on_generated_faces(checkpoint):
        lines.append("It has seen generated faces alone, and is of little use on photos.")
    lines += [
        "Boxes of another kind than it was trained with cost accuracy.",
        "How its errors vary with age, sex or skin color has not been measured; it can only be as "
        "even as its training faces are.",
        "It tells where a face's points are, not whose face it is, and not whether there is one.",
    ]
    listed = "\n".join(f"- {line}" for line in lines)
    written = [texts.worst_faces, texts.limits] if texts else []
    return "\n".join(filter(None, [*written, listed]))


def _license(links: Links, texts: ReleasedTexts | None, behind: Sequence[str]) -> str:
    if texts:
        return texts.license
    if behind:
        return (
            "**Weights: for non-commercial research only.** They started from or learned from "
            f"{', '.join(f'`{name}`' for name in behind)} of kd-landmarks, which is for "
            "non-commercial research only, and so are they."
        )
    if links.license is None:
        return "No license of the weights is stated."
    return f"Weights: `{links.license}`, as the one who pushed them states."
