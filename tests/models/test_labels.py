"""Labels for transformers' Trainer: the ground truth in crop units, with gaps; and the example."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from faces import write_lines
from transformers import AutoModelForKeypointDetection

from kd_landmarks import default_checkpoint
from kd_landmarks.imaging.crop import square_crop, to_crop_units
from kd_landmarks.models.loading import load_detector
from kd_landmarks.synthetic import generate_face

EXAMPLE = Path(__file__).parents[2] / "examples/finetune_with_trainer.py"


@pytest.fixture(scope="module")
def detector():
    return load_detector(default_checkpoint())


@pytest.fixture
def faces():
    return [generate_face(seed, size=120) for seed in range(3)]


def box_of(face):
    return [*face.landmarks.min(0).tolist(), *face.landmarks.max(0).tolist()]


def test_landmarks_become_labels_in_crop_units(detector, faces):
    _, processor = detector
    boxes = [[box_of(face)] for face in faces]
    photos = [face.image for face in faces]
    wanted = np.stack(
        [to_crop_units(face.landmarks, square_crop(box_of(face), 1.25)) for face in faces]
    )
    kinds = {
        "arrays": [face.landmarks[None] for face in faces],
        "lists": [[face.landmarks.tolist()] for face in faces],
        "one face a photo": [face.landmarks.tolist() for face in faces],
        "tensor": torch.from_numpy(np.stack([face.landmarks for face in faces])),
    }
    for landmarks in kinds.values():
        found = processor(photos, boxes=boxes, landmarks=landmarks, return_tensors="pt")
        assert found["labels"].dtype == torch.float32
        np.testing.assert_allclose(found["labels"].numpy(), wanted, atol=1e-5)
    assert "labels" not in processor(photos, boxes=boxes)


def test_several_faces_of_a_photo_have_theirs_in_order(detector, faces):
    _, processor = detector
    photo = np.concatenate([faces[0].image, faces[1].image], axis=1)
    second = faces[1].landmarks + np.array([120, 0], np.float32)
    boxes = [box_of(faces[0]), [*second.min(0), *second.max(0)]]
    found = processor(photo, boxes=boxes, landmarks=[faces[0].landmarks, second])
    for label, points, box in zip(
        found["labels"], (faces[0].landmarks, second), boxes, strict=True
    ):
        np.testing.assert_allclose(label, to_crop_units(points, square_crop(box, 1.25)), atol=1e-5)


def test_photos_may_be_without_faces(detector, faces):
    _, processor = detector
    photos = [faces[0].image, faces[1].image]
    boxes = [np.empty((0, 4)), [box_of(faces[1])]]
    found = processor(photos, boxes=boxes, landmarks=[[], [faces[1].landmarks]])
    assert found["labels"].shape == (1, 68, 2)
    nobody = processor(photos[:1], boxes=boxes[:1], landmarks=[[]], return_tensors="pt")
    assert len(nobody["labels"]) == len(nobody["pixel_values"]) == 0


def test_landmarks_that_are_not_there_are_no_part_of_the_loss(detector, faces):
    model, processor = detector
    labels = faces[0].landmarks.tolist()
    labels[3], labels[4] = None, [None, None]
    labels[5] = [float("nan")] * 2
    found = processor(faces[0].image, boxes=box_of(faces[0]), landmarks=labels, return_tensors="pt")
    gaps = found["labels"].isnan()
    assert gaps[0, 3:6].all()
    assert gaps.sum() == 6
    with torch.no_grad():
        output = model(**found)
    there = ~gaps[0, :, 0]
    away = (output.keypoints - found["labels"])[0, there].abs().mean()
    assert output.loss.item() == pytest.approx(away.item(), rel=1e-5)
    found["labels"][:] = float("nan")
    with torch.no_grad():
        assert model(**found).loss.item() == 0


@pytest.mark.parametrize("first", [[None], [None] * 68])
def test_the_first_face_may_lack_its_first_landmarks_or_all(detector, faces, first):
    _, processor = detector
    boxes = [box_of(faces[0])] * 2
    whole = faces[0].landmarks.tolist()
    found = processor(
        faces[0].image, boxes=boxes, landmarks=[[*first, *whole[len(first) :]], whole]
    )
    assert np.isnan(found["labels"]).any(-1).sum(-1).tolist() == [len(first), 0]
    if len(first) == 1:
        alone = processor(
            faces[0].image, boxes=boxes[:1], landmarks=[[None, *whole[1:]]], return_tensors="pt"
        )
        np.testing.assert_array_equal(alone["labels"][0], found["labels"][0])


def test_labels_of_other_landmarks_are_refused(detector, faces):
    model, processor = detector
    first, box = faces[0].landmarks[:1], box_of(faces[0])
    inputs = processor(faces[0].image, boxes=box, landmarks=first, return_tensors="pt")
    with pytest.raises(ValueError, match=r"labels are \(1, 1, 2\), the keypoints \(1, 68, 2\)"):
        model(**inputs)


@pytest.mark.parametrize(
    "landmarks", [[[1, 2, 3]], [], [[[1, 2]], [[1, 2]]], "points", [[["a", "b"]]], 3]
)
def test_landmarks_that_do_not_fit_the_boxes_are_refused(detector, faces, landmarks):
    _, processor = detector
    with pytest.raises(ValueError, match="landmarks do not fit 1 boxes: give x, y"):
        processor(faces[0].image, boxes=box_of(faces[0]), landmarks=landmarks)


def test_the_example_trains_measures_and_saves(tmp_path, capsys):
    folder = tmp_path / "faces"
    write_lines(folder, range(10))
    main = runpy.run_path(str(EXAMPLE))["main"]
    main(str(folder), str(tmp_path / "out"), default_checkpoint(), epochs=1)
    assert "eval_nme" in capsys.readouterr().out
    model = AutoModelForKeypointDetection.from_pretrained(tmp_path / "out")
    assert model.config.num_landmarks == 68
    assert load_detector(tmp_path / "out")[1].crop_margin == 1.25
