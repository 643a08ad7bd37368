"""Checkpoints that are whole or not there: a kill at any moment loses the last interval at most.

A checkpoint is written into a hidden folder, every file of it listed with its checksum in a
manifest, flushed to disk and renamed into place in one step. A folder without that name was never
finished, and is ignored.
"""

import hashlib
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from accelerate import Accelerator

from ..errors import KDLandmarksError, shown
from ..utils.files import flush, write_json
from ..utils.parsing import read_json_object
from .health import NotFinite, check_finite

MANIFEST = "manifest.json"
_FORMAT = "kd-landmarks checkpoint 2"


def save_checkpoint(
    accelerator: Accelerator,
    state: Iterable[Any],
    folder: Path,
    step: int,
    identity: Mapping[str, Any],
    keep: int,
) -> Path:
    """Write the training state as `folder/step_XXXXXXXX` and drop the oldest beyond `keep`.

    Args:
        accelerator: holds network, optimizer, schedule, and what is registered for checkpointing.
        state: the network and its optimizer, which have to be finite.
        folder: of this stage's checkpoints.
        step: optimizer steps done.
        identity: what a run that continues from here must agree with; plain JSON types.
        keep: checkpoints to leave, >= 1.

    Raises:
        NotFinite: if the state is none to go on from; on all processes, nothing is written.
        KDLandmarksError: if it cannot be written (a full disk); earlier checkpoints stay.
    """
    check_finite(accelerator, state)
    final = folder / f"step_{step:08d}"
    partial = folder / f".{final.name}.partial"
    try:
        if accelerator.is_main_process:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        accelerator.wait_for_everyone()
        accelerator.save_state(str(partial))
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            _seal(partial, step, identity)
            if final.exists():
                shutil.rmtree(final)
            os.replace(partial, final)
            flush(folder)
            for old in finished_checkpoints(folder)[:-keep]:
                # What is called a checkpoint is whole, while it is deleted too.
                doomed = old.with_name(f".{old.name}.partial")
                os.replace(old, doomed)
                shutil.rmtree(doomed)
    except Exception as error:
        shutil.rmtree(partial, ignore_errors=True)
        there = next(place for place in (folder, *folder.parents) if place.exists())
        free = shutil.disk_usage(there).free / 1e6
        rest = finished_checkpoints(folder)
        after = f"the run can continue from {rest[-1].name}" if rest else "there is none before it"
        raise KDLandmarksError(
            f"could not write the checkpoint {final} ({error}); {free:.0f} MB are free on its "
            f"disk, and {after}: make room, then run again with --resume"
        ) from error
    accelerator.wait_for_everyone()
    return final


def finished_checkpoints(folder: Path) -> list[Path]:
    """The whole checkpoints of a stage, oldest first."""
    return sorted(path for path in folder.glob("step_*") if path.is_dir())


def checkpoints_of(folder: Path, stage: str) -> Path:
    """Where the checkpoints of a stage of a run are."""
    return folder / "checkpoints" / stage


def drop_checkpoints(folder: Path, stage: str) -> None:
    """Remove those of a finished stage."""
    checkpoints = checkpoints_of(folder, stage)
    shutil.rmtree(checkpoints, ignore_errors=True)
    if checkpoints.parent.is_dir() and not any(checkpoints.parent.iterdir()):
        checkpoints.parent.rmdir()


def load_checkpoint(
    accelerator: Accelerator, state: Iterable[Any], path: Path, identity: Mapping[str, Any]
) -> int:
    """Restore everything that `save_checkpoint` stored and return its step.

    Raises:
        KDLandmarksError: if a file is missing or altered, the folder is not such a checkpoint, or
            it belongs to another run (`identity` differs), or it is not finite. Nothing has been
            changed on disk then.
    """
    remedy = (
        "nothing was changed. Delete that folder to continue from the checkpoint before it (or the "
        "stage's start, if there is none)"
    )
    manifest, there = _manifest(path, remedy), _files(path)
    for name, expected in manifest["files"].items():
        if name not in there:  # a link, or a name that leads elsewhere, is left out
            raise KDLandmarksError(
                f"the checkpoint {path} is damaged: {shown(name)} is missing; {remedy}"
            )
        if _digest(there[name]) != expected:
            raise KDLandmarksError(f"the checkpoint {path} is damaged: {name} is corrupt; {remedy}")
    for key, value in identity.items():
        if manifest["identity"].get(key) != value:
            raise KDLandmarksError(
                f"the checkpoint {path} belongs to another run: its {key} is "
                f"{shown(manifest['identity'].get(key))}, this run's is {value!r}; {remedy}"
            )
    try:
        # Accelerate would unpickle these whatever they hold; what passes here runs no code.
        for file in (*path.glob("custom_checkpoint_*.pkl"), *path.glob("scheduler*.bin")):
            torch.load(file, map_location="cpu", weights_only=True)
        accelerator.load_state(str(path))
    except Exception as error:
        raise KDLandmarksError(
            f"the checkpoint {path} does not fit this run ({_reason(error)}); {remedy}"
        ) from error
    try:
        check_finite(accelerator, state)
    except NotFinite as error:
        raise KDLandmarksError(f"the checkpoint {path} is unusable: {error}; {remedy}") from error
    return int(manifest["step"])


def _manifest(path: Path, remedy: str) -> dict[str, Any]:
    """What a checkpoint's manifest says.

    Raises:
        KDLandmarksError: where it is not as `_seal` writes it.
    """
    try:
        manifest = read_json_object(path / MANIFEST)
    except KDLandmarksError as error:
        raise KDLandmarksError(f"{error}; {remedy}") from error
    files, step = manifest.get("files"), manifest.get("step")
    sound = (
        manifest.get("format") == _FORMAT
        and type(step) is int
        and path.name == f"step_{step:08d}"
        and isinstance(manifest.get("identity"), dict)
        and isinstance(files, dict)
        and len(files) > 0
        and all(isinstance(digest, str) for digest in files.values())
    )
    if not sound:
        raise KDLandmarksError(
            f"{path} is not a checkpoint of this version: its {MANIFEST} says {shown(manifest)}; "
            f"{remedy}"
        )
    return manifest


def _reason(error: Exception) -> str:
    """Its first sentence: PyTorch's refusal to unpickle goes on with how to do it nevertheless."""
    return (
        str(error).split(".")[0].split("\n")[0]
        if isinstance(error, UnpicklingError)
        else str(error)
    )


def _files(folder: Path) -> dict[str, Path]:
    """The files in a folder and below by their paths from there; links are left out."""
    return {
        str(file.relative_to(folder)): file
        for file in sorted(folder.rglob("*"))
        if file.is_file() and not file.is_symlink()
    }


def _seal(folder: Path, step: int, identity: Mapping[str, Any]) -> None:
    files = {}
    for name, file in _files(folder).items():
        files[name] = _digest(file)
        flush(file)
    manifest = {"format": _FORMAT, "step": step, "identity": dict(identity), "files": files}
    write_json(folder / MANIFEST, manifest)


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
