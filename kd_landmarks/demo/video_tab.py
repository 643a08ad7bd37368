"""The Video tab: a clip in, the clip with landmarks, its measures and a table out."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import gradio as gr
import numpy as np
from PIL import Image

from ..errors import KDLandmarksError
from ..inference.results import Face
from ..inference.smoothing import PointSmoother
from ..inference.tracking import FaceTracker
from ..inference.video.reader import VideoReader
from ..inference.video.writer import VideoWriter, check_frames
from ..utils.tables import counted
from .clip_record import ClipRecord
from .examples import CLIP
from .networks import MOST_FACES, Networks
from .overlay import count_of, data_url, downloads, legend, notice
from .received import Uploads
from .uploads import LONGEST_CLIP, MOST_FRAMES, open_clip, uploaded_path

LARGEST_RESULT = 960
"""Pixels of the longer side of the clip that comes back; larger ones are shrunk."""
SECONDS_BETWEEN_NEWS = 0.4
MOST_SECONDS = 180.0
"""Of work on one clip: others wait for it."""

SMOOTHED, FOUND, BOTH = "Smoothed", "As found", "Both"
BOTH_COLORS = {"as found": "var(--kd-reference)", "smoothed": "var(--kd-line)"}
BEFORE = "Try the example clip: a generated face that turns its head, blinks and speaks."
NOTHING = ("", "", "")


class VideoTab:
    """Draws the tab into the Blocks around it.

    Args:
        networks: to detect with.
        uploads: to take clips from.
    """

    def __init__(self, networks: Networks, uploads: Uploads) -> None:
        self._networks = networks
        self._uploads = uploads
        # page.css lays these out, as in the Photo tab.
        with gr.Row(elem_id="video-tab"):
            with gr.Column(scale=2, min_width=300):
                upload = gr.Video(
                    label=f"A clip of at most {LONGEST_CLIP} seconds",
                    sources=["upload", "webcam"],
                    height=290,  # with room for its two icons
                    buttons=[],
                )
                upload.preprocess = uploaded_path  # type: ignore[method-assign]
                points = gr.Radio(
                    [SMOOTHED, FOUND, BOTH], value=SMOOTHED, label="Points (One-Euro filter)"
                )
                with gr.Row(elem_classes="kd-buttons"):
                    start = gr.Button("Find landmarks", variant="primary", min_width=140)
                    example = gr.Button("Example clip", min_width=100)
                    stop = gr.Button("Cancel", min_width=80)
                measures = gr.HTML(elem_id="video-measures")
            with gr.Column(scale=3, min_width=300):
                news = gr.HTML(f'<p class="kd-summary">{BEFORE}</p>', elem_id="video-news")
                view = gr.HTML(elem_id="video-view")
                details = gr.HTML(elem_id="video-details")
        # Gradio's own way to cancel leaves an error on the page, now and then.
        canceled = gr.State([])
        outputs = [news, view, details, measures]
        for button, follow, asked in (
            (start, self._follow, [upload, points, canceled]),
            (example, self._follow_example, [points, canceled]),
        ):
            # At once, so that a click on Cancel counts while the clip waits for its turn.
            begun = button.click(
                lambda canceled: canceled.clear(),
                canceled,
                None,
                queue=False,
                api_visibility="private",
            )
            begun.then(
                follow,
                asked,
                outputs,
                show_progress="hidden",
                concurrency_limit=1,
                concurrency_id="clips",
                api_visibility="private",
            )
        stop.click(
            lambda canceled: canceled.append(True),
            canceled,
            None,
            queue=False,
            api_visibility="private",
        )

    def _follow(
        self, clip: str | None, shown: str, canceled: list[bool]
    ) -> Iterator[tuple[str, str, str, str]]:
        """News while it runs, then the clip and its table; ends once `canceled` has something."""
        if clip is None:
            yield notice("Choose a clip first, or try the example."), *NOTHING
            return
        try:
            content = self._uploads.read(clip)
        except KDLandmarksError as error:
            yield notice(str(error)), *NOTHING
            return
        yield from self._answers(content, shown, canceled)

    def _follow_example(
        self, shown: str, canceled: list[bool]
    ) -> Iterator[tuple[str, str, str, str]]:
        yield from self._answers(CLIP.read_bytes(), shown, canceled)

    def _answers(
        self, content: bytes, shown: str, canceled: list[bool]
    ) -> Iterator[tuple[str, str, str, str]]:
        try:
            with open_clip(content) as reader, TemporaryDirectory() as folder:
                yield from self._run(reader, shown, canceled, Path(folder) / "clip.webm")
        except KDLandmarksError as error:
            yield notice(str(error)), *NOTHING
        except OSError:  # where the server writes is no business of a visitor's
            yield notice("The server has no room left for clips."), *NOTHING

    def _run(
        self, reader: VideoReader, shown: str, canceled: list[bool], out: Path
    ) -> Iterator[tuple[str, str, str, str]]:
        scheme, info = self._networks.scheme, reader.info
        shrink = min(1.0, LARGEST_RESULT / max(info.width, info.height))
        size = round(info.width * shrink), round(info.height * shrink)
        tracker = FaceTracker(self._networks.get(), smoothing=None, most_faces=MOST_FACES)
        began, done = time.monotonic(), 0.0
        smoothers: dict[int | None, PointSmoother] = {}
        record, told, cut = ClipRecord(scheme), 0.0, False
        sized = replace(info, width=size[0], height=size[1])
        with closing(VideoWriter(out, sized, reader)) as writer:
            for frame in reader:
                if canceled:
                    yield notice("Canceled."), *NOTHING
                    return
                # Files do not always say how long they are, and may say any time.
                too_long = frame.time > LONGEST_CLIP or frame.number >= MOST_FRAMES
                if too_long or time.monotonic() - began > MOST_SECONDS:
                    cut, done = True, min(frame.time, LONGEST_CLIP)
                    break
                found = tracker(frame.pixels, frame.time)
                smoothed = [
                    _smoothed(face, frame.time, smoothers.setdefault(face.track, PointSmoother()))
                    for face in found
                ]
                faces = found if shown == FOUND else smoothed
                below = found if shown == BOTH else None
                drawn = Image.fromarray(frame.drawn(faces, scheme, below)).resize(size)
                writer.write(np.asarray(drawn), frame.time)
                record.add(frame, faces, found, smoothed)
                if time.monotonic() - told > SECONDS_BETWEEN_NEWS:
                    told = time.monotonic()
                    yield _progress(frame.number + 1, info.frames), *NOTHING
            if not cut:
                writer.write_sound(LONGEST_CLIP)
        frames = writer.frames
        check_frames(out, frames)
        count = f"{count_of(record.seen)} followed in {counted(frames, 'frame')}"
        rest = f"; only the first {done:.0f} seconds were processed" if cut else ""
        unread = None if cut else reader.unread()
        rest += f"; {unread}" if unread else ""
        video = (
            f'<video class="kd-clip" controls autoplay muted loop playsinline aria-label="{count}" '
            f'src="{data_url(out.read_bytes(), "video/webm")}"></video>'
        )
        saved = downloads(
            {
                "Save CSV": ("landmarks.csv", record.csv(), "text/csv"),
                "Save JSON lines": ("landmarks.jsonl", record.json_lines(), "application/json"),
            },
            # The clip is in the page already.
            '<a class="kd-save" download="landmarks.webm" href="#" onclick="this.href = '
            "document.querySelector('#video-view video').src\">Save clip</a>",
        )
        summary = f'<p class="kd-summary" role="status"><strong>{count}</strong>{rest}.</p>'
        colors = legend(BOTH_COLORS) if shown == BOTH else ""
        yield summary, video + colors + saved, record.table(), record.measures()


def _smoothed(face: Face, time: float, smoother: PointSmoother) -> Face:
    points = smoother(np.asarray(face.keypoints, dtype=np.float64), time)
    return replace(face, keypoints=points.astype(np.float32))


def _progress(done: int, total: int) -> str:
    value = f'value="{done}" max="{total}"' if total else ""
    of = f" of {total}" if total else ""
    return (
        f'<p class="kd-summary">Frame {done}{of}</p>'
        f'<progress class="kd-progress" aria-label="Frames done" {value}></progress>'
    )
