"""The Compare tab: the student with KD-Loss, the same one alone, and a teacher, side by side."""

from collections.abc import Sequence
from html import escape
from typing import Any

import gradio as gr
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import KDLandmarksError
from ..evaluation.metrics import nme
from ..imaging.detection import detect_faces
from .examples import Example, example, example_names
from .networks import MOST_FACES, Answer, Entry, Networks, how_to_get
from .overlay import legend, notice, photo_view
from .photo_tab import NO_FACE, example_buttons, photo_upload
from .received import Uploads
from .uploads import read_photo
from .zero_gpu import on_gpu

SHOWN_SIDE = 640
WITH_TRUTH = "Generated face"


class CompareTab:
    """Draws the tab into the Blocks around it.

    Args:
        networks: where the detectors are loaded.
        uploads: to take photos from.
        entries: the three detectors.
        tab: that is around it.
    """

    def __init__(
        self, networks: Networks, uploads: Uploads, entries: Sequence[Entry], tab: gr.Tab
    ) -> None:
        self._networks = networks
        self._uploads = uploads
        self._entries = entries
        self._answers = on_gpu(self._answers_here)
        self._build(tab)

    def _build(self, tab: gr.Tab) -> None:
        gr.Markdown(
            "Three networks, one photo, the same face box. A generated face has known points, so "
            "its error is known: the mean distance in percent of the distance between the outer "
            "eye corners. The first network runs in ONNX Runtime, the other two in PyTorch."
        )
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                upload = photo_upload("Photo to compare on")
            with gr.Column(scale=3, min_width=300):
                gr.Markdown("Or one of these:")
                buttons = example_buttons(example_names())
                gr.HTML(legend({"found": "var(--kd-line)", "true": "var(--kd-reference)"}))
        view = gr.HTML(elem_id="compare-view")
        begun = gr.State(False)
        tab.select(self._first, begun, [view, begun], api_visibility="private")
        upload.input(self._of_upload, upload, [view, upload], api_visibility="private")
        for name, button in buttons.items():
            button.click(
                lambda name=name: self._compare(example(name)),
                None,
                view,
                api_visibility="private",
            )

    def _first(self, begun: bool) -> tuple[Any, bool]:
        """Something to see when the tab is opened for the first time."""
        if begun:
            return gr.skip(), True
        return self._compare(example(WITH_TRUTH)), True

    def _of_upload(self, photo: str | None) -> tuple[Any, Any]:
        if photo is None:
            return gr.skip(), gr.skip()
        try:
            return self._compare(Example(read_photo(self._uploads.read(photo)))), None
        except KDLandmarksError as error:
            return notice(str(error)), None

    def _answers_here(self, photo: Image.Image) -> "list[Answer | str] | None":
        """What each detector says, or why it is not here; None where there is no face."""
        boxes, _ = detect_faces(photo, self._networks.get().detector)
        if not len(boxes):
            return None
        answers: list[Answer | str] = []
        for entry in self._entries:
            try:
                answers.append(
                    self._networks.timed(entry.source, photo, boxes[:MOST_FACES].tolist())
                )
            except KDLandmarksError as error:
                answers.append(how_to_get(error))
        return answers

    def _compare(self, example: Example) -> str:
        photo, truth = example.photo, example.truth
        answers = self._answers(photo)
        if answers is None:
            return notice(NO_FACE)
        figures = [
            self._figure(entry, answer, photo, truth)
            for entry, answer in zip(self._entries, answers, strict=True)
        ]
        return f'<div class="kd-trio">{"".join(figures)}</div>'

    def _figure(
        self,
        entry: Entry,
        answer: Answer | str,
        photo: Image.Image,
        truth: NDArray[np.floating] | None,
    ) -> str:
        title = f"<strong>{escape(entry.title)}</strong>{escape(entry.learned)}"
        if isinstance(answer, str):
            return f"<figure><figcaption>{title}</figcaption>{notice(answer)}</figure>"
        scheme = self._networks.scheme
        facts = {
            "time": f"{answer.milliseconds:.1f} ms a face, on this machine",
            "parameters": f"{answer.parameters / 1e6:.2f} million",
            "input": f"{answer.input_side} pixels",
        }
        sure = [face["face_confidence"] for face in answer.faces]
        if None not in sure:
            facts["confidence"] = f"{np.mean(np.array(sure, dtype=float)):.0%}"
        if truth is not None:
            found = np.asarray(answer.faces[0]["keypoints"], dtype=np.float64)
            facts["error"] = f"{float(nme(found[None], truth[None], scheme)[0]):.2f} %"
        told = "".join(f"<dt>{key}</dt><dd>{escape(value)}</dd>" for key, value in facts.items())
        picture = photo_view(photo, answer.faces, scheme, truth, SHOWN_SIDE)
        return f"<figure>{picture}<figcaption>{title}<dl>{told}</dl></figcaption></figure>"
