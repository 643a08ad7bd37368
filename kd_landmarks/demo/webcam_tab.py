"""The Webcam tab: frames in, steady landmarks out, which page.js lays over the live preview."""

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
from PIL import Image

from ..errors import KDLandmarksError
from ..inference.results import Faces
from ..inference.smoothing import Smoothing
from ..inference.tracking import FaceTracker
from .bars import measure_bars
from .networks import MOST_FACES, Networks
from .overlay import count_of, face_svg, notice
from .received import Uploads
from .uploads import data_of, read_photo

FRAME = {"width": {"ideal": 640}, "height": {"ideal": 480}}
SECONDS_A_FRAME = 0.05
"""A frame is sent this often at most; what is still being computed delays the next one."""
STREAM_SECONDS = 120
PAUSE = 2.0
"""Seconds without frames after which the next one is of a new stream."""
OVER = (
    '<div class="kd-stream-over">'
    + notice(f"The stream has ended after {STREAM_SECONDS} seconds. Press Record for another one.")
    + "</div>"
)
"""page.js presses Stop where it finds this: Gradio would go on for ever."""


@dataclass
class Stream:
    """One person's camera."""

    tracker: FaceTracker
    smooth: bool
    since: float
    last: float
    times: deque[float] = field(default_factory=lambda: deque(maxlen=20))

    def rate(self, now: float) -> float:
        """Frames per second over the last ones."""
        self.times.append(now)
        passed = self.times[-1] - self.times[0]
        return (len(self.times) - 1) / passed if passed > 0 else 0.0


def as_it_is(payload: Any) -> Any:
    """In place of Gradio's own decoding, as for uploads."""
    return payload


class WebcamTab:
    """Draws the tab into the Blocks around it.

    Args:
        networks: to detect with.
        uploads: to take frames from, where they come as files.
    """

    def __init__(self, networks: Networks, uploads: Uploads) -> None:
        self._networks = networks
        self._uploads = uploads
        with gr.Row():
            with gr.Column(scale=3, min_width=300):
                camera = gr.Image(
                    label="Your camera: allow it, then press Record",
                    sources=["webcam"],
                    streaming=True,
                    buttons=[],
                    webcam_options=gr.WebcamOptions(constraints={"video": FRAME}),
                    elem_id="webcam",
                )
                camera.preprocess = as_it_is  # type: ignore[method-assign]
            with gr.Column(scale=2, min_width=300):
                view = gr.HTML(measure_bars({}), elem_id="webcam-view")
                smooth = gr.Checkbox(True, label="Smoothing (One-Euro filter)")
                gr.Markdown(
                    "Points appear on the preview, a moment behind it. Without smoothing they "
                    "tremble with the camera's noise. Frames are processed and not kept; a stream "
                    f"ends after {STREAM_SECONDS} seconds."
                )
        state = gr.State(None, time_to_live=STREAM_SECONDS)
        camera.stream(
            self._follow,
            [camera, smooth, state],
            [view, state],
            stream_every=SECONDS_A_FRAME,
            time_limit=STREAM_SECONDS,
            concurrency_limit=4,
            show_progress="hidden",
            api_visibility="private",
        )
        view.change(None, None, None, js="() => kdOverlay()", api_visibility="private")

    def _follow(self, frame: Any, smooth: bool, stream: Stream | None) -> tuple[Any, Stream | None]:
        """One frame; whatever is wrong with it does not stop the next."""
        if frame is None:
            return gr.skip(), stream
        now = time.monotonic()
        if stream is None or now - stream.last > PAUSE:
            stream = Stream(self._tracker(smooth), smooth, now, now)
        stream.last = now
        if now - stream.since > STREAM_SECONDS:
            return OVER, stream
        if stream.smooth != smooth:
            stream.tracker, stream.smooth = self._tracker(smooth), smooth
        try:
            photo = self._read(frame)
            faces = stream.tracker(photo, now)
        except KDLandmarksError as error:
            return notice(str(error)), stream
        rate = stream.rate(time.monotonic())
        count = count_of(faces) if faces else "no face"
        steady = "smoothed" if smooth else "as found"
        line = f'<p class="kd-summary kd-rate">{rate:.1f} frames per second, {count}, {steady}</p>'
        first = faces[0].to_dict(with_measures=True)["measures"] if faces else {}
        return self._overlay(photo, faces) + line + measure_bars(first), stream

    def _tracker(self, smooth: bool) -> FaceTracker:
        smoothing = Smoothing() if smooth else None
        return FaceTracker(self._networks.get(), smoothing, most_faces=MOST_FACES)

    def _overlay(self, photo: Image.Image, faces: Faces) -> str:
        """The faces alone, in the pixels of the frame."""
        width, height = photo.size
        parts = [
            part
            for number, face in enumerate(faces)
            for part in face_svg(number, face, self._networks.scheme, max(photo.size))
        ]
        return f'<svg class="kd-overlay" viewBox="0 0 {width} {height}">{"".join(parts)}</svg>'

    def _read(self, frame: Any) -> Image.Image:
        """A frame comes inside the message, or as a file; the same limits hold."""
        if frame.url and frame.url.startswith("data:"):
            return read_photo(data_of(frame.url))
        return read_photo(self._uploads.read(frame.path))
