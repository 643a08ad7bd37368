"""Draw the assistive losses and KD-Loss of all variants: benchmarks/results/kd_loss.png.

python benchmarks/plot_losses.py
"""

import torch
from matplotlib.figure import Figure
from record import RESULTS, shrink_picture

from kd_landmarks.evaluation.plots import LOSS_WEIGHTS, loss_curves
from kd_landmarks.losses.variants import VARIANTS, find_variant

# Of the teachers from the ground truth, in crop units.
TOUGH, TOLERANT = 0.02, 0.04
PLOT = RESULTS / "kd_loss.png"

signed = torch.linspace(-1.5 * TOLERANT, 1.5 * TOLERANT, 3001)
figure = Figure(figsize=(4 * len(VARIANTS), 5.6), dpi=150, layout="constrained")
panels = figure.subplots(2, len(VARIANTS))
for name, upper, lower in zip(VARIANTS, *panels, strict=True):
    curves = loss_curves(signed.abs(), TOUGH, TOLERANT, find_variant(name))
    upper.plot(signed, curves["tough"], label="tough")
    upper.plot(signed, curves["tolerant"], label="tolerant")
    upper.set_title(f'"{name}"')
    total = curves["total"]
    lower.plot(signed, LOSS_WEIGHTS[0] * curves["main"], color="gray", linestyle="--", label="main")
    lower.plot(signed, total, color="black", label="KD-Loss")
    least = torch.isclose(total, total.min(), atol=1e-7)
    lower.plot(signed[least], total[least], "rv", markersize=5, label="minimum")
    lower.set_xlabel("signed error p - g (crop units)")
    for axes in (upper, lower):
        for distance, shade in ((TOUGH, "C0"), (TOLERANT, "C1")):
            for side in (-distance, distance):
                axes.axvline(side, color=shade, linestyle=":", linewidth=0.8)
        axes.axhline(0, color="black", linewidth=0.5)
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small", loc="upper center")
panels[0, 0].set_ylabel("ALoss(e, d)")
panels[1, 0].set_ylabel("weighted sum")
figure.savefig(PLOT)
print(shrink_picture(PLOT))
