"""Photos in every form become the same upright 8-bit pictures, or a message says why not."""

import base64
import io
import os
import struct
import time

import huggingface_hub
import numpy as np
import pytest
import torch
from PIL import Image

from kd_landmarks.data.photos import open_photo
from kd_landmarks.data.pictures import image_problem
from kd_landmarks.errors import KDLandmarksError
from kd_landmarks.imaging import downloads
from kd_landmarks.imaging.photos import load_photo

ORIENTATION = 0x0112


@pytest.fixture
def rgb(rng):
    return rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)


def pixels(photo):
    return np.asarray(load_photo(photo).convert("RGB"))


def save(path, picture, **options):
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(
        path, **options
    )
    return path


# --- forms


def test_a_path_a_picture_an_array_and_a_tensor_are_the_same_photo(tmp_path, rgb):
    path = save(tmp_path / "photo.png", rgb)
    tensor = torch.from_numpy(rgb).permute(2, 0, 1)
    alpha = np.dstack([rgb, np.full((40, 60), 255, np.uint8)])
    for photo in (path, str(path), Image.open(path), rgb, rgb[::-1][::-1], tensor, alpha):
        assert np.array_equal(pixels(photo), rgb)
    # Channels where the other library has them, since they cannot be anything else.
    assert np.array_equal(pixels(np.moveaxis(rgb, 2, 0)), rgb)
    assert np.array_equal(pixels(torch.from_numpy(rgb)), rgb)


def test_a_path_may_start_at_home(tmp_path, rgb, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    save(tmp_path / "photo.png", rgb)
    assert np.array_equal(pixels("~/photo.png"), rgb)


def test_gray_photos(tmp_path, rgb):
    gray = rgb[..., 0]
    expected = np.repeat(gray[..., None], 3, axis=2)
    path = save(tmp_path / "photo.png", gray)
    tensor = torch.from_numpy(gray)
    for photo in (path, Image.open(path), gray, gray[..., None], tensor, tensor[None]):
        assert np.array_equal(pixels(photo), expected)
    bits = gray > 127
    for photo in (bits, torch.from_numpy(bits), Image.fromarray(bits)):
        assert np.array_equal(pixels(photo), np.repeat(bits[..., None], 3, axis=2) * 255)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr"])
def test_modes_of_8_bits_are_left_to_the_processor(rgb, mode):
    picture = Image.fromarray(rgb).convert(mode)
    assert load_photo(picture) is picture


def test_floats_from_0_to_1_and_wider_integers(rgb):
    shares = rgb / 255
    tensor = torch.from_numpy(shares).permute(2, 0, 1)
    photos = (shares, shares.astype(np.float32), tensor.float().requires_grad_())
    for photo in (*photos, rgb.astype(np.int64), torch.from_numpy(rgb).long()):
        assert np.array_equal(pixels(photo), rgb)
    beyond = shares.copy()  # as resizing leaves it
    beyond[0, 0], beyond[1, 1] = 1 + 1e-7, -1e-7
    rounded = rgb.copy()
    rounded[0, 0], rounded[1, 1] = 255, 0
    assert np.array_equal(pixels(beyond), rounded)
    coarse = np.asarray(pixels(tensor.bfloat16())).astype(int)
    assert abs(coarse - rgb).max() <= 1


@pytest.mark.parametrize("kind", ["png", "tiff", "big-endian tiff", "pgm", "array", "tensor"])
def test_16_bits_are_scaled_and_not_clipped(tmp_path, kind):
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    if kind == "array":
        photo = values
    elif kind == "tensor":
        photo = torch.from_numpy(values)
    elif kind == "pgm":  # Pillow has these as 32-bit integers
        photo = tmp_path / "photo.pgm"
        photo.write_bytes(b"P5 256 256 65535\n" + values.astype(">u2").tobytes())
        assert Image.open(photo).mode == "I"
    elif kind == "big-endian tiff":
        photo = Image.frombytes("I;16B", (256, 256), values.astype(">u2").tobytes())
    else:
        photo = save(tmp_path / f"photo.{kind}", values)
        assert Image.open(photo).mode == "I;16"
    found = load_photo(photo)
    assert found.mode == "L"
    assert np.array_equal(np.asarray(found), np.repeat(np.arange(256), 256).reshape(256, 256))


def test_8_bits_in_a_picture_of_integers_stay(rgb):
    picture = Image.fromarray(rgb[..., 0])
    assert np.array_equal(np.asarray(load_photo(picture.convert("I"))), rgb[..., 0])


# --- upright


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["path", "picture"])
def test_photos_are_turned_upright_by_their_exif(tmp_path, rgb, orientation, form):
    """What a camera stores for an upright scene, for each of the eight ways of holding it."""
    turn = {
        1: lambda upright: upright,
        2: lambda upright: upright[:, ::-1],
        3: lambda upright: upright[::-1, ::-1],
        4: lambda upright: upright[::-1],
        5: lambda upright: upright.swapaxes(0, 1),
        6: lambda upright: np.rot90(upright),
        7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
        8: lambda upright: np.rot90(upright, -1),
    }
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = np.ascontiguousarray(turn[orientation](rgb))
    path = save(tmp_path / "photo.png", stored, exif=exif)
    photo = path if form == "path" else Image.open(path)
    assert np.array_equal(pixels(photo), rgb)
    if form == "picture":  # the caller's own stays as it was
        assert np.array_equal(np.asarray(photo), stored)
    turned = load_photo(path)
    assert load_photo(turned) is turned


