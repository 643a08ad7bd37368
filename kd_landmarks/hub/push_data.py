"""A converted data set to the Hub, private unless somebody says otherwise."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi

from ..data.card import MISSING_FILE, SCHEME_FILE
from ..utils.hub import check_repo_id, clear_hub_errors
from .upload import check_access

# Files of an earlier conversion that a later one may have no file of the same name for.
_STALE = ["data/*.parquet", MISSING_FILE, SCHEME_FILE]


def check_push(repo_id: str, private: bool) -> None:
    """Refuses early what `push_folder` would refuse late; changes nothing.

    Raises:
        KDLandmarksError: no such id, no token, no Hub, or what must be private would be public.
    """
    check_repo_id(repo_id)
    with clear_hub_errors(repo_id):
        check_access(HfApi(), repo_id, private, "dataset")


def push_folder(folder: Path, repo_id: str, private: bool) -> str:
    """Uploads a folder of `convert`, in place of what an earlier one had; its address.

    Args:
        folder: its `README.md`, `data` and the rest.
        repo_id: NAMESPACE/NAME; made if it is not there.
        private: whether it is made private, and refused where it is there and public.

    Raises:
        KDLandmarksError: the Hub cannot be reached or refuses it.
    """
    api = HfApi()
    with clear_hub_errors(repo_id):
        url = api.create_repo(repo_id, repo_type="dataset", private=private, exist_ok=True)
        check_access(api, repo_id, private, "dataset")  # what was there before keeps its visibility
        api.upload_folder(
            repo_id=repo_id,
            repo_type="dataset",
            folder_path=folder,
            commit_message="Faces as Parquet",
            delete_patterns=_STALE,
        )
    return str(url)
