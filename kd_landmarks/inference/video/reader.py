"""Video files in: their frames as people see them, each with its own time."""

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ...errors import KDLandmarksError
from ...imaging.formats import LIMIT_VARIABLE, max_megapixels
from .containers import container_of, is_cut_off, open_container
from .frames import VideoFrame

_USUAL_RATE = 30.0
# What is not within these is no rate of a camera's: files without one are given their clock's.
_SLOWEST, _FASTEST = 1.0, 480.0
# Seconds from one frame to the next from which a file's clock has jumped.
_JUMP = 3600.0
# Seconds that a whole file may end before the time that it tells.
_EARLY = 1.0
# Of these the file itself says when it ends; of others FFmpeg guesses, or a frame count is there.
_TELL_THEIR_END = ("matroska", "flv", "asf")
_DO_NOT_TELL = ("mpegts", "mpeg")
# In these a packet is a frame, if the codec has no others; MPEG's streams may have half ones.
_FRAME_A_PACKET = ("mov", "matroska", "flv")


@dataclass(frozen=True)
class VideoInfo:
    """What a video says of itself.

    Attributes:
        rate: frames per second, on the whole.
        width: of its frames as they are shown, in pixels.
        height: likewise.
        frames: how many there are; 0 where it does not say.
        seconds: how long it takes; 0 where it does not say.
    """

    rate: float
    width: int
    height: int
    frames: int = 0
    seconds: float = 0.0


class Clock:
    """Makes a stream's times move on from its beginning, where it was spliced too.

    Args:
        start: of the file, on its own clock, in seconds.
        step: seconds from one frame to the next, where nothing better is known.
    """

    def __init__(self, start: float, step: float) -> None:
        self._start, self._step = start, step
        self._last: float | None = None

    def __call__(self, told: float | None) -> float:
        """The time of the next frame in seconds; `told` is the file's, None where it has none."""
        last = self._last
        if last is None:
            time = 0.0 if told is None else told - self._start
            if not abs(time) < _JUMP:
                self._start, time = told or 0.0, 0.0
        else:
            time = last + self._step if told is None else told - self._start
            if time == last:
                time += 1e-3
            elif not 0 < time - last < _JUMP:
                time = last + self._step
                self._start = (told or 0.0) - time
        self._last = time
        return time


