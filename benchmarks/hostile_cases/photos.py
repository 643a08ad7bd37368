"""Damaged photos, each given to the pipeline, which looks for faces in it."""

import io
import struct
import zlib
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from kd_landmarks import FaceLandmarkPipeline
from kd_landmarks.synthetic import generate_face

from . import Case, Try
from .damage import damaged_cases, written

READ = ("JPEG", "MPO", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM")
OTHER = ("EPS", "PDF", "JPEG2000", "ICNS", "ICO", "TGA", "PCX", "SGI", "DDS", "IM", "MSP")
"""Formats that Pillow can write, and we do not read."""
HUGE, LARGE = 13_300, 7_000
"""Sides of pictures above the limit of 50 megapixels, and just below it."""
PNG_KINDS = {"1": (1, 0), "L": (8, 0), "RGB": (8, 2), "P": (8, 3), "LA": (8, 4), "RGBA": (8, 6)}
PNG_KINDS |= {"I;16": (16, 0), "RGBA, 16 bits": (16, 6)}


@cache
def detector() -> FaceLandmarkPipeline:
    """The package's own, on the CPU."""
    return FaceLandmarkPipeline(device="cpu")


def look(photo: Any) -> None:
    """Find faces and their points, which must be finite."""
    for face in detector()(photo):
        if not (np.isfinite(face["keypoints"]).all() and np.isfinite(face["box"]).all()):
            raise ArithmeticError("an answer that is not finite")


@cache
def picture() -> Image.Image:
    """A drawn face."""
    return Image.fromarray(generate_face(3, size=256).image)


@cache
def sound(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    """The drawn face in a format."""
    file = io.BytesIO()
    shown = picture().convert({"MSP": "1"}.get(kind, mode))
    if kind == "MPO":
        options |= {"save_all": True, "append_images": [shown]}
    shown.save(file, kind, **options)
    return file.getvalue()


_written = partial(written, look, "photo.jpg")


def cases() -> list[Case]:
    """All of them."""
    found = damaged_cases(look, "photo.jpg", READ, sound, flips=12, cuts=6)
    for kind in OTHER:
        found.append(Case(f"{kind}, called .jpg", partial(_written, _other, kind)))
    for name, content in {**_headers(), **_plain()}.items():
        found.append(Case(name, partial(_written, lambda content, rng: content, content)))
    for name, chunk in _chunks().items():
        found.append(Case(name, partial(_written, lambda chunk, rng: _png_with(chunk()), chunk)))
    for number in range(20):
        found.append(Case(f"EXIF of noise, {number}", partial(_written, _exif_noise)))
    for value in (0, 2, 5, 8, 9, 65535):
        found.append(Case(f"EXIF orientation {value}", partial(_written, _turned, value)))
    for side in (HUGE, LARGE):
        for mode in PNG_KINDS:
            name = f"PNG of {side} x {side}, {mode}"
            found.append(Case(name, partial(_written, _large_png, side, mode)))
    for kind, mode in (
        *(("JPEG", "RGB"), ("JPEG", "L"), ("JPEG", "CMYK"), ("TIFF", "RGB"), ("TIFF", "CMYK")),
        *(("BMP", "RGB"), ("BMP", "P"), ("GIF", "P"), ("PPM", "RGB"), ("WEBP", "RGB")),
    ):
        name = f"{kind} of {LARGE} x {LARGE}, {mode}"
        found.append(Case(name, partial(_written, _large, kind, mode)))
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        found.append(Case(f"{kind} of 500 pictures", partial(_written, _animated, kind)))
    found.append(Case("a folder", _folder))
    return found


def _folder(folder: Path, rng: Random) -> Try:
    return partial(look, str(folder))


def _other(kind: str, rng: Random) -> bytes:
    return sound(kind)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png_header(width: int, height: int, bits: int, color: int) -> bytes:
    return _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0))


