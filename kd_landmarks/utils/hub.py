"""Ids on the Hub, and what can go wrong with it as one line that says what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import constants, get_session
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
)
from huggingface_hub.utils import validate_repo_id

from ..errors import KDLandmarksError, reason
from .hub_patience import patient_hub

_MENDS = {
    401: "; is the token valid? (hf auth login, HF_TOKEN)",
    403: "; may the token write there?",
    409: "; give another name",
    412: "; somebody else has just changed it: try again",
}


def ask_the_hub() -> None:
    """See whether the Hub answers, whatever it says, within `patient_hub`.

    Raises:
        Exception: of the HTTP library in use, if it does not within seconds.
    """
    get_session().head(constants.ENDPOINT)


def check_repo_id(name: str) -> None:
    """Refuse what is not NAMESPACE/NAME.

    Raises:
        KDLandmarksError: naming it.
    """
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise KDLandmarksError(f"{name!r} is not an id on the Hub: {error}") from error
    if name.count("/") != 1:
        raise KDLandmarksError(f"{name!r} is not an id on the Hub: give NAMESPACE/NAME")


@contextmanager
def clear_hub_errors(repo_id: str) -> Iterator[None]:
    """Turns the clients' errors into a `KDLandmarksError` about a repository; shows no token.

    A Hub that is busy or silent is waited for for seconds.
    """
    try:
        with patient_hub():
            yield
    except KDLandmarksError:
        raise
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
        why = error.server_message or reason(error)
        mend = _MENDS.get(status, "")
        if status == 429:
            wait = error.response.headers.get("Retry-After", "")
            mend = f"; try again in {wait} seconds" if wait.isdigit() else "; try again later"
        raise KDLandmarksError(f"the Hub refuses {repo_id} ({status}): {why}{mend}") from error
    except Exception as error:  # each HTTP library has a family of its own
        raise KDLandmarksError(f"cannot push {repo_id}: {str(error) or repr(error)}") from error
