"""Pushing a finished detector to the Hub: weights, configuration, code and card in one commit."""

import importlib
import re
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, hf_hub_download

from ..errors import KDLandmarksError, shown
from ..inference.checkpoints import CONFIG, INT8_FILE, ONNX_FILE, WEIGHTS, disk_errors
from ..inference.export import export_onnx
from ..models import KDLandmarksConfig
from ..models.loading import AUTO_CLASSES, auto_maps, load_detector
from ..utils.files import new_folder, write_text
from ..utils.hub import check_repo_id, clear_hub_errors
from ..utils.parsing import MOST_JSON, read_json_object, read_text
from .card import Links, metadata_with, render_card
from .card_facts import Checkpoint, read_checkpoint
from .picture import copy_picture, scheme_picture
from .results import check_figures, eval_results_files
from .upload import BARE, CARD, Push, check_access, file_names, file_sizes

# What an earlier push may have left and this one may have no file of the same name for.
_STALE = [".eval_results/*", "*_kd_landmarks.py", "onnx/*"]
_MARK = "_kd_landmarks"
CODE = (
    *(real.__module__ for real in AUTO_CLASSES.values()),
    "kd_landmarks.imaging.crop",
    "kd_landmarks.imaging.crop_settings",
)
"""What a repository carries for those who have not installed the package."""


def push_checkpoint(
    folder: str | Path,
    links: Links,
    *,
    private: bool = False,
    revision: str | None = None,
    dry_run: bool = False,
) -> Push:
    """Upload a checkpoint so that it loads by its id, with this package and without.

    Args:
        folder: a stage's folder of a finished run, or a released checkpoint's.
        links: its id on the Hub, which is made where it is not there, and those of its kin.
        private: make it private; refused where it is there and public.
        revision: branch to push to, made where it is not there; None for main.
        dry_run: prepare and check everything, and ask the Hub nothing.

    Raises:
        KDLandmarksError: a folder that is not a checkpoint, a card that says other figures than
            were measured, an id that is taken, or a Hub that cannot be reached or refuses.
    """
    check_links(links)
    if links.repo_id is None:
        raise KDLandmarksError("there is no id to push to: give NAMESPACE/NAME")
    repo_id = links.repo_id
    checkpoint = read_checkpoint(folder)
    api = HfApi()
    if not dry_run:  # before the work rather than after it
        with clear_hub_errors(repo_id):
            _check_target(api, repo_id, private, revision)
    with tempfile.TemporaryDirectory() as scratch:
        staged = Path(scratch) / "repository"
        stage_repository(checkpoint, links, staged)
        files = file_sizes(staged)
        if dry_run:
            return Push(files)
        with clear_hub_errors(repo_id):
            api.create_repo(repo_id, private=private, exist_ok=True)
            if revision is not None and revision != "main":
                api.create_branch(repo_id, branch=revision, exist_ok=True)
            commit = api.upload_folder(
                repo_id=repo_id,
                folder_path=staged,
                revision=revision,
                commit_message=f"Push {checkpoint.name} with kd-landmarks",
                delete_patterns=_STALE,
            )
    return Push(files, str(commit.commit_url))


def check_links(links: Links) -> None:
    """Refuse names that are not Hub ids.

    Raises:
        KDLandmarksError: naming the first.
    """
    ids = (links.repo_id, *links.base_models, *links.datasets, *links.students)
    for name in (name for name in ids if name is not None):
        check_repo_id(name)


def stage_repository(checkpoint: Checkpoint, links: Links, folder: Path) -> None:
    """Write the repository's files into a new folder.

    Raises:
        KDLandmarksError: as `push_checkpoint`, but for the Hub.
    """
    card = card_to_push(checkpoint, links)
    source = checkpoint.folder.resolve()
    model, processor = load_detector(source)
    with new_folder(folder) as partial:
        untyped: Any = processor  # auto_map is not among their settings
        model.config.auto_map, untyped.auto_map = auto_maps()
        with disk_errors():
            model.save_pretrained(partial)
            processor.save_pretrained(partial)
        _write_code(partial)
        _write_onnx(source, model, processor, partial)
        # As they are, to the last bit: they may be float16 on disk.
        shutil.copyfile(source / WEIGHTS, partial / WEIGHTS)
        picture = scheme_picture(checkpoint.scheme)
        if picture is not None:
            copy_picture(picture, partial / picture.name)
        texts = {CARD: card, **eval_results_files(checkpoint.tests, links.datasets)}
        for path, text in texts.items():
            write_text(partial / path, text)


