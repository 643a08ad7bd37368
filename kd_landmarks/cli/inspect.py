"""`kd-landmarks inspect`."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import KDLandmarksError
from ..utils.files import check_outputs, check_writable
from ..utils.logging import set_up_logging
from ..utils.tables import facts_table
from .app import app
from .options import AllowOutside, Orientation, Split

INSPECT_HELP = """Say what a data set is before anyone trains on it.

\b
kd-landmarks inspect faces.jsonl --plots looked-at
kd-landmarks inspect faces --scheme mine.yaml --model runs/mine/student --plots looked-at

Prints counts, sizes, covered and missing landmarks, and duplicate photos and faces. --plots draws
faces with their labels, and the labels that a detector of the same landmarks disagrees with most:
look at these first.
"""
PLOTS = ("faces.png", "suspicious.png")


@app.command(help=INSPECT_HELP, no_args_is_help=True)
def inspect(
    data: Annotated[str, typer.Argument(help="Labeled faces: what --data of train takes.")],
    split: Split = None,
    scheme: Annotated[
        str | None,
        typer.Option(
            help="ibug68, wflw98, cofw29 or a YAML file. Default: the model's, or the one of "
            "these that has as many landmarks."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Detector of the same landmarks, to find suspicious labels: checkpoint folder or "
            "Hub id. Default for ibug68: the package's own."
        ),
    ] = None,
    plots: Annotated[Path | None, typer.Option(help=f"Folder for {' and '.join(PLOTS)}.")] = None,
    allow_outside: AllowOutside = False,
    orientation: Orientation = "upright",
) -> None:
    """Load, look, print and draw."""
    set_up_logging()
    from ..imaging.output import check_drawings

    pictures = [] if plots is None else [plots / name for name in PLOTS]
    check_outputs({f"--plots, {path.name},": path for path in pictures}, [data])
    check_drawings(pictures, "plots")
    if plots is not None:
        check_writable(plots, folder=True)
    from .. import default_checkpoint
    from ..data.loading import load_rows
    from ..evaluation.inspection import LISTED, draw_faces, facts
    from ..models.loading import check_same_landmarks, detector_scheme, load_detector
    from ..schemes import get_scheme

    detector = None
    if model is not None:
        detector = load_detector(model)
        wanted = detector_scheme(detector[0], model)
        if scheme is not None:
            wanted = get_scheme(scheme)
            check_same_landmarks(detector[0], wanted, model)
    else:
        wanted = get_scheme(scheme or _built_in(data, split, allow_outside))
    rows = load_rows(
        data,
        split,
        scheme=wanted,
        skip_bad_rows=True,  # to name all of them, where training stops at the first
        allow_outside=allow_outside,
        orientation=orientation,
    )
    told, rows = facts(rows, wanted)
    print(facts_table(told))
    if not len(rows):
        raise KDLandmarksError(f"no photo of {data} can be decoded: fix the photos or their paths")
    if plots is not None:
        draw_faces(rows, wanted, plots / PLOTS[0])
    if model is None and wanted.name != "ibug68":
        return

    from ..evaluation.evaluate import evaluate_detector, measurable
    from ..evaluation.report import WORST_FACES, draw_rows

    rows, problems = measurable(rows, wanted, "box")
    if problems:
        print("\nLabels that cannot be compared with a detector's:")
    for problem in problems:
        print(f"  {problem}")
    if not len(rows):
        return
    network, processor = detector or load_detector(default_checkpoint())
    found = evaluate_detector(network, processor, rows, wanted, normalizer="box", progress=True)
    print(f"\nLabels that a detector disagrees with most ({found.result.nme:.1f} % on average):")
    for row in found.worst(LISTED):
        print(f"  {found.result.errors[row]:5.1f} % of the box  {found.sources[row]}")
    if plots is not None:
        draw_rows(found, found.worst(WORST_FACES), 5, plots / PLOTS[1])


def _built_in(data: str, split: str | None, allow_outside: bool) -> str:
    """The scheme that comes with the package and has as many landmarks as the data."""
    from ..data.scheme_guess import count_and_names
    from ..schemes import SCHEMES, get_scheme

    count, _ = count_and_names(data, split, allow_outside)
    for name in SCHEMES:
        if get_scheme(name).num_landmarks == count:
            return name
    raise KDLandmarksError(
        f"{data} has faces of {count} landmarks: name their scheme (--scheme), or make one "
        "(kd-landmarks scheme new)"
    )
