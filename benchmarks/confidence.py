"""Whether confidence can be relied on: the package's student on faces, and on no faces.

    python benchmarks/confidence.py --data "$KD_LANDMARKS_DATA"

On 300W common and on the 106 WFLW faces: how often points are right at each level of confidence,
how well the order of faces and of points by confidence is their order by error (Spearman), and the
error of the surest part of the faces, which is what remains when a program throws the others away
(risk against coverage). Then crops without a face: beside those of 300W common, and of noise. Last
what `min_confidence` costs: the share of such crops, and of four kinds of faces, that the pipeline
leaves out by default, of faces given by their boxes (wild ones: YuNet's). Draws
benchmarks/results/confidence.png.
"""

from pathlib import Path
from typing import Annotated, Any

import matplotlib.pyplot as plt
import numpy as np
import typer
from datasets import Dataset
from numpy.typing import NDArray
from PIL import Image
from record import RESULTS, print_table, record, shrink_picture
from scipy.stats import spearmanr

from kd_landmarks import FaceLandmarkPipeline, default_checkpoint, load_rows
from kd_landmarks.data.columns import box_array, longer_sides, point_array
from kd_landmarks.data.photos import Photos
from kd_landmarks.data.unlabeled import load_unlabeled
from kd_landmarks.evaluation.calibrate import scores_and_errors
from kd_landmarks.imaging.boxes import overlaps
from kd_landmarks.imaging.detection import points_boxes
from kd_landmarks.inference.confidence import MIN_CONFIDENCE, Calibration
from kd_landmarks.inference.measures import interocular
from kd_landmarks.models.loading import load_detector
from kd_landmarks.schemes import get_scheme

SCHEME = get_scheme("ibug68")
COVERAGES = (1.0, 0.9, 0.75, 0.5, 0.25)
LEVELS = 10
EMPTY_CROPS = 500
SEED = 0


def main(data: Annotated[Path, typer.Option(help="Folder with 300w/ and wflw/.")]) -> None:
    """Measure, print, draw and record."""
    detect = FaceLandmarkPipeline(device="cpu")
    calibration = detect.backend.description.calibration
    assert calibration is not None  # the package's own has one
    common = load_rows(data / "300w", "common", scheme=SCHEME)
    wflw = load_rows(data / "wflw/faces.jsonl", None, scheme=SCHEME)
    measured: dict[str, Any] = {
        name: on_faces(detect, calibration, rows)
        for name, rows in (("300W common", common), ("WFLW, 106 faces", wflw))
    }
    print_table(
        ("faces", "right points", "expected", "off by", "Spearman, points", "Spearman, faces"),
        [
            (
                name,
                f"{found['right']:.3f}",
                f"{found['expected']:.3f}",
                f"{found['calibration_error']:.3f}",
                f"{found['spearman_points']:.2f}",
                f"{found['spearman_faces']:.2f}",
            )
            for name, found in measured.items()
        ],
    )
    print("\nNME % of the surest faces:\n")
    print_table(
        ("faces", *(f"{coverage:.0%}" for coverage in COVERAGES)),
        [
            (name, *(f"{found['risk'][f'{coverage:g}']:.2f}" for coverage in COVERAGES))
            for name, found in measured.items()
        ],
    )
    rng = np.random.default_rng(SEED)
    empty = {"beside the face": background(common, rng), "noise": noise(rng)}
    for name, crops in empty.items():
        sure = [detect(photo, boxes=box)[0]["face_confidence"] for photo, box in crops]
        measured[name] = {
            "crops": len(sure),
            "median": float(np.median(sure)),
            "quantile_95": float(np.quantile(sure, 0.95)),
            "left_out": float(np.mean(np.array(sure) < MIN_CONFIDENCE)),
        }
    faces = np.array(measured["300W common"].pop("face_confidence"))
    measured["WFLW, 106 faces"].pop("face_confidence")
    quantiles = np.quantile(faces, [0.05, 0.5]).tolist()
    measured["300W common"] |= {"quantile_5": quantiles[0], "median": quantiles[1]}
    low, median = quantiles
    print(f"\nConfidence of a face of 300W common: median {median:.2f}, 5 % below {low:.2f}")
    for name in empty:
        found = measured[name]
        print(f"{name}: median {found['median']:.2f}, 5 % above {found['quantile_95']:.2f}")
    aflw = load_rows(data / "aflw68/train.jsonl", None, scheme=SCHEME)
    wild = load_unlabeled(data / "unlabelled/faces.jsonl")
    measured["left out"] = {
        name: left_out(detect, rows, boxes)
        for name, rows, boxes in (
            ("300W common", common, box_array(common)),
            ("WFLW, 106 faces", wflw, box_array(wflw)),
            ("AFLW", aflw, box_array(aflw)),
            ("wild faces", wild, points_boxes(np.pad(box_array(wild), ((0, 0), (0, 1))))),
        )
    }
    shares = measured["left out"] | {name: measured[name]["left_out"] for name in empty}
    print(f"\nBelow {MIN_CONFIDENCE:g}, and so left out:\n")
    print_table(("", "share"), [(name, f"{share:.1%}") for name, share in shares.items()])
    print(record("confidence", measured, SEED))
    draw(measured)


