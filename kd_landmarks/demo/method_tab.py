"""The tab How it works: the two teachers, the loss to play with, soft against hard landmarks.

What it needs is loaded when it is opened: torch for the loss, scipy for the generated faces.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np
import pandas as pd
from PIL import Image

from ..errors import KDLandmarksError
from ..evaluation.metrics import nme
from ..training.shape_model import ShapeModel
from ..utils.environment import need_packages
from .networks import Networks, how_to_get
from .overlay import legend, notice, outline_svg, picture_svg
from .recorded import FOLDER

if TYPE_CHECKING:
    from ..losses.variants import AssistiveConstants

REACH, STEPS = 0.12, 241
"""The student's errors that are plotted: up to so many crop units, in so many steps."""
CURVES = {
    "Tough-Teacher": "#0d9488",
    "Tolerant-Teacher": "#f59e0b",
    "main loss": "#64748b",
    "KD-Loss": "#db2777",
}
PARTS = {
    "Tough-Teacher": "tough",
    "Tolerant-Teacher": "tolerant",
    "main loss": "main",
    "KD-Loss": "total",
}
FACE_SEEDS = {"leaning": 5, "turned": 8, "narrow chin": 6}
FACE_SIDE = 512
FIRST_FACE, FIRST_SHARE = "leaning", 90
FIRST_DISTANCES = {"Tough-Teacher": 0.02, "Tolerant-Teacher": 0.04}

WORDS = """
### Two teachers, one student

A face's *landmarks* are points with names: the corner of an eye, the tip of the chin. A person has
marked them on every training photo: the **hard landmarks**. An *active shape model* knows which
shapes faces usually take, and expresses every marked face by a few of those: the **soft
landmarks**, easier to learn, a little wrong.

- The **Tolerant-Teacher**, a larger network, learns the soft landmarks.
- The **Tough-Teacher**, of the same kind, learns the hard ones.
- The **student** is small and quick. It learns the hard landmarks, and each teacher adds an
  *assistive loss*: where the student is worse than the teacher, it is pulled harder; where it is
  already better, less.

After *Facial Landmark Points Detection Using Knowledge Distillation-Based Neural Networks* (Fard
and Mahoor, CVIU 2022).
"""
LOSS_WORDS = """
### The loss, coordinate by coordinate

The horizontal axis is the student's error. Left of a teacher's distance from the ground truth the
student is better than this teacher: there the teacher's loss is negative and pulls less. α is the
slope right of that distance; below β times the distance the teacher's influence fades. The paper's
figures, the authors' code and our own version differ in that region: choose one. `wing` is ours
with every error measured by wing loss.
"""
SOFT_WORDS = """
### Soft against hard landmarks

Keep less of the variance, and the shape model smooths away what is special about a face. What
remains is what the Tolerant-Teacher learns.
"""


