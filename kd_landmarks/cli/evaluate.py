"""`kd-landmarks evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from ..utils.files import check_outputs, check_writable, write_json
from ..utils.logging import set_up_logging
from ..utils.values import MAX_COUNT, one_of
from .app import app
from .options import AllowOutside, Model, Orientation, Split

PLOTS = ("ced.png", "worst.png", "sample.png")
"""What `--plots` draws."""

# In the help texts, a line with \b keeps the lines after it as they are.
EVALUATE_HELP = """Measure a detector on faces with ground truth.

\b
kd-landmarks evaluate --data 300w/test_common.jsonl
kd-landmarks evaluate --data 300w --split common --model runs/300w/student
kd-landmarks evaluate --data WFLW --split test --model ID --json scores.json --plots plots

Prints NME, failure rates at 8 and 10 % and AUC of all faces, of each subset and of each attribute,
and lists the worst faces. Faces are cropped as in the detector's training. If the data have labels
of several landmark schemes, those of the detector's scheme are used.
"""


@app.command(no_args_is_help=True, help=EVALUATE_HELP)
def evaluate(
    data: Annotated[
        str,
        typer.Option(
            help="JSON lines or Parquet (a file or a folder), the official folder of 300W, WFLW or "
            "COFW, or the id of a data set on the Hub."
        ),
    ],
    model: Model = None,
    split: Split = None,
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit of a data set on the Hub.")
    ] = None,
    box: Annotated[
        str,
        typer.Option(
            help="Box of each face: gt, tight around the ground truth; upright, the same with "
            "the face's roll removed; dataset, the data's own; or detector, from the package's "
            "face detector. Faces that it misses are counted and listed, but not scored."
        ),
    ] = "gt",
    normalizer: Annotated[
        str | None,
        typer.Option(
            help="What errors are divided by: inter_ocular, inter_pupil, box, or "
            "inter_ocular_stretched (the paper's for 300W). Default: the first of these that the "
            "landmarks' scheme has."
        ),
    ] = None,
    json: Annotated[
        Path | None, typer.Option(help="File for the scores and each face's error.")
    ] = None,
    plots: Annotated[
        Path | None,
        typer.Option(
            help="Folder for ced.png, the error curves, worst.png and sample.png, faces with "
            "points. Do not publish pictures of faces whose license does not allow it: those of "
            "300W, WFLW and COFW are for research only."
        ),
    ] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, max=MAX_COUNT, help="Faces per forward pass.")
    ] = 64,
    skip_bad_rows: Annotated[
        bool,
        typer.Option("--skip-bad-rows", help="Leave broken rows out instead of stopping."),
    ] = False,
    allow_outside: AllowOutside = False,
    orientation: Orientation = "upright",
) -> None:
    """Load, measure, print and write."""
    from ..evaluation.metrics import EVALUATION_BOXES, NORMALIZERS

    one_of("--box", box, EVALUATION_BOXES)
    if normalizer is not None:
        one_of("--normalizer", normalizer, NORMALIZERS)
    set_up_logging()
    from ..imaging.output import check_drawings
    from ..inference.checkpoints import own_files

    # What cannot be written, or would replace something, is better known before the work.
    pictures = {} if plots is None else {f"--plots, {name},": plots / name for name in PLOTS}
    outputs = pictures | ({} if json is None else {"--json": json})
    check_outputs(outputs, [data, *own_files(model)])
    check_drawings(pictures.values(), "plots")
    if json is not None:
        check_writable(json)
    if plots is not None:
        check_writable(plots, folder=True)

    from .. import default_checkpoint
    from ..evaluation.evaluate import evaluate as measure
    from ..evaluation.report import evaluation_text, versions, write_pictures

    name = model or Path(default_checkpoint()).name
    found = measure(
        model,
        data,
        split,
        box=box,
        normalizer=normalizer,
        batch_size=batch_size,
        progress=True,
        revision=revision,
        skip_bad_rows=skip_bad_rows,
        allow_outside=allow_outside,
        orientation=orientation,
    )

    where = data if split is None else f"{data}, {split}"
    normalizer = found.result.normalizer
    protocol = f"{found.scheme.name}, {normalizer}, box: {box}, crop margin {found.crop_margin:g}"
    print(evaluation_text(found, f"{name} on {where}\n{protocol}"))
    if json is not None:
        asked = {"model": name, "data": data, "split": split, "revision": revision, "box": box}
        write_json(json, {**asked, "versions": versions(), **found.to_dict()})
    if plots is not None:
        title = f"{Path(name).name}, {len(found.rows)} faces, {normalizer}, box: {box}"
        write_pictures(found, plots, title)
