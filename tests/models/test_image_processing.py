"""The one crop: which square, which pixels, and points there and back."""

import json

import numpy as np
import pytest
import torch
from blobs import centroid, draw_blob
from datasets import Dataset, Features, Image, List, Value
from PIL import Image as Pillow
from transformers import AutoImageProcessor

from kd_landmarks.data.crops import FaceCrops
from kd_landmarks.imaging.crop import (
    MAX_CROP_TO_PHOTO,
    Square,
    square_crop,
    to_crop_units,
    to_photo_pixels,
)
from kd_landmarks.models import KDLandmarksImageProcessor, KDLandmarksOutput
from kd_landmarks.schemes import get_scheme

BOX = [60, 40, 140, 140]  # 100 pixels high: a crop of 125 around (100, 90)


@pytest.fixture
def photo(rng):
    return rng.integers(0, 256, (180, 240, 3), dtype=np.uint8)


def plain(size=128, **settings):
    """A processor whose pixels are the photo's, in shares of 255."""
    size = {"height": size, "width": size}
    return KDLandmarksImageProcessor(size=size, do_normalize=False, **settings)


def pixels(photo, boxes, processor=None, **settings):
    processor = processor or plain()
    return processor(photo, boxes=boxes, return_tensors="pt", **settings)["pixel_values"]


# --- which square


@pytest.mark.parametrize(
    ("box", "margin", "square"),
    [
        # A box from pixel 10 to 20 has its center at 15 and 10 pixels from end to end.
        ([10, 10, 20, 20], 1.1, (10, 10, 11)),
        ([10, 10, 20, 20], 1.0, (10, 10, 10)),
        ([60, 40, 140, 140], 1.25, (38, 28, 125)),
        ([140, 40, 240, 60], 1.25, (128, -12, 125)),
        ([-30.5, -20, -10.5, 0], 2.0, (-40, -30, 40)),
        ([0.25, 0.25, 0.5, 0.5], 1.0, (0, 0, 1)),
    ],
)
def test_the_crop_of_known_boxes(box, margin, square):
    found = square_crop(np.array(box), margin)
    assert found == (*square, 0)
    assert all(type(value) is int for value in found[:3])


def test_the_crop_follows_its_box(rng):
    for _ in range(200):
        x, y, width, height = rng.uniform(1, 500, 4)
        left, top, side, _ = square_crop([x, y, x + width, y + height], 1.25)
        assert abs(side - 1.25 * max(width, height)) <= 0.5 or side == 1
        assert abs(left + (side - 1) / 2 - (x + width / 2)) <= 0.5 + 1e-9
        assert abs(top + (side - 1) / 2 - (y + height / 2)) <= 0.5 + 1e-9


@pytest.mark.parametrize("torched", [False, True])
def test_points_go_to_crop_units_and_back(rng, torched):
    points = rng.uniform(-500, 4000, (3, 68, 2)).astype(np.float32)
    points = torch.from_numpy(points) if torched else points
    crop = square_crop([1000.5, 700, 1900, 2200], 1.25)
    there = to_crop_units(points, crop)
    back = to_photo_pixels(there, crop)
    assert type(back) is type(points)
    assert back.dtype == there.dtype == points.dtype
    assert abs(np.asarray(back) - np.asarray(points)).max() < 1e-3


def test_crop_units_span_the_square_from_edge_to_edge():
    crop = Square(38, 28, 125)
    corners = np.array([[37.5, 27.5], [162.5, 152.5], [38, 28]])
    expected = [[0, 0], [1, 1], [0.5 / 125, 0.5 / 125]]
    np.testing.assert_allclose(to_crop_units(corners, crop), expected, atol=1e-12)


# --- which pixels


def test_a_crop_of_the_networks_size_is_the_photo_itself(photo):
    left, top, side, _ = square_crop(BOX, 1.25)
    cut = photo[top : top + side, left : left + side]
    found = pixels(photo, BOX, plain(side))[0]
    np.testing.assert_allclose(found.permute(1, 2, 0) * 255, cut, atol=1e-3)


def test_pixels_are_normalized_as_imagenet_networks_expect(photo):
    raw = pixels(photo, BOX)
    normalized = pixels(photo, BOX, KDLandmarksImageProcessor())
    mean, std = (
        torch.tensor(values).view(3, 1, 1)
        for values in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    )
    torch.testing.assert_close(normalized, (raw - mean) / std, atol=1e-5, rtol=1e-5)
    assert normalized.dtype == torch.float32


