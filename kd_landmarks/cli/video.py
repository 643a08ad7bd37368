"""`kd-landmarks video`."""

from contextlib import ExitStack, closing
from pathlib import Path
from typing import Annotated

import typer

from ..errors import KDLandmarksError
from ..utils.files import check_outputs, check_writable, new_file
from ..utils.logging import set_up_logging
from ..utils.tables import counted
from ..utils.values import CODECS, ending
from .app import app
from .options import Device, Measures, Model, finite

VIDEO_HELP = """Follow the faces of a video: their landmarks drawn, and as a table.

\b
kd-landmarks video talk.mp4 talk-landmarks.mp4
kd-landmarks video talk.mp4 talk-landmarks.mp4 --json talk.jsonl --steadiness 0.5

Faces are looked for every few frames and followed in between; points are held steady while a face
rests, and follow where it moves. The new video has no sound.
"""


@app.command(no_args_is_help=True, help=VIDEO_HELP)
def video(
    source: Annotated[Path, typer.Argument(metavar="IN", help="The video.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The new one: .mp4, .avi or .webm.")],
    json: Annotated[
        Path | None, typer.Option(help="File for the points, a line of JSON per frame.")
    ] = None,
    model: Model = None,
    steadiness: Annotated[
        float,
        typer.Option(
            min=0,
            callback=finite,
            help="Seconds over which a resting face is averaged; 0 for none.",
        ),
    ] = 0.25,
    follow: Annotated[
        float,
        typer.Option(
            min=0,
            callback=finite,
            help="How soon averaging gives way to motion; higher lags less.",
        ),
    ] = 12.0,
    detect_every: Annotated[
        int, typer.Option(min=1, help="Frames from one search for faces to the next.")
    ] = 10,
    device: Device = None,
    measures: Measures = False,
) -> None:
    """Read, follow, draw and write."""
    ending("OUT", out, CODECS)
    if measures and json is None:
        raise KDLandmarksError("--measures go into the table: name its file by --json")
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
    from ..inference.video import (
        VideoReader,
        VideoWriter,
        check_frames,
        draw_frame,
        frame_line,
        track_video,
    )

    tracks: set[int] = set()
    frames = 0
    with ExitStack() as files:
        reader = files.enter_context(closing(VideoReader(source)))
        detect = FaceLandmarkPipeline(model, device=device)
        scheme = detect.scheme
        if measures:
            check_measures(scheme)
        tracker = FaceTracker(detect, Smoothing(steadiness, follow), detect_every)
        # Both are closed before either gets its name.
        table = None if json is None else files.enter_context(new_file(json, keep=True))
        drawn = files.enter_context(
            new_file(out, lambda path: check_frames(path, frames), keep=True)
        )
        lines = None
        if table is not None:
            lines = files.enter_context(table.open("w", encoding="utf-8"))
        writer = files.enter_context(closing(VideoWriter(drawn, reader.info)))
        total = reader.info.frames or None
        for number, frame, faces in tqdm(
            track_video(reader, tracker), total=total, unit="frame", leave=False
        ):
            writer.write(draw_frame(frame, faces, scheme))
            if lines is not None:
                lines.write(frame_line(number, reader.info.rate, faces, measures))
            tracks.update(face["track"] for face in faces)
            frames += 1
        if not frames:
            raise KDLandmarksError(f"{source} has no frame that OpenCV can read")
    print(f"{counted(len(tracks), 'face')} followed in {counted(frames, 'frame')}: {out}")
