"""From photos and boxes to landmarks in photo pixels: one way, whatever form they come in."""

import numpy as np
import pytest
import torch
from blobs import draw_blob
from PIL import Image
from small_networks import small_network
from torch import nn
from torch.utils.data import Dataset
from transformers import SuperPointConfig, SuperPointForKeypointDetection, pipeline

from kd_landmarks import (
    FaceLandmarkPipeline,
    KDLandmarksError,
    KDLandmarksForKeypointDetection,
    KDLandmarksImageProcessor,
)
from kd_landmarks.inference.pipeline import FACES_PER_PASS

SPOT = (211.3, 142.8)
BOX = [150.0, 90.0, 260.0, 210.0]
SIZE = {"height": 64, "width": 64}


class BrightSpot(nn.Module):
    """Finds the one bright spot of a crop: a detector whose right answer is known."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, pixels):
        assert len(pixels) <= FACES_PER_PASS
        brightness = pixels.float().sum(1)
        total = brightness.sum((1, 2)).clamp(min=1e-6)
        centers = (torch.arange(pixels.shape[-1]) + 0.5) / pixels.shape[-1]
        x, y = (brightness.sum(1) @ centers) / total, (brightness.sum(2) @ centers) / total
        return torch.stack([x, y], -1)[:, None], total[:, None], None


@pytest.fixture(scope="module")
def spotter():
    model = small_network("linear", num_landmarks=1)
    model.backbone, model.head = nn.Identity(), BrightSpot()
    processor = KDLandmarksImageProcessor(size=SIZE, do_normalize=False)
    return FaceLandmarkPipeline(model, processor, device="cpu")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    small_network().save_pretrained(folder)
    KDLandmarksImageProcessor(size=SIZE, crop_margin=1.4).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def detect(checkpoint):
    return FaceLandmarkPipeline(checkpoint, device="cpu")


@pytest.fixture
def photo():
    return draw_blob(*SPOT, 6.0, 400, 300)


@pytest.fixture
def photos(rng):
    return [rng.integers(0, 256, (90 + 9 * k, 120, 3), dtype=np.uint8) for k in range(5)]


BOXES = [
    [[10, 20, 60, 70]],
    [[5, 5, 80, 70], [-20, 30, 40, 95.5], [60, 10, 140, 90]],
    [],
    [[30.25, 12.5, 77.75, 66]],
    [[0, 0, 119, 125], [40, 40, 60, 60]],
]


def points(faces):
    return [face["keypoints"] for face in faces]


def assert_same(found, expected, tolerance=1e-4):
    """Lists of lists of faces, equal to `tolerance` of their boxes' sides."""
    assert [len(faces) for faces in found] == [len(faces) for faces in expected]
    for faces, others in zip(found, expected, strict=True):
        for face, other in zip(faces, others, strict=True):
            assert face["box"] == other["box"]
            x0, y0, x1, y1 = face["box"]
            difference = abs(face["keypoints"] - other["keypoints"]).max()
            assert difference <= tolerance * max(x1 - x0, y1 - y0)


# --- what comes out


def test_a_face_is_points_scores_and_box(detect, photos):
    [face, other] = detect(photos[0], boxes=[[10, 20, 60, 70], [40, 5.5, 90, 60]])
    assert face["keypoints"].shape == (7, 2)
    assert face["keypoints"].dtype == face["scores"].dtype == np.float32
    assert face["scores"].shape == (7,)
    assert face["box"] == [10.0, 20.0, 60.0, 70.0]
    assert other["box"] == [40.0, 5.5, 90.0, 60.0]
    assert all(type(value) is float for value in face["box"])
    assert not np.allclose(face["keypoints"], other["keypoints"], atol=1)


def test_the_linear_head_has_no_scores(photos):
    processor = KDLandmarksImageProcessor(size=SIZE)
    detect = FaceLandmarkPipeline(small_network("linear"), processor, device="cpu")
    for face in detect(photos[1], boxes=BOXES[1]):
        assert face["scores"] is None
    assert [len(faces) for faces in detect(photos, boxes=BOXES, batch_size=2)] == [1, 3, 0, 1, 2]


def test_points_are_the_processors(detect, checkpoint, photos):
    """No geometry but the processor's: the same points as with model and processor by hand."""
    model = KDLandmarksForKeypointDetection.from_pretrained(checkpoint)
    processor = KDLandmarksImageProcessor.from_pretrained(checkpoint)
    inputs = processor(photos, boxes=BOXES, return_tensors="pt")
    with torch.no_grad():
        by_hand = processor.post_process_keypoint_detection(model(**inputs), boxes=BOXES)
    for faces, others in zip(detect(photos, boxes=BOXES), by_hand, strict=True):
        for face, other in zip(faces, others, strict=True):
            # Pillow and torchvision round to gray levels otherwise, now and then.
            np.testing.assert_allclose(face["keypoints"], other["keypoints"], atol=0.02)
            np.testing.assert_allclose(face["scores"], other["scores"], atol=1e-4)


