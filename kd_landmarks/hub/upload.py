"""What every push has in common: what it may push to, and what it says that it has pushed."""

from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import DatasetInfo, HfApi, ModelInfo, SpaceInfo
from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

from ..errors import KDLandmarksError

CARD = "README.md"
BARE = frozenset({".gitattributes", CARD, "LICENSE"})
"""The files of a repository that somebody has made and not filled yet."""
INFO_PATIENCE = 10.0
"""Seconds until a Hub that is silent counts as down."""


@dataclass(frozen=True)
class Push:
    """What was pushed, or would be.

    Attributes:
        files: path in the repository to bytes.
        commit_url: of the commit; None where nothing was pushed.
    """

    files: dict[str, int]
    commit_url: str | None = None


def file_sizes(folder: Path) -> dict[str, int]:
    """Bytes of the files in a folder and below, by their paths from there, in order."""
    return {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def file_names(info: DatasetInfo | ModelInfo | SpaceInfo | None) -> set[str]:
    """Paths of the files of a repository, as `check_access` tells of it."""
    return {file.rfilename for file in (info.siblings if info else None) or ()}


def check_access(
    api: HfApi,
    repo_id: str,
    private: bool,
    repo_type: str = "model",
    revision: str | None = None,
) -> DatasetInfo | ModelInfo | SpaceInfo | None:
    """Refuse early what would be refused late.

    Args:
        api: to ask whose token it is.
        repo_id: what is to be pushed to.
        private: whether it is to be private.
        repo_type: "model", "dataset" or "space".
        revision: branch that is to be pushed to; None for main.

    Returns:
        What the Hub tells of the repository at that branch, or at main where the branch is still to
        be made of it; None where there is no repository.

    Raises:
        KDLandmarksError: for a token that may only read, and for a public repository that is to be
            private.
    """
    token = api.whoami().get("auth", {}).get("accessToken", {})
    if token.get("role") == "read":
        raise KDLandmarksError(f"the token may only read: pushing {repo_id} needs one that writes")
    info: DatasetInfo | ModelInfo | SpaceInfo
    try:
        info = api.repo_info(  # type: ignore[assignment]
            repo_id, repo_type=repo_type, revision=revision, timeout=INFO_PATIENCE
        )
    except RepositoryNotFoundError:
        return None
    except RevisionNotFoundError:
        return check_access(api, repo_id, private, repo_type)
    if private and not info.private:
        raise KDLandmarksError(
            f"{repo_id} is there and public: make it private, or give another name"
        )
    return info
