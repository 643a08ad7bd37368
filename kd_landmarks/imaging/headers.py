"""What lies around a picture's pixels: bounded, before Pillow reads it.

A file of some hundred kilobytes can name the same bytes thousands of times, or consist of millions
of tiny parts. Pillow copies and counts them all while it opens the file, before anybody can ask for
the picture's size: 326 kB of JPEG took more than 6 GB, a GIF of 10 MB half a minute.
"""

from typing import Any, BinaryIO

from PIL import Image
from PIL.JpegImagePlugin import MARKER
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from ..errors import KDLandmarksError

MOST_PARTS = 10_000
"""Segments of a JPEG and chunks of a PNG that are not pixels; real ones have some tens."""
MOST_COMMENT = 2**20
"""Bytes of a GIF in front of its first frame."""
TILE_SIDE = 4096
"""Pixels; TIFF's tiles may be larger than their picture, but not that much."""

# Who made a file of ISO's container a HEIC picture says so by one of these: "heic" and its kin.
_HEIF_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"))
_MOST_BRANDS = 256
_EXIF = b"Exif\0\0"


def check_header(file: BinaryIO) -> None:
    """Refuse a file of too many parts; the file is where it was afterwards.

    Raises:
        KDLandmarksError: naming no file.
    """
    start = file.tell()
    signature = file.read(8)
    file.seek(start)
    if signature.startswith(b"\xff\xd8"):
        _check_jpeg(file)
    elif signature == b"\x89PNG\r\n\x1a\n":
        _check_png(file)
    elif signature.startswith((b"GIF87a", b"GIF89a")):
        _check_gif(file)
    file.seek(start)


def is_heif(file: BinaryIO) -> bool:
    """Whether it is a HEIC picture, in HEVC; the file is where it was afterwards."""
    start = file.tell()
    head = file.read(_MOST_BRANDS)
    file.seek(start)
    if head[4:8] != b"ftyp":
        return False
    brands = head[8 : int.from_bytes(head[:4], "big")]
    return any(brands[place : place + 4] in _HEIF_BRANDS for place in range(0, len(brands), 4))


def check_tiles(picture: Image.Image) -> None:
    """Refuse a TIFF whose tiles are far larger than itself: a whole one is decoded.

    Raises:
        KDLandmarksError: naming no file.
    """
    directory: Any = getattr(picture, "tag_v2", {})
    width, height = directory.get(322, 0), directory.get(323, 0)
    if width * height > max(picture.width * picture.height, TILE_SIDE**2):
        raise KDLandmarksError(
            f"the picture of {picture.width} x {picture.height} pixels has tiles of {width} x "
            f"{height}: it is damaged"
        )


def _check_jpeg(file: BinaryIO) -> None:
    """As Pillow goes from segment to segment, until the pixels begin."""
    file.seek(2, 1)
    parts = 0
    while byte := file.read(1):
        parts += 1
        _check_parts(parts)
        while byte == b"\xff":
            byte = file.read(1)
            parts += 1
            _check_parts(parts)
            code = 0xFF00 + byte[0] if byte else 0
            if code == 0xFFDA:
                return
            if code in MARKER and MARKER[code][2] is not None:
                file.seek(max(0, int.from_bytes(file.read(2), "big") - 2), 1)


def _check_png(file: BinaryIO) -> None:
    file.seek(8, 1)
    parts = 0
    while len(head := file.read(8)) == 8 and head[4:] != b"IEND":
        # A hundred pieces of pixels count as one part.
        parts += 1 if head[4:] == b"IDAT" else 100
        _check_parts(parts // 100)
        file.seek(int.from_bytes(head[:4], "big") + 4, 1)


def _check_gif(file: BinaryIO) -> None:
    flags = file.read(13)[10:11]
    if flags and flags[0] & 0x80:
        file.seek(3 << (flags[0] & 7) + 1, 1)
    size = 0
    while (kind := file.read(1)) and kind not in b",;":
        size += 1
        if kind == b"!":
            file.seek(1, 1)
            while block := file.read(1)[:1].strip(b"\0"):
                file.seek(block[0], 1)
                size += 1 + block[0]
                _check_comment(size)
        _check_comment(size)


def _check_parts(parts: int) -> None:
    if parts > MOST_PARTS:
        raise KDLandmarksError(f"the picture has more than {MOST_PARTS} parts: it is damaged")


def _check_comment(size: int) -> None:
    if size > MOST_COMMENT:
        raise KDLandmarksError(
            f"more than {MOST_COMMENT} bytes lie in front of the picture: it is damaged"
        )


class _Bounded:
    """A file that a directory is read from: its pieces together cannot have more than it has."""

    def __init__(self, file: Any) -> None:
        here = file.tell()
        size = file.seek(0, 2)
        file.seek(here)
        self._file, self._left = file, 2 * size + 2**16

    def read(self, count: int = -1) -> bytes:
        data = self._file.read(count)
        self._left -= len(data)
        if self._left < 0:
            raise KDLandmarksError("a directory in it names more data than there is: it is damaged")
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _bound_pillow() -> None:
    """Bound Pillow's reading of directories, which it does for files of five of the formats.

    There is no other place: it happens within `Image.open`, and within libraries' own formats. For
    sound files nothing changes, whoever reads them.
    """
    read_directory, read_exif = ImageFileDirectory_v2.load, Image.Exif.load

    def load_directory(self: ImageFileDirectory_v2, fp: Any) -> None:
        bounded: Any = _Bounded(fp)
        read_directory(self, bounded)

    def load_exif(self: Image.Exif, data: bytes) -> None:
        start = 0
        while data and data.startswith(_EXIF, start):  # Pillow copies all the rest each time
            start += len(_EXIF)
        read_exif(self, data[start:] if start else data)

    ImageFileDirectory_v2.load = load_directory  # type: ignore[assignment, method-assign]
    Image.Exif.load = load_exif  # type: ignore[method-assign]


_bound_pillow()