def test_outside_the_photo_is_black():
    white = np.full((50, 60, 3), 255, np.uint8)
    found = pixels(white, [-20, -30, 80, 90], plain(150))[0]
    left, top, side, _ = square_crop([-20, -30, 80, 90], 1.25)
    assert side == 150
    expected = torch.zeros(3, 150, 150)
    expected[:, -top : 50 - top, -left : 60 - left] = 1
    assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("box", "size"),
    [
        ([120, 60, 280, 240], 128),  # shrunk, 225 to 128
        ([150, 90, 230, 190], 192),  # enlarged, 125 to 192
        ([150, 90, 230, 190], 125),  # kept
        ([200, 120, 420, 340], 128),  # beyond the photo's corner
        ([-90, 10, 290, 250], 100),  # shrunk nearly five times, beyond its left edge
    ],
)
def test_a_dot_is_found_at_its_crop_units(box, size):
    """To 0.05 pixels of the photo, whatever the resize."""
    spot = np.array([211.3, 142.8])
    found = centroid(pixels(draw_blob(*spot, 6.0, 400, 300), box, plain(size))[0])
    in_photo = to_photo_pixels((found + 0.5) / size, square_crop(box, 1.25))
    np.testing.assert_allclose(in_photo, spot, atol=0.05)


# --- training sees the same pixels


def rows_of(path, boxes):
    points = np.zeros((len(boxes), 68, 2), np.float32)
    columns = {"image": [str(path)] * len(boxes), "landmarks": points.tolist(), "box": boxes}
    types = {"image": Image(), "landmarks": List(List(Value("float32")))}
    return Dataset.from_dict(
        columns, features=Features(types | {"box": List(Value("float32"), length=4)})
    )


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "RGBA", "P", "CMYK"])
def test_plain_training_crops_are_the_processors_pixels(tmp_path, photo, mode):
    picture = Pillow.fromarray(photo).resize((480, 360))
    if mode in ("LA", "RGBA"):
        picture.putalpha(Pillow.linear_gradient("L").resize(picture.size))
    picture = picture.convert(mode)
    path = tmp_path / ("photo.tiff" if mode == "CMYK" else "photo.png")
    picture.save(path)
    assert Pillow.open(path).mode == mode
    boxes = [[100, 90, 300, 280], [-40, -30, 90, 120], [400, 300, 470, 355]]
    crops = FaceCrops(rows_of(path, boxes), 96, margin=1.3)
    expected = pixels(Pillow.open(path), boxes, plain(96, crop_margin=1.3))
    for index, item in enumerate(crops):
        difference = (item["image"] / 255 - expected[index]).abs().max()
        assert difference <= 1 / 255 + 1e-6, (mode, index)
    assert crops[1]["image"][:, 0, 0].tolist() == [0, 0, 0]


def test_training_crops_show_the_photo_as_its_exif_data_turn_it(tmp_path, photo):
    exif = Pillow.Exif()
    exif[274] = 6  # "turn by 90 degrees to show"
    Pillow.fromarray(photo).save(tmp_path / "photo.png", exif=exif)
    expected = pixels(np.rot90(photo, -1).copy(), BOX, plain(125))[0] * 255
    rows = rows_of(tmp_path / "photo.png", [BOX])
    bytes_ = (tmp_path / "photo.png").read_bytes()
    embedded = Dataset.from_dict(
        rows.to_dict() | {"image": [{"bytes": bytes_, "path": None}]}, features=rows.features
    )
    for source in (rows, embedded):
        found = FaceCrops(source, 125)[0]["image"]
        torch.testing.assert_close(found.float(), expected, atol=0.01, rtol=0)


# --- boxes and photos, in every form


def test_forms_of_boxes_for_one_photo(photo):
    expected = pixels(photo, [BOX])
    for boxes in (BOX, tuple(BOX), np.array(BOX), np.array([BOX]), torch.tensor([BOX])):
        assert torch.equal(pixels(photo, boxes), expected)
    several = pixels(photo, [BOX, [10, 10, 50, 60]])
    assert several.shape == (2, 3, 128, 128)
    assert torch.equal(several[:1], expected)
    assert torch.equal(pixels([photo], [[BOX]]), expected)


def test_forms_of_boxes_for_several_photos(photo, rng):
    other = rng.integers(0, 256, (90, 100, 3), dtype=np.uint8)
    second = [20, 15, 70, 80]
    expected = torch.cat([pixels(photo, BOX), pixels(other, second)])
    nested = [[BOX], [second]]
    for boxes in (nested, np.array(nested), torch.tensor(nested), [np.array([BOX]), [second]]):
        assert torch.equal(pixels([photo, other], boxes), expected)
    uneven = pixels([photo, other, photo], [[BOX, second], [], [second]])
    assert uneven.shape[0] == 3
    assert torch.equal(uneven[0], expected[0])


