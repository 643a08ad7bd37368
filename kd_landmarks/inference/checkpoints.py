"""Where a checkpoint's files are: in a folder or on the Hub, which is asked once, for seconds.

transformers and timm ask a Hub that is down file by file, half a minute each, and print each try.
"""

import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.utils import (
    build_hf_headers,
    hf_raise_for_status,
    http_backoff,
    validate_repo_id,
)
from safetensors import SafetensorError

from ..errors import KDLandmarksError, shown
from ..utils.hub import ask_the_hub
from ..utils.hub_patience import patient_hub
from ..utils.parsing import MOST_JSON, parse_json

CONFIG, PROCESSOR = "config.json", "preprocessor_config.json"
WEIGHTS = "model.safetensors"
DEFAULT_FOLDER = Path(__file__).parents[1] / "models" / "weights" / "mobilenetv2-300w"
"""Of the student that comes with the package."""

_RUN_FILES = ("training.json", "metrics.json", "recipe.yaml", "run.json")
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_logger = logging.getLogger(__name__)


def default_checkpoint() -> str:
    """The folder of the student that comes with the package, as `from_pretrained` takes it.

    Its 68 points are `ibug68`'s; its training data are for research only: see the folder's
    README.md.

    Raises:
        KDLandmarksError: if its files are missing.
    """
    missing = [
        name for name in (CONFIG, WEIGHTS, PROCESSOR) if not (DEFAULT_FOLDER / name).is_file()
    ]
    if missing:
        raise KDLandmarksError(
            f"the package's own network is incomplete: no {', '.join(missing)} in "
            f"{DEFAULT_FOLDER}. Install kd-landmarks anew, or pass the folder or Hub id of another "
            'detector, such as model="runs/300w/student"'
        )
    return str(DEFAULT_FOLDER)


class HubDownError(KDLandmarksError):
    """A checkpoint's file cannot be had from the Hub now, though it is there."""


@dataclass(frozen=True)
class CheckpointFiles:
    """A checkpoint's files, fetched on demand.

    Attributes:
        source: the folder or Hub id, for messages.
        sizes: bytes of the files that there are, by name; of some the size may be unknown.
        fetch: a file's name to its path, downloaded where need be.
    """

    source: str
    sizes: Mapping[str, int | None]
    fetch: Callable[[str], str | Path]

    def path(self, name: str, max_bytes: int) -> Path:
        """A file on disk.

        Raises:
            KDLandmarksError: if it is missing, or larger than anything that is meant; then it is
                not downloaded.
        """
        if name not in self.sizes:
            raise KDLandmarksError(self._lacks(name))
        known = self.sizes[name]
        path = self.fetch(name) if known is None or known <= max_bytes else None
        size = known if path is None else Path(path).stat().st_size
        if path is None or size is None or size > max_bytes:
            raise KDLandmarksError(
                f"{name} of {self.source} has {size} bytes, where {max_bytes} would be plenty"
            )
        return Path(path)

    def _lacks(self, name: str) -> str:
        problem = f"{self.source} is no detector of ours: it has no {name}"
        pickled = sorted(other for other in self.sizes if other.endswith(_PICKLED))
        if name == WEIGHTS and pickled:
            problem += (
                f", and {pickled[0]} is not loaded, since unpickling it may run code: ask its "
                "owner for safetensors"
            )
        return problem


def own_files(source: str | Path | None) -> list[Path]:
    """What a command that reads a checkpoint must not replace: its files, and those of its run.

    Args:
        source: a folder, a Hub id, whose files are in nobody's way, or None for the package's own.
    """
    folder = DEFAULT_FOLDER if source is None else Path(os.path.expanduser(source))
    run = folder.resolve().parent
    folders = [folder, run] if (run / "run.json").is_file() else [folder]
    names = (CONFIG, PROCESSOR, WEIGHTS, *_RUN_FILES)
    return [place / name for place in folders for name in names if (place / name).is_file()]


@contextmanager
def disk_errors() -> Iterator[None]:
    """Around the saving of weights: what safetensors makes of a full disk is an OSError again."""
    try:
        yield
    except SafetensorError as error:
        raise OSError(str(error)) from error


def find_checkpoint(source: str | Path, revision: str | None = None) -> CheckpointFiles:
    """The files of a checkpoint.

    Args:
        source: a folder, or a Hub id.
        revision: branch, tag or commit of a Hub id.

    Raises:
        KDLandmarksError: if there is no such folder, or no such repository, or the Hub cannot be
            asked within seconds and its cache has nothing.
    """
    source = str(source)
    folder = Path(os.path.expanduser(source))
    if os.path.isdir(folder) or source.startswith((".", "/", "~")) or source.count("/") > 1:
        if not os.path.isfile(folder / CONFIG):  # which takes names of any length
            raise KDLandmarksError(f"no checkpoint at {source:.200}: it needs {CONFIG} and weights")
        sizes = {file.name: file.stat().st_size for file in folder.iterdir() if file.is_file()}
        return CheckpointFiles(source, sizes, folder.joinpath)
    try:
        validate_repo_id(source)
    except HFValidationError as error:
        raise KDLandmarksError(
            f"{shown(source)} is no folder, and no Hub id either: {error}"
        ) from error
    try:
        with patient_hub():
            return _on_the_hub(source, revision)
    except Exception as error:  # each HTTP library has a family of its own
        cached = cached_checkpoint(source, revision, error)
        if cached is None:
            raise KDLandmarksError(_unreachable(source, error, revision)) from error
        return cached


