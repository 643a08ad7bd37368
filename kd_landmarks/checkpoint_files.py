"""Where a checkpoint's files are: in a folder or on the Hub, which is asked once, for seconds.

transformers and timm ask a Hub that is down file by file, half a minute each, and print each try.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.utils import (
    build_hf_headers,
    hf_raise_for_status,
    http_backoff,
    validate_repo_id,
)

from .errors import KDLandmarksError
from .hub_errors import PATIENCE, ask_the_hub

CONFIG, PROCESSOR = "config.json", "preprocessor_config.json"
WEIGHTS = "model.safetensors"

_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


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


def find_checkpoint(source: str | Path, revision: str | None = None) -> CheckpointFiles:
    """The files of a checkpoint.

    Args:
        source: a folder, or a Hub id.
        revision: branch, tag or commit of a Hub id.

    Raises:
        KDLandmarksError: if there is no such folder, or no such repository, or the Hub cannot be
            asked and its cache has nothing.
    """
    source = str(source)
    folder = Path(source).expanduser()
    if folder.is_dir() or source.startswith((".", "/", "~")) or source.count("/") > 1:
        if not (folder / CONFIG).is_file():
            raise KDLandmarksError(f"no checkpoint at {source}: it needs {CONFIG} and weights")
        sizes = {file.name: file.stat().st_size for file in folder.iterdir() if file.is_file()}
        return CheckpointFiles(source, sizes, folder.joinpath)
    try:
        validate_repo_id(source)
    except HFValidationError as error:
        raise KDLandmarksError(f"{source!r} is no folder, and no Hub id either: {error}") from error
    try:
        return _on_the_hub(source, revision)
    except Exception as error:  # each HTTP library has a family of its own
        cached = _in_the_cache(source, revision)
        if cached is None:
            raise KDLandmarksError(_unreachable(source, error, revision)) from error
        return cached


def cached_or_reachable(repo: str, filename: str, revision: str | None = None) -> str | None:
    """A file in the Hub's cache, or None where it is not there but the Hub can be asked for it.

    Raises:
        KDLandmarksError: if neither, within seconds.
    """
    file = try_to_load_from_cache(repo, filename, revision=revision)
    if isinstance(file, str):
        return file
    try:
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
        headers=build_hf_headers(),
        timeout=PATIENCE,
        max_retries=2,
        retry_on_exceptions=(),
    )
    hf_raise_for_status(answer)
    listing = answer.json()

    def fetch(name: str) -> str:
        # The configuration comes first, and by the revision's own name: so the cache learns which
        # commit that is, for the days without a Hub.
        return hf_hub_download(repo, name, revision=revision if name == CONFIG else listing["sha"])

    sizes = {file["rfilename"]: file.get("size") for file in listing["siblings"]}
    return CheckpointFiles(repo, sizes, fetch)


def _in_the_cache(repo: str, revision: str | None) -> CheckpointFiles | None:
    """What earlier downloads have left, if that is all that a detector needs."""
    found = {
        name: try_to_load_from_cache(repo, name, revision=revision)
        for name in (CONFIG, PROCESSOR, WEIGHTS)
    }
    paths = {name: Path(path) for name, path in found.items() if isinstance(path, str)}
    sizes = {name: path.stat().st_size for name, path in paths.items()}
    return CheckpointFiles(repo, sizes, paths.__getitem__) if len(paths) == len(found) else None


def _unreachable(repo: str, error: Exception, revision: str | None = None) -> str:
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    if status is not None and status < 500 and status != 429:
        at = "" if revision is None else f" and the revision {revision!r}"
        return (
            f"{repo}: no such model on the Hub, or no access to it ({status}): check the id{at}, "
            "or give a token that may read it (hf auth login, HF_TOKEN)"
        )
    return f"{repo} is neither here nor in the Hub's cache, and the Hub cannot be asked: {error}"
