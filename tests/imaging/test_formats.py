"""Pictures from anybody: formats that are read, a limit of pixels, bounded memory."""

import ast
import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import kd_landmarks
from kd_landmarks import KDLandmarksError, KDLandmarksImageProcessor
from kd_landmarks.data.photos import open_photo
from kd_landmarks.data.pictures import image_problem
from kd_landmarks.demo.overlay import picture_svg
from kd_landmarks.demo.uploads import read_photo
from kd_landmarks.imaging import pixels
from kd_landmarks.imaging.crop import Square
from kd_landmarks.imaging.drawing import draw_landmarks
from kd_landmarks.imaging.formats import FORMATS, max_megapixels, open_picture
from kd_landmarks.imaging.photo_folders import photo_files
from kd_landmarks.imaging.photos import load_photo
from kd_landmarks.inference.alignment import align_face
from kd_landmarks.inference.measures import five_points
from kd_landmarks.schemes import get_scheme
from kd_landmarks.synthetic import generate_face

PACKAGE = Path(kd_landmarks.__file__).parent
OTHER_FORMATS = ["EPS", "JPEG2000", "ICNS", "ICO", "PCX", "TGA", "SGI", "DDS", "IM", "QOI"]
HEADERS = {
    "PSD": b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 9, 9, 8, 3) + bytes(400),
    "FITS": b"SIMPLE  =                    T".ljust(80) + b"END".ljust(80),
    "PDF": b"%PDF-1.4\n",
    "WMF": b"\xd7\xcd\xc6\x9a" + bytes(60),
    "text": b"no picture",
    "nothing": b"",
}
MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "PA"]


def encoded(picture, kind, **words):
    file = io.BytesIO()
    picture.save(file, kind, **words)
    return file.getvalue()


def photo_of(mode, rng, size=(37, 23)):
    """Noise in a mode, transparent in places where it can be."""
    noise = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 4), np.uint8), "RGBA")
    if mode == "PA":
        return noise.convert("RGB").quantize(16).convert("PA")
    return noise.convert(mode) if mode in ("RGBA", "LA") else noise.convert("RGB").convert(mode)


# --- one opener, a list of formats


def _calls(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)


def test_the_package_opens_pictures_in_one_place():
    openers = ("Image.open", "imread", "load_image", "read_image", "decode_image", "decode_example")
    found = {
        (file.relative_to(PACKAGE).as_posix(), call)
        for file in PACKAGE.rglob("*.py")
        for call in _calls(ast.parse(file.read_text(encoding="utf-8")))
        if call.endswith(openers) and not call.endswith("formats.open_picture")
    }
    assert found == {("imaging/formats.py", "Image.open")}


@pytest.fixture(scope="module", params=[*OTHER_FORMATS, *HEADERS])
def other(request):
    """A file's content that is not a picture in a supported format."""
    if request.param in HEADERS:
        return HEADERS[request.param]
    return encoded(Image.new("RGB", (64, 64)), request.param)