def test_no_faces_are_an_empty_batch(photo):
    for one, boxes in ((photo, []), (photo, np.zeros((0, 4))), ([photo, photo], [[], []])):
        assert pixels(one, boxes).shape == (0, 3, 128, 128)


def test_forms_of_photos(photo):
    expected = pixels(photo, BOX)
    assert torch.equal(pixels(Pillow.fromarray(photo), BOX), expected)
    assert torch.equal(pixels(torch.from_numpy(photo).permute(2, 0, 1), BOX), expected)
    opaque = Pillow.fromarray(photo).convert("RGBA")
    assert torch.equal(pixels(opaque, BOX), expected)
    gray = np.array(Pillow.fromarray(photo).convert("L"))
    for one in (gray, Pillow.fromarray(gray)):
        found = pixels(one, BOX)
        assert found.shape == (1, 3, 128, 128)
        assert torch.equal(found, pixels(np.repeat(gray[..., None], 3, axis=2), BOX))
    assert torch.equal(
        pixels([gray, torch.from_numpy(gray)], [[BOX], [BOX]]), torch.cat([found] * 2)
    )


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, np.uint16])
def test_wider_numbers_from_0_to_255_are_the_same_photo(photo, kind):
    expected = pixels(photo, BOX)
    torch.testing.assert_close(pixels(photo.astype(kind), BOX), expected, atol=0.02, rtol=0)
    assert pixels(np.zeros((180, 240, 3), np.float32), BOX).isfinite().all()


def test_a_margin_may_be_a_whole_number(photo):
    assert torch.equal(pixels(photo, BOX, crop_margin=2), pixels(photo, BOX, crop_margin=2.0))


def test_a_photo_may_be_a_path(photo, tmp_path):
    Pillow.fromarray(photo).save(tmp_path / "photo.png")
    assert torch.equal(pixels(str(tmp_path / "photo.png"), BOX), pixels(photo, BOX))


# --- refused


@pytest.mark.parametrize(
    ("boxes", "complaint"),
    [
        (None, r"boxes is missing: pass each photo's face boxes"),
        ([140, 40, 60, 140], r"degenerate.*not x, y, width, height"),
        ([60, 40, 60, 140], "degenerate"),
        ([60, 40, 140, float("nan")], "four finite numbers"),
        ([[60, 40, 140]], "four finite numbers"),
        ([60, 40, 140, "x"], "four finite numbers"),
        ([[BOX], [BOX]], "boxes for 2 photos, but 1 photos"),
        ([0, 0, 99_999, 99_999], r"is more than 16 times the photo of 240 x 180"),
    ],
)
def test_boxes_that_do_not_fit_are_refused(photo, boxes, complaint):
    with pytest.raises(ValueError, match=complaint):
        pixels(photo, boxes)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda photo: photo / 255, r"multiply them by 255, or pass do_rescale=False"),
        (lambda photo: torch.from_numpy(photo).permute(2, 0, 1) / 255, r"\(float32\): multiply"),
        (lambda photo: photo.astype(np.uint16) * 257, r"\(uint16\): give values from 0 to 255"),
        (lambda photo: photo.astype(int) - 128, r"are -128 to .* give values from 0 to 255"),
        (lambda photo: photo > 128, r"\(bool\): give values from 0 to 255"),
        (lambda photo: np.where(photo > 9, photo, np.nan), "values are nan"),
        (lambda photo: Pillow.fromarray(photo[..., 0].astype(np.uint16)), "convert it to 8 bits"),
    ],
)
def test_photos_of_other_values_are_refused(photo, change, complaint):
    with pytest.raises(ValueError, match=complaint):
        pixels(change(photo), BOX)
    with pytest.raises(ValueError, match=complaint):
        pixels([photo, change(photo)], [[BOX], [BOX]])


def test_floats_to_1_are_taken_where_they_are_not_rescaled(photo):
    found = pixels(photo / 255, BOX, do_rescale=False)
    torch.testing.assert_close(found, pixels(photo, BOX), atol=0.02, rtol=0)


def test_a_bad_box_is_named_by_its_photo(photo):
    with pytest.raises(ValueError, match=r"photo 1: the face box \[5.0, 5.0, 5.0, 9.0\]"):
        pixels([photo, photo], [[BOX], [BOX, [5, 5, 5, 9]]])
    with pytest.raises(ValueError, match="boxes for 1 photos, but 2 photos"):
        pixels([photo, photo], [BOX])


