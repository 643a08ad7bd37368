"""A converted data set to the Hub, private unless somebody says otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.utils import validate_repo_id

from ..errors import KDLandmarksError
from .conversion import MISSING_FILE
from .dataset_card import SCHEME_FILE

# Files of an earlier conversion that a later one may have no file of the same name for.
_STALE = ["data/*.parquet", MISSING_FILE, SCHEME_FILE]


def check_push(repo_id: str, private: bool) -> None:
    """Refuses early what `push_folder` would refuse late; changes nothing.

    Raises:
        KDLandmarksError: no such id, no token, no Hub, or what must be private would be public.
    """
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise KDLandmarksError(f"{repo_id!r} is no id of a data set: {error}") from error
    if repo_id.count("/") != 1:
        raise KDLandmarksError(f"{repo_id!r} is no id of a data set: give NAMESPACE/NAME")
    api = HfApi()
    with _clear_errors(repo_id):
        api.whoami()
        try:
            public = not api.repo_info(repo_id, repo_type="dataset").private
        except RepositoryNotFoundError:
            return
    _refuse_public(repo_id, private, public)


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
    with _clear_errors(repo_id):
        url = api.create_repo(repo_id, repo_type="dataset", private=private, exist_ok=True)
        # What was there before keeps its visibility.
        public = not api.repo_info(repo_id, repo_type="dataset").private
    _refuse_public(repo_id, private, public)
    with _clear_errors(repo_id):
        api.upload_folder(
            repo_id=repo_id,
            repo_type="dataset",
            folder_path=folder,
            commit_message="Faces as Parquet",
            delete_patterns=_STALE,
        )
    return str(url)


def _refuse_public(repo_id: str, private: bool, public: bool) -> None:
    if private and public:
        raise KDLandmarksError(
            f"the data set {repo_id} is there and public: make it private or give another name"
        )


@contextmanager
def _clear_errors(repo_id: str) -> Iterator[None]:
    """What can go wrong with the Hub, as one line with the mend."""
    try:
        yield
    except LocalTokenNotFoundError as error:
        raise KDLandmarksError(
            f"pushing {repo_id} needs a token that may write: run `hf auth login` or set HF_TOKEN"
        ) from error
    except OfflineModeIsEnabled as error:
        raise KDLandmarksError(
            f"cannot push {repo_id}: HF_HUB_OFFLINE is set, unset it to reach the Hub"
        ) from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        why = error.server_message or str(error).strip().splitlines()[0]
        hint = " (is the token valid, and may it write there?)" if status in (401, 403) else ""
        raise KDLandmarksError(f"the Hub refuses {repo_id} ({status}): {why}{hint}") from error
    except Exception as error:  # each HTTP library has a family of its own
        raise KDLandmarksError(f"cannot push {repo_id}: {error}") from error
