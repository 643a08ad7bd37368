"""The Video tab: a clip in, the clip with landmarks and a table out."""

import csv
import io
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from ..errors import KDLandmarksError
from ..inference.results import SURENESS, Face, table_columns
from ..inference.smoothing import Smoothing
from ..inference.tracking import FaceTracker
from ..inference.video.frames import VideoFrame
from ..inference.video.reader import VideoReader
from ..inference.video.writer import VideoWriter, check_frames
from ..schemes import LandmarkScheme
from ..utils.tables import counted
from .networks import Networks
from .overlay import count_of, data_url, downloads, notice, table
from .received import Uploads
from .uploads import LONGEST_CLIP, MOST_FRAMES, open_clip, uploaded_path

LARGEST_RESULT = 960
"""Pixels of the longer side of the clip that comes back; larger ones are shrunk."""
SECONDS_BETWEEN_NEWS = 0.4


@dataclass
class Seen:
    """What is known of a face that was followed."""

    frames: int = 0
    first: float = 0.0
    last: float = 0.0
    sure: list[float] = field(default_factory=list)


class VideoTab:
    """Draws the tab into the Blocks around it.

    Args:
        networks: to detect with.
        uploads: to take clips from.
    """

    def __init__(self, networks: Networks, uploads: Uploads) -> None:
        self._networks = networks
        self._uploads = uploads
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                upload = gr.Video(
                    label=f"A clip of at most {LONGEST_CLIP} seconds",
                    sources=["upload", "webcam"],
                    height=290,
                    buttons=[],
                )
                upload.preprocess = uploaded_path  # type: ignore[method-assign]
                smooth = gr.Checkbox(True, label="Smoothing (One-Euro filter)")
                with gr.Row():
                    start = gr.Button("Find landmarks", variant="primary")
                    stop = gr.Button("Cancel")
            with gr.Column(scale=3, min_width=300):
                news = gr.HTML(elem_id="video-news")
                view = gr.HTML(elem_id="video-view")
                details = gr.HTML()
        # Gradio's own way to cancel leaves an error on the page, now and then.
        canceled = gr.State([])
        run = start.click(
            self._follow,
            [upload, smooth, canceled],
            [news, view, details],
            show_progress="hidden",
            concurrency_limit=1,
            api_visibility="private",
        )
        stop.click(
            lambda canceled: canceled.append(True),
            canceled,
            None,
            queue=False,
            api_visibility="private",
        )
        run.success(lambda: None, None, upload, api_visibility="private")

    def _follow(
        self, clip: str | None, smooth: bool, canceled: list[bool]
    ) -> Iterator[tuple[str, str, str]]:
        """News while it runs, then the clip and its table; ends once `canceled` has something."""
        canceled.clear()
        if clip is None:
            yield notice("Choose a clip first."), "", ""
            return
        try:
            with (
                open_clip(self._uploads.read(clip)) as reader,
                TemporaryDirectory() as folder,
            ):
                yield from self._run(reader, smooth, canceled, Path(folder) / "clip.webm")
        except KDLandmarksError as error:
            yield notice(str(error)), "", ""
        except OSError:  # where the server writes is no business of a visitor's
            yield notice("The server has no room left for clips."), "", ""

    def _run(
        self, reader: VideoReader, smooth: bool, canceled: list[bool], out: Path
    ) -> Iterator[tuple[str, str, str]]:
        scheme, info = self._networks.scheme, reader.info
        shrink = min(1.0, LARGEST_RESULT / max(info.width, info.height))
        size = round(info.width * shrink), round(info.height * shrink)
        tracker = FaceTracker(self._networks.get(), Smoothing() if smooth else None)
        seen: dict[int, Seen] = {}
        lines, rows, told, cut = [], [], 0.0, False
        sized = replace(info, width=size[0], height=size[1])
        with closing(VideoWriter(out, sized, reader)) as writer:
            for frame in reader:
                if canceled:
                    yield notice("Canceled."), "", ""
                    return
                # Files do not always say how long they are, and may say any time.
                if frame.time > LONGEST_CLIP or frame.number >= MOST_FRAMES:
                    cut = True
                    break
                faces = tracker(frame.pixels, frame.time)
                drawn = Image.fromarray(frame.drawn(faces, scheme)).resize(size)
                writer.write(np.asarray(drawn), frame.time)
                lines.append(frame.line(faces))
                rows += _rows(frame, faces)
                _remember(seen, frame.time, faces)
                if time.monotonic() - told > SECONDS_BETWEEN_NEWS:
                    told = time.monotonic()
                    yield _progress(frame.number + 1, info.frames), "", ""
            if not cut:
                writer.write_sound(LONGEST_CLIP)
        frames = writer.frames
        check_frames(out, frames)
        count = f"{count_of(seen)} followed in {counted(frames, 'frame')}"
        rest = f"; only the first {LONGEST_CLIP} seconds were done" if cut else ""
        unread = None if cut else reader.unread()
        rest += f"; {unread}" if unread else ""
        video = (
            f'<video class="kd-clip" controls playsinline aria-label="{count}" '
            f'src="{data_url(out.read_bytes(), "video/webm")}"></video>'
        )
        saved = downloads(
            {
                "Save CSV": ("landmarks.csv", _csv(rows, scheme), "text/csv"),
                "Save JSON lines": (
                    "landmarks.jsonl", "".join(lines).encode(), "application/json",
                ),
            },
            # The clip is in the page already.
            '<a class="kd-save" download="landmarks.webm" href="#" onclick="this.href = '
            "document.querySelector('#video-view video').src\">Save clip</a>",
        )  # fmt: skip
        summary = f'<p class="kd-summary" role="status"><strong>{count}</strong>{rest}.</p>'
        yield summary, video + saved, _table(seen)


def _progress(done: int, total: int) -> str:
    value = f'value="{done}" max="{total}"' if total else ""
    of = f" of {total}" if total else ""
    return (
        f'<p class="kd-summary">Frame {done}{of}</p>'
        f'<progress class="kd-progress" aria-label="Frames done" {value}></progress>'
    )


def _remember(seen: dict[int, Seen], now: float, faces: list[Face]) -> None:
    for face in faces:
        one = seen.setdefault(face["track"], Seen(first=now))
        one.frames, one.last = one.frames + 1, now
        if face["face_confidence"] is not None:
            one.sure.append(face["face_confidence"])


def _rows(frame: VideoFrame, faces: list[Face]) -> list[list[Any]]:
    rows = []
    for face in faces:
        plain = face.to_dict()
        told = [frame.number, round(frame.time, 4), face["track"], plain["face_confidence"]]
        rows.append([*told, *plain["box"], *chain(*plain["keypoints"])])
    return rows


def _csv(rows: list[list[Any]], scheme: LandmarkScheme) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    told = ["frame", "time", "track", "face_confidence"]
    columns = [name for name in table_columns(scheme) if name not in SURENESS]
    writer.writerow([*told, *columns])
    writer.writerows(rows)
    return text.getvalue().encode()


def _table(seen: dict[int, Seen]) -> str:
    if not seen:
        return notice("No face was found in any frame.")
    rows = [
        (
            number + 1,
            one.frames,
            f"{one.first:.2f} s",
            f"{one.last:.2f} s",
            f"{np.mean(one.sure):.0%}" if one.sure else "",
        )
        for number, one in seen.items()
    ]
    return table(("face", "frames", "from", "to", "confidence"), rows, "Faces of the clip")
