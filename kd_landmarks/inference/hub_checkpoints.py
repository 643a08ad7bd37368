"""A checkpoint's files on the Hub, which is asked once, for seconds.

transformers and timm ask a Hub that is down file by file, half a minute each, and print each try.
"""

import logging
import re
import time
from contextlib import suppress
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

from ..errors import KDLandmarksError, reason, shown
from ..utils.hub import ask_the_hub
from ..utils.hub_patience import patient_hub
from ..utils.parsing import MOST_JSON, parse_json
from .checkpoints import (
    CONFIG,
    INT8_FILE,
    ONNX_FILE,
    PROCESSOR,
    WEIGHTS,
    CheckpointFiles,
    HubDownError,
)

_logger = logging.getLogger(__name__)


def find_on_the_hub(source: str, revision: str | None) -> CheckpointFiles:
    """The files of a repository, or what the cache has of it where the Hub cannot be asked.

    Raises:
        KDLandmarksError: for what is not an id, if there is no such repository, and if the Hub
            cannot be asked within seconds and its cache has nothing.
    """
    try:
        validate_repo_id(source)
    except HFValidationError as error:
        raise KDLandmarksError(
            f"{shown(source)} is neither a folder nor a Hub id: {error}"
        ) from error
    try:
        with patient_hub():
            return _on_the_hub(source, revision)
    except Exception as error:  # each HTTP library has a family of its own
        cached = cached_checkpoint(source, revision, error)
        if cached is None:
            raise KDLandmarksError(_unreachable(source, error, revision)) from error
        return cached


def cached_checkpoint(repo: str, revision: str | None, why: Exception) -> CheckpointFiles | None:
    """What earlier downloads have left, if that is all that a detector needs; the log says so.

    Args:
        repo: a Hub id.
        revision: branch, tag or commit.
        why: the Hub's own files cannot be had.
    """
    found = {
        name: try_to_load_from_cache(repo, name, revision=revision)
        for name in (CONFIG, PROCESSOR, WEIGHTS, ONNX_FILE, INT8_FILE)
    }
    paths = {name: Path(path) for name, path in found.items() if isinstance(path, str)}
    if ONNX_FILE not in paths and not {CONFIG, PROCESSOR, WEIGHTS} <= paths.keys():
        return None
    if not constants.is_offline_mode():  # then this is what was asked for
        network = paths.get(WEIGHTS) or paths[ONNX_FILE]
        stored = network.stat().st_mtime
        # Snapshots lie in snapshots/COMMIT.
        commit = network.parts[network.parts.index("snapshots") + 1]
        notice = KDLandmarksError(
            f"{repo} is taken from the Hub's cache: commit {commit[:12]}, downloaded on "
            f"{time.strftime('%Y-%m-%d', time.localtime(stored))}. {reason(why)}"
        )
        _logger.warning("%s", notice)
    sizes = {name: path.stat().st_size for name, path in paths.items()}
    return CheckpointFiles(repo, sizes, paths.__getitem__)


def cached_or_reachable(repo: str) -> str | None:
    """Weights in the Hub's cache, or None where they are not there but the Hub can be asked.

    Raises:
        KDLandmarksError: if neither, within seconds.
    """
    file = try_to_load_from_cache(repo, WEIGHTS)
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
                if name in (WEIGHTS, ONNX_FILE, INT8_FILE):  # the last one
                    # Asked for by the revision's own name, so the cache learns which commit that
                    # is, for the days without a Hub; not before all files of it are there.
                    with suppress(Exception):
                        hf_hub_download(repo, CONFIG, revision=revision)
                return path
        except Exception as error:  # each HTTP library has a family of its own
            raise HubDownError(f"cannot get {name} of {repo}: {reason(error)}") from error

    return CheckpointFiles(repo, sizes, fetch)


def _listed(answer: Any, where: str) -> tuple[str, dict[str, int | None]]:
    """Commit, and bytes of files by name, that a Hub tells.

    Raises:
        KDLandmarksError: for an invalid answer.
    """
    if len(answer.content) > MOST_JSON:
        raise KDLandmarksError(f"{where} has more than {MOST_JSON} bytes")
    listing = parse_json(answer.content, where)
    files = listing.get("siblings") if isinstance(listing, dict) else None
    if not isinstance(files, list) or not all(isinstance(file, dict) for file in files):
        raise KDLandmarksError(f"{where} is invalid: {shown(listing)}")
    commit = listing.get("sha")
    if not isinstance(commit, str) or not re.fullmatch("[0-9a-f]{40}", commit):
        raise KDLandmarksError(f"{where} names no commit, but {shown(commit)}")
    sizes: dict[str, int | None] = {}
    for file in files:
        name, size = file.get("rfilename"), file.get("size")
        if not isinstance(name, str) or (size is not None and type(size) is not int):
            raise KDLandmarksError(f"{where} has an entry that is not a file: {shown(file)}")
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
        f"{reason(error)}"
    )
