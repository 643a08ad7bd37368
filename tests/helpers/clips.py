"""Clips for tests."""

from contextlib import closing

from kd_landmarks.inference.video import VideoInfo, VideoWriter


def write_clip(path, frames, rate):
    """Write frames (height, width, 3) to a video file, and give its path."""
    height, width = frames[0].shape[:2]
    with closing(VideoWriter(path, VideoInfo(rate, width, height, 0))) as writer:
        for frame in frames:
            writer.write(frame)
    return path
