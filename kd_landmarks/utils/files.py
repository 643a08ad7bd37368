"""The one way to write files: whole under their name, or not at all, and never over an input."""

import errno
import json
import logging
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from ..errors import KDLandmarksError

logger = logging.getLogger(__name__)

DATA_ENDINGS = (".jsonl", ".parquet", ".pts", ".mat", ".txt", ".csv", ".yaml", ".json", ".xml")
"""Of the files that a folder of data is made of, besides its pictures."""


@contextmanager
def new_file(
    path: str | Path,
    check: Callable[[Path], None] | None = None,
    *,
    follow: bool = True,
    keep: bool = False,
) -> Iterator[Path]:
    """A file that is there whole once the block has ended well; else the earlier one stays.

    The block writes to the path that it is given: beside the target, hidden, with its ending. It
    is then checked, forced to disk and renamed. The target's folder is made first; what is no
    regular file (`/dev/stdout`, a pipe) is written to directly.

    Args:
        path: of the file.
        check: looks at what was written, and raises where it is not what it should be; an OSError
            is told as one of writing.
        follow: where the path is a link, write what it leads to; else the link is replaced.
        keep: what somebody stops (Ctrl-C) is kept beside the target, as NAME.partial.ENDING.

    Raises:
        KDLandmarksError: naming the path, where it cannot be written.
    """
    path = Path(path)
    with writing(path):
        target = Path(os.path.realpath(path) if follow else path)
        if target.exists() and not target.is_file() and not target.is_dir():
            yield target
            return
        if target.is_dir():
            raise KDLandmarksError(f"{path} is a folder: name a file in it")
        partial = _beside(target)
        try:
            yield partial
            if check is not None:
                check(partial)
            flush(partial)
            if target.exists():
                shutil.copymode(target, partial)
            os.replace(partial, target)
            flush(target.parent)
        except KeyboardInterrupt:
            if keep:
                _keep(partial, target)
            raise
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text with `\\n` line ends, whole or not at all.

    Raises:
        KDLandmarksError: naming the path, where it cannot be written.
    """
    with new_file(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | Path, values: Any) -> None:
    """Write JSON, whole or not at all.

    Raises:
        KDLandmarksError: naming the path, where it cannot be written.
    """
    write_text(path, json.dumps(values, indent=1) + "\n")


@contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """A folder that is there with all its files once the block has ended well, or not at all.

    The block fills the folder that it is given: beside the target, hidden. It is then forced to
    disk and renamed; it takes the place of nothing but an empty folder.

    Raises:
        KDLandmarksError: naming the path, where it cannot be written or is in use.
    """
    path = Path(path)
    check_new_folder(path)
    with writing(path):
        target = Path(os.path.realpath(path))
        partial = _beside(target)
        try:
            partial.mkdir()
            yield partial
            for file in sorted(partial.rglob("*")):
                flush(file)
            flush(partial)
            os.replace(partial, target)
            flush(target.parent)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


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
        mend = "Give another path"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            mend = "Free disk space or give another path"
        why = error.strerror or error
        if isinstance(error, FileExistsError | NotADirectoryError):
            above = (path, *path.parents) if folder else path.parents
            why = next((f"{place} is a file" for place in above if place.is_file()), why)
        raise KDLandmarksError(
            f"cannot write {path}: {why}. {mend}; existing files are unchanged"
        ) from error


def check_writable(path: Path, folder: bool = False) -> None:
    """Make the folder that a file is to lie in, and try it: before the work, not after it.

    Args:
        path: of the file, or of a folder for several.
        folder: whether it is a folder.

    Raises:
        KDLandmarksError: where there cannot be such a folder, nothing can be written to it, or a
            folder lies in the file's place.
    """
    if path.exists() and not path.is_dir() and not path.is_file():
        return  # a device or a pipe
    with writing(path, folder), TemporaryFile(dir=path if folder else path.parent):
        pass
    if not folder and path.is_dir():
        raise KDLandmarksError(f"{path} is a folder: name a file in it")


def check_new_folder(path: Path) -> None:
    """Refuse what is there already, but for an empty folder.

    Raises:
        KDLandmarksError: naming it.
    """
    if os.path.lexists(path) and not (path.is_dir() and not any(path.iterdir())):
        raise KDLandmarksError(f"{path} is not an empty folder: name a new one, or remove it")


def check_outside(path: Path, folder: str | Path) -> None:
    """Refuse an output that is a folder of the input, or lies in it: it would be read as input.

    Args:
        path: of the output.
        folder: that is read; what is not a folder holds no outputs.

    Raises:
        KDLandmarksError: naming both.
    """
    if lies_in(path, folder):
        raise KDLandmarksError(
            f"--output {path} is inside the input folder {folder}: name a place outside of it"
        )


def lies_in(path: Path, folder: str | Path) -> bool:
    """Whether a path is a folder, or something in it at any depth, however both are spelled."""
    if not os.path.isdir(folder):
        return False
    place = Path(os.path.realpath(path))
    key = identity(folder)
    return any(identity(above) == key for above in (place, *place.parents))


def check_outputs(outputs: Mapping[str, Path], inputs: Iterable[str | Path] = ()) -> None:
    """Refuse an output that is an input or another output, however it is spelled.

    Args:
        outputs: files that will be written, by what the user calls them (`--json`).
        inputs: files that are read, and folders, whose data files (`DATA_ENDINGS`) are; what is
            neither (a URL, an id on the Hub) is nobody's output.

    Raises:
        KDLandmarksError: naming both.
    """
    inputs = [path for path in map(os.path.expanduser, inputs) if os.path.exists(path)]
    read = {identity(path): str(path) for path in inputs}
    taken: dict[Any, str] = {}
    for name, path in outputs.items():
        if path.exists() and not path.is_file() and not path.is_dir():
            continue  # a device or a pipe can be written to twice
        key = identity(path)
        if path.is_file() and path.suffix.lower() in DATA_ENDINGS:
            within = next((folder for folder in inputs if lies_in(path, folder)), None)
            if within is not None:
                raise KDLandmarksError(
                    f"{name} {path} would replace a file of the data in {within}: name another file"
                )
        if key in read:
            raise KDLandmarksError(
                f"{name} {path} would replace the input {read[key]}: name another file"
            )
        if key in taken:
            raise KDLandmarksError(f"{name} and {taken[key]} are the same file, {path}: name two")
        taken[key] = name


def identity(path: str | Path) -> tuple[Any, ...]:
    """What a path is, however it is spelled: the same for links and hard links to one file."""
    try:
        found = os.stat(path)
    except OSError:
        return (os.path.realpath(path),)
    return found.st_dev, found.st_ino


def flush(path: Path) -> None:
    """Force a file, or a folder's list of names, to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _keep(partial: Path, target: Path) -> None:
    """Keep what was written until somebody stopped it, under a name that is free, and tell."""
    if not partial.is_file() or not partial.stat().st_size:
        return
    number, kept = 1, target.with_name(f"{target.stem}.partial{target.suffix}")
    while os.path.lexists(kept):
        number += 1
        kept = target.with_name(f"{target.stem}.partial-{number}{target.suffix}")
    os.replace(partial, kept)
    logger.warning("%s is not finished: the part written so far is in %s", target.name, kept)


def leftovers(folder: Path) -> set[Path]:
    """What writes that were killed left in a folder, under the hidden names that they wrote to."""
    return {path for path in folder.iterdir() if _HIDDEN.fullmatch(path.name)}


def remove_leftovers(folder: Path) -> None:
    """Remove them, in a folder that nobody else is writing to now."""
    for path in leftovers(folder):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


# What `_beside` makes.
_HIDDEN = re.compile(r"\..+\.[0-9a-f]{12}\.partial(\..*)?")


def _beside(path: Path) -> Path:
    """A hidden name that nobody else uses; long names still fit into the file system's limit."""
    return path.with_name(f".{path.stem[:30]}.{uuid.uuid4().hex[:12]}.partial{path.suffix[:16]}")
