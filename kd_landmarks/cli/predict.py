"""`kd-landmarks predict`."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, TextIO

import typer

from ..errors import KDLandmarksError
from ..utils.files import check_outputs, check_writable, new_file
from ..utils.logging import set_up_logging
from ..utils.tables import counted
from ..utils.values import MAX_COUNT, TABLES, ending
from .app import app
from .options import Device, Measures, MinConfidence, MinScore, Model, finite

PREDICT_HELP = """Find faces and their landmarks in photos.

\b
kd-landmarks predict photo.jpg
kd-landmarks predict holiday/ --output holiday.jsonl --draw drawn
kd-landmarks predict a.jpg b.png --output points.csv --model runs/300w/student

PHOTOS are files, folders (searched to any depth) and URLs. A photo that fails is reported and the
others go on; the exit code is then 1. Without --output, one JSON line per photo goes to stdout.
"""


@app.command(no_args_is_help=True, help=PREDICT_HELP)
def predict(
    photos: Annotated[list[str], typer.Argument(metavar="PHOTOS...", help="Files, folders, URLs.")],
    output: Annotated[
        Path | None,
        typer.Option(
            help="File for the points: .jsonl (a photo a line), .csv (a face a row) or .json (COCO "
            "keypoints)."
        ),
    ] = None,
    draw: Annotated[
        Path | None, typer.Option(help="Folder for the photos with their landmarks drawn, as PNG.")
    ] = None,
    model: Model = None,
    min_score: MinScore = 0.6,
    min_confidence: MinConfidence = 0.65,
    smallest_face: Annotated[
        float | None,
        typer.Option(
            min=1,
            callback=finite,
            help="Longer side in pixels of the smallest faces to search the whole photo for; lower "
            "is slower. Default: 10 % of the photo, and less only where smaller faces seem likely.",
        ),
    ] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, max=MAX_COUNT, help="Photos per forward pass.")
    ] = 8,
    device: Device = None,
    measures: Measures = False,
) -> None:
    """Find, detect, write and draw."""
    kind = ".jsonl" if output is None else ending("--output", output, TABLES)
    set_up_logging(light=True)
    from ..imaging.output import check_drawings, save_drawing
    from ..inference.checkpoints import own_files
    from ..inference.folders import drawn_names, find_photos, local_files

    # What cannot be written, or would replace something, is better known before the work.
    found = find_photos(photos)
    drawings: dict[str, Path] = {}
    if draw is not None:
        different = list(dict.fromkeys(found))
        names = drawn_names(different)
        drawings = {photo: draw / name for photo, name in zip(different, names, strict=True)}
    outputs = {f"the drawing of {photo},": path for photo, path in drawings.items()}
    if output is not None:
        outputs["--output"] = output
    check_outputs(outputs, [*local_files(found), *own_files(model)])
    check_drawings(drawings.values(), "predict")
    if draw is not None:
        check_writable(draw, folder=True)
    if output is not None:
        check_writable(output)

    from tqdm.auto import tqdm

    from ..imaging.detection import YuNet
    from ..inference.measures import check_measures
    from ..inference.pipeline import FaceLandmarkPipeline
    from ..inference.tables import PredictionWriter, predict_photos

    finder = YuNet(min_score, smallest_face)
    detect = FaceLandmarkPipeline(
        model, detector=finder, min_confidence=min_confidence, device=device
    )
    scheme = detect.scheme
    if measures:
        check_measures(scheme)
    faces = failed = 0
    with ExitStack() as files:
        stream: TextIO = sys.stdout
        if output is not None:
            partial = files.enter_context(new_file(output, keep=True))
            stream = files.enter_context(partial.open("w", encoding="utf-8", newline=""))
        writer = PredictionWriter(stream, kind, scheme, measures)
        # What is printed without --output is progress enough.
        bar = files.enter_context(
            tqdm(total=len(found), unit="photo", leave=False, disable=output is None)
        )
        for photo, outcome in predict_photos(detect, found, batch_size):
            bar.update()
            writer.write(photo, outcome)
            if isinstance(outcome, KDLandmarksError):
                failed += 1
                bar.write(f"failed: {outcome}", file=sys.stderr)
                continue
            faces += len(outcome)
            if draw is None:
                continue
            try:
                drawn = outcome.plot()
            except KDLandmarksError as error:  # of an address that does not answer once more
                failed += 1
                bar.write(f"failed: drawing {photo}: {error}", file=sys.stderr)
                continue
            save_drawing(drawn, drawings[photo], "predict")
        writer.close()
    where = "".join(f", {path}" for path in (output, draw) if path is not None)
    count = f"{counted(faces, 'face')} in {counted(len(found) - failed, 'photo')}"
    print(f"{count}, {failed} failed{where}", file=sys.stderr)
    if failed:
        raise typer.Exit(1)