class MethodTab:
    """Draws the tab into the Blocks around it.

    Args:
        networks: whose scheme is shown.
        tab: that is around it.
    """

    def __init__(self, networks: Networks, tab: gr.Tab) -> None:
        self._scheme = networks.scheme
        self._shapes = ShapeModel.from_pretrained(FOLDER)
        gr.Markdown(WORDS)
        loss = self._build_loss()
        soft = self._build_soft()
        opened = gr.State(False)

        def first(opened: bool) -> tuple[Any, ...]:
            if opened:
                return (gr.skip(),) * (len(loss) + 2)
            return *(_first_loss() if loss else ()), self._softened(FIRST_FACE, FIRST_SHARE), True

        tab.select(first, opened, [*loss, soft, opened], api_visibility="private")

    def _build_loss(self) -> list[Any]:
        """What `_first_loss` fills, or nothing where torch is missing."""
        gr.Markdown(LOSS_WORDS)
        try:
            need_packages("train", "torch", "matplotlib", why="the plot of the loss")
        except KDLandmarksError as error:
            gr.HTML(notice(how_to_get(error)))
            return []
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                variant = gr.Radio([], label="Constants of")
                alpha = gr.Slider(0.5, 4, 1, step=0.05, label="α, both teachers")
                beta = gr.Slider(0.05, 0.95, 0.5, step=0.05, label="β, both teachers")
                tough, tolerant = (
                    gr.Slider(
                        0.005, 0.1, far, step=0.005, label=f"{name}'s distance from the truth"
                    )
                    for name, far in FIRST_DISTANCES.items()
                )
            with gr.Column(scale=3, min_width=300):
                gr.HTML(legend(CURVES))
                plot = gr.LinePlot(
                    x="error of the student",
                    y="loss",
                    color="part",
                    color_map=CURVES,
                    colors_in_legend=[],
                    x_lim=[0, REACH],
                    height=360,
                    label="Loss, in crop units",
                    show_label=False,
                    elem_id="loss-plot",
                    buttons=[],
                )
        sliders = [variant, alpha, beta, tough, tolerant]
        gr.on(
            [slider.change for slider in (alpha, beta, tough, tolerant)],
            loss_curves,
            sliders,
            plot,
            show_progress="hidden",
            trigger_mode="always_last",
            api_visibility="private",
        )
        # The sliders move to the variant's constants, and so does the plot.
        variant.input(_constants, variant, [alpha, beta], api_visibility="private").then(
            loss_curves, sliders, plot, show_progress="hidden", api_visibility="private"
        )
        return [variant, alpha, beta, plot]

    def _build_soft(self) -> gr.HTML:
        gr.Markdown(SOFT_WORDS)
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                face = gr.Radio(list(FACE_SEEDS), value=FIRST_FACE, label="A generated face")
                share = gr.Slider(50, 99, FIRST_SHARE, step=1, label="Retained variance, %")
            with gr.Column(scale=3, min_width=300):
                view = gr.HTML(elem_id="soft-view")
        gr.on(
            [face.change, share.change],
            self._softened,
            [face, share],
            view,
            show_progress="hidden",
            trigger_mode="always_last",
            api_visibility="private",
        )
        return view

    def _softened(self, name: str, percent: float) -> str:
        """A drawn face with its hard landmarks and what the shape model makes of them."""
        from ..synthetic import generate_face

        drawn = generate_face(FACE_SEEDS[name], size=FACE_SIDE)
        model = self._shapes.reduced(percent / 100)
        soft = model.soften(drawn.landmarks.astype(np.float64))
        away = float(nme(soft, drawn.landmarks, self._scheme))
        told = (
            f"{model.num_components} components; soft and hard landmarks are {away:.1f} % of the "
            "distance between the outer eye corners apart, on average"
        )
        parts = outline_svg(drawn.landmarks, self._scheme, "kd-reference")
        parts += outline_svg(soft, self._scheme, "kd-line")
        picture = picture_svg(Image.fromarray(drawn.image), f"Generated face: {told}", parts)
        colors = legend({"hard": "var(--kd-reference)", "soft": "var(--kd-line)"})
        return f'{picture}{colors}<p class="kd-summary">{told}.</p>'


def _first_loss() -> tuple[Any, ...]:
    """The names of the variants, and constants and plot of the first one."""
    from ..losses.variants import VARIANTS

    name = next(iter(VARIANTS))
    alpha, beta = _constants(name)
    curves = loss_curves(name, alpha, beta, *FIRST_DISTANCES.values())
    return gr.Radio(list(VARIANTS), value=name), alpha, beta, curves


def _constants(name: str) -> tuple[float, float]:
    """Alpha and beta of a variant."""
    from ..losses.variants import find_variant

    return find_variant(name).tough.alpha, find_variant(name).tough.beta


def loss_curves(
    name: str, alpha: float, beta: float, tough: float, tolerant: float
) -> pd.DataFrame:
    """The parts of KD-Loss over the student's error, as rows of error, loss and part.

    Args:
        name: of a variant of `kd_landmarks.losses.variants`.
        alpha: of both teachers; the pull below the teacher grows with it.
        beta: of both teachers.
        tough: the Tough-Teacher's distance from the truth, in crop units.
        tolerant: the Tolerant-Teacher's.
    """
    import torch

    from ..evaluation import plots
    from ..losses.variants import find_variant

    error = torch.linspace(0, REACH, STEPS)
    variant = find_variant(name)
    curves = plots.loss_curves(
        error,
        tough,
        tolerant,
        replace(
            variant,
            tough=_scaled(variant.tough, alpha, beta),
            tolerant=_scaled(variant.tolerant, alpha, beta),
        ),
    )
    return pd.concat(
        [
            pd.DataFrame(
                {"error of the student": error.numpy(), "loss": curves[key].numpy(), "part": part}
            )
            for part, key in PARTS.items()
        ]
    )


def _scaled(constants: "AssistiveConstants", alpha: float, beta: float) -> "AssistiveConstants":
    negative = constants.negative_alpha * alpha / constants.alpha
    return replace(constants, alpha=alpha, negative_alpha=negative, beta=beta)
