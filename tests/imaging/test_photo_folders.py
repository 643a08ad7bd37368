"""What a folder of photos holds, and what is passed over there, with a word."""

import io
import logging
import os

import pytest
from PIL import Image

from kd_landmarks import KDLandmarksError
from kd_landmarks.imaging import formats
from kd_landmarks.imaging.formats import open_picture
from kd_landmarks.imaging.photo_folders import photo_files
from kd_landmarks.imaging.photos import load_photo

PICTURE = io.BytesIO()
Image.new("RGB", (40, 24), (200, 90, 30)).save(PICTURE, "PNG")


@pytest.fixture
def folder(tmp_path):
    for name in ("photos/b.png", "photos/a/c.png", "elsewhere/d.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(PICTURE.getvalue())
    return tmp_path / "photos"


def names(folder):
    return [file.relative_to(folder).as_posix() for file in photo_files(folder)]


def test_notes_and_hidden_files_are_no_photos(folder, caplog):
    for name in (
        "._b.png",
        "__MACOSX/._b.png",
        "__MACOSX/b.png",
        ".hidden/b.png",
        "e.pdf",
        "f.mpg",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"no picture")
    with caplog.at_level(logging.INFO, "kd_landmarks"):
        assert names(folder) == ["a/c.png", "b.png"]
    assert not caplog.text


def test_pictures_that_are_not_read_are_counted_and_named(folder, caplog):
    for number in range(7):
        (folder / f"raw{number}.NEF").touch()
    (folder / "a" / os.fsdecode(b"\xe9.jp2")).touch()
    with caplog.at_level(logging.INFO, "kd_landmarks"):
        assert len(names(folder)) == 2
    assert f"8 pictures in {folder} skipped" in caplog.text
    assert "raw0.NEF" in caplog.text
    assert len(caplog.text.splitlines()) == 1


def test_linked_folders_are_followed_once(folder):
    (folder / "0").symlink_to(folder.parent / "elsewhere")
    (folder / "1").symlink_to(folder.parent / "elsewhere")
    (folder / "a/loop").symlink_to(folder)
    (folder / "a/self").symlink_to(folder / "a")
    (folder / "broken").symlink_to(folder / "nowhere")
    (folder / "z.png").symlink_to(folder / "b.png")
    assert names(folder) == ["0/d.png", "a/c.png", "b.png", "z.png"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_cannot_be_read_is_named(folder, caplog):
    (folder / "a").chmod(0)
    assert names(folder) == ["b.png"]
    (folder / "a").chmod(0o700)
    assert str(folder / "a") in caplog.text


@pytest.fixture
def heic(folder):
    pillow_heif = pytest.importorskip("pillow_heif")
    picture = pillow_heif.from_pillow(Image.open(PICTURE))
    try:
        picture.save(folder / "e.HEIC", quality=95)
    except RuntimeError as error:
        pytest.skip(f"no encoder: {error}")
    return folder / "e.HEIC"


def test_heic_is_read_within_the_same_limits(heic, folder, monkeypatch):
    assert names(folder) == ["a/c.png", "b.png", "e.HEIC"]
    photo = load_photo(heic)
    assert photo.size == (40, 24)
    assert abs(photo.convert("RGB").getpixel((20, 12))[0] - 200) < 12
    assert load_photo(heic.read_bytes()).size == (40, 24)
    monkeypatch.setenv(formats.LIMIT_VARIABLE, "0.0009")
    with pytest.raises(KDLandmarksError, match=r"megapixels, more than 0\.0009"):
        load_photo(heic)


def test_damaged_heic_is_one_error(heic):
    data = heic.read_bytes()
    for end in range(16, len(data), len(data) // 7):
        with pytest.raises(KDLandmarksError, match="the photo of"):
            load_photo(data[:end])


def test_without_its_package_heic_names_it(monkeypatch, folder):
    content = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)
    (folder / "e.heic").write_bytes(content)
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    formats._heif_reader.cache_clear()
    assert names(folder) == ["a/c.png", "b.png", "e.heic"]
    with pytest.raises(KDLandmarksError, match=r"e\.heic: .* pip install pillow-heif"):
        load_photo(folder / "e.heic")
    # AVIF has the same container, and needs nothing.
    avif = io.BytesIO()
    Image.new("RGB", (24, 16)).save(avif, "AVIF")
    assert open_picture(avif).format == "AVIF"
