"""Augmentation: points stay on their pixels, settings do what they say, on fixed draws."""

import numpy as np
import pytest
import torch
from blobs import centroid, draw_blob
from faces import GEOMETRY, SCHEME, crops_of, face_rows, settings
from torchvision import tv_tensors

from kd_landmarks.data.augmentation import (
    AugmentationSettings,
    RandomFaceAffine,
    RandomLowResolution,
    RandomOcclusion,
    build_augmentation,
)
from kd_landmarks.data.crops import POINT_COLUMNS

SIZE = 128


@pytest.fixture(scope="module")
def faces():
    return face_rows()


# --- points and pixels together


def blob_image(x, y, sigma=5.0, side=300):
    picture = torch.from_numpy(draw_blob(x, y, sigma, side, side))
    return tv_tensors.Image(picture.permute(2, 0, 1).contiguous())


@pytest.mark.parametrize("strengths", GEOMETRY.values(), ids=GEOMETRY.keys())
def test_a_blob_lands_where_its_point_goes(strengths):
    """To 0.05 pixels of the result; mixing up pixel centers and corners costs 0.1 to 0.5."""
    side, zoom, margin = 300, 1.44, 1.25
    transform = RandomFaceAffine(settings(**strengths), SIZE, zoom, margin, (0,))
    torch.manual_seed(4)
    moves = []
    for _ in range(12):
        # Near the center, so that no draw moves the blob out of the picture.
        spot = side / 2 + torch.empty(2).uniform_(-35, 35)
        points = tv_tensors.KeyPoints(spot.reshape(1, 2), canvas_size=(side, side))
        picture, moved = transform(blob_image(*spot.tolist()), points)
        assert picture.shape == (3, SIZE, SIZE)
        assert picture.dtype == torch.uint8
        torch.testing.assert_close(centroid(picture), moved[0].double(), atol=0.05, rtol=0)
        moves.append(moved[0] - zoom * SIZE / side * (spot + 0.5 - side / 2) - SIZE / 2 + 0.5)
    assert torch.stack(moves).abs().amax() > 2  # pixels: the setting does something


def test_without_geometry_the_middle_of_the_loose_crop_comes_back():
    loose, final, zoom = 200, 100, 2.0
    transform = RandomFaceAffine(settings(), final, zoom, 1.0, (0,))
    noise = torch.randint(0, 256, (3, loose, loose), dtype=torch.uint8)
    points = tv_tensors.KeyPoints(torch.tensor([[50.0, 149.0]]), canvas_size=(loose, loose))
    picture, moved = transform(tv_tensors.Image(noise), points)
    assert torch.equal(picture, noise[:, 50:150, 50:150])
    assert moved.tolist() == [[0.0, 99.0]]


@pytest.mark.parametrize(
    ("strengths", "measure", "low", "high"),
    [
        ({"rotation": 40.0}, lambda x, y: np.degrees(np.arctan2(x[1], x[0])), -40, 40),
        ({"scale": 1.5}, lambda x, y: np.hypot(*x), 1 / 1.5, 1.5),
        ({"stretch": 1.3}, lambda x, y: np.hypot(*y) / np.hypot(*x), 1 / 1.3, 1.3),
        ({"stretch": 1.3}, lambda x, y: np.hypot(*y) * np.hypot(*x), 1, 1),
    ],
    ids=["rotation", "scale", "stretch", "stretch keeps the area"],
)
def test_settings_bound_what_is_drawn(strengths, measure, low, high):
    """Degrees, factors, height to width: measured on the images of the unit vectors x and y."""
    transform = RandomFaceAffine(settings(**strengths), SIZE, 1.0, 1.25, (0,))
    torch.manual_seed(5)
    found = []
    for _ in range(300):
        params = transform.make_params([tv_tensors.Image(torch.zeros(3, SIZE, SIZE))])
        found.append(measure(*params["matrix"][:, :2].T))
    assert low - 1e-9 <= min(found)
    assert max(found) <= high + 1e-9
    if low < high:
        assert min(found) < low + 0.1 * (high - low)
        assert max(found) > high - 0.1 * (high - low)


def test_shift_is_in_sides_of_the_face_box():
    margin, zoom = 1.25, 1.44
    transform = RandomFaceAffine(settings(shift=0.1), SIZE, zoom, margin, (0,))
    middle = tv_tensors.KeyPoints(torch.tensor([[149.5, 149.5]]), canvas_size=(300, 300))
    torch.manual_seed(6)
    moved = torch.stack([transform(blob_image(150, 150), middle)[1][0] for _ in range(60)])
    box_side = SIZE / margin
    farthest = (moved + 0.5 - SIZE / 2).abs().amax(0) / box_side
    assert (farthest <= 0.1 + 1e-6).all()
    assert (farthest > 0.09).all()


# --- mirroring


def test_a_mirrored_face_keeps_its_scheme(faces):
    straight, mirrored = crops_of(faces, settings()), crops_of(faces, settings(flip=1.0))
    left, right = SCHEME.eye_corners
    for index in range(len(faces)):
        before, after = straight[index], mirrored[index]
        difference = (before["image"].flip(-1).int() - after["image"].int()).abs()
        assert difference.max() <= 1
        for column in POINT_COLUMNS:
            turned = before[column] * torch.tensor([-1, 1]) + torch.tensor([1, 0])
            expected = turned[list(SCHEME.flip_permutation)]
            torch.testing.assert_close(after[column], expected, atol=1e-5, rtol=0)
            assert after[column][left, 0] < after[column][right, 0]


