"""How strong the ridge of a refinement's start should be, on faces that the network has not seen.

    python benchmarks/refinement.py --data "$KD_LANDMARKS_DATA" runs/NAME/baseline

Takes a network with an integral head that was trained without the validation faces of seed 0, and
without 165 of AFLW's and 100 of its turned ones. Fits the refinement to training faces with ridges
of several strengths, and scores each on the faces left out, in the ground truth's boxes and
(300W's) in the iBUG detector's, and on the 106 WFLW faces. Training faces are 300W's, AFLW's with a
weight of 0 to 1 each, and its turned ones by the landmarks that they show: labels of one data set
have habits, which a map learns too.
Beside them: without refinement, and with the one that gradients alone have trained, if any. And
what it costs on ONNX Runtime, one thread, the network with and without taking turns.
"""

import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from datasets import Dataset
from onnx_time import milliseconds_a_face
from record import print_table, record

from kd_landmarks import KDLandmarksForKeypointDetection, load_rows
from kd_landmarks.data.columns import point_array
from kd_landmarks.data.crops import FaceCrops
from kd_landmarks.data.splits import split_by_photo
from kd_landmarks.evaluation.metrics import nme
from kd_landmarks.evaluation.predictions import predict_rows
from kd_landmarks.imaging.crop import to_crop_units, to_photo_pixels
from kd_landmarks.inference.export import export_onnx
from kd_landmarks.models import KDLandmarksImageProcessor
from kd_landmarks.models.loading import load_detector
from kd_landmarks.models.modeling_kd_landmarks import ShapeRefinement
from kd_landmarks.schemes import get_scheme
from kd_landmarks.training.refinement import (
    RIDGE,
    faces_of_fit,
    fit_refinement,
    start_refinement,
)

SCHEME = get_scheme("ibug68")
# Ridge, AFLW's weight, its turned faces' weight.
FITS = (
    *((ridge, 0.0, 0.0) for ridge in (0.0001, 0.001, RIDGE, 0.01, 0.1, 1.0)),
    *((RIDGE, weight, 0.0) for weight in (0.25, 0.5, 1.0)),
    *((RIDGE, 0.5, weight) for weight in (0.5, 1.0, 2.0)),
)
# Faces that the network has not seen.
VALIDATION_FACES, AFLW_FACES, TURNED_FACES = 300, 165, 100
TURNED = "AFLW, turned (of the box)"
SEED = 0


def main(
    network: Annotated[Path, typer.Argument(help="Checkpoint of a run.")],
    data: Annotated[Path, typer.Option(help="Folder with 300w/ and wflw/.")],
) -> None:
    """Fit, score, print and record."""
    model, processor = load_detector(network)
    trained, model.head.refinement = model.head.refinement, None
    train, validation = held_out(data / "300w", VALIDATION_FACES, "train")
    aflw = held_out(data / "aflw68/train.jsonl", AFLW_FACES)
    turned = held_out(data / "aflw68/train_self_occluded.jsonl", TURNED_FACES)
    faces = {
        "300W validation": validation,
        "in the iBUG detector's boxes": held_out(
            data / "300w", VALIDATION_FACES, "train", box="dataset"
        )[1],
        "AFLW": aflw[1],
        TURNED: turned[1],
        "WFLW, 106 faces": load_rows(data / "wflw/faces.jsonl", scheme=SCHEME),
    }
    found = {name: points_and_crops(model, processor, rows) for name, rows in faces.items()}
    scores = {"none": score(faces, found, None)}
    if trained is not None:
        scores["trained by gradients"] = score(faces, found, trained)
    model.head.refinement = layer = ShapeRefinement(SCHEME.num_landmarks)
    start_refinement(model, processor, train, SCHEME, "landmarks", fitted=False)
    seen = [
        faces_of_fit(model, processor, rows, SCHEME, "landmarks")
        for rows in (train, aflw[0], turned[0])
    ]
    found_points, truth, counts = (np.concatenate(parts) for parts in zip(*seen, strict=True))
    sizes = [len(points) for points, *_ in seen]
    for ridge, *weights in FITS:
        by_source = np.repeat([1.0, *weights], sizes)[:, None]
        fit_refinement(layer, found_points, truth, counts * by_source, SCHEME, ridge)
        label = f"{ridge:g}, AFLW {weights[0]:g}, turned {weights[1]:g}"
        scores[label] = score(faces, found, layer)
    print_table(
        ("ridge, weights", *faces),
        [(name, *(f"{value:.3f}" for value in row.values())) for name, row in scores.items()],
    )
    print(f"the ridge in use: {RIDGE:g}")
    times = milliseconds(model, processor)
    print(", ".join(f"{name} {value:.3f} ms a face" for name, value in times.items()))
    measured = {"network": network.name, "nme": scores, "milliseconds": times}
    print(record("refinement", measured, SEED))


def milliseconds(
    model: KDLandmarksForKeypointDetection, processor: KDLandmarksImageProcessor
) -> dict[str, float]:
    """Median time of a face with and without the model's refinement."""
    refinement, names = model.head.refinement, ("refined", "without")
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{name}.onnx" for name in names]
        for file, layer in zip(files, (refinement, None), strict=True):
            model.head.refinement = layer
            export_onnx(model.eval(), processor, file)
        return dict(zip(names, milliseconds_a_face(files), strict=True))


def held_out(
    source: Path, count: int, split: str | None = None, box: str = "gt"
) -> tuple[Dataset, Dataset]:
    """Training and held-back faces of seed 0, in boxes of a kind."""
    return split_by_photo(load_rows(source, split, scheme=SCHEME, box=box), count, SEED)


def points_and_crops(
    model: KDLandmarksForKeypointDetection, processor: KDLandmarksImageProcessor, rows: Dataset
) -> tuple[np.ndarray, FaceCrops]:
    """A network's points in crop units, (rows, N, 2), and the crops that they are of."""
    crops = FaceCrops(rows, model.config.image_size, processor.crop_margin, keep=False)
    pixels = predict_rows(model, processor, crops).points
    pairs = zip(pixels, crops.crops, strict=True)
    return np.stack([to_crop_units(points, crop) for points, crop in pairs]), crops


@torch.no_grad()
def score(
    faces: dict[str, Dataset],
    found: dict[str, tuple[np.ndarray, FaceCrops]],
    layer: ShapeRefinement | None,
) -> dict[str, float]:
    """NME in percent by kind of faces, of points as they are or refined."""
    scores = {}
    for name, rows in faces.items():
        points, crops = found[name]
        if layer is not None:
            points = layer(torch.from_numpy(points).float()).double().numpy()
        pairs = zip(points, crops.crops, strict=True)
        pixels = np.stack([to_photo_pixels(face, crop) for face, crop in pairs])
        by = "box" if name == TURNED else "inter_ocular"
        scores[name] = float(nme(pixels, point_array(rows, "landmarks"), SCHEME, by).mean())
    return scores


if __name__ == "__main__":
    typer.run(main)
