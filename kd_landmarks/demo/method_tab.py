"""The tab How it works: the two teachers, the loss to play with, soft against hard landmarks."""

from dataclasses import replace

import gradio as gr
import numpy as np
import pandas as pd
import torch
from PIL import Image

from ..evaluation import plots
from ..evaluation.metrics import nme
from ..losses.variants import VARIANTS, AssistiveConstants, find_variant
from ..synthetic import generate_face
from ..training.shape_model import ShapeModel
from .networks import Networks
from .overlay import legend, outline_svg, picture_svg
from .recorded import FOLDER

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

To the right the student's error grows. Left of a teacher's distance from the truth the student is
better than this teacher: there its loss is negative, and pulls less. α is the slope beyond the
teacher; below β times its distance the teacher falls silent. The paper's figures, the authors'
program and our own reading differ in what happens there: choose one. `wing` is ours with every
error measured by wing loss.
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
    """

    def __init__(self, networks: Networks) -> None:
        self._scheme = networks.scheme
        self._shapes = ShapeModel.from_pretrained(FOLDER)
        gr.Markdown(WORDS)
        self._build_loss()
        self._build_soft()

    def _build_loss(self) -> None:
        gr.Markdown(LOSS_WORDS)
        start = find_variant("paper")
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                variant = gr.Radio(list(VARIANTS), value="paper", label="Constants of")
                alpha = gr.Slider(0.5, 4, start.tough.alpha, step=0.05, label="α, both teachers")
                beta = gr.Slider(0.05, 0.95, start.tough.beta, step=0.05, label="β, both teachers")
                tough = gr.Slider(
                    0.005, 0.1, 0.02, step=0.005, label="Tough-Teacher's distance from the truth"
                )
                tolerant = gr.Slider(
                    0.005, 0.1, 0.04, step=0.005, label="Tolerant-Teacher's distance from the truth"
                )
            with gr.Column(scale=3, min_width=300):
                gr.HTML(legend(CURVES))
                plot = gr.LinePlot(
                    loss_curves("paper", start.tough.alpha, start.tough.beta, 0.02, 0.04),
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
        variant.input(
            lambda name: (find_variant(name).tough.alpha, find_variant(name).tough.beta),
            variant,
            [alpha, beta],
            api_visibility="private",
        ).then(loss_curves, sliders, plot, show_progress="hidden", api_visibility="private")

    def _build_soft(self) -> None:
        gr.Markdown(SOFT_WORDS)
        names = list(FACE_SEEDS)
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                face = gr.Radio(names, value=names[0], label="A face drawn by the package")
                share = gr.Slider(50, 99, 90, step=1, label="Retained variance, %")
            with gr.Column(scale=3, min_width=300):
                view = gr.HTML(self._softened(names[0], 90), elem_id="soft-view")
        gr.on(
            [face.change, share.change],
            self._softened,
            [face, share],
            view,
            show_progress="hidden",
            trigger_mode="always_last",
            api_visibility="private",
        )

    def _softened(self, name: str, percent: float) -> str:
        """A drawn face with its hard landmarks and what the shape model makes of them."""
        drawn = generate_face(FACE_SEEDS[name], size=FACE_SIDE)
        model = self._shapes.reduced(percent / 100)
        soft = model.soften(drawn.landmarks.astype(np.float64))
        away = float(nme(soft, drawn.landmarks, self._scheme))
        told = (
            f"{model.num_components} components; soft and hard landmarks are {away:.1f} % of the "
            "distance between the eyes apart, on average"
        )
        parts = outline_svg(drawn.landmarks, self._scheme, "kd-reference")
        parts += outline_svg(soft, self._scheme, "kd-line")
        picture = picture_svg(Image.fromarray(drawn.image), f"Drawn face: {told}", parts)
        colors = legend({"hard": "var(--kd-reference)", "soft": "var(--kd-line)"})
        return f'{picture}{colors}<p class="kd-summary">{told}.</p>'


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


def _scaled(constants: AssistiveConstants, alpha: float, beta: float) -> AssistiveConstants:
    return AssistiveConstants(alpha, constants.negative_alpha * alpha / constants.alpha, beta)