def test_a_mirrored_faces_weights_go_with_their_points(faces):
    values = np.tile(np.linspace(0, 1, 68, dtype=np.float32), (len(faces), 1))
    weighted = faces.add_column("weights", values.tolist())
    for flip in (0.0, 1.0):
        item = crops_of(weighted, settings(flip=flip))[2]
        order = list(SCHEME.flip_permutation) if flip else list(range(68))
        assert item["weights"].tolist() == values[2][order].tolist()
    assert crops_of(weighted)[1]["weights"].tolist() == values[1].tolist()


def test_flip_is_a_probability(faces):
    crops = crops_of(faces, settings(flip=0.3), image_size=32)
    plain = crops_of(faces, settings(), image_size=32)
    flipped = [
        not torch.allclose(crops[key]["landmarks"], plain[key]["landmarks"], atol=1e-4)
        for key in range(300)
    ]
    assert 0.2 < np.mean(flipped) < 0.4


# --- what does not move points


PHOTOMETRIC = {
    "brightness": {"brightness": 0.8},
    "contrast": {"contrast": 0.8},
    "saturation": {"saturation": 1.0},
    "gray": {"gray": 1.0},
    "blur": {"blur": 1.0},
    "low_resolution": {"low_resolution": 1.0},
    "occlusion": {"occlusion": 1.0},
}


@pytest.mark.parametrize("strengths", PHOTOMETRIC.values(), ids=PHOTOMETRIC.keys())
def test_photometry_changes_pixels_and_leaves_points(faces, strengths):
    plain, changed = crops_of(faces, settings()), crops_of(faces, settings(**strengths))
    pictures = 0
    for key in range(12):
        before, after = plain[key], changed[key]
        for column in POINT_COLUMNS:
            assert torch.equal(before[column], after[column])
        assert after["image"].shape == before["image"].shape
        assert after["image"].dtype == torch.uint8
        pictures += not torch.equal(before["image"], after["image"])
    assert pictures > 9


def test_gray_pictures_have_no_color(faces):
    picture = crops_of(faces, settings(gray=1.0))[0]["image"]
    assert torch.equal(picture[0], picture[1])
    assert torch.equal(picture[0], picture[2])


def test_occlusion_covers_one_rectangle_and_spares_the_rest():
    picture = tv_tensors.Image(torch.full((3, 100, 100), 128, dtype=torch.uint8))
    occlusion = RandomOcclusion((0.1, 0.4))
    torch.manual_seed(7)
    sizes = []
    for _ in range(40):
        covered = (occlusion(picture) != 128).any(0)
        rows, columns = covered.any(1).nonzero().flatten(), covered.any(0).nonzero().flatten()
        if len(rows) == 0:  # a patch of the picture's own gray, or on its very edge
            continue
        height, width = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
        assert covered.sum() > 0.9 * height * width
        assert max(height, width) <= 41
        if rows[0] > 0 and rows[-1] < 99 and columns[0] > 0 and columns[-1] < 99:
            assert min(height, width) >= 9
        sizes.append(height)
    assert len(sizes) > 30
    assert max(sizes) - min(sizes) > 20
    assert (picture == 128).all()  # the picture that came in is not painted on


def test_low_resolution_takes_away_detail_and_keeps_the_brightness():
    torch.manual_seed(8)
    noise = tv_tensors.Image(torch.randint(0, 256, (3, 96, 96), dtype=torch.uint8))
    for _ in range(10):
        coarse = RandomLowResolution()(noise)
        assert coarse.shape == noise.shape
        assert coarse.float().mean() == pytest.approx(noise.float().mean().item(), abs=2)
        assert coarse.float().std() < 0.6 * noise.float().std()


def test_low_resolution_moves_nothing():
    torch.manual_seed(9)
    blob = blob_image(60.3, 41.8, sigma=6.0, side=100)
    for _ in range(10):
        found = centroid(RandomLowResolution()(blob))
        expected = torch.tensor([60.3, 41.8], dtype=torch.float64)
        torch.testing.assert_close(found, expected, atol=0.1, rtol=0)


def test_a_tall_photo_of_a_face_from_the_whole_chain(faces):
    """Everything at once, strongly: sizes, types and finite points whatever is drawn."""
    strong = settings(
        flip=0.5, rotation=180, scale=3, stretch=2, shift=1, brightness=1, gray=0.5, blur=1,
        low_resolution=1, occlusion=1, occlusion_size=(0.01, 1.0),
    )  # fmt: skip
    crops = crops_of(faces, strong, image_size=40)
    for key in range(60):
        item = crops[key]
        assert item["image"].shape == (3, 40, 40)
        assert torch.isfinite(item["landmarks"]).all()


# --- refused


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rotation", -1),
        ("scale", 0.5),
        ("flip", 1.5),
        ("occlusion", "often"),
        ("occlusion_size", (0.4, 0.1)),
        ("rotate", 3),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_by_name(field, value):
    with pytest.raises(ValueError, match=field):
        AugmentationSettings(**{field: value})


def test_the_chain_is_built_for_any_size():
    for size in (32, 64, 256):
        chain = build_augmentation(settings(blur=1.0), size, 1.44, 1.25, (0,))
        side = round(1.8 * size)
        points = tv_tensors.KeyPoints(torch.zeros(1, 1, 2), canvas_size=(side, side))
        picture, _ = chain(tv_tensors.Image(torch.zeros(3, side, side, dtype=torch.uint8)), points)
        assert picture.shape == (3, size, size)
