"""The sound of a video, taken along into another: copied, or encoded anew."""

import logging
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from typing import Any

import av
from av.container import OutputContainer

from ...errors import reason
from .containers import open_container
from .reader import Clock, VideoReader

logger = logging.getLogger(__name__)

# What is copied, by ending: what the container takes, and browsers play.
_COPIED = {
    ".mp4": ("aac", "mp3", "opus", "flac", "alac", "ac3", "eac3"),
    ".webm": ("opus", "vorbis"),
}
_ENCODERS = {".mp4": "aac", ".webm": "libopus"}
_GAP = 0.1  # seconds
_RATE = 48_000  # samples a second: Opus's own, and one that AAC has


class Sound:
    """Writes a video's sound beside new pictures, a little at a time.

    Args:
        video: whose sound is taken; its file is opened once more.
        out: where it goes, before anything has been written.
        ending: of that file.
    """

    def __init__(self, video: VideoReader, out: OutputContainer, ending: str) -> None:
        self._out = out
        self._file = video.open_source()
        self._container = open_container(self._file, video.kind, video.name)
        self._stream: Any = self._container.streams.best("audio")
        self._waiting: Any = None
        self._packets: Iterator[tuple[float, Any]] = iter(())
        if self._stream is None:
            return
        self._clock = Clock(video.start, 0.02)
        codec: Any = self._stream.codec_context
        if codec is None:
            logger.warning("the sound is left out: FFmpeg does not know its codec")
            return
        if codec.codec.canonical_name in _COPIED[ending]:
            self._new: Any = out.add_stream_from_template(self._stream)
            self._packets = self._copied()
        else:
            layout = "mono" if codec.channels == 1 else "stereo"
            self._new = out.add_stream(_ENCODERS[ending], rate=_RATE, layout=layout)
            self._packets = self._encoded()

    def write(self, until: float) -> None:
        """Write what is heard before a time in seconds."""
        while True:
            if self._waiting is None:
                self._waiting = next(self._packets, None)
            if self._waiting is None or self._waiting[0] > until:
                return
            (time, packet), self._waiting = self._waiting, None
            try:
                self._out.mux(packet)
            except (av.error.ArgumentError, av.error.InvalidDataError) as error:
                logger.warning("the sound ends at %.1f s: %s", time, reason(error))
                self._packets = iter(())

    def close(self) -> None:
        """Let go of the file that it comes from."""
        self._container.close()
        self._file.close()

    def _read(self) -> Iterator[Any]:
        """The source's packets; where it breaks off, the sound does."""
        with suppress(av.error.FFmpegError):
            for packet in self._container.demux(self._stream):
                if packet.size and packet.pts is not None and not packet.is_corrupt:
                    yield packet

    def _copied(self) -> Iterator[tuple[float, Any]]:
        last = -(2**62)
        for packet in self._read():
            time = self._clock(float(packet.pts * packet.time_base))
            last = max(last + 1, round(time / packet.time_base))
            packet.pts = packet.dts = last
            packet.stream = self._new
            yield time, packet

    def _encoded(self) -> Iterator[tuple[float, Any]]:
        """Decoded and encoded: a piece that cannot be is left out."""
        context = self._new.codec_context
        time, begun = 0.0, False
        for packet in self._read():
            try:
                frames = self._stream.codec_context.decode(packet)
            except av.error.FFmpegError:
                continue
            if frames:
                told = self._clock(float(packet.pts * self._stream.time_base))
            for frame in frames:
                length = frame.samples / frame.sample_rate
                heard, told = told, told + length  # of a packet's next piece, too
                if heard + length / 2 < 0:  # the silence with which encoders begin
                    continue
                # Files round times: a piece follows the one before unless there is a real gap.
                time = max(0.0, heard) if heard > time + _GAP or not begun else time
                begun = True
                frame.pts = round(time * frame.sample_rate)
                frame.time_base = Fraction(1, frame.sample_rate)
                time += length
                for new in context.encode(frame):
                    new.stream = self._new
                    yield time, new
        for new in context.encode(None):
            new.stream = self._new
            yield time, new
