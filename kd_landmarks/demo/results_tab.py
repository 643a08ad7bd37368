"""The Results tab: recorded tables and curves."""

import gradio as gr

from .overlay import legend
from .results import COMMON, WFLW, error_curves, gain_text, peers_table, released_table, risk_curves

COLORS = ["#0d9488", "#f59e0b", "#64748b", "#db2777", "#6366f1", "#65a30d", "#0ea5e9"]


class ResultsTab:
    """Draws the tab into the Blocks around it."""

    def __init__(self) -> None:
        gr.Markdown(
            "### Measured, recorded, repeatable\n\n"
            "NME is the mean distance of 68 points from the marked ones, in percent of the "
            "distance between the outer eye corners. Recorded by `benchmarks/released.py` and "
            "`benchmarks/peers.py`, on the machines named above the tables: times of different "
            "tables are not comparable."
        )
        gr.HTML(released_table())
        gr.Markdown(gain_text())
        colors = dict(zip(error_curves(COMMON)["network"].unique(), COLORS, strict=True))
        gr.Markdown("**Error curves**: the share of faces with at most this error.")
        gr.HTML(legend(colors))
        with gr.Row():
            for test in (COMMON, WFLW):
                curves = error_curves(test).rename(columns={"error, %": f"error on {test}, %"})
                gr.LinePlot(
                    curves,
                    x=f"error on {test}, %",
                    y="faces, %",
                    color="network",
                    color_map=colors,
                    colors_in_legend=[],
                    y_lim=[0, 100],
                    height=340,
                    label=test,
                    show_label=False,
                    buttons=[],
                    min_width=300,
                )
        gr.HTML(peers_table("common"))
        gr.HTML(peers_table("wflw"))
        gr.Markdown(
            "dlib has the same 68 points. Those of MediaPipe and face-api are mapped to them by a "
            "linear map fitted on training faces, which favors them. dlib's model has most likely "
            "seen the 300W faces."
        )
        risk = risk_curves()
        orders = dict(zip(risk["sorted"].unique(), COLORS, strict=False))
        gr.Markdown("**What confidence is good for**: the error of the faces that are kept.")
        gr.HTML(legend(orders))
        gr.LinePlot(
            risk,
            x="faces kept, %",
            y="NME %",
            color="sorted",
            color_map=orders,
            colors_in_legend=[],
            height=320,
            label=COMMON,
            show_label=False,
            buttons=[],
        )