def card_to_push(checkpoint: Checkpoint, links: Links) -> str:
    """The card: README.md of the checkpoint's folder where somebody has edited it, else a new one.

    Raises:
        KDLandmarksError: if README.md says other figures than were measured, or nothing of the id.
    """
    file = scheme_picture(checkpoint.scheme)
    picture = None if file is None else file.name
    rendered = render_card(checkpoint, links, picture)
    own = checkpoint.folder / CARD
    if not own.is_file():
        return rendered
    text = read_text(own, MOST_JSON)
    check_figures(text, checkpoint.tests, str(own))
    if _wording(text) == _wording(render_card(checkpoint, picture=picture)):
        return rendered
    if f'"{links.repo_id}"' not in text:
        raise KDLandmarksError(
            f"{own} does not tell how to load {links.repo_id}: remove it, or write it again "
            f"(kd-landmarks card {checkpoint.folder} --repo-id {links.repo_id} --output {own}) and "
            "edit that"
        )
    if picture is not None:  # it may lie elsewhere on disk; in the repository it is beside the card
        text = re.sub(rf"\]\([^()\s]*/{re.escape(picture)}\)", f"]({picture})", text)
    return metadata_with(text, links, str(own))


def _wording(card: str) -> str:
    """A card but for what depends on where it lies: the picture's link and the loaded folder."""
    card = re.sub(r"\]\([^()\s]*\.png\)", "](.png)", card)
    card = re.sub(r" --model .*? --output", " --output", card)
    return re.sub(r"FaceLandmarkPipeline\(.*\)", "FaceLandmarkPipeline()", card)


def _write_onnx(source: Path, model: Any, processor: Any, folder: Path) -> None:
    """Write onnx/model.onnx, by which an installation without torch loads the repository.

    Files that the checkpoint has already, the 8-bit one too, are taken as they are.
    """
    own = [name for name in (ONNX_FILE, INT8_FILE) if (source / name).is_file()]
    (folder / ONNX_FILE).parent.mkdir()
    for name in own:
        shutil.copyfile(source / name, folder / name)
    if ONNX_FILE not in own:
        export_onnx(model, processor, folder / ONNX_FILE)


def _write_code(folder: Path) -> None:
    """Write the code that reads a checkpoint where this package is not installed: flat files.

    transformers loads files that import one another from one folder alone.
    """
    for module in CODE:
        text = Path(importlib.import_module(module).__file__ or "").read_text(encoding="utf-8")
        text = re.sub(r"from \.\.imaging\.(\w+) import", r"from .\1_kd_landmarks import", text)
        write_text(folder / f"{module.rpartition('.')[2].removesuffix(_MARK)}{_MARK}.py", text)


def _check_target(api: HfApi, repo_id: str, private: bool, revision: str | None) -> None:
    """Refuse early what would be refused late, and what would bury somebody's other work.

    Raises:
        KDLandmarksError: for a token that may only read, a public repository that is to be
            private, and one that holds anything but a detector.
    """
    info = check_access(api, repo_id, private, revision=revision)
    if info is None:
        return
    files = file_names(info)
    kind = None
    if CONFIG in files:
        config = hf_hub_download(repo_id, CONFIG, revision=info.sha)
        with suppress(KDLandmarksError):  # an unreadable one is not a checkpoint
            kind = read_json_object(config).get("model_type")
    if files - BARE and kind != KDLandmarksConfig.model_type:
        held = shown(kind) if kind else "other files"
        raise KDLandmarksError(
            f"{repo_id} is taken: it holds {held}, not a kd-landmarks checkpoint; give another name"
        )
