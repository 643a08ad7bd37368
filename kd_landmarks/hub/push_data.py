"""A converted data set to the Hub, private unless somebody says otherwise."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi

from ..data.card import MISSING_FILE, SCHEME_FILE, TAG
from ..data.parquet import MOST_CARD
from ..errors import KDLandmarksError
from ..utils.hub import check_repo_id, clear_hub_errors
from ..utils.parsing import read_text
from .results import model_card
from .upload import BARE, CARD, check_access, file_names

# Files of an earlier conversion that a later one may have no file of the same name for.
_STALE = ["data/*.parquet", MISSING_FILE, SCHEME_FILE]


def check_push(repo_id: str, private: bool) -> None:
    """Refuses early what `push_folder` would refuse late; changes nothing.

    Raises:
        KDLandmarksError: no such id, no token, no Hub, what must be private would be public, or
            the data set is somebody's other work.
    """
    check_repo_id(repo_id)
    api = HfApi()
    with clear_hub_errors(repo_id):
        info = check_access(api, repo_id, private, "dataset")
        files = file_names(info)
        if not info or files <= BARE or (CARD in files and _is_converted(api, repo_id, info.sha)):
            return
    raise KDLandmarksError(
        f"{repo_id} is taken: it does not hold what `kd-landmarks convert` wrote; give another name"
    )


def _is_converted(api: HfApi, repo_id: str, commit: str | None) -> bool:
    """Whether a data set's card has the tag that `convert` gives it."""
    card = api.hf_hub_download(repo_id, CARD, repo_type="dataset", revision=commit)
    text = read_text(Path(card), MOST_CARD)
    return TAG in (model_card(text, f"{CARD} of {repo_id}").data.get("tags") or ())


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
