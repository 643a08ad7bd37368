"""Labels that do not fit their photo are taken as they were meant, or are said; never silent."""

import io
import json

import numpy as np
import pytest
from PIL import ExifTags, Image
from typer.testing import CliRunner

import kd_landmarks
from kd_landmarks.cli import app
from kd_landmarks.data.columns import point_array
from kd_landmarks.data.convert import convert
from kd_landmarks.data.loading import load_rows
from kd_landmarks.data.photos import Photos, as_stored
from kd_landmarks.data.row_checks import check_rows
from kd_landmarks.errors import KDLandmarksError
from kd_landmarks.imaging.orientation import orientation_of, without_orientation
from kd_landmarks.schemes import get_scheme
from kd_landmarks.synthetic import generate_face

SCHEME = get_scheme("ibug68")
# How a camera stores what people see, by what its EXIF data say of it.
STORED_AS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.fixture(scope="module")
def face():
    """A face as people see it, in a photo higher than wide, and its points in the lower part."""
    drawn = generate_face(5, size=120)
    picture = Image.new("RGB", (130, 300), (90, 90, 90))
    picture.paste(Image.fromarray(drawn.image), (5, 170))
    return picture, drawn.landmarks + np.array([5, 170], np.float32)


def write(folder, picture, points, orientation, ending="jpg", **fields):
    """A data set of one face, its photo turned by EXIF data."""
    stored = picture
    if STORED_AS[orientation] is not None:
        stored = picture.transpose(STORED_AS[orientation])
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Make] = "a phone"
    options = {"quality": 100, "subsampling": 0} if ending == "jpg" else {}
    stored.save(folder / f"1.{ending}", exif=exif, **options)
    line = {"image": f"1.{ending}", "landmarks": np.asarray(points).tolist(), **fields}
    (folder / "faces.jsonl").write_text(json.dumps(line) + "\n")
    return stored


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", STORED_AS)
def test_labels_are_of_the_photo_as_people_see_it(tmp_path, face, orientation, ending):
    picture, points = face
    write(tmp_path, picture, points, orientation, ending)
    rows = check_rows(load_rows(tmp_path, scheme=SCHEME), SCHEME)
    photo = Photos(rows).open(0)
    assert photo.size == picture.size == rows[0]["image"].size  # datasets itself agrees
    difference = np.abs(np.asarray(photo.convert("RGB"), int) - np.asarray(picture, int))
    assert difference.mean() < 3