def _headers() -> dict[str, bytes]:
    """Sizes, depths and offsets that are not those of what follows."""
    found = {}
    png, start = sound("PNG"), sound("PNG")[:8]
    for width, height in (
        *((0, 0), (1, 1), (0, 256), (1, 2**31 - 1), (2**31 - 1, 1), (2**32 - 1, 2**32 - 1)),
        *((65535, 65535), (256, 10**6), (7000, 7000), (255, 256), (257, 257)),
    ):
        found[f"PNG that says {width} x {height}"] = (
            start + _png_header(width, height, 8, 2) + png[33:]
        )
    for bits, color in ((1, 2), (16, 3), (3, 0), (8, 7), (0, 0), (255, 255), (16, 4), (2, 3)):
        found[f"PNG that says {bits} bits of kind {color}"] = (
            start + _png_header(256, 256, bits, color) + png[33:]
        )
    jpeg = sound("JPEG")
    frame = jpeg.index(b"\xff\xc0") + 5
    for width, height in ((0, 0), (1, 1), (65535, 65535), (65535, 1), (256, 65535), (7000, 7000)):
        size = struct.pack(">HH", height, width)
        found[f"JPEG that says {width} x {height}"] = jpeg[:frame] + size + jpeg[frame + 4 :]
    for count in (0, 1, 2, 4, 255):
        found[f"JPEG that says {count} channels"] = (
            jpeg[: frame + 4] + bytes([count]) + jpeg[frame + 5 :]
        )
    bitmap = sound("BMP")
    most = 2**31 - 1
    for width, height in ((0, 0), (-256, 256), (most, most), (256, -most), (7000, 7000)):
        size = struct.pack("<ii", width, height)
        found[f"BMP that says {width} x {height}"] = bitmap[:18] + size + bitmap[26:]
    for bits in (0, 1, 4, 16, 32, 65535):
        found[f"BMP that says {bits} bits"] = bitmap[:28] + struct.pack("<H", bits) + bitmap[30:]
    gif = sound("GIF", "P")
    for width, height in ((0, 0), (65535, 65535), (7000, 7000), (1, 1)):
        size = struct.pack("<HH", width, height)
        found[f"GIF that says {width} x {height}"] = gif[:6] + size + gif[10:]
    for text in ("0 0 255", "-5 5 255", "9" * 5000 + " 5 255", "7000 7000 255", "5 5 0", "x y z"):
        found[f"PPM that says {text[:20]}"] = b"P6 " + text.encode() + b"\n" + bytes(300)
    for text in ("P5 7000 7000 65535\n", "P4 65000 65000\n", "Pf 5000 5000 -1.0\n", "P1 50 50\n"):
        found[f"PNM that says {text.strip()}"] = text.encode() + bytes(300)
    tiff = sound("TIFF")
    [offset] = struct.unpack("<I", tiff[4:8])
    for entry in range(struct.unpack("<H", tiff[offset : offset + 2])[0]):
        place = offset + 2 + 12 * entry
        tag = struct.unpack("<H", tiff[place : place + 2])[0]
        found[f"TIFF, tag {tag} that says 2^31"] = (
            tiff[: place + 8] + struct.pack("<I", 2**31) + tiff[place + 12 :]
        )
        found[f"TIFF, tag {tag} 2^30 times"] = (
            tiff[: place + 4] + struct.pack("<I", 2**30) + tiff[place + 8 :]
        )
    found["TIFF that begins in itself"] = tiff[:4] + struct.pack("<I", 4) + tiff[8:]
    end = offset + 2 + 12 * struct.unpack("<H", tiff[offset : offset + 2])[0]
    found["TIFF whose pages go round"] = tiff[:end] + struct.pack("<I", offset) + tiff[end + 4 :]
    return found


def _plain() -> dict[str, bytes]:
    """What is not a picture at all."""
    noise = Random(0).randbytes
    return {
        "empty": b"",
        "one byte": b"\xff",
        "HTML": b"<html><body>not found</body></html>",
        "zeros": bytes(10**6),
        "noise": noise(10**5),
        "JPEG's beginning and noise": b"\xff\xd8\xff\xe0" + noise(10**5),
        "PNG's beginning and noise": b"\x89PNG\r\n\x1a\n" + noise(10**5),
        "WEBP's beginning and noise": b"RIFF\xff\xff\xff\x7fWEBPVP8 " + noise(10**4),
        "AVIF's beginning and noise": b"\0\0\0\x20ftypavif" + noise(10**4),
        "PSD": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 9**6, 9**6, 8, 3) + bytes(99),
        "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n{} loop\n",
        "base64": b"data:image/png;base64,iVBORw0KGgo=",
        "ZIP": b"PK\3\4" + noise(1000),
        "JPEG with 9 MB of markers": sound("JPEG")[:2]
        + (b"\xff\xe1\xff\xff" + bytes(65533)) * 140
        + sound("JPEG")[2:],
        "JPEG with noise for an ICC profile": sound("JPEG", icc_profile=noise(10**5)),
        "JPEG after JPEG": sound("JPEG") * 50,
    }


