"""The Photo tab, and the endpoint for programs that does the same."""

import io
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import gradio as gr
from PIL import Image

from ..errors import KDLandmarksError
from ..inference.results import Face, Faces
from ..inference.tables import PredictionWriter
from ..schemes import LandmarkScheme
from .closeup import close_ups
from .examples import example, example_names, turned
from .networks import Networks
from .overlay import SURE, UNSURE, count_of, downloads, legend, notice, photo_view
from .received import Uploads
from .uploads import read_photo, uploaded_path
from .zero_gpu import on_gpu

PARTS = ("Points", "Outlines", "Numbers", "Boxes", "Confidence colors")
"""What can be shown on a photo; page.js switches each on and off."""
SHOWN = ("Points", "Outlines")

FIRST_EXAMPLE = "Astronaut"
NO_FACE = (
    "No face was found. Faces of fewer than 12 pixels, hidden or very dark ones may be missed."
)


class PhotoTab:
    """Draws the tab into the Blocks around it.

    Args:
        networks: to detect with.
        uploads: to take photos from.
    """

    def __init__(self, networks: Networks, uploads: Uploads) -> None:
        self._networks = networks
        self._uploads = uploads
        self._detect = on_gpu(self._detect_here)
        self._build()

    def _build(self) -> None:
        self._detect_here(example(FIRST_EXAMPLE).photo)  # the first time takes longer
        first = self._result(example(FIRST_EXAMPLE).photo)
        # page.css lays these out: in two columns, or below each other where there is less room.
        with gr.Row(elem_id="photo-tab"):
            with gr.Column(scale=2, min_width=300):
                upload = photo_upload("Your photo: drop, paste, choose or take one")
                buttons = example_buttons(example_names())
                turn = gr.Slider(
                    -180,
                    180,
                    0,
                    step=5,
                    label="Rotate the astronaut's photo, degrees",
                    elem_id="photo-turn",
                )
                faces = gr.HTML(first[2], elem_id="photo-faces")
            with gr.Column(scale=3, min_width=300):
                view = gr.HTML(first[0], elem_id="photo-view")
                saved = gr.HTML(first[1], elem_id="photo-saved")
                shown = gr.CheckboxGroup(
                    list(PARTS), value=list(SHOWN), label="Show", elem_id="photo-parts"
                )
                gr.HTML(
                    legend(
                        {
                            f"at least {SURE:.0%} sure": "var(--kd-line)",
                            f"at least {UNSURE:.0%}": "var(--kd-fair)",
                            "less": "var(--kd-unsure)",
                        }
                    ),
                    elem_id="photo-legend",
                )
        outputs = [view, saved, faces]
        upload.input(self._of_upload, upload, [*outputs, upload], api_visibility="private")
        for name, button in buttons.items():
            button.click(
                lambda name=name: self._result(example(name).photo),
                None,
                outputs,
                api_visibility="private",
            )
        turn.change(
            lambda degrees: self._result(turned(example(FIRST_EXAMPLE).photo, degrees)),
            turn,
            outputs,
            show_progress="hidden",
            trigger_mode="always_last",
            api_visibility="private",
        )
        shown.change(None, shown, None, js="(parts) => kdShow(parts)", api_visibility="private")
        self._build_endpoints()

    def _build_endpoints(self) -> None:
        """`/detect` and `/landmarks`, without anything to see."""
        photo = gr.Image(type="filepath", visible=False, label="photo")
        photo.preprocess = uploaded_path  # type: ignore[method-assign]
        found = gr.JSON(visible=False, label="faces")
        gr.Button(visible=False).click(
            self.detect,
            photo,
            found,
            api_name="detect",
            api_description=(
                "Find the faces in a photo. Returns {width, height, faces}: for each face "
                "keypoints (68 pairs x, y in pixels of the upright photo), scores and confidence "
                "(0 to 1 per point), face_confidence, box (x0, y0, x1, y1), detection_score."
            ),
        )

        scheme = gr.JSON(visible=False, label="scheme")
        gr.Button(visible=False).click(
            self.landmarks,
            None,
            scheme,
            api_name="landmarks",
            api_description=(
                "What the points are: {name, names (of the points, in their order), outlines "
                "(lines through points, each with name, indices and whether it is closed)}."
            ),
        )

    def landmarks(self) -> dict[str, Any]:
        """The endpoint: names and outlines of the points."""
        scheme = self._networks.scheme
        outlines = [asdict(outline) for outline in scheme.outlines]
        return {"name": scheme.name, "names": list(scheme.names), "outlines": outlines}

    def detect(self, photo: str | None) -> dict[str, Any]:
        """The endpoint: a photo in, its faces in plain JSON types out."""
        if photo is None:
            raise gr.Error("give a photo")
        try:
            picture = read_photo(self._uploads.read(photo))
            return plain_result(picture, self._detect(picture))
        except KDLandmarksError as error:
            raise gr.Error(str(error)) from None

    def _detect_here(self, photo: Image.Image) -> list[Face]:
        return self._networks.get()(photo)

    def _of_upload(self, photo: str | None) -> tuple[Any, ...]:
        """The result of an upload, and nothing, which makes room for the next one."""
        if photo is None:
            return (gr.skip(),) * 4
        try:
            return *self._result(read_photo(self._uploads.read(photo))), None
        except KDLandmarksError as error:
            return notice(str(error)), "", "", None

    def _result(self, photo: Image.Image) -> tuple[str, str, str]:
        """View, what is below it, and the faces one by one."""
        scheme = self._networks.scheme
        start = time.perf_counter()
        faces = self._detect(photo)
        seconds = time.perf_counter() - start
        if not faces:
            return photo_view(photo, [], scheme) + notice(NO_FACE), "", ""
        return (
            photo_view(photo, faces, scheme),
            _summary(faces, scheme, seconds) + _files(photo, faces, scheme),
            close_ups(photo, faces, scheme),
        )