def left_out(detect: FaceLandmarkPipeline, rows: Dataset, boxes: NDArray[np.float64]) -> float:
    """The share of faces of less confidence than the pipeline's default asks for."""
    photos = Photos(rows)
    sure = [
        detect(photos.open(index), boxes=box)[0]["face_confidence"]
        for index, box in enumerate(boxes)
    ]
    return float(np.mean(np.array(sure) < MIN_CONFIDENCE))


def on_faces(
    detect: FaceLandmarkPipeline, calibration: Calibration, rows: Dataset
) -> dict[str, Any]:
    """What confidence says of faces with ground truth, and what was so."""
    scores, errors = scores_and_errors(*load_detector(default_checkpoint()), rows)
    sure, right = calibration(scores), errors <= calibration.tolerance
    levels = np.minimum((sure * LEVELS).astype(int), LEVELS - 1)
    table = []
    for level in range(LEVELS):
        inside = levels == level
        if inside.any():
            table.append(
                {
                    "share": float(inside.mean()),
                    "confidence": float(sure[inside].mean()),
                    "right": float(right[inside].mean()),
                }
            )
    face_sure = sure.mean(axis=1)
    percent = face_errors(rows, errors)
    sorted_errors = percent[np.argsort(-face_sure, kind="stable")]
    kept = np.arange(1, len(rows) + 1)
    return {
        "faces": len(rows),
        "right": float(right.mean()),
        "expected": float(sure.mean()),
        "calibration_error": sum(
            row["share"] * abs(row["confidence"] - row["right"]) for row in table
        ),
        "levels": table,
        "spearman_points": float(spearmanr(-sure.ravel(), errors.ravel()).statistic),
        "spearman_faces": float(spearmanr(-face_sure, percent).statistic),
        "risk": {
            f"{coverage:g}": float(sorted_errors[: round(coverage * len(rows))].mean())
            for coverage in COVERAGES
        },
        "risk_curve": (sorted_errors.cumsum() / kept).round(4).tolist(),
        "best_curve": (np.sort(percent).cumsum() / kept).round(4).tolist(),
        "face_confidence": face_sure.tolist(),
    }


def face_errors(rows: Dataset, errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inter-ocular NME in percent of each face, from errors in box sides."""
    eyes = np.array([interocular(face, SCHEME) for face in point_array(rows, "landmarks")])
    return 100 * errors.mean(axis=1) * longer_sides(box_array(rows)) / eyes


def background(rows: Dataset, rng: np.random.Generator) -> list[tuple[Image.Image, list[float]]]:
    """Squares of photos beside the labeled face."""
    photos = Photos(rows)
    found: list[tuple[Image.Image, list[float]]] = []
    boxes = box_array(rows)
    for index in rng.permutation(len(rows)).tolist():
        photo = photos.open(index)
        for _ in range(20):
            side = rng.uniform(0.1, 0.3) * min(photo.size)
            corner = rng.uniform(0, 1, 2) * (np.array(photo.size) - side)
            square = np.concatenate([corner, corner + side])
            if overlaps(square[None], boxes[index])[0] == 0:
                found.append((photo, square.tolist()))
                break
        if len(found) == EMPTY_CROPS:
            break
    return found


def noise(rng: np.random.Generator) -> list[tuple[Image.Image, list[float]]]:
    """Coarse and fine noise."""
    pictures = []
    for number in range(EMPTY_CROPS):
        cells = 2 ** (2 + number % 6)
        small = rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        picture = Image.fromarray(small).resize((160, 160), Image.Resampling.BICUBIC)
        pictures.append((picture, [16.0, 16.0, 143.0, 143.0]))
    return pictures


def draw(measured: dict[str, Any]) -> None:
    """Levels against shares of right points, and risk against coverage."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
    left.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for name in ("300W common", "WFLW, 106 faces"):
        found = measured[name]
        levels = found["levels"]
        left.plot(
            [row["confidence"] for row in levels],
            [row["right"] for row in levels],
            "o-",
            label=name,
        )
        kept = np.arange(1, found["faces"] + 1) / found["faces"]
        [line] = right.plot(kept, found["risk_curve"], label=f"{name}, by confidence")
        right.plot(kept, found["best_curve"], ":", color=line.get_color(), label="by error itself")
    left.set(xlabel="confidence of points", ylabel="share of right points")
    right.set(xlabel="share of faces that are kept", ylabel="NME in %", ylim=(0, None))
    left.legend()
    right.legend()
    figure.savefig(RESULTS / "confidence.png", dpi=80)
    shrink_picture(RESULTS / "confidence.png")


if __name__ == "__main__":
    typer.run(main)
