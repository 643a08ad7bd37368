"""The browser page's speed: frames per second of a camera in headless Chromium.

    npm ci --prefix docs/browser
    python benchmarks/browser.py

Builds the page of docs/browser, serves it on loopback and follows a face in a fake camera of 640 x
480 pixels; WebAssembly has one thread. Needs npm and Debian's Chromium (apt-get install nodejs npm
chromium), and free cores: the load average before tells whether there were any.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import typer
from playwright.sync_api import sync_playwright
from record import print_table, record

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/helpers"))
from browser_page import MISSING, build_page, camera_options, served, write_camera
from demo_server import CHROMIUM

# More than any page computes: the camera is not to be the limit.
CAMERA_RATE = 60
WARM_UP, SECONDS = 5, 20
# Counts the pictures that the page shows.
COUNTER = """
window.shown = 0;
const draw = CanvasRenderingContext2D.prototype.drawImage;
CanvasRenderingContext2D.prototype.drawImage = function (...given) {
  if (this.canvas.id === "live") window.shown += 1;
  return draw.apply(this, given);
};
"""


def main() -> None:
    """Measure, print and record."""
    if MISSING:
        raise typer.BadParameter(MISSING)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        page, built = build_page(folder)
        if built.returncode:
            raise typer.BadParameter(built.stderr)
        camera = write_camera(folder / "camera.y4m", frames=2 * CAMERA_RATE, rate=CAMERA_RATE)
        measured = follow(page, camera)
    rows = [
        ("frames a second", f"{measured['frames_per_second']:.1f}"),
        ("processor time of a frame, ms", f"{measured['processor_milliseconds_a_frame']:.0f}"),
        ("load average before", f"{measured['load_average']:.1f}"),
    ]
    print_table(("", "measured"), rows)
    print(record("browser", measured, 0))


def follow(folder: Path, camera: Path) -> dict[str, float]:
    """Frames per second while a face is followed, and what they cost."""
    load = os.getloadavg()[0]
    with served(folder) as (address, _), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=camera_options(camera))
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.add_init_script(COUNTER)
        page.goto(address)
        page.wait_for_selector("#camera:not([disabled])")
        page.locator("#camera").click()
        page.wait_for_selector("#save:not([hidden])")  # there is a face
        page.wait_for_timeout(1000 * WARM_UP)
        shown, used, start = page.evaluate("window.shown"), processor_seconds(), time.monotonic()
        page.wait_for_timeout(1000 * SECONDS)
        shown = page.evaluate("window.shown") - shown
        used, passed = processor_seconds() - used, time.monotonic() - start
        browser.close()
    return {
        "frames_per_second": shown / passed,
        "processor_milliseconds_a_frame": 1000 * used / max(shown, 1),
        "load_average": load,
    }


def processor_seconds() -> float:
    """What this process's children, Chromium's processes, have used so far."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            values = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        number = int(folder.name)
        parents[number], ticks[number] = int(values[1]), int(values[11]) + int(values[12])
    ours = [number for number in ticks if number != os.getpid() and _is_child(number, parents)]
    return sum(ticks[number] for number in ours) / os.sysconf("SC_CLK_TCK")


def _is_child(number: int, parents: dict[int, int]) -> bool:
    while number in parents and number != os.getpid():
        number = parents[number]
    return number == os.getpid()


if __name__ == "__main__":
    typer.run(main)