def cached_checkpoint(repo: str, revision: str | None, reason: Exception) -> CheckpointFiles | None:
    """What earlier downloads have left, if that is all that a detector needs; the log says so.

    Args:
        repo: a Hub id.
        revision: branch, tag or commit.
        reason: why the Hub's own files cannot be had.
    """
    found = {
        name: try_to_load_from_cache(repo, name, revision=revision)
        for name in (CONFIG, PROCESSOR, WEIGHTS)
    }
    paths = {name: Path(path) for name, path in found.items() if isinstance(path, str)}
    if len(paths) < len(found):
        return None
    if not constants.is_offline_mode():  # then this is what was asked for
        commit, stored = paths[WEIGHTS].parent.name, paths[WEIGHTS].stat().st_mtime
        told = KDLandmarksError(
            f"{repo} is taken from the Hub's cache: commit {commit[:12]}, downloaded on "
            f"{time.strftime('%Y-%m-%d', time.localtime(stored))}. {_first_line(reason)}"
        )
        _logger.warning("%s", told)
    sizes = {name: path.stat().st_size for name, path in paths.items()}
    return CheckpointFiles(repo, sizes, paths.__getitem__)


def cached_or_reachable(repo: str, filename: str, revision: str | None = None) -> str | None:
    """A file in the Hub's cache, or None where it is not there but the Hub can be asked for it.

    Raises:
        KDLandmarksError: if neither, within seconds.
    """
    file = try_to_load_from_cache(repo, filename, revision=revision)
    if isinstance(file, str):
        return file
    try:
        with patient_hub():
            ask_the_hub()
    except Exception as error:  # each HTTP library has a family of its own
        raise KDLandmarksError(_unreachable(repo, error)) from error
    return None


def _on_the_hub(repo: str, revision: str | None) -> CheckpointFiles:
    """What a repository has now; a busy Hub is asked twice more."""
    answer = http_backoff(
        "GET",
        f"{constants.ENDPOINT}/api/models/{repo}/revision/{quote(revision or 'main', safe='')}",
        params={"blobs": "true"},
        # Nothing packed, which could be a thousand times as long unpacked.
        headers={**build_hf_headers(), "Accept-Encoding": "identity"},
        max_retries=2,
        retry_on_exceptions=(),
    )
    hf_raise_for_status(answer)
    commit, sizes = _listed(answer, f"the Hub's list of the files of {repo}")

    def fetch(name: str) -> str:
        try:
            with patient_hub():
                path = hf_hub_download(repo, name, revision=commit)
                if name == WEIGHTS:  # the last one
                    # Asked for by the revision's own name, so the cache learns which commit that
                    # is, for the days without a Hub; not before all files of it are there.
                    with suppress(Exception):
                        hf_hub_download(repo, CONFIG, revision=revision)
                return path
        except Exception as error:  # each HTTP library has a family of its own
            raise HubDownError(f"cannot get {name} of {repo}: {_first_line(error)}") from error

    return CheckpointFiles(repo, sizes, fetch)


def _listed(answer: Any, where: str) -> tuple[str, dict[str, int | None]]:
    """Commit, and bytes of files by name, that a Hub tells.

    Raises:
        KDLandmarksError: for what no Hub of sound mind tells.
    """
    if len(answer.content) > MOST_JSON:
        raise KDLandmarksError(f"{where} has more than {MOST_JSON} bytes")
    listing = parse_json(answer.content, where)
    files = listing.get("siblings") if isinstance(listing, dict) else None
    if not isinstance(files, list) or not all(isinstance(file, dict) for file in files):
        raise KDLandmarksError(f"{where} is none: {shown(listing)}")
    commit = listing.get("sha")
    if not isinstance(commit, str) or not re.fullmatch("[0-9a-f]{40}", commit):
        raise KDLandmarksError(f"{where} names no commit, but {shown(commit)}")
    sizes: dict[str, int | None] = {}
    for file in files:
        name, size = file.get("rfilename"), file.get("size")
        if not isinstance(name, str) or (size is not None and type(size) is not int):
            raise KDLandmarksError(f"{where} has an entry that is no file: {shown(file)}")
        sizes[name] = size
    return commit, sizes


def _unreachable(repo: str, error: Exception, revision: str | None = None) -> str:
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    if status is not None and status < 500 and status != 429:
        at = "" if revision is None else f" and the revision {shown(revision)}"
        return (
            f"{repo}: no such model on the Hub, or no access to it ({status}): check the id{at}, "
            "or give a token that may read it (hf auth login, HF_TOKEN)"
        )
    return (
        f"{repo} is neither here nor in the Hub's cache, and the Hub cannot be asked: "
        f"{_first_line(error)}"
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or repr(error)