def _chunks() -> dict[str, Any]:
    """Chunks that a PNG may have: compressed texts, profiles, many."""
    bomb = partial(zlib.compress, bytes(200 * 2**20), 9)
    return {
        "PNG, zTXt of 200 MB": lambda: _chunk(b"zTXt", b"a\0\0" + bomb()),
        "PNG, iTXt of 200 MB": lambda: _chunk(b"iTXt", b"a\0\1\0\0\0" + bomb()),
        "PNG, iCCP of 200 MB": lambda: _chunk(b"iCCP", b"a\0\0" + bomb()),
        "PNG, 50,000 texts": lambda: _chunk(b"tEXt", b"a\0b") * 50_000,
        "PNG, 2 MB of text": lambda: _chunk(b"tEXt", b"a\0" + b"b" * 2**21),
        "PNG, EXIF of noise": lambda: _chunk(b"eXIf", Random(0).randbytes(10**4)),
        "PNG, two headers": lambda: _png_header(7000, 7000, 8, 6),
        "PNG, animation of 2^31 frames": lambda: _chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)),
    }


def _png_with(chunks: bytes) -> bytes:
    """The drawn face as a PNG with further chunks behind its header."""
    png = sound("PNG")
    return png[:33] + chunks + png[33:]


def _exif_noise(rng: Random) -> bytes:
    noise = b"Exif\0\0" + rng.choice((b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b""))
    return _jpeg_exif(noise + rng.randbytes(200))


def _jpeg_exif(exif: bytes) -> bytes:
    jpeg = sound("JPEG")
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]


def _turned(value: int, rng: Random) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = value
    return _jpeg_exif(exif.tobytes())


def _large_png(side: int, mode: str, rng: Random) -> bytes:
    """A black picture of that many pixels, in some hundred kilobytes."""
    bits, color = PNG_KINDS[mode]
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    rows = bytes(100 * (1 + -(-side * bits * channels // 8)))
    # What is packed by itself can be repeated, which is quicker than packing it again.
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(rows) + packer.flush(zlib.Z_FULL_FLUSH)
    check = 1
    for _ in range(side // 100):
        check = zlib.adler32(rows, check)
    data = b"\x78\x9c" + block * (side // 100) + b"\x03\0" + struct.pack(">I", check)
    palette = _chunk(b"PLTE", bytes(768)) + _chunk(b"tRNS", bytes(256)) if color == 3 else b""
    header = b"\x89PNG\r\n\x1a\n" + _png_header(side, side, bits, color)
    return header + palette + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _large(kind: str, mode: str, rng: Random) -> bytes:
    options: dict[str, dict[str, Any]] = {
        "TIFF": {"compression": "tiff_lzw"},
        "WEBP": {"lossless": True, "method": 0},
        "JPEG": {"progressive": mode == "L"},
    }
    file = io.BytesIO()
    Image.new(mode, (LARGE, LARGE)).save(file, kind, **options.get(kind, {}))
    return file.getvalue()


def _animated(kind: str, rng: Random) -> bytes:
    file = io.BytesIO()
    frames = list(_frames(rng))
    options: dict[str, Any] = {"PNG": {"default_image": False}}.get(kind, {})
    frames[0].save(file, kind, save_all=True, append_images=frames[1:], **options)
    return file.getvalue()


def _frames(rng: Random) -> Iterator[Image.Image]:
    for _ in range(500):
        yield Image.new("RGB", (64, 64), (rng.randrange(256), rng.randrange(256), 0))