def test_other_formats_are_refused_wherever_pictures_come_in(other, tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", None)  # such as Ghostscript's
    path = tmp_path / "photo.jpg"
    path.write_bytes(other)
    processor = KDLandmarksImageProcessor()
    ways = [
        lambda: load_photo(path),
        lambda: open_photo({"bytes": other, "path": None}),
        lambda: open_photo({"bytes": None, "path": str(path)}),
        lambda: processor(str(path), boxes=[[1, 1, 9, 9]]),
        lambda: processor([str(path)], boxes=[[[1, 1, 9, 9]]]),
    ]
    for way in ways:
        with pytest.raises(KDLandmarksError, match=r"not a picture in a supported format \(JPEG, "):
            way()
    assert "not a picture in a supported format" in image_problem({"bytes": other, "path": None})
    with pytest.raises(KDLandmarksError, match="JPEG, PNG or WebP"):
        read_photo(other)


@pytest.mark.parametrize("kind", [*FORMATS, "MPO"])
def test_the_formats_of_the_list_are_read(kind):
    with open_picture(io.BytesIO(encoded(Image.new("RGB", (24, 16)), kind))) as picture:
        picture.load()
        assert picture.size == (24, 16)


def test_a_folders_photos_have_endings_of_the_list(tmp_path):
    read = ["a.JPG", "b.jpeg", "c.png", "d.webp", "e.avif", "f.tif", "g.bmp", "h.gif", "i.ppm"]
    for name in [*read, "j.eps", "k.psd", "l.pdf", "m.jp2", "n.fits", "o.mpg", "p.h5", "q", ".png"]:
        (tmp_path / name).touch()
    (tmp_path / "r.png").mkdir()
    assert [file.name for file in photo_files(tmp_path)] == read


# --- the processor opens paths as everything else does


def test_the_processor_takes_paths(tmp_path, rng):
    photo_of("RGB", rng).save(tmp_path / "photo.png")
    processor, words = KDLandmarksImageProcessor(), {"return_tensors": "pt"}
    expected = processor(load_photo(tmp_path / "photo.png"), boxes=[[3, 3, 19, 19]], **words)
    found = processor(str(tmp_path / "photo.png"), boxes=[[3, 3, 19, 19]], **words)
    assert found["pixel_values"].equal(expected["pixel_values"])


# --- the limit


def test_the_limit_is_adjustable(tmp_path, monkeypatch):
    Image.new("L", (1500, 1000)).save(tmp_path / "photo.png")
    monkeypatch.setenv("KD_LANDMARKS_MAX_MEGAPIXELS", "1.5")
    assert load_photo(tmp_path / "photo.png").size == (1500, 1000)
    monkeypatch.setenv("KD_LANDMARKS_MAX_MEGAPIXELS", "1.4")
    message = "photo.png: the picture has 2 megapixels, more than 1.4: .* KD_LANDMARKS_MAX_MEGAPIX"
    with pytest.raises(KDLandmarksError, match=message):
        load_photo(tmp_path / "photo.png")
    with pytest.raises(KDLandmarksError, match=r"This photo has 2 megapixels: at most 1\.4"):
        read_photo((tmp_path / "photo.png").read_bytes())


@pytest.mark.parametrize("told", ["", "many", "0", "-1", "nan", "300"])
def test_the_limit_is_a_number(told, monkeypatch):
    monkeypatch.setenv("KD_LANDMARKS_MAX_MEGAPIXELS", told)
    with pytest.raises(
        KDLandmarksError,
        match=r"KD_LANDMARKS_MAX_MEGAPIXELS=.* is not a number of megapixels, up to 178",
    ):
        max_megapixels()


@pytest.mark.parametrize("mode", ["1", "P", "LA", "RGBA"])
def test_too_many_pixels_are_refused_by_the_header(mode):
    content = encoded(Image.new(mode, (8000, 6500)), "PNG", compress_level=1)
    with pytest.raises(KDLandmarksError, match="the picture has 52 megapixels, more than 50"):
        open_picture(io.BytesIO(content))


def rle_bitmap(width, height):
    """A BMP whose few bytes skip 255 rows at a time."""
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, 0, 0, 0, 256, 0)
    content = header + bytes(1024) + b"\0\2\xff\xff" * 10
    return b"BM" + struct.pack("<IHHI", 14 + len(content), 0, 0, 54 + 1024) + content


def test_a_picture_of_one_endless_row_is_refused():
    with pytest.raises(KDLandmarksError, match=r"49000000 x 1 pixels, more than 65535 on a side"):
        open_picture(io.BytesIO(rle_bitmap(49_000_000, 1)))
    assert open_picture(io.BytesIO(rle_bitmap(650, 76))).size == (650, 76)


def _chunk(kind, content):
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


PACKED = zlib.compress(bytes(200_000_000), 9)


@pytest.mark.parametrize(
    "chunk",
    [
        _chunk(b"zTXt", b"k\0\0" + PACKED),
        _chunk(b"iTXt", b"k\0\1\0\0\0" + PACKED),
        _chunk(b"iCCP", b"k\0\0" + PACKED),
    ],
    ids=["zTXt", "iTXt", "iCCP"],
)
def test_what_a_png_has_beside_its_pixels_is_bounded(chunk, tmp_path):
    png = encoded(Image.new("RGB", (64, 64)), "PNG")
    (tmp_path / "photo.png").write_bytes(png[:33] + chunk + png[33:])
    with pytest.raises(KDLandmarksError, match=r"cannot read the photo .*too large"):
        load_photo(tmp_path / "photo.png")


# --- in pieces, as at once


@pytest.fixture
def small_tiles(monkeypatch):
    monkeypatch.setattr(pixels, "TILE", 8)
    monkeypatch.setattr(pixels.tiles, "__defaults__", (8,))


def whole_rgb(photo):
    """All at once."""
    white = Image.new("RGBA", photo.size, "white")
    return Image.alpha_composite(white, photo.convert("RGBA")).convert("RGB")