def test_the_largest_crop_is_allowed_and_the_next_is_not():
    photo = np.zeros((10, 8, 3), np.uint8)
    side = MAX_CROP_TO_PHOTO * 10
    assert pixels(photo, [0, 0, side, side], plain(32, crop_margin=1.0)).shape == (1, 3, 32, 32)
    with pytest.raises(ValueError, match=f"the crop of {side + 1} pixels"):
        pixels(photo, [0, 0, side + 1, side], plain(32, crop_margin=1.0))


@pytest.mark.parametrize("margin", [0, -1.25, 11, float("nan")])
def test_a_margin_that_cannot_be_meant_is_refused(margin):
    with pytest.raises(ValueError, match="crop_margin="):
        KDLandmarksImageProcessor(crop_margin=margin)
    with pytest.raises(ValueError, match="crop_margin="):
        pixels(np.zeros((180, 240, 3), np.uint8), BOX, crop_margin=margin)


# --- settings, and the way back


def test_the_margin_is_part_of_the_checkpoint(tmp_path, photo):
    processor = plain(96, crop_margin=1.6)
    processor.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "preprocessor_config.json").read_text())["crop_margin"] == 1.6
    again = AutoImageProcessor.from_pretrained(tmp_path)
    assert isinstance(again, KDLandmarksImageProcessor)
    assert again.to_dict() == processor.to_dict()
    assert torch.equal(pixels(photo, BOX, again), pixels(photo, BOX, processor))
    assert not torch.equal(pixels(photo, BOX, again), pixels(photo, BOX, plain(96)))
    once = plain(96)(photo, boxes=BOX, crop_margin=1.6, return_tensors="pt")["pixel_values"]
    assert torch.equal(once, pixels(photo, BOX, processor))


def test_keypoints_go_back_into_their_photos(rng):
    processor = KDLandmarksImageProcessor(crop_margin=1.4)
    boxes = [[BOX, [10, 10, 50, 60]], [], [[3000, 2000, 5000, 4400]]]
    truth = [
        torch.from_numpy(rng.uniform(box[0], box[2], (5, 2))).float()
        for photo_boxes in boxes
        for box in photo_boxes
    ]
    squares = [square_crop(box, 1.4) for photo_boxes in boxes for box in photo_boxes]
    units = torch.stack(
        [to_crop_units(face.double(), crop) for face, crop in zip(truth, squares, strict=True)]
    )
    scores = torch.rand(3, 5)
    outputs = KDLandmarksOutput(keypoints=units.float(), scores=scores)
    found = processor.post_process_keypoint_detection(outputs, boxes)
    assert [len(faces) for faces in found] == [2, 0, 1]
    flat = [face for faces in found for face in faces]
    flat_boxes = [box for faces in boxes for box in faces]
    for index, face in enumerate(flat):
        torch.testing.assert_close(face["keypoints"], truth[index], atol=1e-3, rtol=0)
        assert torch.equal(face["scores"], scores[index])
        assert face["box"].tolist() == flat_boxes[index]


def test_keypoints_of_one_photo_without_scores():
    processor = KDLandmarksImageProcessor()
    outputs = KDLandmarksOutput(keypoints=torch.full((1, 3, 2), 0.5, requires_grad=True))
    for boxes in (BOX, [BOX], torch.tensor([BOX])):
        [[face]] = processor.post_process_keypoint_detection(outputs, boxes)
        assert face["keypoints"].tolist() == [[100.0, 90.0]] * 3
        assert face["scores"] is None
    [[face]] = processor.post_process_keypoint_detection(outputs, BOX, crop_margin=2.0)
    assert face["keypoints"].tolist() == [[99.5, 89.5]] * 3
    with pytest.raises(ValueError, match="2 boxes for 1 faces: pass the processor's boxes"):
        processor.post_process_keypoint_detection(outputs, [BOX, BOX])


def test_photo_to_network_and_back_on_generated_faces():
    """The whole way with a detector that knows the answer: to the hundredth of a pixel."""
    from kd_landmarks.synthetic import generated_dataset

    rows = generated_dataset(4, 5, get_scheme("ibug68").name, 96)
    crops = FaceCrops(rows, 64, margin=1.3)
    processor = plain(64, crop_margin=1.3)
    answers = torch.stack([crops[index]["landmarks"] for index in range(4)])
    boxes = [[box] for box in rows["box"]]
    inputs = pixels(list(rows["image"]), boxes, processor)
    assert inputs.shape == (4, 3, 64, 64)
    found = processor.post_process_keypoint_detection(KDLandmarksOutput(keypoints=answers), boxes)
    for [face], truth in zip(found, rows["landmarks"], strict=True):
        np.testing.assert_allclose(face["keypoints"], truth, atol=1e-3)
