"""What lies around a picture's pixels: no file of a stranger's costs time or memory by it."""

import io
import struct
import subprocess
import sys
import warnings
import zlib

from PIL import Image

from kd_landmarks.imaging.formats import open_picture
from kd_landmarks.imaging.photos import load_photo


def png(side, *chunks):
    """A gray PNG of which nothing but the header is whole, and more chunks."""
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )


def directory(entries, size):
    """A TIFF directory of so many entries which all mean the same bytes, in a file of `size`."""
    pixels = [(256, 8), (257, 8), (258, 8), (259, 1), (262, 1), (277, 1), (278, 8)]
    every = [(tag, 3, 1, value) for tag, value in pixels] + [(273, 4, 1, 8), (279, 4, 1, 64)]
    every += [(1000 + number, 7, size - 100, 8) for number in range(entries)]
    packed = b"".join(struct.pack("<HHLL", *entry) for entry in every)
    start = b"II*\0" + struct.pack("<L", 8) + struct.pack("<H", len(every))
    return (start + packed + bytes(4)).ljust(size, b"\0")


def jpeg(*segments):
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG")
    whole = file.getvalue()
    whole = whole[:2] + whole[4 + int.from_bytes(whole[4:6], "big") :]  # without a resolution
    more = [
        b"\xff" + bytes([code]) + struct.pack(">H", len(data) + 2) + data for code, data in segments
    ]
    return whole[:2] + b"".join(more) + whole[2:]


def exif_jpeg(data):
    pieces = [data[start : start + 60_000] for start in range(0, len(data), 60_000)]
    return jpeg(*((0xE1, b"Exif\0\0" + piece) for piece in pieces))


def gif(junk):
    file = io.BytesIO()
    Image.new("P", (8, 8)).save(file, "GIF")
    whole = file.getvalue()
    colors = 13 + (3 << (whole[10] & 7) + 1 if whole[10] & 0x80 else 0)
    return whole[:colors] + junk + whole[colors:]


def tiled(side):
    packed = zlib.compress(bytes(side * side))
    tags = {256: 8, 257: 8, 258: 8, 259: 8, 262: 1, 277: 1, 322: side, 323: side, 324: 8}
    tags[325] = len(packed)
    entries = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in tags.items())
    start = b"II*\0" + struct.pack("<L", 8 + len(packed)) + packed
    return start + struct.pack("<H", len(tags)) + entries + bytes(4)


READ = {
    "EXIF that means itself again and again": lambda: exif_jpeg(directory(20_000, 300_000)),
    "EXIF of nothing but its name": lambda: exif_jpeg(b"Exif\0\0" * 500_000),
    "pictures that mean themselves": lambda: jpeg((0xE2, b"MPF\0" + directory(5_000, 65_000))),
}
REFUSED = {
    "a directory that means itself": lambda: directory(60_000, 10**6),
    "one that libtiff would read": lambda: directory(3_000, 10**6),
    "tiles larger than the picture": lambda: tiled(8_000),
    "a comment without an end": lambda: gif(b"!\xfe" + (b"\xff" + bytes(255)) * 40_000),
    "junk in front": lambda: gif(b"x" * 2 * 10**6),
    "tiny segments": lambda: jpeg(*[(0xE5, b"")] * 100_000),
    "filling": lambda: jpeg()[:2] + b"\xff" * 10**6 + jpeg()[2:],
    "tiny chunks": lambda: png(8, *[(b"teSt", b"")] * 100_000),
    "text that unpacks": lambda: png(8, (b"zTXt", b"a\0\0" + zlib.compress(bytes(10**8)))),
}

LIMITED = """
import resource, sys, time, warnings
from kd_landmarks import KDLandmarksError
from kd_landmarks.imaging.photos import load_photo
warnings.simplefilter("ignore")
for name in sys.argv[1:]:
    start = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        said = load_photo(name).size
    except KDLandmarksError as error:
        said = "refused"
    assert time.perf_counter() - start < 10, name
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(name.rpartition("/")[2], said, grown, sep="|")
"""


def limited(*paths):
    """What each file comes to, and by how many kB it made the process grow."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    told = (line.split("|") for line in done.stdout.splitlines())
    return {name: (said, int(grown)) for name, said, grown in told}


def test_what_lies_around_the_pixels_costs_no_memory_and_no_time(tmp_path):
    for name, make in (READ | REFUSED).items():
        (tmp_path / name).write_bytes(make())
    told = limited(*sorted(tmp_path.iterdir()))
    for name, (said, grown) in told.items():
        assert said == ("(8, 8)" if name in READ else "refused"), name
        assert grown < 150_000, name


def test_sound_directories_are_read_as_ever(tmp_path):
    exif = Image.Exif()
    exif[0x0112], exif[0x010E], exif[0x9C9B] = 6, "a description " * 2000, b"x" * 20_000
    for name in ("a.jpg", "b.tif", "c.png", "d.webp", "e.avif"):
        Image.new("RGB", (8, 5)).save(tmp_path / name, exif=exif)
        with warnings.catch_warnings(), open_picture(tmp_path / name) as picture:
            warnings.simplefilter("error")
            picture.load()
            assert picture.getexif()[0x010E] == exif[0x010E]
        assert load_photo(tmp_path / name).size == (5, 8)
