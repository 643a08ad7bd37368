"""The data set of training crops: what an item holds, and what it depends on."""

import pytest
import torch
from blobs import centroid, draw_blob
from datasets import Array2D, Dataset, Features, Image, List, Value
from faces import GEOMETRY, crops_of, face_rows, settings
from PIL import Image as Pillow
from torch.utils.data import DataLoader

from kd_landmarks.data.augmentation import AugmentationSettings
from kd_landmarks.data.crops import POINT_COLUMNS, FaceCrops, TrainingOrder

SIZE = 128


@pytest.fixture(scope="module")
def faces():
    return face_rows()


# --- items


def blob_rows(folder, spot):
    """One row: a photo, black but for a blob at its one landmark, on a box far from the border."""
    picture = draw_blob(*spot, 4.0, 400, 400)
    Pillow.fromarray(picture).save(folder / "photo.png")
    columns = {
        "image": [str(folder / "photo.png")],
        "landmarks": [[list(spot)]],
        "box": [[110.0, 120.0, 250.0, 270.0]],
    }
    types = {"image": Image(), "landmarks": Array2D((1, 2), "float32")}
    types["box"] = List(Value("float32"), length=4)
    return Dataset.from_dict(columns, features=Features(types))


@pytest.mark.parametrize("strengths", GEOMETRY.values(), ids=GEOMETRY.keys())
def test_from_photo_to_crop_a_blob_stays_at_its_landmark(tmp_path, strengths):
    rows = blob_rows(tmp_path, (171.3, 202.6))
    options = {"flip_permutation": (0,), "keep": True}
    for crops in (
        FaceCrops(rows, SIZE),
        FaceCrops(rows, SIZE, augmentation=settings(**strengths), **options),
        # Another size than the loose crop suggests, and a wide view: resized twice.
        FaceCrops(rows, 90, 1.6, augmentation=settings(**strengths), loose_margin=2.5, **options),
    ):
        for key in range(8):
            item = crops[key]
            found = (centroid(item["image"]) + 0.5) / crops.image_size
            expected = item["landmarks"][0].double()
            torch.testing.assert_close(found, expected, atol=0.05 / crops.image_size, rtol=0)


def test_all_targets_ride_through_one_augmentation(faces):
    """Columns that are the ground truth plus 1, 2 and 3 photo pixels stay one straight line."""
    crops = crops_of(faces, AugmentationSettings())
    for key in range(12):
        item = crops[key]
        hard, soft, tough, tolerant = (item[column] for column in POINT_COLUMNS)
        step = soft - hard
        assert step.norm(dim=1).min() > 0.5 / 96
        torch.testing.assert_close(tough - hard, 2 * step, atol=1e-5, rtol=0)
        torch.testing.assert_close(tolerant - hard, 3 * step, atol=1e-5, rtol=0)


def test_columns_follow_the_rows(faces):
    only = crops_of(faces.remove_columns(list(POINT_COLUMNS[1:])))
    assert set(only[0]) == {"image", "landmarks", "index"}
    assert [item["index"] for item in crops_of(faces)] == list(range(6))


def same(first, second):
    return first.keys() == second.keys() and all(
        torch.equal(torch.as_tensor(first[name]), torch.as_tensor(second[name])) for name in first
    )


def test_an_item_depends_on_seed_and_key_alone(faces):
    crops = crops_of(faces, AugmentationSettings(), seed=3)
    item = crops[14]
    torch.manual_seed(99)
    crops[2]
    assert same(item, crops[14])
    assert same(item, crops_of(faces, AugmentationSettings(), seed=3)[14])
    assert item["index"] == 14 % 6
    for other in (crops[14 + 6], crops_of(faces, AugmentationSettings(), seed=4)[14]):
        assert other["index"] == item["index"]
        assert not torch.equal(other["image"], item["image"])
        assert not torch.equal(other["landmarks"], item["landmarks"])


def test_batches_do_not_depend_on_the_number_of_workers(faces):
    crops = crops_of(faces, AugmentationSettings(), keep=True)

    def batches(workers):
        order = TrainingOrder(len(crops), 16, seed=5)
        return list(DataLoader(crops, 4, sampler=order, num_workers=workers))

    alone, shared = batches(0), batches(2)
    assert len(alone) == 4
    assert all(same(first, second) for first, second in zip(alone, shared, strict=True))


def test_fetching_leaves_the_global_random_numbers_alone(faces):
    crops = crops_of(faces, AugmentationSettings())
    torch.manual_seed(11)
    expected = torch.rand(4)
    torch.manual_seed(11)
    crops[3]
    assert torch.equal(torch.rand(4), expected)


@pytest.mark.parametrize("augmentation", [None, AugmentationSettings()], ids=["plain", "augmented"])
def test_kept_crops_are_the_same_as_fresh_ones(faces, augmentation):
    kept, fresh = (crops_of(faces, augmentation, keep=keep) for keep in (True, False))
    assert kept.kept is not None
    assert fresh.kept is None
    assert all(same(kept[key], fresh[key]) for key in range(6))


def test_plain_crops_are_the_same_in_every_epoch(faces):
    crops = crops_of(faces)
    assert same(crops[1], crops[1 + 6])


# --- the order of a run


def test_every_face_comes_once_in_every_epoch():
    keys = list(TrainingOrder(7, 21 + 4, seed=1))
    assert len(keys) == len(TrainingOrder(7, 25, seed=1)) == 25
    epochs = [keys[start : start + 7] for start in (0, 7, 14)]
    for epoch, part in enumerate(epochs):
        assert sorted(part) == list(range(7 * epoch, 7 * epoch + 7))
    faces = [[key % 7 for key in part] for part in epochs]
    assert faces[0] != faces[1] != faces[2]
    assert sorted(keys[21:])[0] >= 21
    assert len(set(keys[21:])) == 4


def test_a_resumed_order_is_the_straight_ones_tail():
    straight = list(TrainingOrder(7, 40, seed=2))
    for start in range(41):
        resumed = TrainingOrder(7, 40, seed=2, start=start)
        assert list(resumed) == straight[start:]
        assert len(resumed) == 40 - start
    assert list(TrainingOrder(7, 40, seed=2, start=50)) == []
    assert list(TrainingOrder(7, 40, seed=3)) != straight
