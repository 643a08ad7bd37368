"""The face detector's box against the box that networks are trained on, and what it costs.

    python benchmarks/detector_boxes.py --data "$KD_LANDMARKS_DATA"

On the training faces of 300W: where YuNet's box lies, in shares of its own width and height, by
the tight box of the face's points. That is what `FOREHEAD` in `kd_landmarks/imaging/detection.py`
was taken from. On 300W common: the student's error with the ground-truth box, with YuNet's box as
the package corrects it, with YuNet's box as it is, with a second pass (the box of the points found
first), and with the iBUG detector's box of the data set, all on the faces that YuNet finds.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from datasets import Dataset, List, Value
from numpy.typing import NDArray
from record import print_table, record

from kd_landmarks import default_checkpoint, load_rows
from kd_landmarks.data.columns import box_array, point_array
from kd_landmarks.data.detector_boxes import with_detected_boxes
from kd_landmarks.evaluation.evaluate import Evaluation, evaluate_detector
from kd_landmarks.imaging.boxes import tight_box
from kd_landmarks.imaging.detection import find_faces
from kd_landmarks.models.loading import load_detector
from kd_landmarks.schemes import get_scheme

SCHEME = get_scheme("ibug68")
SEED = 0


def main(data: Annotated[Path, typer.Option(help="Folder with 300w/.")]) -> None:
    """Compare, score, print and record."""
    train = load_rows(data / "300w", "train", scheme=SCHEME)
    found, missed = with_detected_boxes(train, find_faces, progress=True)
    offsets = box_offsets(box_array(found)[:, :4], point_array(found, "landmarks"))
    sides = ("left", "top", "right", "bottom")
    medians = dict(zip(sides, np.median(offsets, axis=0).tolist(), strict=True))
    spreads = dict(zip(sides, np.subtract(*np.quantile(offsets, [0.75, 0.25], 0)), strict=True))
    print(f"\n{len(found)} of {len(train)} training faces found; the points' box inside YuNet's:\n")
    print_table(
        ("side", "median", "interquartile range"),
        [(side, f"{medians[side]:+.3f}", f"{spreads[side]:.3f}") for side in sides],
    )

    common = load_rows(data / "300w", "common", scheme=SCHEME)
    theirs = load_rows(data / "300w", "common", scheme=SCHEME, box="dataset")
    corrected, lost = with_detected_boxes(common, progress=True)
    names = set(corrected["source"])
    seen = [index for index, source in enumerate(common["source"]) if source in names]
    first = score(corrected)
    again = [tight_box(points).tolist() for points in first.points]
    scores = {
        "ground truth": score(common.select(seen)),
        "YuNet's, corrected": first,
        "YuNet's, as it is": score(with_detected_boxes(common, find_faces, progress=True)[0]),
        "of the points found with it": score(with_boxes(corrected, again)),
        "iBUG detector's": score(theirs.select(seen)),
    }
    print(f"\n{len(seen)} of {len(common)} test faces found:\n")
    print_table(
        ("box", "faces", "NME %", "FR8 %", "FR10 %"),
        [
            (
                name,
                found.result.faces,
                f"{found.result.nme:.2f}",
                f"{found.result.failure_rate_8:.2f}",
                f"{found.result.failure_rate_10:.2f}",
            )
            for name, found in scores.items()
        ],
    )
    measured = {
        "train": {
            "faces": len(train),
            "missed": missed,
            "median": medians,
            "interquartile_range": {side: float(spreads[side]) for side in sides},
        },
        "common": {"faces": len(common), "missed": lost}
        | {name: found.to_dict() for name, found in scores.items()},
    }
    print(record("detector_boxes", measured, SEED))


def box_offsets(boxes: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far the points' box begins inside a box (faces, 4), in shares of its width and height."""
    inner = np.stack([tight_box(face) for face in points])
    size = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    return (inner - boxes) / size * [1, 1, -1, -1]


def with_boxes(rows: Dataset, boxes: list[list[float]]) -> Dataset:
    """The same faces in other boxes."""
    feature = List(Value("float32"), length=4)
    return rows.remove_columns("box").add_column("box", boxes, feature=feature)


def score(rows: Dataset) -> Evaluation:
    """The package's own student on rows."""
    return evaluate_detector(*load_detector(default_checkpoint()), rows, SCHEME)


if __name__ == "__main__":
    typer.run(main)