@pytest.mark.parametrize("mode", MODES)
def test_pieces_make_the_same_picture(mode, rng, small_tiles):
    photo = photo_of(mode, rng)
    expected = np.asarray(photo if mode == "RGB" else whole_rgb(photo))
    np.testing.assert_array_equal(np.asarray(pixels.as_rgb(photo)), expected)
    first = photo if mode in ("L", "RGB", "RGBA", "CMYK") else whole_rgb(photo)
    for factor in (2, 3, 9):
        reduced = first.reduce(factor)
        reduced = reduced if reduced.mode == "RGB" else whole_rgb(reduced)
        found = np.asarray(pixels.shrunken(photo, factor))
        np.testing.assert_array_equal(found, np.asarray(reduced))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "square",
    [Square(3, 2, 11), Square(-5, -4, 30), Square(20, 10, 40), Square(50, 5, 9)],
    ids=str,
)
def test_a_square_is_cut_out_of_pieces(mode, square, rng, small_tiles):
    photo = photo_of(mode, rng)
    left, top, side, _ = square
    expected = pixels.as_rgb(photo).crop((left, top, left + side, top + side))
    found = pixels.cut_square(photo, square)
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


def test_a_huge_square_comes_shrunk(rng, monkeypatch):
    monkeypatch.setattr(pixels, "LARGEST_CUT", 16)
    photo = photo_of("RGB", rng, (64, 64)).resize((256, 256), Image.Resampling.BICUBIC)
    for square in (Square(0, 0, 256), Square(-40, -10, 301)):
        left, top, side, _ = square
        found = pixels.cut_square(photo, square)
        assert 14 <= found.width <= 16
        cut = photo.crop((left, top, left + side, top + side))
        expected = cut.resize(found.size, Image.Resampling.BOX)
        assert np.abs(np.asarray(found, float) - np.asarray(expected, float)).mean() < 6


def test_drawing_in_pieces_is_drawing(rng, monkeypatch):
    monkeypatch.setattr(pixels.tiles, "__defaults__", (64,))
    scheme = get_scheme("ibug68")
    points = generate_face(3, size=200).landmarks - [0, 30]
    photo = photo_of("RGB", rng, (200, 150))
    pieces = np.asarray(draw_landmarks(photo, points, scheme, min_size=1))
    monkeypatch.setattr(pixels.tiles, "__defaults__", (4096,))
    whole = np.asarray(draw_landmarks(photo, points, scheme, min_size=1))
    assert (whole != np.asarray(photo)).any(2).sum() > 500
    np.testing.assert_array_equal(pieces, whole)


@pytest.mark.parametrize("mode", MODES)
def test_a_chip_is_the_same_in_any_mode(mode, rng):
    photo = photo_of(mode, rng, (400, 300))
    points = five_points(np.add(generate_face(3, size=200).landmarks, [50, 20]))
    chip = align_face(photo, points)
    plain = align_face(pixels.as_rgb(photo), points)
    limit = 0 if mode not in ("RGBA", "LA", "CMYK", "L") else 1  # averaged before or after
    assert np.abs(np.asarray(chip, int) - np.asarray(plain, int)).max() <= limit


# --- memory

HEAVY = """
import sys
from pathlib import Path
from kd_landmarks.imaging.crop import Square
from kd_landmarks.imaging.detection import detect_faces, YuNet
from kd_landmarks.imaging.photos import load_photo
from kd_landmarks.imaging.pixels import cut_square

def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":")) / 1e3

detect_faces(load_photo(sys.argv[1]), YuNet())
before = status("VmRSS")
photo = load_photo(sys.argv[2])
detect_faces(photo, YuNet())
cut_square(photo, Square(-100, -100, 2 * photo.width))
print(status("VmHWM") - before)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs Linux")
def test_a_large_photo_takes_bounded_memory(tmp_path):
    """A few kilobytes took gigabytes; benchmarks/photo_memory.py measures every kind."""
    Image.new("RGB", (64, 64)).save(tmp_path / "small.png")
    Image.new("LA", (5000, 5000)).save(tmp_path / "photo.png", compress_level=1)
    words = [sys.executable, "-c", HEAVY, tmp_path / "small.png", tmp_path / "photo.png"]
    here = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=here)
    assert float(done.stdout) < 450  # of which its own pixels are 100


def test_a_large_photo_is_sent_to_the_page_small(rng):
    photo = photo_of("P", rng, (3000, 2000))
    assert len(picture_svg(photo, "", [], shown_side=200)) < 60_000
