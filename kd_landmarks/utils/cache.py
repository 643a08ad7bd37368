"""Where Hugging Face's libraries keep what they have fetched and prepared."""

import atexit
import logging
import os
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from ..errors import KDLandmarksError

logger = logging.getLogger(__name__)


def usable_cache() -> None:
    """See that there is a cache folder to write to, before Hugging Face's libraries are imported.

    Where `HF_HOME` (by default `~/.cache/huggingface`) cannot be written, a temporary folder takes
    its place until this process ends, and the log says so. What was fetched there earlier, and the
    token, are still read from where they are.
    """
    home = _home()
    if _writable(home) or "huggingface_hub" in sys.modules:
        return
    try:
        folder = tempfile.mkdtemp(prefix="kd-landmarks-cache-")
    except OSError:
        return  # whoever needs a cache says what is wrong with it
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    fetched, token = home / "hub", home / "token"
    if fetched.is_dir():
        os.environ.setdefault("HF_HUB_CACHE", str(_with_room(fetched, Path(folder, "hub"))))
    if token.is_file():
        os.environ.setdefault("HF_TOKEN_PATH", str(token))
    os.environ["HF_HOME"] = folder
    notice = KDLandmarksError(
        f"the cache {home} cannot be written: {folder} stands in for it until the end. Set HF_HOME "
        "to a folder that is to be kept"
    )
    logger.warning("%s", notice)


def _with_room(fetched: Path, folder: Path) -> Path:
    """Where what was fetched earlier is found, and more can be put: in a new folder, if need be."""
    if _writable(fetched):
        return fetched
    with suppress(OSError):  # a system without links, or a folder that cannot be listed
        folder.mkdir()
        for earlier in fetched.iterdir():
            (folder / earlier.name).symlink_to(earlier, target_is_directory=True)
    return folder


def _home() -> Path:
    """As huggingface_hub finds it."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    named = os.environ.get("HF_HOME") or os.path.join(base, "huggingface")
    return Path(os.path.expandvars(os.path.expanduser(named)))


def _writable(folder: Path) -> bool:
    """Whether a folder can be made and written to; it is made only where it is written to."""
    for place in (folder, *folder.parents):
        if os.path.lexists(place):
            return place.is_dir() and os.access(place, os.W_OK | os.X_OK)
    return False
