"""Which files data may name: regular ones in the data's own folder, and no others."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import datasets
from huggingface_hub import constants
from huggingface_hub.file_download import repo_folder_name

from ..errors import KDLandmarksError, shown
from ..utils.file_names import name_as_text, path_from_text

LONGEST_PATH = 4096
"""Characters; Linux opens no longer ones."""
MOST_PICTURE_BYTES = 200_000_000
"""Of a picture's file: one of 50 megapixels without any compression has 150 million."""


@dataclass(frozen=True)
class DataFolder:
    """The folder of a data set from anywhere, and the files that its rows may name.

    Attributes:
        path: the folder, from which relative paths start.
        allow_outside: take files outside of it too.
        listed: the names are those of a search in the folder, spelled by `file_names.name_as_text`.
        hub: of a data set on the Hub, its id: `path` is its folder in the Hub's cache, and what a
            row names elsewhere is refused in any case.
    """

    path: Path
    allow_outside: bool = False
    hub: str | None = None
    listed: bool = False

    @classmethod
    def on_hub(cls, repo_id: str) -> DataFolder:
        """Where `datasets` puts the files of a data set on the Hub, for rows that name them."""
        name = repo_folder_name(repo_id=repo_id, repo_type="dataset")
        return cls(Path(constants.HF_HUB_CACHE) / name, hub=repo_id)

    def picture(self, name: str) -> str:
        """The absolute path of a picture's file, which is there and no larger than it may be.

        Raises:
            KDLandmarksError: as `file`.
        """
        path = self.file(name, "image")
        size = os.stat(path).st_size
        if size > MOST_PICTURE_BYTES:
            raise KDLandmarksError(
                f"the image file {path} has {size / 1e6:.0f} MB, more than "
                f"{MOST_PICTURE_BYTES / 1e6:.0f}: make it smaller"
            )
        return path

    def file(self, name: str, kind: str) -> str:
        """The absolute path of a file that data name, which is there and a regular file.

        Args:
            name: absolute, or relative to the folder.
            kind: what messages call it, "image".

        Raises:
            KDLandmarksError: it is not such a file, or lies outside; the message names no row.
        """
        if self.listed:
            name = path_from_text(name)
        else:
            self._check_text(name, kind)
            # As Windows writes them; where a backslash is part of a name, the file is there.
            if "\\" in name and not os.path.exists(os.path.join(self.path, name)):
                name = name.replace("\\", "/")
        if len(name) > LONGEST_PATH or "\0" in name:
            raise KDLandmarksError(
                f"the path of the {kind} is {shown(name)}: not a possible file name"
            )
        # Links are followed from this very spelling, which is the one that is opened.
        path = os.path.abspath(os.path.join(self.path, name))
        if not self.allow_outside and not self.holds(path):
            raise KDLandmarksError(self._outside(name, path, kind))
        try:
            found = os.stat(path)
        except OSError as error:
            why = "" if isinstance(error, FileNotFoundError) else f" ({error.strerror})"
            raise KDLandmarksError(f"there is no {kind} file {path}{why}") from None
        if not stat.S_ISREG(found.st_mode):
            raise KDLandmarksError(
                f"there is no {kind} file {path}, but a folder, a pipe or a device"
            )
        return path

    def _check_text(self, name: str, kind: str) -> None:
        """Refuse what rows cannot hold."""
        try:
            name.encode()
        except UnicodeEncodeError:
            told = shown(name)  # of what is no file's name anywhere
            with suppress(UnicodeEncodeError):
                told = name_as_text(name)
            raise KDLandmarksError(
                f"the path of the {kind} is {told}, which is not UTF-8: rename the file"
            ) from None

    def holds(self, path: str | Path) -> bool:
        """Whether a path leads to somewhere in the folder, all links followed."""
        found = os.path.join(os.path.realpath(path), "")
        return any(found.startswith(root) for root in self._roots)

    @cached_property
    def _roots(self) -> tuple[str, ...]:
        """The beginnings of paths inside, without links."""
        own = Path(os.path.realpath(self.path))
        roots = [str(own)]
        for folder in (own, *own.parents):
            # The Hub's own cache: files of a snapshot are links to the folder beside all of them.
            if folder.parent.name == "snapshots" and (folder.parent.parent / "blobs").is_dir():
                roots.append(str(folder.parent.parent))
        if self.hub is not None:
            roots.append(os.path.realpath(datasets.config.EXTRACTED_DATASETS_PATH))
        return tuple(os.path.join(root, "") for root in roots)

    def _outside(self, name: str, path: str, kind: str) -> str:
        told = shown(name, 120)
        if self.hub is not None:
            return (
                f"the {kind} is the path {told}, and not stored in the data set: data sets on the "
                "Hub open no files of this machine"
            )
        inside = os.path.join(os.path.abspath(self.path), "")
        where = "is a link out of" if path.startswith(inside) else "lies outside of"
        return (
            f"the {kind} {told} {where} the data's folder: copy it there, or, if you trust "
            "the source of the data, give --allow-outside (in Python allow_outside=True)"
        )
