"""Plots of results: CED curves, and the values of those of KD-Loss.

Nothing here touches pyplot, so it works without a display and beside a notebook's figures.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from ..errors import KDLandmarksError
from ..imaging.output import mark
from ..utils.files import new_file
from .metrics import auc, ced

if TYPE_CHECKING:
    from torch import Tensor

    from ..losses.variants import KDLossVariant

MAX_ERROR = 10.0
"""Where the error axis of `plot_ced` ends, in percent; its legend gives the AUC up to there."""
LOSS_WEIGHTS = (2.0, 1.0, 1.0)
"""Of the main term and the two assistive ones in `loss_curves`: those of the authors' program."""
_DPI = 150


def plot_ced(curves: Mapping[str, ArrayLike], path: Path, title: str = "") -> Path:
    """Draw cumulative error distributions into a PNG file.

    Args:
        curves: Name -> errors (B,) of the faces in percent, such as `EvaluationResult.errors`.
        path: The file to write.
        title: Above the plot, such as the test set and the normalizer.

    Returns:
        The path written.

    Raises:
        KDLandmarksError: No curves, or one that is empty or has NaN.
    """
    if not curves:
        raise KDLandmarksError("there are no curves: give at least one name with its errors")
    figure = Figure(figsize=(6, 4.2), dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    for name, errors in curves.items():
        x, y = ced(errors, MAX_ERROR)
        # The space, since matplotlib leaves out of legends what begins with an underscore.
        label = (
            f" {_plain(name)} (NME {np.mean(np.asarray(errors)):.2f} %, "
            f"AUC{MAX_ERROR:g} {auc(errors, MAX_ERROR):.3f})"
        )
        axes.plot(x, 100 * y, drawstyle="steps-post", label=label, linewidth=1.6)
    axes.set(
        xlim=(0, MAX_ERROR),
        ylim=(0, 100),
        xlabel="normalized mean error of a face (%)",
        ylabel="faces with at most this error (%)",
        title=_plain(title),
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize="small")
    with new_file(path) as partial:
        figure.savefig(partial, metadata=mark("plots"))
    return path


def _plain(text: str) -> str:
    """A text that matplotlib takes for no formula."""
    return text.replace("$", r"\$")


def loss_curves(
    error: "Tensor",
    tough_distance: float,
    tolerant_distance: float,
    variant: "KDLossVariant",
) -> dict[str, "Tensor"]:
    """KD-Loss of one coordinate over the student's error.

    Args:
        error: e = |p - g| >= 0, crop units.
        tough_distance: |t - g| of the Tough-Teacher, crop units.
        tolerant_distance: |t - g| of the Tolerant-Teacher, crop units.
        variant: its constants.

    Returns:
        `tough`, `tolerant` and `main`, unweighted, and their `total` by `LOSS_WEIGHTS`; each like
        `error`.
    """
    from ..losses.variants import main_loss

    far_tough, far_tolerant = (
        error.new_full(error.shape, distance) for distance in (tough_distance, tolerant_distance)
    )
    tough = variant.assist(error, far_tough, variant.tough)
    tolerant = variant.assist(error, far_tolerant, variant.tolerant)
    main = main_loss(error, far_tolerant, variant.main, variant.main_slope)
    total = LOSS_WEIGHTS[0] * main + LOSS_WEIGHTS[1] * tough + LOSS_WEIGHTS[2] * tolerant
    return {"tough": tough, "tolerant": tolerant, "main": main, "total": total}