def test_a_broken_exif_block_does_not_spoil_a_good_photo(tmp_path, rgb):
    path = save(tmp_path / "photo.png", rgb, exif=b"Exif\0\0no TIFF header at all")
    assert np.array_equal(pixels(path), rgb)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("tag", [282, 296, 531])  # resolution, its unit, positioning
def test_a_photo_is_turned_whatever_its_other_exif_tags_have(tmp_path, kind, tag):
    entries = [struct.pack("<HHIHH", ORIENTATION, 3, 1, 6, 0)]
    entries.append(struct.pack("<HHI4s", tag, 2, 4, b"odd\0"))  # text, which these never are
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + b"".join(entries) + b"\0" * 4
    Image.new("RGB", (40, 20)).save(tmp_path / "photo", kind, exif=exif)
    turned = load_photo(tmp_path / "photo")
    assert turned.size == (20, 40)
    assert load_photo(turned) is turned


# --- URLs


def png(picture, **options):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", **options)
    return file.getvalue()


def test_a_photo_may_be_a_url(hub, rgb):
    exif = Image.Exif()
    exif[ORIENTATION] = 3
    there = f"{hub.endpoint}/a.png"
    hub.answer_next("^/a.png", png(rgb[::-1, ::-1].copy(), exif=exif), times=2)
    hub.answer_next("^/moved", b"", status=302, Location=there)
    for url in (there, f"{hub.endpoint}/moved"):
        assert np.array_equal(np.asarray(load_photo(url, timeout=5)), rgb)
    hub.answer_next("/$", b"<html>sorry</html>")
    with pytest.raises(KDLandmarksError, match=rf"cannot fetch .*{hub.endpoint}/gone.png: .*404"):
        load_photo(f"{hub.endpoint}/gone.png", timeout=5)
    with pytest.raises(KDLandmarksError, match=rf"{hub.endpoint}/: it is not a picture"):
        load_photo(f"{hub.endpoint}/", timeout=5)


@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        (lambda hub, photo: hub.drip_next("a.png", 0.1, body=photo), "only .* bytes came in time"),
        (lambda hub, photo: hub.delay_next("a.png", 2), "cannot fetch the photo"),
        (lambda hub, photo: hub.answer_next("a.png", bytes(10**6)), "more than 100000 bytes"),
        (
            lambda hub, photo: hub.answer_next("a.png", photo, Content_Encoding="gzip"),
            "the server packs it, though it was asked not to",
        ),
        (
            lambda hub, photo: hub.answer_next(
                "a.png", b"", times=99, status=302, Location=hub.endpoint + "/a.png"
            ),
            "cannot fetch the photo",
        ),
        (lambda hub, photo: hub.cut_next("a.png", after=3), "cannot fetch the photo"),
        (lambda hub, photo: hub.down(), "cannot fetch the photo"),
    ],
)
def test_a_server_of_anybody_costs_bounded_time_and_memory(hub, rgb, trouble, message, monkeypatch):
    monkeypatch.setattr(downloads, "MOST_BYTES", 10**5)
    trouble(hub, png(rgb))
    start = time.monotonic()
    with pytest.raises(KDLandmarksError, match=message):
        load_photo(f"{hub.endpoint}/a.png", timeout=0.2)
    assert time.monotonic() - start < 20


@pytest.mark.parametrize(
    ("as_long", "message"), [(0, "redirects for too long"), (4, "redirects more than 10 times")]
)
def test_redirects_are_bounded_in_time_and_number(hub, monkeypatch, as_long, message):
    monkeypatch.setattr(downloads, "AS_LONG", as_long)
    there = f"{hub.endpoint}/a.png"
    hub.answer_next("a.png", b"", times=99, status=302, Location=there)
    with pytest.raises(KDLandmarksError, match=message):
        load_photo(there, timeout=5)


@pytest.mark.parametrize("timeout", [-1, "x", float("nan"), float("inf"), True])
def test_a_timeout_is_a_number_of_seconds(timeout):
    with pytest.raises(KDLandmarksError, match=r"timeout=.*: give a number, 0 or more"):
        load_photo("https://faces.test/a.jpg", timeout=timeout)


