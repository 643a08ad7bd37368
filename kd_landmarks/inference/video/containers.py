"""Containers of video: known by their first bytes, opened as such, and seen to be whole.

FFmpeg would also take texts that list other files (HLS, ffconcat, SDP), and open those. It is told
which container a file is, gets the open file, and can open nothing else.
"""

from collections.abc import Iterator
from typing import Any, BinaryIO

import av

from ...errors import KDLandmarksError, reason

# How files of the containers that are read begin: (at this byte, with this), and FFmpeg's name.
_BEGINNINGS = (
    *((4, kind, "mov") for kind in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")),
    (0, b"\x1aE\xdf\xa3", "matroska"),  # and WebM
    (8, b"AVI ", "avi"),
    (0, b"OggS", "ogg"),
    (0, b"FLV\x01", "flv"),
    (0, b"\x30\x26\xb2\x75", "asf"),  # WMV
    (0, b"\x00\x00\x01\xba", "mpeg"),  # MPEG program stream
    (188, b"\x47", "mpegts"),
)
# Bytes of a packet of MPEG's transport stream (ISO/IEC 13818-1).
_TS_PACKET = 188
# In EBML (RFC 8794) and Matroska (RFC 9559): what a size's bits say where it is not known, and the
# elements that are gone into, since they may be of such a size.
_SEGMENT, _CLUSTER = 0x18538067, 0x1F43B675


def container_of(file: BinaryIO) -> str | None:
    """FFmpeg's name of a file's container, None for what is none that is known."""
    file.seek(0)
    begin = file.read(192)
    return next(
        (name for place, word, name in _BEGINNINGS if begin[place : place + len(word)] == word),
        None,
    )


def open_container(file: BinaryIO, kind: str, name: str) -> Any:
    """Open a container; its file stays the caller's.

    Args:
        file: open for reading in binary.
        kind: as `container_of` gives it.
        name: of the file, for messages.

    Raises:
        KDLandmarksError: if FFmpeg cannot read it.
    """
    file.seek(0)
    try:
        return av.open(
            file,
            format=kind,
            container_options={"protocol_whitelist": ""},
            io_open=_refuse,
            metadata_errors="replace",
        )
    except (av.error.FFmpegError, OSError, ValueError, OverflowError) as error:
        cut = ": it is cut off, or was not finished" if is_cut_off(file, kind) else ""
        raise KDLandmarksError(
            f"{name} is not a video that FFmpeg can read{cut} ({reason(error)})"
        ) from error


def _refuse(url: str, flags: int, options: dict[str, Any]) -> Any:
    raise PermissionError(f"a video may not open {url}")


def is_cut_off(file: BinaryIO, kind: str) -> bool:
    """Whether a file ends before its own parts do.

    Only the sizes of the outer parts are looked at. What has none of them (a transport stream that
    was cut between two packets) cannot be told.
    """
    place = file.tell()
    end = file.seek(0, 2)
    try:
        if kind == "mpegts":
            return end % _TS_PACKET != 0
        parts = {"mov": _boxes, "avi": _chunks, "matroska": _elements}.get(kind)
        return parts is not None and any(stop > end for stop in parts(file, end))
    finally:
        file.seek(place)


def _boxes(file: BinaryIO, end: int) -> Iterator[int]:
    """Where the boxes of an MP4 end (ISO/IEC 14496-12): 4 bytes of size, 4 of type."""
    place = 0
    while place < end:
        file.seek(place)
        head = file.read(16)
        size = int.from_bytes(head[:4], "big")
        if size == 1:
            size = int.from_bytes(head[8:], "big")
        if size == 0:  # to the end of the file
            return
        place += max(size, 8)
        yield place


def _chunks(file: BinaryIO, end: int) -> Iterator[int]:
    """Where the outer chunks of an AVI end: 4 bytes of type, 4 of size, filled up to even."""
    place = 0
    while place < end:
        file.seek(place)
        size = int.from_bytes(file.read(8)[4:], "little")
        if size == 0:  # of a writer that did not come back to fill it in
            return
        place += 8 + size
        yield place
        place += size % 2


def _elements(file: BinaryIO, end: int) -> Iterator[int]:
    """Where the elements of a Matroska file end: EBML's identity, size and content."""
    place = 0
    while place < end:
        file.seek(place)
        head = file.read(12)
        identity, length = _number(head, 0, marked=True)
        size, taken = _number(head, length)
        if not length or not taken:
            yield end + 1 if len(head) < 12 else end
            return
        place += length + taken
        unknown = size == 2 ** (7 * taken) - 1
        if unknown and identity not in (_SEGMENT, _CLUSTER):
            return
        if not unknown:
            yield place + size
        if identity not in (_SEGMENT, _CLUSTER):
            place += size


def _number(head: bytes, start: int, marked: bool = False) -> tuple[int, int]:
    """A number of EBML, and how many bytes it takes; 0 bytes where there is none.

    Args:
        head: bytes.
        start: where it begins.
        marked: whether the bit that tells the length stays, as in identities.
    """
    first = head[start] if start < len(head) else 0
    length = 9 - first.bit_length() if first else 0
    if not length or start + length > len(head):
        return 0, 0
    value = int.from_bytes(head[start : start + length], "big")
    return (value if marked else value & (2 ** (7 * length) - 1)), length