def test_webp_has_its_orientation_behind_its_pixels(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    path = tmp_path / "noise.webp"
    Image.fromarray(pixels).save(path, lossless=True, exif=exif)
    assert path.stat().st_size > 2**16
    stored = as_stored(str(path))
    with Image.open(io.BytesIO(stored["bytes"])) as photo:
        assert orientation_of(photo) == 1


@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
@pytest.mark.parametrize("orientation", [3, 6, 7])
def test_or_of_the_one_that_is_stored_where_that_is_said(tmp_path, face, orientation, ending):
    picture, points = face
    stored = write(
        tmp_path, picture, points[:, ::-1] if orientation > 4 else points, orientation, ending
    )
    rows = check_rows(load_rows(tmp_path, scheme=SCHEME, orientation="stored"), SCHEME)
    photo = Photos(rows).open(0)
    assert photo.size == stored.size == rows[0]["image"].size
    difference = np.abs(np.asarray(photo.convert("RGB"), int) - np.asarray(stored, int))
    assert difference.mean() < 3


def test_the_stored_pixels_of_a_jpeg_stay_what_they_are_bit_by_bit(tmp_path, face):
    write(tmp_path, *face, 6)
    data = (tmp_path / "1.jpg").read_bytes()
    unturned = without_orientation(data)
    with Image.open(io.BytesIO(unturned)) as photo, Image.open(tmp_path / "1.jpg") as before:
        assert orientation_of(before) == 6
        assert orientation_of(photo) == 1
        assert photo.format == "JPEG"
        assert photo.getexif()[ExifTags.Base.Make] == "a phone"
        np.testing.assert_array_equal(np.asarray(photo), np.asarray(before))
    assert without_orientation(unturned) == unturned
    assert without_orientation(b"no picture") == b"no picture"


def test_labels_that_fit_the_stored_photo_alone_are_refused_with_the_word_for_it(tmp_path, face):
    """Most of them lie outside of the photo that people see."""
    picture, points = face
    write(tmp_path, picture, points[:, ::-1], 6)
    rows = load_rows(tmp_path, scheme=SCHEME)
    message = r"faces.jsonl:1: 68 of 68 landmarks lie outside of the photo of 130 x 300. They fit"
    with pytest.raises(KDLandmarksError, match=message) as caught:
        check_rows(rows, SCHEME)
    assert "give --orientation stored" in str(caught.value)
    for words in (("scheme", "new"), ("calibrate",), ("export",), ("inspect",), ("evaluate",)):
        assert "--orientation" in CliRunner().invoke(app, [*words, "--help"]).output
    with pytest.raises(KDLandmarksError, match="orientation='sideways': give one of upright, stor"):
        load_rows(tmp_path, scheme=SCHEME, orientation="sideways")


def test_and_warned_of_where_fewer_lie_outside(tmp_path, face, caplog):
    picture, points = face
    write(tmp_path, picture, points[:, ::-1] - [110, 0], 6)
    check_rows(load_rows(tmp_path, scheme=SCHEME), SCHEME)
    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning.startswith("faces.jsonl:1: ")
    assert "give --orientation stored" in warning
    caplog.clear()
    check_rows(load_rows(tmp_path, scheme=SCHEME, orientation="stored"), SCHEME)
    assert not caplog.records


def test_a_conversion_has_the_same_rule(tmp_path, face):
    picture, points = face
    source = tmp_path / "faces"
    source.mkdir()
    write(source, picture, points, 6)
    for margin in (None, 1.8):
        out = tmp_path / f"out-{margin}"
        convert("own", source, out, scheme=SCHEME, crop_margin=margin)
        rows = check_rows(load_rows(out, "faces", scheme=SCHEME), SCHEME)
        photo = np.asarray(Photos(rows).open(0).convert("RGB"), int)
        left, top = np.round(points[0] - point_array(rows, "landmarks")[0, 0]).astype(int)
        there = np.asarray(picture, int)[top : top + len(photo), left : left + photo.shape[1]]
        assert np.abs(photo - there).mean() < 3
    write(source, picture, points[:, ::-1], 6)
    refused = tmp_path / "refused"
    with pytest.raises(KDLandmarksError, match="68 of 68 landmarks lie outside of the photo"):
        convert("own", source, refused, scheme=SCHEME)
    convert("own", source, refused, scheme=SCHEME, orientation="stored")
    rows = check_rows(load_rows(refused, "faces", scheme=SCHEME), SCHEME)
    assert Photos(rows).open(0).size == (300, 130)
    with pytest.raises(KDLandmarksError, match="orientation 'stored' is for JSON lines"):
        load_rows(refused, "faces", scheme=SCHEME, orientation="stored")


def test_shares_of_the_photo_are_no_pixels(tmp_path, face):
    picture, points = face
    write(tmp_path, picture, points / picture.size, 1)
    message = r"faces.jsonl:1: the landmarks span 0.\d+ pixels: give pixels of the photo"
    with pytest.raises(KDLandmarksError, match=message):
        load_rows(tmp_path, scheme=SCHEME)


def test_landmarks_of_another_photo_are_refused_by_line(tmp_path, face):
    picture, points = face
    write(tmp_path, picture, points + np.array([95, 0]), 1)
    with pytest.raises(KDLandmarksError, match=r"faces.jsonl:1: \d+ of 68 landmarks lie outside"):
        check_rows(load_rows(tmp_path, scheme=SCHEME), SCHEME)
    write(
        tmp_path, picture, points + np.array([30, 0]), 1
    )  # cut by the photo's edge, as real faces are
    assert len(check_rows(load_rows(tmp_path, scheme=SCHEME), SCHEME)) == 1


@pytest.mark.parametrize("nowhere", [[0, 0], [-1, -1]])
def test_covered_points_that_nobody_has_placed_are_not_there(tmp_path, face, nowhere):
    picture, points = face
    labels = points.tolist()
    labels[40] = nowhere
    visible = [1] * 68
    visible[40] = visible[41] = 0
    write(tmp_path, picture, labels, 1, visible=visible)
    (found,) = point_array(load_rows(tmp_path, scheme=SCHEME), "landmarks")
    assert np.isnan(found[40]).all()
    np.testing.assert_allclose(found[41], points[41], atol=1e-4)  # covered, but placed


def test_backslashes_are_read_as_windows_means_them(tmp_path, face):
    picture, points = face
    (tmp_path / "images").mkdir()
    write(tmp_path, picture, points, 1, image=r"images\1.jpg")
    (tmp_path / "1.jpg").rename(tmp_path / "images/1.jpg")
    assert Photos(load_rows(tmp_path, scheme=SCHEME)).open(0).size == picture.size


def test_landmark_files_of_any_case_are_found(tmp_path, face):
    picture, points = face
    folder = tmp_path / "faces/train"
    folder.mkdir(parents=True)
    picture.save(folder / "1.JPG")
    listed = "\n".join(f"{x + 1} {y + 1}" for x, y in points)
    (folder / "1.PTS").write_text(f"version: 1\nn_points: 68\n{{\n{listed}\n}}\n")
    convert("own", tmp_path / "faces", tmp_path / "out", scheme=SCHEME)
    assert len(load_rows(tmp_path / "out", scheme=SCHEME)) == 1


def test_a_detector_of_other_landmarks_is_named_and_so_are_the_data(tmp_path, face):
    picture, points = face
    write(tmp_path, picture, points[[36, 45, 30, 48, 54]], 1)
    with pytest.raises(KDLandmarksError) as caught:
        kd_landmarks.evaluate(None, tmp_path)
    assert "faces of 5 landmarks" in str(caught.value)
    assert "detects 68 (ibug68)" in str(caught.value)
    assert "fix the row" not in str(caught.value)
