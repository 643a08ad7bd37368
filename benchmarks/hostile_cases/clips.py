"""Damaged clips, each read to its end and written anew with its sound."""

import io
from contextlib import closing
from fractions import Fraction
from functools import cache, partial
from pathlib import Path
from typing import Any

import av
import numpy as np

from kd_landmarks import KDLandmarksError
from kd_landmarks.inference.video.reader import VideoReader
from kd_landmarks.inference.video.writer import VideoWriter, check_frames

from . import Case
from .damage import damaged_cases, written

KINDS = {
    "mp4": ("libx264", "aac"),
    "mov": ("mpeg4", "pcm_s16le"),
    "matroska": ("libx264", "flac"),
    "webm": ("libvpx", "libopus"),
    "avi": ("mpeg4", "libmp3lame"),
    "mpegts": ("libx264", "aac"),
    "flv": ("libx264", "aac"),
    "mpeg": ("mpeg2video", "mp2"),
    "asf": ("wmv2", None),
}
"""By FFmpeg's name of the container, the codecs of its pictures and its sound."""
LISTS = {
    "HLS": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/etc/passwd\n#EXT-X-ENDLIST\n",
    "ffconcat": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "SDP": b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    "DASH": b"<?xml version='1.0'?><MPD></MPD>",
}
SIDE, FRAMES, RATE, SAMPLES = 96, 20, 25, 48_000


def look(path: str) -> None:
    """Read and write it; what is left out has to be told."""
    with (
        closing(VideoReader(path)) as reader,
        closing(VideoWriter(Path(path).with_name("new.mp4"), reader.info, reader)) as writer,
    ):
        for frame in reader:
            writer.write(frame.pixels, frame.time)
        writer.write_sound()
    check_frames(Path(path).with_name("new.mp4"), writer.frames)
    if (unread := reader.unread()) is not None:
        raise KDLandmarksError(f"{path}: {unread}")


@cache
def sound(kind: str) -> bytes:
    """A clip of noise that is whole."""
    noise = np.random.default_rng(0)
    pictures, tone = KINDS[kind]
    file = io.BytesIO()
    with av.open(file, "w", format=kind) as out:
        stream: Any = out.add_stream(pictures, rate=RATE)
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        heard: Any = None if tone is None else out.add_stream(tone, rate=SAMPLES, layout="stereo")
        for number in range(FRAMES):
            pixels = noise.integers(0, 255, (SIDE, SIDE, 3), np.uint8) // 4 + 5 * number
            frame = av.VideoFrame.from_ndarray(pixels.astype(np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
        for start in range(0, 0 if heard is None else FRAMES * SAMPLES // RATE, 960):
            wave = noise.normal(0, 0.1, (2, 960)).astype(np.float32)
            piece = av.AudioFrame.from_ndarray(wave, format="fltp", layout="stereo")
            piece.sample_rate, piece.pts, piece.time_base = SAMPLES, start, Fraction(1, SAMPLES)
            out.mux(heard.encode(piece))
        if heard is not None:
            out.mux(heard.encode())
    return file.getvalue()


def cases() -> list[Case]:
    """All of them."""
    found = damaged_cases(look, "clip.mp4", KINDS, sound, flips=14, cuts=10)
    for name, content in LISTS.items():
        found.append(
            Case(name, partial(written, look, "clip.mp4", lambda content, rng: content, content))
        )
    return found
