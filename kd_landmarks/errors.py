"""The one exception family that users of the package meet."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile


class KDLandmarksError(ValueError):
    """Bad input: the message names the offending value and how to mend it.

    Command lines print it without a traceback and exit with code 2.
    """


@contextmanager
def writing(path: Path, folder: bool = False) -> Iterator[None]:
    """Around the writing of a file, whose folder is made first.

    Args:
        path: of the file, or of a folder for several.
        folder: whether it is a folder.

    Raises:
        KDLandmarksError: naming the path, where it cannot be written.
    """
    try:
        (path if folder else path.parent).mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise KDLandmarksError(f"cannot write {path}: {error}") from error


def check_writable(path: Path, folder: bool = False) -> None:
    """Make the folder that a file is to lie in, and try it: before the work, not after it.

    Args:
        path: of the file, or of a folder for several.
        folder: whether it is a folder.

    Raises:
        KDLandmarksError: where there can be no such folder, nothing can be written to it, or a
            folder lies in the file's place.
    """
    with writing(path, folder), TemporaryFile(dir=path if folder else path.parent):
        pass
    if not folder and path.is_dir():
        raise KDLandmarksError(f"{path} is a folder: name a file in it")