class VideoReader:
    """The frames of a video, once, from the first to the last.

    Frames are upright, with square pixels, and all of one size: what is turned, mirrored or of
    other pixels is shown so, and where the size changes in the middle, frames are fitted into the
    first one's, with black bars. What cannot be decoded is left out and counted.

    Args:
        source: the path of a file, or a file's content.

    Raises:
        KDLandmarksError: if there is none, no frame of it can be read, or its frames are too large.
    """

    def __init__(self, source: str | Path | bytes) -> None:
        self.source = source
        self.name = "the video" if isinstance(source, bytes) else str(source)
        self._file = self.open_source()
        try:
            kind = container_of(self._file)
            if kind is None:
                raise KDLandmarksError(
                    f"{self.name} is not a video of a known kind: give MP4, MOV, WebM, Matroska, "
                    "AVI, Ogg, FLV, WMV or MPEG"
                )
            self.kind = kind
            self._cut_off = is_cut_off(self._file, kind)
            self._container = open_container(self._file, kind, self.name)
            self._begin()
        except BaseException:
            self.close()
            raise

    def open_source(self) -> BinaryIO:
        """The file, opened once more.

        Raises:
            KDLandmarksError: where it cannot be.
        """
        if isinstance(self.source, bytes):
            return io.BytesIO(self.source)
        path = Path(os.path.expanduser(self.source))
        if not path.is_file():
            raise KDLandmarksError(f"there is no video {self.source}")
        try:
            return path.open("rb")
        except OSError as error:
            raise KDLandmarksError(f"cannot read {path}: {error.strerror or error}") from error

    def _begin(self) -> None:
        """Look at the first frame: what a file says of itself is not all that it shows."""
        if not self._container.streams.video:
            raise KDLandmarksError(f"{self.name} is not a video: there are no pictures in it")
        stream: Any = self._container.streams.best("video")
        self._stream = stream
        self._most_pixels = int(1e6 * max_megapixels())
        self._reason = ""
        self._read = self._failed = self._sent = 0
        self._ended = 0.0
        self._size: tuple[int, int] | None = None
        context = stream.codec_context
        if context is None:
            raise KDLandmarksError(f"{self.name} is in a codec that FFmpeg does not know")
        self._refuse_large(context.width, context.height)
        # Sizes can change in the middle: the decoder refuses large ones before it takes memory for
        # them. It counts whole blocks; what is just above the limit is refused as a frame.
        context.options = {"max_pixels": str(2 * self._most_pixels)}
        context.thread_type = "AUTO"
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        rate = rate if _SLOWEST <= rate <= _FASTEST else _USUAL_RATE
        start = (self._container.start_time or 0) / av.time_base
        self.start = max(0.0, start)  # sound may begin earlier, which players do not show
        self._clock = Clock(self.start, 1 / rate)
        seconds = (self._container.duration or 0) / av.time_base
        if stream.duration:
            seconds = float(stream.duration * stream.time_base)
        frames = self._frames()
        first = next(frames, None)
        if first is None:
            self._refuse_large(context.width, context.height)
            told = round(seconds * rate)
            cut = f": it is cut off, 0 of about {told} can be" if self._cut_off and told else ""
            raise KDLandmarksError(
                f"{self.name} has no frame that can be read{cut or (self._reason and ': ')}"
                f"{self._reason}"
            )
        self._ahead = chain([first], frames)
        height, width = first.pixels.shape[:2]
        self.info = VideoInfo(rate, width, height, max(0, stream.frames), max(0.0, seconds))

    def __iter__(self) -> Iterator[VideoFrame]:
        """The frames that have not been read yet."""
        return self._ahead

    def close(self) -> None:
        """Let go of the file."""
        if hasattr(self, "_container"):
            self._container.close()
        self._file.close()

    def unread(self) -> str | None:
        """Once all has been read: how many frames of how many, and why; None if there is nothing
        to tell."""
        told = self.info.frames
        about = round(self.info.seconds * self.info.rate)
        early = self.kind in _TELL_THEIR_END and self._ended + _EARLY < self.info.seconds
        if self.kind in _FRAME_A_PACKET and self._stream.codec_context.name in ("h264", "hevc"):
            self._failed = max(self._failed, self._sent - self._read)  # some are dropped in silence
        # A file whose frames are all there may lack its last bytes, which players do not need.
        cut_off = (self._cut_off or early) and not (told and self._read >= told)
        if not (cut_off or self._failed or self._reason):
            return None
        seen = self._read + self._failed
        endless = cut_off or self._reason or self.kind in _DO_NOT_TELL
        if told >= seen:
            total = str(told)
        elif endless and about > seen and self.kind not in _DO_NOT_TELL:
            total = f"about {about}"
        else:
            total = "an unknown number of" if endless else str(seen)
        damaged = "the file is damaged or cut off"
        why = self._reason or ("the file is cut off" if cut_off else damaged)
        return f"{self._read} of {total} frames could be read: {why}"

    def _frames(self) -> Iterator[VideoFrame]:
        for frame in self._decoded():
            if frame.is_corrupt:
                self._failed += 1
                continue
            width, height = self._square(frame.width, frame.height)
            if width * height > self._most_pixels:
                self._reason = f"frames of {_too_large(width, height)}"
                return
            pixels = self._shown(frame, width, height)
            told = None if frame.pts is None else float(frame.pts * self._stream.time_base)
            yield VideoFrame(self._read, self._clock(told), pixels)
            self._read += 1

    def _decoded(self) -> Iterator[Any]:
        """What the decoder gives; a packet that it does not take costs that packet."""
        for packet in self._packets():
            # Of a transport stream a packet with a hole in it is often good enough.
            if packet is not None and packet.is_corrupt and self.kind != "mpegts":
                self._failed += 1
                self._cut_off = True
                continue
            try:
                frames = self._stream.codec_context.decode(packet)
            except (av.error.FFmpegError, MemoryError) as error:
                context = self._stream.codec_context
                size = context.width, context.height
                if size[0] * size[1] > self._most_pixels or (
                    size == (0, 0) and isinstance(error, av.error.ArgumentError)
                ):
                    self._reason = f"frames of {_too_large(*size)}"
                    return
                self._failed += packet is not None
                continue
            yield from frames

    def _packets(self) -> Iterator[Any]:
        """The stream's packets, and None for their end; when any stream ends is noted."""
        packets = self._container.demux()
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError, MemoryError):
                self._cut_off = True
                packet = None
            if packet is None:
                yield None
                return
            if packet.pts is not None and packet.time_base:
                end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                self._ended = max(self._ended, end - self.start)
            if packet.stream_index == self._stream.index and packet.size:  # 0: as the one before
                self._sent += not packet.is_discard  # by an edit list: decoded, but not shown
                yield packet

    def _shown(self, frame: Any, width: int, height: int) -> NDArray[np.uint8]:
        """A frame's pixels: RGB, square, upright, and of the first frame's size."""
        pixels = frame.to_ndarray(format="rgb24", width=width, height=height)
        pixels = np.ascontiguousarray(_upright(pixels, frame))
        size = pixels.shape[1], pixels.shape[0]
        self._size = self._size or size
        if size != self._size:
            pixels = np.asarray(ImageOps.pad(Image.fromarray(pixels), self._size))
        return pixels

    def _square(self, width: int, height: int) -> tuple[int, int]:
        """The size at which pixels are square: no side gets smaller."""
        aspect = self._stream.sample_aspect_ratio or Fraction(1)
        if not Fraction(1, 8) <= aspect <= 8:  # no screen's
            return width, height
        return (round(width * aspect), height) if aspect >= 1 else (width, round(height / aspect))

    def _refuse_large(self, width: int, height: int) -> None:
        if width * height > self._most_pixels:
            raise KDLandmarksError(f"{self.name} has frames of {_too_large(width, height)}")


def _too_large(width: int, height: int) -> str:
    size = f"{width} x {height} pixels" if width else "too many pixels"
    return (
        f"{size}: at most {max_megapixels():g} megapixels are read, or what {LIMIT_VARIABLE} says"
    )


def _upright(pixels: NDArray[np.uint8], frame: Any) -> NDArray[np.uint8]:
    """Turn and mirror a frame as its display matrix says, where that is by right angles.

    The matrix takes a pixel's (x, y) to (a x + c y, b x + d y), as in ISO/IEC 14496-12's `tkhd`.
    """
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return pixels
    values = np.frombuffer(bytes(matrix), np.int32)
    if values.size != 9:
        return pixels
    a, b, _, c, d = (int(value) for value in values[:5])
    across, down = a, d
    if abs(b) + abs(c) > abs(a) + abs(d):
        pixels = pixels.swapaxes(0, 1)
        across, down = c, b
    return pixels[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]
