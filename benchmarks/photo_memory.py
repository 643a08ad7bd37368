"""Memory and time of one photo at the limit of pixels, for each kind of file that is read.

    python benchmarks/photo_memory.py

Makes a photo of as many pixels as are allowed as a file of each kind, and takes it three ways, each
kind in a fresh process: to its points (`detect`), to a drawn picture (`draw`), and to what the demo
answers an upload with (`demo`). Records `results/photo_memory.json`. Needs Linux.
"""

import multiprocessing
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import typer
from PIL import Image

import kd_landmarks
from kd_landmarks import FaceLandmarkPipeline
from kd_landmarks.imaging.formats import max_megapixels
from kd_landmarks.schemes import get_scheme

EXAMPLE = Path(kd_landmarks.__file__).parent / "demo" / "examples" / "astronaut.jpg"
SCHEME = get_scheme("ibug68")
ORIENTATION = 0x0112
SEED = 0
WAYS = ("detect", "draw", "demo")

Save = Callable[[Image.Image, Path], Any]


def _plain(mode: str, **words: Any) -> Save:
    return lambda photo, path: photo.convert(mode).save(path, **words)


def _turned(photo: Image.Image, path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    photo.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)


def _wide(channels: int) -> Save:
    """16 bits for each channel; Pillow writes them for gray alone."""

    def save(photo: Image.Image, path: Path) -> None:
        mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
        cv2.imwrite(str(path), np.asarray(photo.convert(mode)).astype(np.uint16) * 257)

    return save


def _32_bits(photo: Image.Image, path: Path) -> None:
    values = np.asarray(photo.convert("L")).astype(np.int32) * 257
    Image.fromarray(values).save(path, compression="tiff_lzw")


STRIP = {"compression": "tiff_lzw", "tiffinfo": {278: 2**20}}  # one strip of all rows
KINDS: dict[str, tuple[str, Save]] = {
    "JPEG": (".jpg", _plain("RGB", quality=90)),
    "JPEG, progressive, full color": (
        ".jpg",
        _plain("RGB", quality=95, subsampling=0, progressive=True),
    ),
    "JPEG, turned by EXIF": (".jpg", _turned),
    "JPEG, CMYK": (".jpg", _plain("CMYK", progressive=True, subsampling=0)),
    "PNG, black and white": (".png", _plain("1")),
    "PNG, gray": (".png", _plain("L", compress_level=1)),
    "PNG, gray, alpha": (".png", _plain("LA", compress_level=1)),
    "PNG, gray of 16 bits": (".png", _wide(1)),
    "PNG, palette": (".png", _plain("P", compress_level=1)),
    "PNG, RGB": (".png", _plain("RGB", compress_level=1)),
    "PNG, RGB of 16 bits": (".png", _wide(3)),
    "PNG, RGBA": (".png", _plain("RGBA", compress_level=1)),
    "PNG, RGBA of 16 bits": (".png", _wide(4)),
    "TIFF, RGB, one strip": (".tif", _plain("RGB", **STRIP)),
    "TIFF, CMYK": (".tif", _plain("CMYK")),
    "TIFF, gray of 32 bits": (".tif", _32_bits),
    "WebP": (".webp", _plain("RGB", method=0)),
    "WebP, lossless, RGBA": (".webp", _plain("RGBA", method=0, quality=0, lossless=True)),
    "AVIF": (".avif", _plain("RGB", speed=10)),
    "AVIF, full color, RGBA": (".avif", _plain("RGBA", speed=10, subsampling="4:4:4")),
    "GIF": (".gif", _plain("P")),
    "BMP": (".bmp", _plain("RGB")),
    "PPM": (".ppm", _plain("RGB")),
}


def main() -> None:
    """Make, measure, print and record."""
    from record import print_table, record  # not in the processes that are measured

    side = int((max_megapixels() * 1e6 / 12) ** 0.5)
    with Image.open(EXAMPLE) as example:
        photo = example.convert("RGB").resize((4 * side, 3 * side), Image.Resampling.BICUBIC)
    measured: dict[str, Any] = {}
    fresh = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(1, mp_context=fresh, max_tasks_per_child=1) as process,
    ):
        for kind, (ending, save) in KINDS.items():
            path = Path(folder, f"photo{ending}")
            save(photo, path)
            measured[kind] = process.submit(measure, path).result()
            print(kind, measured[kind], flush=True)
            path.unlink()
    print_table(
        (
            "one photo at the limit",
            "file kB",
            *(f"{way} MB" for way in WAYS),
            "process MB",
            "seconds",
        ),
        [
            (
                kind,
                f"{told['bytes'] / 1e3:.0f}",
                *(f"{told['megabytes'][way]:.0f}" for way in WAYS),
                f"{told['process']:.0f}",
                f"{told['seconds']['detect']:.1f}",
            )
            for kind, told in measured.items()
        ],
    )
    most = max(max(told["megabytes"].values()) for told in measured.values())
    print(f"at most {most:.0f} MB more than the process takes without a photo")
    pixels = {"width": photo.width, "height": photo.height}
    print(record("photo_memory", {"photo": pixels, "most": most, "kinds": measured}, SEED))


def measure(path: Path) -> dict[str, Any]:
    """Of one file: each way's time, and its peak above what the process has without the photo.

    The libraries of the project take most of `without`; a photo does not change that. `process` is
    the peak of all of them together on the way to the points.
    """
    detect = FaceLandmarkPipeline()
    detect(EXAMPLE)
    ways: dict[str, Callable[[], Any]] = {
        "detect": lambda: detect(path),
        "draw": lambda: detect(path).plot(),
        "demo": lambda: _demo(detect, path),
    }
    told: dict[str, Any] = {"bytes": path.stat().st_size, "megabytes": {}, "seconds": {}}
    told["faces"] = 0
    told["without"] = without = _status("VmRSS")
    for way, run in ways.items():
        if way == "demo":  # which loads more: no part of a photo's memory
            before = _status("VmRSS")
            _demo(detect, EXAMPLE)
            without += max(0, _status("VmRSS") - before)
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        start = time.perf_counter()
        answer = run()
        told["seconds"][way] = round(time.perf_counter() - start, 2)
        told["megabytes"][way] = round(_status("VmHWM") - without, 1)
        if way == "detect":
            told["faces"] = len(answer)
            told["process"] = _status("VmHWM")
        del answer
    return told


def _demo(detect: FaceLandmarkPipeline, path: Path) -> str:
    from kd_landmarks.demo.overlay import photo_view
    from kd_landmarks.demo.uploads import read_photo

    photo = read_photo(path.read_bytes())
    return photo_view(photo, detect(photo), SCHEME)


def _status(name: str) -> float:
    """Of this process, in megabytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    [line] = [line for line in lines if line.startswith(f"{name}:")]
    return round(int(line.split()[1]) * 1024 / 1e6, 1)


if __name__ == "__main__":
    typer.run(main)
