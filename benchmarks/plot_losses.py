"""Draw the assistive losses and KD-Loss of all variants: benchmarks/results/kd_loss.png.

python benchmarks/plot_losses.py
"""

from record import RESULTS, shrink_picture

from kd_landmarks.evaluation.plots import plot_kd_loss

print(
    shrink_picture(
        plot_kd_loss(RESULTS / "kd_loss.png", tough_distance=0.02, tolerant_distance=0.04)
    )
)
