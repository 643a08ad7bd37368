"""Videos out: H.264 or VP9, each frame at its own time, with the sound of where they come from."""

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.codec.context import Flags
from numpy.typing import NDArray

from ...errors import KDLandmarksError
from ...utils.values import VIDEOS, ending
from .reader import VideoInfo, VideoReader
from .sound import Sound

# Frames' times in parts of a second: MPEG's clock, which frames of 24, 25, 30 and 60 a second hit.
_TICK = Fraction(1, 90_000)
# By encoder: quality that is hard to tell from the source, at a speed that keeps up with tracking.
# Without frames that look ahead (B), a file's first time is 0 for every player.
_OPTIONS = {
    "libx264": {"preset": "veryfast", "crf": "20", "bf": "0"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "7", "row-mt": "1", "crf": "30", "b": "0"},
}
_BT709 = 1  # in ISO/IEC 23001-8, of primaries, transfer and matrix alike
_LIMITED = 1  # FFmpeg's AVCOL_RANGE_MPEG


class VideoWriter:
    """Writes RGB frames to a video file that browsers play.

    `.mp4` is H.264 (VP9, where this FFmpeg has no H.264 encoder), whose sides are even: the last
    column or row of an odd size is written twice. `.webm` is VP9, of any size.

    Args:
        path: ends with .mp4 or .webm.
        info: rate and size.
        sound: the video whose sound is taken along.

    Raises:
        KDLandmarksError: for another ending, or a rate that is none.
        OSError: where the file cannot be written; so do the methods.
    """

    def __init__(self, path: str | Path, info: VideoInfo, sound: VideoReader | None = None) -> None:
        path = Path(path).expanduser()
        kind = ending("video", path, VIDEOS)
        self.frames = 0
        if not (math.isfinite(info.rate) and info.rate > 0):
            raise KDLandmarksError(f"rate={info.rate}: give frames per second, more than 0")
        self._step = 1 / info.rate
        self._held: tuple[NDArray[np.uint8], int] | None = None
        self._failed = False
        h264 = kind == ".mp4" and "libx264" in av.codecs_available
        encoder = "libx264" if h264 else "libvpx-vp9"
        odd = (info.width % 2, info.height % 2) if h264 else (0, 0)
        self._padding = ((0, odd[1]), (0, odd[0]), (0, 0))
        self.size = info.width + odd[0], info.height + odd[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        options = {"movflags": "+faststart"} if kind == ".mp4" else {}
        self._sound: Sound | None = None
        self._out: Any = None
        try:
            self._out = av.open(str(path), "w", format=kind[1:], container_options=options)
            self._stream = self._picture_stream(encoder, info.rate)
            if sound is not None:
                self._sound = Sound(sound, self._out, kind)
            self._out.start_encoding()
        except av.error.FFmpegError as error:
            self._failed = True
            self.close()
            raise _as_os_error(error) from error

    def _picture_stream(self, encoder: str, rate: float) -> Any:
        stream: Any = self._out.add_stream(
            encoder, rate=Fraction(rate).limit_denominator(1001), options=_OPTIONS[encoder]
        )
        stream.width, stream.height = self.size
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = stream.time_base = _TICK
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED
        context.flags |= Flags.frame_duration
        return stream

    def write(self, pixels: NDArray[np.uint8], time: float) -> None:
        """Append a frame.

        Args:
            pixels: (height, width, 3) RGB.
            time: in seconds, later than the frame before.
        """
        tick = round(time / _TICK)
        if self._held is not None:
            tick = max(tick, self._held[1] + 1)
            self._step = float((tick - self._held[1]) * _TICK)
            self._encode()
        self._held = pixels, tick

    def write_sound(self, until: float = math.inf) -> None:
        """Append the sound that goes on behind the last frame, up to a time in seconds."""
        self._encode()
        if self._sound is not None:
            self._guarded(self._sound.write, until)

    def close(self) -> None:
        """Finish the file."""
        try:
            self._encode()
            if not self._failed:
                self._guarded(lambda: self._out.mux(self._stream.encode(None)))
        finally:
            if self._sound is not None:
                self._sound.close()
            if self._out is not None:
                failed, out, self._out = self._failed, self._out, None
                try:
                    out.close()
                except (av.error.FFmpegError, OSError) as error:
                    if not failed:  # else it has been told
                        raise _as_os_error(error, self.frames) from error

    def _encode(self) -> None:
        """Write the frame that is held back until it is known how long it stays."""
        if self._held is None or self._failed:
            return
        pixels, tick = self._held
        self._held = None
        if any(map(any, self._padding)):
            pixels = np.pad(pixels, self._padding, mode="edge")
        frame: Any = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709")
        frame.pts, frame.time_base = tick, _TICK
        frame.duration = round(self._step / _TICK)
        self._guarded(lambda: self._out.mux(self._stream.encode(frame)))
        self.frames += 1
        if self._sound is not None:
            self._guarded(self._sound.write, float(tick * _TICK))

    def _guarded(self, work: Any, *values: Any) -> None:
        try:
            work(*values)
        except (av.error.FFmpegError, OSError) as error:
            self._failed = True
            raise _as_os_error(error, self.frames) from error


def _as_os_error(error: BaseException, frames: int = 0) -> OSError:
    """FFmpeg's error as one of writing, with what had been written."""
    said = getattr(error, "strerror", None) or str(error)
    if frames:
        said += f" after {frames} frame{'s' * (frames > 1)}"
    return OSError(getattr(error, "errno", None) or 0, said)


def check_frames(path: Path, frames: int) -> None:
    """See that all frames of a closed video got to the disk.

    The packets of frames are counted, which takes no decoding.

    Args:
        path: of the file.
        frames: that were written.

    Raises:
        OSError: if some are missing.
    """
    there = 0
    try:
        with av.open(
            str(path), format={".mp4": "mov"}.get(path.suffix.lower(), "matroska")
        ) as file:
            there = sum(bool(packet.size) for packet in file.demux(video=0))
    except av.error.FFmpegError:
        pass  # there is too little of it
    if there != frames:
        raise OSError(0, f"of {frames} frames {there} can be read in what was written")
