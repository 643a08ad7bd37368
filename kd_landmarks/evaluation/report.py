"""What is shown of measured detectors: tables of scores and pictures of faces."""

import importlib.metadata
import platform
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ..data.columns import evenly_spaced, point_array
from ..data.photos import Photos
from ..imaging.crop import square_crop
from ..imaging.drawing import BACKGROUND, contact_sheet, draw_landmarks
from ..imaging.output import save_drawing
from ..inference.facts import SCORE_COLUMNS, score_cells
from ..schemes import LandmarkScheme
from ..utils.tables import text_table
from .evaluate import Evaluation
from .plots import plot_ced

# Faces that are listed, and drawn in the sheets.
LISTED_FACES = 5
WORST_FACES = 20
SAMPLE_FACES = 12
# Pixels of a drawn face, and of the line of text below it.
FACE_SIDE = 256
CAPTION_HEIGHT = 20
# Pictures show this much more than the detector's crop.
SURROUNDINGS = 1.2


def versions() -> dict[str, str]:
    """Of Python and of the libraries that a figure may depend on."""
    names = (
        "kd-landmarks",
        "torch",
        "torchvision",
        "timm",
        "transformers",
        "accelerate",
        "datasets",
    )
    return {"python": platform.python_version()} | {
        name: importlib.metadata.version(name) for name in names
    }


def missing_landmarks(rows: Dataset) -> str:
    """How many landmarks of how many faces are not there, as a line; "" where all are."""
    gaps = np.isnan(point_array(rows, "landmarks")).any(-1)
    if not gaps.any():
        return ""
    return (
        f"Missing, not scored: {gaps.sum()} landmarks of {gaps.any(1).sum()} faces "
        f"({100 * gaps.mean():.1f} % of all)"
    )


def evaluation_text(evaluation: Evaluation, title: str) -> str:
    """The scores of all faces and of each group, and the worst faces, to print.

    Args:
        evaluation: of one detector.
        title: the first line, such as the detector and the data.
    """
    result = evaluation.result
    groups = [
        ("all faces", result),
        *evaluation.subsets.items(),
        *evaluation.attributes.items(),
    ]
    cells = [(name, str(group.faces), *score_cells(vars(group))) for name, group in groups]
    table = text_table([("", "faces", *SCORE_COLUMNS), *cells])
    low, high = evaluation.interval
    worst = evaluation.worst(LISTED_FACES)
    listed = "\n".join(f"  {result.errors[row]:6.2f} %  {evaluation.sources[row]}" for row in worst)
    lines = [f"{title}\n\n{table}\n", f"95 % interval of the NME: {low:.2f} to {high:.2f} %"]
    missing = missing_landmarks(evaluation.rows)
    if missing:
        lines.append(missing)
    if evaluation.missed is not None:
        count = len(evaluation.missed)
        lines.append(f"Missed by the detector, not scored: {count} of {count + result.faces} faces")
        lines += [f"  {source}" for source in evaluation.missed[:LISTED_FACES]]
    return "\n".join([*lines, f"Worst faces:\n{listed}"])


def write_pictures(evaluation: Evaluation, folder: Path, title: str) -> None:
    """Write ced.png, worst.png and sample.png.

    Args:
        evaluation: of one detector.
        folder: for the pictures.
        title: above the curves.
    """
    errors = np.asarray(evaluation.result.errors)
    curves = {"all faces": errors}
    if len(evaluation.subsets) > 1:
        members = np.asarray(evaluation.subset_of)
        curves |= {name: errors[members == name] for name in evaluation.subsets}
    plot_ced(curves, folder / "ced.png", title=title)
    draw_rows(evaluation, evaluation.worst(WORST_FACES), 5, folder / "worst.png")
    draw_rows(
        evaluation, evenly_spaced(len(evaluation.rows), SAMPLE_FACES), 4, folder / "sample.png"
    )


def draw_rows(evaluation: Evaluation, chosen: Sequence[int], columns: int, path: Path) -> None:
    """Write a sheet of faces with the detector's points over the ground truth, and their errors.

    Args:
        evaluation: of one detector.
        chosen: the rows to draw.
        columns: of the sheet.
        path: of the PNG.
    """
    pictures = face_pictures(
        evaluation.rows, evaluation.points, chosen, evaluation.scheme, evaluation.crop_margin
    )
    captioned = [
        _captioned(picture, f"{evaluation.result.errors[row]:.2f} %", evaluation.sources[row])
        for row, picture in zip(chosen, pictures, strict=True)
    ]
    save_drawing(contact_sheet(captioned, columns), path, "plots")


def face_pictures(
    rows: Dataset,
    points: NDArray[np.float64] | None,
    chosen: Sequence[int],
    scheme: LandmarkScheme,
    margin: float,
) -> list[Image.Image]:
    """Square pictures of faces: a detector's landmarks over the ground truth.

    Args:
        rows: in the row format.
        points: (rows, N, 2) the detector's landmarks in photo pixels; None for the truth alone.
        chosen: the rows to draw.
        scheme: of the landmarks.
        margin: of the detector's crop; pictures show a little more.
    """
    photos = Photos(rows)
    faces = rows.with_format(None).select_columns(["box", "landmarks"])
    nobody = np.empty((0, scheme.num_landmarks, 2))
    pictures = []
    for index in chosen:
        photo, face_row = photos.open(index), faces[index]
        left, top, side, _ = square_crop(face_row["box"], SURROUNDINGS * margin)
        face = photo.crop((left, top, left + side, top + side)).convert("RGB")
        corner = np.array([left, top])
        drawn = draw_landmarks(
            face,
            nobody if points is None else points[index] - corner,
            scheme,
            reference=np.asarray(face_row["landmarks"]) - corner,
            min_size=FACE_SIDE,
        )
        pictures.append(drawn.resize((FACE_SIDE, FACE_SIDE)))
    return pictures


def _captioned(picture: Image.Image, error: str, source: str) -> Image.Image:
    """The picture with a line of text below it; of a long source only its end."""
    font = ImageFont.load_default(13)
    while font.getlength(f"{error}  {source}") > picture.width - 8 and len(source) > 1:
        source = "…" + source.removeprefix("…")[1:]
    framed = Image.new("RGB", (picture.width, picture.height + CAPTION_HEIGHT), BACKGROUND)
    framed.paste(picture)
    ImageDraw.Draw(framed).text(
        (4, picture.height + 2), f"{error}  {source}", font=font, fill="white"
    )
    return framed