def photo_upload(label: str) -> gr.Image:
    """Where photos are dropped."""
    upload = gr.Image(
        label=label,
        sources=["upload", "clipboard", "webcam"],
        type="filepath",
        height=160,
        buttons=[],
    )
    upload.preprocess = uploaded_path  # type: ignore[method-assign]
    return upload


def example_buttons(names: Iterable[str]) -> dict[str, gr.Button]:
    """A row of buttons, one for each example."""
    with gr.Row(elem_classes="kd-examples"):
        return {
            name: gr.Button(name, size="sm", min_width=90, elem_classes="kd-example")
            for name in names
        }


def plain_result(
    photo: Image.Image, faces: Sequence[Face], with_measures: bool = False
) -> dict[str, Any]:
    """A photo's faces as JSON."""
    return {
        "width": photo.width,
        "height": photo.height,
        "faces": [face.to_dict(with_measures) for face in faces],
    }


def _summary(faces: Sequence[Face], scheme: LandmarkScheme, seconds: float) -> str:
    sure = [face["face_confidence"] for face in faces if face["face_confidence"] is not None]
    each = " each" if len(faces) > 1 else ""
    told = f", {sum(sure) / len(sure):.0%} of them expected to be right" if sure else ""
    return (
        f'<p class="kd-summary" role="status"><strong>{count_of(faces)}</strong>, '
        f"{scheme.num_landmarks} points{each}{told}; {1000 * seconds:.0f} ms here, "
        "face detection included.</p>"
    )


def _files(photo: Image.Image, faces: Sequence[Face], scheme: LandmarkScheme) -> str:
    text = io.StringIO()
    writer = PredictionWriter(text, ".csv", scheme, with_measures=True)
    writer.write("photo", Faces(list(faces), scheme))
    plain = json.dumps(plain_result(photo, faces, with_measures=True), indent=1)
    pictures = {
        "PNG": "#photo-view .kd-photo",
        "PNG of the face": "#photo-faces .kd-chosen .kd-photo",
    }
    return downloads(
        {
            "Save JSON": ("landmarks.json", plain.encode(), "application/json"),
            "Save CSV": ("landmarks.csv", text.getvalue().encode(), "text/csv"),
        },
        " ".join(
            f'<button type="button" class="kd-save" data-picture="{picture}" '
            f'onclick="kdSavePicture(this.dataset.picture)">Save {label}</button>'
            for label, picture in pictures.items()
        ),
    )