def test_without_a_network_a_url_says_so(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(KDLandmarksError, match=r"cannot fetch the photo https://faces.test/a.jpg"):
        load_photo("https://faces.test/a.jpg")


# --- refused


def test_files_that_are_no_photos(tmp_path, rgb):
    whole = save(tmp_path / "whole.jpg", rgb).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "empty.png").touch()
    for name, complaint in (
        ("missing.jpg", "there is no photo .*missing.jpg: give the path"),
        (".", "there is no photo "),
        ("text.jpg", r"text.jpg: it is not a picture in a supported format \(JPEG, PNG, "),
        ("empty.png", "empty.png: it is not a picture"),
        ("cut.jpg", "cannot read the photo .*cut.jpg: .*truncated"),
    ):
        with pytest.raises(KDLandmarksError, match=complaint):
            load_photo(tmp_path / name)
    encoded = base64.b64encode(os.urandom(100_000)).decode()
    with pytest.raises(KDLandmarksError, match="there is no photo") as caught:
        load_photo(encoded)
    assert len(str(caught.value)) < 500
    with pytest.raises(KDLandmarksError, match="there is no photo"):
        load_photo("a\0b")


def test_a_broken_file_in_a_lazy_picture(tmp_path, rgb):
    path = save(tmp_path / "photo.jpg", rgb)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(KDLandmarksError, match=r"cannot decode the PIL picture: .*truncated"):
        load_photo(Image.open(path))


def test_more_pixels_than_pillow_allows_are_refused(tmp_path, rgb, monkeypatch):
    path = save(tmp_path / "photo.png", rgb)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(KDLandmarksError, match=r"photo.png: the picture has more than 178 megap"):
        load_photo(path)


@pytest.mark.parametrize("photo", [42, None, [[1, 2], [3, 4]], {"bytes": b"x"}])
def test_what_is_no_photo_at_all(photo):
    with pytest.raises(KDLandmarksError, match=r"a photo is a path, a URL, .* not "):
        load_photo(photo)


@pytest.mark.parametrize(
    "photo", [b"bytes", io.BytesIO(b""), {"bytes": b"x", "path": None}, io.StringIO("text")]
)
def test_what_holds_no_picture(photo):
    with pytest.raises(KDLandmarksError, match=r"not a picture in a supported format|as text"):
        load_photo(photo)


def test_an_open_file_stays_open_and_is_read_from_where_it_is(tmp_path, rgb):
    path = save(tmp_path / "photo.png", rgb)
    whole = tmp_path / "archive"
    whole.write_bytes(b"before" + path.read_bytes())
    with whole.open("rb") as file:
        file.seek(6)
        assert load_photo(file).size == load_photo(path).size
        assert not file.closed


@pytest.mark.parametrize(
    ("photo", "complaint"),
    [
        (np.zeros((2, 9, 9, 3), np.uint8), r"shape \(2, 9, 9, 3\) is not a photo.*as a list"),
        (torch.zeros(2, 3, 9, 9), r"shape \(2, 3, 9, 9\) is not a photo"),
        (np.zeros((9, 9, 2), np.uint8), r"shape \(9, 9, 2\) is not a photo"),
        (np.zeros((0, 9, 3), np.uint8), r"shape \(0, 9, 3\) is not a photo"),
        (np.zeros(9, np.uint8), r"shape \(9,\) is not a photo"),
        (np.full((9, 9), 1.5), "float photo has values from 0 to 1, this one from 1.5 to 1.5"),
        (np.full((9, 9), np.nan), "float photo has values from 0 to 1, this one from nan"),
        (torch.full((3, 9, 9), -1.0), "scale or clip it to 0 to 1, or give uint8"),
        (torch.full((3, 9, 9), 200.0), "divide it by 255, or give uint8"),
        (np.full((9, 9), 256), "int64 has values from 0 to 255, this one from 256 to 256"),
        (np.full((9, 9), -1, np.int8), "int8 has values from 0 to 255"),
        (np.zeros((9, 9), complex), "array of complex128 is not a photo"),
        (np.full((9, 9), "x"), "is not a photo: give uint8"),
        (Image.new("F", (9, 9), 256), "mode F.* this one from 256 to 256: scale it"),
        (Image.new("F", (9, 9), -0.1), "mode F.* this one from -0.1 to -0.1"),
        (Image.fromarray(np.full((9, 9), np.nan, np.float32)), "mode F.* this one from nan"),
        (Image.new("I", (9, 9), 70_000), "this one from 70000 to 70000"),
        (Image.new("RGB", (0, 9)), "the photo is empty: 0 x 9 pixels"),
    ],
)
def test_values_and_shapes_that_cannot_be_understood(photo, complaint):
    with pytest.raises(KDLandmarksError, match=complaint):
        load_photo(photo)


@pytest.mark.parametrize(("most", "factor"), [(1.0, 255), (255.0, 1)])
def test_pictures_of_floats_are_read_by_their_range(tmp_path, most, factor):
    values = np.linspace(0, most, 54, dtype=np.float32).reshape(6, 9)
    Image.fromarray(values).save(tmp_path / "photo.tif")
    wanted = np.rint(values * factor)
    np.testing.assert_array_equal(np.asarray(load_photo(tmp_path / "photo.tif")), wanted)
    stored = {"bytes": (tmp_path / "photo.tif").read_bytes(), "path": None}
    assert image_problem(stored) is None
    np.testing.assert_array_equal(np.asarray(open_photo(stored)), wanted)
    Image.fromarray(values - 1).save(tmp_path / "photo.tif")
    assert "this one from -1" in image_problem({"bytes": None, "path": tmp_path / "photo.tif"})