def test_a_spot_is_found_where_it_is_in_every_form_of_photo(spotter, photo, tmp_path):
    picture = Image.fromarray(photo)
    picture.save(tmp_path / "photo.png")
    picture.convert("P").save(tmp_path / "palette.png")
    Image.fromarray(photo[..., 0].astype(np.uint16) * 257).save(tmp_path / "deep.png")
    tensor = torch.from_numpy(photo).permute(2, 0, 1)
    forms = [
        *(tmp_path / name for name in ("photo.png", "palette.png", "deep.png")),
        *(picture.convert(mode) for mode in ("RGB", "L", "RGBA", "LA", "CMYK")),
        *(photo, photo[..., 0], np.dstack([photo, photo[..., :1] * 0 + 255])),
        *(tensor, tensor[0], tensor / 255),
    ]
    for form in forms:
        [face] = spotter(form, boxes=[BOX])
        np.testing.assert_allclose(face["keypoints"], [SPOT], atol=0.1)
    for faces in spotter(forms, boxes=[[BOX]] * len(forms), batch_size=4):
        np.testing.assert_allclose(faces[0]["keypoints"], [SPOT], atol=0.1)


@pytest.mark.parametrize("form", ["path", "picture"])
def test_boxes_and_points_are_in_the_upright_photo(spotter, photo, tmp_path, form):
    exif = Image.Exif()
    exif[0x0112] = 6  # stored a quarter turn to the left
    Image.fromarray(np.rot90(photo).copy()).save(tmp_path / "photo.jpg", exif=exif, quality=95)
    turned = str(tmp_path / "photo.jpg")
    turned = turned if form == "path" else Image.open(turned)
    np.testing.assert_allclose(points(spotter(turned, boxes=[BOX])), [[SPOT]], atol=0.1)


# --- photos, lists and streams


def test_forms_of_boxes(detect, photos):
    expected = detect(photos[0], boxes=BOXES[0])
    [box] = BOXES[0]
    one = (box, tuple(box), np.array(box), torch.tensor(box), list(np.array(box)))
    several = ([box], np.array([box]), torch.tensor([box]), (np.array(box),), [torch.tensor(box)])
    for boxes in (*one, *several):
        assert_same([detect(photos[0], boxes=boxes)], [expected])
    nested = np.array([BOXES[0], BOXES[0]])
    for boxes in (nested, torch.from_numpy(nested), [box, np.array([box])]):
        assert_same(detect([photos[0]] * 2, boxes=boxes), [expected] * 2)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 16])
def test_one_photo_or_a_batch_gives_the_same_points(detect, photos, batch_size):
    alone = [detect(photo, boxes=boxes) for photo, boxes in zip(photos, BOXES, strict=True)]
    assert_same(detect(photos, boxes=BOXES, batch_size=batch_size), alone)
    assert_same(detect(tuple(photos), boxes=BOXES, batch_size=batch_size), alone)


def test_lists_of_dicts_generators_and_data_sets(detect, photos):
    class Rows(Dataset):
        def __len__(self):
            return len(photos)

        def __getitem__(self, index):
            return {"image": photos[index], "boxes": BOXES[index], "subset": "ignored"}

    expected = detect(photos, boxes=BOXES)
    dicts = [{"image": photo, "boxes": boxes} for photo, boxes in zip(photos, BOXES, strict=True)]
    assert_same([detect(dicts[1])], [expected[1]])
    assert_same(detect(dicts), expected)
    for batch_size in (1, 2):
        for stream in ((item for item in dicts), iter(dicts), Rows()):
            found = detect(stream, batch_size=batch_size)
            assert not isinstance(found, list)
            assert_same(list(found), expected)
    assert_same(list(detect(Rows(), batch_size=2, num_workers=2)), expected)


def test_rows_of_a_data_set_of_the_hub_stream(detect, photos):
    import datasets

    rows = {"image": [Image.fromarray(photo) for photo in photos], "boxes": BOXES}
    image = datasets.Image()
    boxes = datasets.List(datasets.List(datasets.Value("float64")))
    rows = datasets.Dataset.from_dict(
        rows, features=datasets.Features({"image": image, "boxes": boxes})
    )
    expected = detect(photos, boxes=BOXES)
    assert_same(list(detect(rows, batch_size=3)), expected)
    assert_same(list(detect(rows.to_iterable_dataset())), expected)


