"""`kd-landmarks calibrate`."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import KDLandmarksError
from ..utils.logging import set_up_logging
from .app import app
from .options import AllowOutside, Orientation, Split

CALIBRATE_HELP = """Calibrate a detector's confidence: the probability that a point is right.

\b
kd-landmarks calibrate runs/300w/student --data more-faces

Takes faces with ground truth that the detector was not trained on (a few hundred are enough), and
writes to its config.json how the spread of a point's map relates to its error. Nothing is trained,
and the points do not change.
"""


@app.command(no_args_is_help=True, help=CALIBRATE_HELP)
def calibrate(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="Folder of the detector.")
    ],
    data: Annotated[str, typer.Option(help="Faces, as --data of `evaluate` takes them.")],
    split: Split = None,
    faces: Annotated[
        int, typer.Option(min=1, help="How many of them at most, evenly spread.")
    ] = 1000,
    allow_outside: AllowOutside = False,
    orientation: Orientation = "upright",
) -> None:
    """Load, look, fit, write and print."""
    if not checkpoint.is_dir():
        raise KDLandmarksError(
            f"{checkpoint} is not a folder: give a stage's folder in a finished run"
        )
    set_up_logging()
    from ..data.columns import evenly_spaced
    from ..data.loading import load_rows
    from ..data.row_checks import check_rows
    from ..evaluation.calibrate import calibrate_checkpoint
    from ..evaluation.evaluate import warn_of_trained_faces
    from ..models.loading import detector_scheme, load_detector

    warn_of_trained_faces(checkpoint, data, split)
    detector, processor = load_detector(checkpoint)
    scheme = detector_scheme(detector, checkpoint)
    rows = load_rows(
        data,
        split,
        scheme=scheme,
        skip_bad_rows=True,
        allow_outside=allow_outside,
        orientation=orientation,
    )
    chosen = rows.select(evenly_spaced(len(rows), faces))
    rows = check_rows(chosen, scheme, skip_bad_rows=True)
    found = calibrate_checkpoint(checkpoint, detector, processor, rows, progress=True)
    print(
        f"{len(rows)} faces: a point counts as right within {100 * found.tolerance:g} % of the "
        f"longer side of the face box\nwritten to {checkpoint / 'config.json'}"
    )
