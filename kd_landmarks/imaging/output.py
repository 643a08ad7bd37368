"""Pictures that the package drew: they carry a mark, so that no other is ever replaced by one."""

from collections.abc import Iterable
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ..errors import KDLandmarksError
from ..utils.files import new_file

_SOFTWARE = "Software"
_MARK = "kd-landmarks"
# The mark comes right behind the header, before the pixels.
_HEAD = 1024


def mark(kind: str) -> dict[str, str]:
    """What a PNG's text says of where it came from.

    Args:
        kind: `predict`, `plots` or `card`.
    """
    return {_SOFTWARE: f"{_MARK} {kind}"}


def save_drawing(picture: Image.Image, path: Path, kind: str, optimize: bool = False) -> None:
    """Write a PNG with its mark, whole or not at all.

    Raises:
        KDLandmarksError: naming the path, where it cannot be written.
    """
    told = PngInfo()
    for name, value in mark(kind).items():
        told.add_text(name, value)
    with new_file(path) as partial:
        picture.save(partial, "PNG", pnginfo=told, optimize=optimize)


def is_drawing(path: Path, kind: str | None = None) -> bool:
    """Whether a file is a PNG that the package drew, of this kind or of any; reads 1 kB."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return False
    written = f"{_SOFTWARE}\0{_MARK} {kind or ''}".encode("latin-1")
    return head.startswith(b"\x89PNG\r\n\x1a\n") and b"tEXt" + written in head


def check_drawings(paths: Iterable[Path], kind: str) -> None:
    """Refuse to draw where something else lies.

    Raises:
        KDLandmarksError: naming it.
    """
    for path in paths:
        if path.is_dir():
            raise KDLandmarksError(f"{path} is a folder, where a picture is to be drawn: remove it")
        if path.exists() and not is_drawing(path, kind):
            raise KDLandmarksError(
                f"{path} is there, and was not drawn by this command: it is not replaced. Name "
                "another folder, or move it"
            )