def test_a_stream_is_read_as_it_is_used(detect, photos):
    taken = []

    def endless():
        while True:
            taken.append(None)
            yield {"image": photos[0], "boxes": BOXES[0]}

    found = iter(detect(endless()))
    assert len(next(found)) == len(next(found)) == 1
    assert len(taken) < 10


def test_no_faces(detect, photos):
    assert detect(photos[0], boxes=[]) == []
    assert detect(photos[0], boxes=np.zeros((0, 4))) == []
    assert detect(photos[:2], boxes=[[], []], batch_size=2) == [[], []]
    assert detect([]) == detect([], boxes=[]) == []


def test_a_crowd_goes_through_in_passes(spotter, photo):
    count = 2 * FACES_PER_PASS + 3
    boxes = [[BOX[0] - k / 10, *BOX[1:]] for k in range(count)]
    faces = spotter(photo, boxes=boxes)
    assert [face["box"] for face in faces] == boxes
    np.testing.assert_allclose(points(faces), [[SPOT]] * count, atol=0.1)


# --- where it comes from


def test_model_and_processor_come_from_one_place(checkpoint, photos):
    loaded = KDLandmarksForKeypointDetection.from_pretrained(checkpoint)
    own = KDLandmarksImageProcessor(size=SIZE, crop_margin=1.1)
    for model in (checkpoint, str(checkpoint), loaded):
        assert FaceLandmarkPipeline(model, device="cpu").backend.description.crop_margin == 1.4
        given = FaceLandmarkPipeline(model, own, device="cpu")
        assert given.backend.description.crop_margin == 1.1
    again = FaceLandmarkPipeline(small_network(), checkpoint, device="cpu")
    assert again.backend.description.crop_margin == 1.4


@pytest.mark.parametrize("loaded", [False, True])
def test_transformers_makes_it_by_the_tasks_name(checkpoint, detect, photos, loaded):
    model = KDLandmarksForKeypointDetection.from_pretrained(checkpoint) if loaded else checkpoint
    made = pipeline("keypoint-detection", model=model, device="cpu", batch_size=2)
    assert type(made) is FaceLandmarkPipeline
    assert_same(made(photos, boxes=BOXES), detect(photos, boxes=BOXES))


def test_other_models_of_the_task_are_left_to_transformers():
    other = SuperPointForKeypointDetection(
        SuperPointConfig(encoder_hidden_sizes=[4, 4, 4, 4], decoder_hidden_size=4)
    )
    with pytest.raises(KeyError, match="Unknown task keypoint-detection for superpoint"):
        pipeline("keypoint-detection", model=other, device="cpu")


def test_a_model_in_training_is_put_into_evaluation(photos):
    processor = KDLandmarksImageProcessor(size=SIZE)
    model = small_network("linear", dropout=0.9).train()
    detect = FaceLandmarkPipeline(model, processor, device="cpu")
    assert_same(*([detect(photos[0], boxes=BOXES[0])] for _ in range(2)))


@pytest.mark.parametrize("refinement", [False, True])
@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16])
def test_a_checkpoint_of_halves_runs_in_float32_unless_told(tmp_path, photos, stored, refinement):
    small_network(refinement=refinement).to(stored).save_pretrained(tmp_path)
    KDLandmarksImageProcessor(size=SIZE).save_pretrained(tmp_path)
    for dtype in (None, "auto", "float32", torch.float32):
        detect = FaceLandmarkPipeline(tmp_path, device="cpu", dtype=dtype)
        assert detect.backend.model.dtype == torch.float32
    expected = detect(photos, boxes=BOXES)
    for dtype in (stored, str(stored).removeprefix("torch.")):
        half = FaceLandmarkPipeline(tmp_path, device="cpu", dtype=dtype)
        assert half.backend.model.dtype == stored
        found = half(photos, boxes=BOXES, batch_size=2)
        assert_same(found, expected, tolerance=0.05)
        assert found[0][0]["keypoints"].dtype == np.float32


# --- refused


