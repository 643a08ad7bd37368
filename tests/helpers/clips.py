"""Clips for tests."""

import io
from fractions import Fraction

import av
import numpy as np

CODECS = {
    ".mp4": "libx264", ".mov": "libx264", ".mkv": "libx264", ".ts": "libx264", ".flv": "libx264",
    ".webm": "libvpx", ".avi": "mpeg4", ".mpg": "mpeg2video", ".wmv": "wmv2",
}  # fmt: skip
QUICK = {"libx264": {"preset": "veryfast"}, "libvpx": {"deadline": "realtime", "cpu-used": "8"}}
TICK = Fraction(1, 1000)


def write_clip(
    path, frames, rate, *, times=None, sound=None, turned=0, aspect=None, codec=None, fast=True,
    seconds=None,
):  # fmt: skip
    """Write frames (height, width, 3) to a video file, and give its path.

    Args:
        path: whose ending says the container, and the codec unless `codec` does.
        frames: RGB.
        rate: frames per second.
        times: of each frame in seconds, where the rate is not constant.
        sound: an audio codec, for a tone.
        turned: degrees that players turn the frames by, counterclockwise.
        aspect: a pixel's width by its height.
        codec: of the frames.
        fast: MP4's index first.
        seconds: of the sound, where it does not last as long as the frames.
    """
    name = codec or CODECS[path.suffix]
    options = {"movflags": "+faststart"} if fast and path.suffix in (".mp4", ".mov") else {}
    with av.open(str(path), "w", container_options=options) as out:
        rate_fraction = Fraction(rate).limit_denominator(1001)
        stream = out.add_stream(name, rate=rate_fraction, options=QUICK.get(name))
        stream.codec_context.thread_count = 1  # the same bytes every time
        stream.height, stream.width = frames[0].shape[:2]
        even = stream.height % 2 == stream.width % 2 == 0
        stream.pix_fmt = {"mjpeg": "yuvj420p"}.get(name, "yuv420p" if even else "yuv444p")
        stream.codec_context.bit_rate = 4_000_000
        if times is not None:
            stream.codec_context.time_base = TICK
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if turned:
            stream.set_display_rotation(turned)
        tone = out.add_stream(sound, rate=48_000, layout="stereo") if sound else None
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            picture.pts, picture.time_base = number, Fraction(1) / stream.codec_context.rate
            if times is not None:
                picture.pts, picture.time_base = round(times[number] / TICK), TICK
            out.mux(stream.encode(picture))
        out.mux(stream.encode())
        if tone is not None:
            length = len(frames) / rate if times is None else times[-1]
            _write_tone(out, tone, seconds or length)
    return path


def _write_tone(out, stream, seconds):
    wave = np.sin(np.arange(int(48_000 * seconds)) * 2 * np.pi * 440 / 48_000).astype(np.float32)
    for start in range(0, len(wave), 960):
        piece = np.stack([wave[start : start + 960]] * 2)
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, start, Fraction(1, 48_000)
        out.mux(stream.encode(frame))
    out.mux(stream.encode())


def cut_off(path, share):
    """A copy of a file that ends after a share of its bytes."""
    content = path.read_bytes()
    short = path.with_name(f"cut-{share:g}-{path.name}")
    # Odd: transport streams have packets of 188 bytes, and between two of them nothing is seen.
    short.write_bytes(content[: int(len(content) * share) | 1])
    return short


def as_recorded(path):
    """The file as browsers record it: WebM or Matroska that tells neither rate nor length."""
    out = io.BytesIO()
    kind = {".mkv": "matroska", ".webm": "webm"}[path.suffix]
    with av.open(str(path)) as old, av.open(_OneWay(out), "w", format=kind) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    recorded = path.with_name(f"recorded-{path.name}")
    recorded.write_bytes(out.getvalue())
    return recorded


class _OneWay:
    """A file that cannot go back, so that nothing is filled in afterwards."""

    def __init__(self, file):
        self.write = file.write


def what_is_in(path):
    """A file's streams by type: codecs' names, and each frame's time."""
    with av.open(str(path)) as file:
        codecs = {stream.type: stream.codec_context.name for stream in file.streams}
        times = [float(frame.time) for frame in file.decode(video=0)]
    return codecs, times
