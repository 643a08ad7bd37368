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
from ..utils.values import TABLES, ending
from .app import app
from .options import Device, MinScore, Model

PREDICT_HELP = """Find faces and their landmarks in photos.

\b
kd-landmarks predict photo.jpg
kd-landmarks predict holiday/ --out holiday.jsonl --draw drawn
kd-landmarks predict a.jpg b.png --out points.csv --model runs/300w/student

PHOTOS are files, folders (searched to any depth) and URLs. A photo that fails is reported and the
rest goes on; the exit code is 1 then. Without --out, a JSON line per photo goes to stdout.
"""


@app.command(no_args_is_help=True, help=PREDICT_HELP)
def predict(
    photos: Annotated[list[str], typer.Argument(metavar="PHOTOS...", help="What to look at.")],
    out: Annotated[
        Path | None,
        typer.Option(help="File for the points: .jsonl (a photo a line) or .csv (a face a row)."),
    ] = None,
    draw: Annotated[
        Path | None, typer.Option(help="Folder for the photos with their landmarks drawn, as PNG.")
    ] = None,
    model: Model = None,
    min_score: MinScore = 0.6,
    batch_size: Annotated[int, typer.Option(min=1, help="Photos per forward pass.")] = 8,
    device: Device = None,
) -> None:
    """Find, detect, write and draw."""
    kind = ".jsonl" if out is None else ending("--out", out, TABLES)
    set_up_logging()
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
    if out is not None:
        outputs["--out"] = out
    check_outputs(outputs, [*local_files(found), *own_files(model)])
    check_drawings(drawings.values(), "predict")
    if draw is not None:
        check_writable(draw, folder=True)
    if out is not None:
        check_writable(out)

    from tqdm.auto import tqdm

    from ..imaging.detection import YuNet
    from ..inference.pipeline import FaceLandmarkPipeline
    from ..inference.tables import PredictionWriter, draw_photo, predict_photos
    from ..models.loading import detector_scheme

    detect = FaceLandmarkPipeline(model, detector=YuNet(min_score), device=device)
    scheme = detector_scheme(detect.model, model or "the package's detector")
    faces = failed = 0
    with ExitStack() as files:
        stream: TextIO = sys.stdout
        if out is not None:
            partial = files.enter_context(new_file(out, keep=True))
            stream = files.enter_context(partial.open("w", encoding="utf-8", newline=""))
        writer = PredictionWriter(stream, kind, scheme)
        # What is printed without --out is progress enough.
        bar = files.enter_context(
            tqdm(total=len(found), unit="photo", leave=False, disable=out is None)
        )
        for photo, outcome in predict_photos(detect, found, batch_size):
            bar.update()
            writer.write(photo, outcome)
            if isinstance(outcome, KDLandmarksError):
                failed += 1
                bar.write(f"failed: {outcome}", file=sys.stderr)
                continue
            faces += len(outcome)
            if draw is not None:
                save_drawing(draw_photo(photo, outcome, scheme), drawings[photo], "predict")
    where = "".join(f", {path}" for path in (out, draw) if path is not None)
    count = f"{counted(faces, 'face')} in {counted(len(found) - failed, 'photo')}"
    print(f"{count}, {failed} failed{where}", file=sys.stderr)
    if failed:
        raise typer.Exit(1)
