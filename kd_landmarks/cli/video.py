"""`kd-landmarks video`."""

import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Annotated

import typer

from ..errors import KDLandmarksError
from ..utils.files import check_outputs, check_writable, new_file, writing
from ..utils.logging import set_up_logging
from ..utils.tables import counted
from ..utils.values import VIDEOS, ending
from .app import app
from .options import Device, Follow, Measures, MinConfidence, Model, Steadiness

VIDEO_HELP = """Follow the faces of a video: their landmarks drawn, and as a table.

\b
kd-landmarks video talk.mp4 talk-landmarks.mp4
kd-landmarks video talk.mp4 talk-landmarks.mp4 --json talk.jsonl --steadiness 0.5

Faces are looked for every few frames and followed in between; points are held steady while a face
rests, and follow where it moves. Every frame keeps its time, and the video its sound. If a video
is cut off or damaged, the frames that can be read are processed, and the exit code is 1.
"""

EVEN = " ({} x {} pixels: H.264 needs even sides; an odd side's last column or row is repeated)"


@app.command(no_args_is_help=True, help=VIDEO_HELP)
def video(
    source: Annotated[Path, typer.Argument(metavar="IN", help="The video.")],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="The new one: .mp4 (H.264) or .webm (VP9).")
    ],
    json: Annotated[
        Path | None, typer.Option(help="File for the points, a line of JSON per frame.")
    ] = None,
    model: Model = None,
    min_confidence: MinConfidence = 0.65,
    steadiness: Steadiness = 0.25,
    follow: Follow = 12.0,
    detect_every: Annotated[
        int, typer.Option(min=1, help="Frames from one search for faces to the next.")
    ] = 10,
    device: Device = None,
    measures: Measures = False,
) -> None:
    """Read, follow, draw and write."""
    ending("OUT", out, VIDEOS)
    if measures and json is None:
        raise KDLandmarksError("--measures are written to the table only: give --json FILE")
    out = out.expanduser()
    set_up_logging(light=True)
    from ..inference.checkpoints import own_files

    # What cannot be written, or would replace something, is better known before the work.
    outputs = {"OUT": out} | ({} if json is None else {"--json": json})
    check_outputs(outputs, [source.expanduser(), *own_files(model)])
    for path in outputs.values():
        check_writable(path)

    from tqdm.auto import tqdm

    from ..inference.measures import check_measures
    from ..inference.pipeline import FaceLandmarkPipeline
    from ..inference.smoothing import Smoothing
    from ..inference.tracking import FaceTracker
    from ..inference.video.follow import open_video

    tracks: set[int] = set()
    with ExitStack() as files:
        reader = files.enter_context(closing(open_video(source, "kd-landmarks video")))
        from ..inference.video.writer import VideoWriter, check_frames

        detect = FaceLandmarkPipeline(model, min_confidence=min_confidence, device=device)
        scheme = detect.scheme
        if measures:
            check_measures(scheme)
        tracker = FaceTracker(detect, Smoothing(steadiness, follow), detect_every)
        # Both are closed before either gets its name.
        table = None if json is None else files.enter_context(new_file(json, keep=True))
        drawn = files.enter_context(
            new_file(out, lambda path: check_frames(path, writer.frames), keep=True)
        )
        writer = files.enter_context(closing(VideoWriter(drawn, reader.info, reader)))
        lines = None
        if json is not None and table is not None:
            # Whose disk is full is told by the file that is written to.
            files.enter_context(writing(json))
            lines = files.enter_context(table.open("w", encoding="utf-8"))
        for frame in tqdm(reader, total=reader.info.frames or None, unit="frame", leave=False):
            faces = tracker(frame.pixels, frame.time)
            with writing(out):
                writer.write(frame.drawn(faces, scheme), frame.time)
            if lines is not None:
                lines.write(frame.line(faces, measures))
            tracks.update(face["track"] for face in faces)
        with writing(out):
            writer.write_sound()
    count = f"{counted(len(tracks), 'face')} followed in {counted(writer.frames, 'frame')}"
    padded = "" if writer.size == (reader.info.width, reader.info.height) else EVEN
    print(f"{count}: {out}{padded.format(*writer.size)}")
    unread = reader.unread()
    if unread is not None:
        print(f"failed: {source}: {unread}", file=sys.stderr)
        raise typer.Exit(1)
