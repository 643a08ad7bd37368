"""`kd-landmarks webcam`."""

import time
from contextlib import closing
from typing import Annotated

import typer

from ..utils.logging import set_up_logging
from ..utils.tables import counted
from .app import app
from .options import Device, Follow, Model, Steadiness

WEBCAM_HELP = """Show the landmarks of the faces in front of a camera, in a window.

\b
kd-landmarks webcam
kd-landmarks webcam --camera 1 --steadiness 0.5

Esc, q or closing the window ends it. It needs a display, and an OpenCV that can open windows:
opencv-python in place of opencv-python-headless. In a browser, `kd-landmarks demo` does the same.
"""


@app.command(help=WEBCAM_HELP)
def webcam(
    camera: Annotated[int, typer.Option(min=0, help="Which camera, from 0.")] = 0,
    model: Model = None,
    steadiness: Steadiness = 0.25,
    follow: Follow = 12.0,
    device: Device = None,
) -> None:
    """Look, follow, draw and show."""
    set_up_logging(light=True)
    from ..inference.video.window import Window, check_windows

    check_windows()
    from ..inference.pipeline import FaceLandmarkPipeline
    from ..inference.smoothing import Smoothing
    from ..inference.tracking import FaceTracker
    from ..inference.video.camera import Camera

    detect = FaceLandmarkPipeline(model, device=device)
    scheme = detect.scheme
    tracker = FaceTracker(detect, Smoothing(steadiness, follow))
    frames, begin = 0, time.monotonic()
    with closing(Camera(camera)) as source, closing(Window("kd-landmarks: q ends")) as window:
        for frame in source:
            faces = tracker(frame.pixels, frame.time)
            frames += 1
            if not window.show(frame.drawn(faces, scheme)):
                break
    rate = frames / max(time.monotonic() - begin, 1e-6)
    print(f"{counted(frames, 'frame')}, {rate:.1f} per second")