@pytest.mark.parametrize(
    ("boxes", "complaint"),
    [
        ([[10, 20, float("nan"), 70]], r"four finite numbers .* not \[10, 20, nan, 70\]"),
        ([10, 20, float("inf"), 70], "four finite numbers"),
        ([[10, 20, 60]], r"four finite numbers .* not \[10, 20, 60\]"),
        ([[60, 20, 10, 70]], r"\[60.0, 20.0, 10.0, 70.0\] is degenerate"),
        ([BOXES[0]], "four finite numbers"),
        ([[300, 20, 360, 70]], r"\[300.0, 20.0, 360.0, 70.0\] lies outside the photo of 120 x 90"),
        ([[-60, 20, -0.5, 70]], "lies outside the photo"),
        ([[10, -70, 60, -20]], "lies outside the photo"),
        ([[10, 90, 60, 140]], "lies outside the photo"),
        ([[0.1, 0.2, 0.6, 0.7]], "smaller than 2 pixels: boxes are in pixels, not in shares"),
        ([[-9_999, -9_999, 9_999, 9_999]], "is more than 16 times the photo of 120 x 90"),
        (5, "boxes is a list of face boxes .* not 5"),
        ("all", "boxes is a list of face boxes .* not 'all'"),
        ({"x": 1}, "boxes is a list of face boxes"),
        ([None], "four finite numbers"),
    ],
)
def test_bad_boxes_are_named(detect, photos, tmp_path, boxes, complaint):
    with pytest.raises(KDLandmarksError, match=complaint):
        detect(photos[0], boxes=boxes)
    with pytest.raises(KDLandmarksError, match=f"^photo 1: .*{complaint}"):
        detect([photos[0]] * 2, boxes=[BOXES[0], boxes])
    path = tmp_path / "a.png"
    Image.fromarray(photos[0]).save(path)
    with pytest.raises(KDLandmarksError, match=f"^photo 1: .*a.png: .*{complaint}"):
        detect([path] * 2, boxes=[BOXES[0], boxes])


def test_a_box_that_reaches_out_of_the_photo_is_fine(detect, photos):
    assert len(detect(photos[0], boxes=[[-50, -50, 5, 5], [100, 80, 300, 300]])) == 2


@pytest.mark.parametrize("boxes", [BOXES[:4], [*BOXES, []], BOXES[0][0], 5, "five", np.zeros(())])
def test_a_wrong_number_of_boxes(detect, photos, boxes):
    with pytest.raises(KDLandmarksError, match=r"5 photos, but boxes .* list of the same length"):
        detect(photos, boxes=boxes)


def test_photos_that_cannot_be_read_are_named(detect, photos, tmp_path):
    (tmp_path / "broken.jpg").write_text("no picture")
    for photo, complaint in (
        (tmp_path / "missing.jpg", "there is no photo .*missing.jpg"),
        (str(tmp_path / "broken.jpg"), "broken.jpg: it is not a picture"),
        (42, r"a photo is a path, .* not 42 \(int\)"),
        (None, r"a photo is a path, .* not None"),
        (b"bytes", r"the photo of 5 bytes: it is not a picture"),
    ):
        with pytest.raises(KDLandmarksError, match=complaint):
            detect(photo, boxes=[BOX])
        with pytest.raises(KDLandmarksError, match=f"^photo 1: .*{complaint}"):
            detect([photos[0], photo], boxes=[BOXES[0], [BOX]])
    with pytest.raises(KDLandmarksError, match=r"^photo 0: there is no image among picture, boxes"):
        detect([{"picture": photos[0], "boxes": BOXES[0]}])


def test_boxes_twice_are_refused(detect, photos):
    item = {"image": photos[0], "boxes": BOXES[0]}
    for several in (item, iter([item])):
        with pytest.raises(KDLandmarksError, match="bring each photo's own"):
            detect(several, boxes=BOXES[0])
    with pytest.raises(KDLandmarksError, match="dicts bring their own boxes"):
        detect([item], boxes=[BOXES[0]])


def test_a_misspelt_setting_is_refused(detect, photos, checkpoint):
    with pytest.raises(TypeError, match="box"):
        detect(photos[0], box=BOXES[0])
    with pytest.raises(TypeError, match="finder"):
        FaceLandmarkPipeline(checkpoint, device="cpu", finder="yunet")


def test_models_that_do_not_fit_are_refused(checkpoint, tmp_path):
    other = SuperPointForKeypointDetection(
        SuperPointConfig(encoder_hidden_sizes=[4, 4, 4, 4], decoder_hidden_size=4)
    )
    other.save_pretrained(tmp_path)
    KDLandmarksImageProcessor().save_pretrained(tmp_path)
    for arguments, complaint in (
        ((tmp_path / "nothing",), "no checkpoint at .*nothing"),
        ((tmp_path,), "model_type is .superpoint."),
        ((other,), "model is a superpoint"),
        ((3,), "model is a int"),
        (
            (small_network(),),
            "image_processor is missing: the model came from no checkpoint",
        ),
        (
            (small_network(), tmp_path / "nothing"),
            "no checkpoint at .*nothing",
        ),
        ((checkpoint, 3), "image_processor is a int: give a KDLandmarksImageProcessor"),
    ):
        with pytest.raises(KDLandmarksError, match=complaint):
            FaceLandmarkPipeline(*arguments, device="cpu")
    for dtype in ("float33", torch.int8, "Tensor", 16):
        with pytest.raises(KDLandmarksError, match="not a type of floats"):
            FaceLandmarkPipeline(checkpoint, device="cpu", dtype=dtype)
