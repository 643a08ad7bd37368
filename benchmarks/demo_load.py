"""The demo's times and memory: until the page can be used, a photo's way, 200 requests.

    python benchmarks/demo_load.py

Starts `kd-landmarks demo`, opens it in Debian's Chromium (apt-get install chromium), sends a photo
of 1280 x 960 pixels through the page and 200 through the programs' endpoint, and tells the server's
memory after 20 and after all.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import typer
from gradio_client import Client, handle_file
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from record import print_table, record

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/helpers"))
from demo_server import CHROMIUM, running_demo

from kd_landmarks.demo.examples import example

SIZE = (1280, 960)
WARM_UP, TIMED, FIRST, REQUESTS = 3, 15, 20, 200


def main() -> None:
    """Measure, print and record."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photo = folder / "photo.jpg"
        write_photo(photo)
        began = time.monotonic()
        with (
            running_demo(folder) as (address, process, _),
            sync_playwright() as playwright,
        ):
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page()
            page.goto(address)
            page.wait_for_selector("#photo-view svg circle")
            usable = time.monotonic() - began
            seconds = [through_the_page(page, photo) for _ in range(WARM_UP + TIMED)][WARM_UP:]
            browser.close()
            client = Client(address, verbose=False)
            memory = {}
            for number in range(1, REQUESTS + 1):
                client.predict(handle_file(photo), api_name="/detect")
                if number in (FIRST, REQUESTS):
                    memory[number] = resident_megabytes(process.pid)
    growth = 100 * (memory[REQUESTS] / memory[FIRST] - 1)
    measured = {
        "seconds_until_usable": usable,
        "photo_seconds_median": statistics.median(seconds),
        "photo_seconds_max": max(seconds),
        "megabytes": {str(count): value for count, value in memory.items()},
        "growth_percent": growth,
    }
    rows = [
        ("from start to a usable page, s", f"{usable:.1f}", "5"),
        ("1280 x 960 photo to its result, s", f"{measured['photo_seconds_median']:.2f}", "1"),
        ("the slowest of 15, s", f"{max(seconds):.2f}", "1"),
        (f"memory after {FIRST} requests, MB", f"{memory[FIRST]:.0f}", ""),
        (f"growth after {REQUESTS}, %", f"{growth:.1f}", "10"),
    ]
    print_table(("", "measured", "at most"), rows)
    print(record("demo_load", measured, 0))


def write_photo(path: Path) -> None:
    """The astronaut with room around her."""
    canvas = Image.new("RGB", SIZE, (128, 120, 110))
    canvas.paste(example("Astronaut").photo.resize((800, 800)), (240, 100))
    canvas.save(path, quality=92)


def through_the_page(page: Page, photo: Path) -> float:
    """Seconds from dropping a photo to seeing its points."""
    page.get_by_role("button", name="Generated face").first.click()
    page.wait_for_selector('#photo-view svg[viewBox="0 0 512 512"]')
    start = time.monotonic()
    page.locator("input[type=file]").first.set_input_files(photo)
    page.wait_for_selector(f'#photo-view svg[viewBox="0 0 {SIZE[0]} {SIZE[1]}"] circle')
    return time.monotonic() - start


def resident_megabytes(process: int) -> float:
    """What a process holds now."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    [kilobytes] = [line.split()[1] for line in lines if line.startswith("VmRSS")]
    return int(kilobytes) / 1024


if __name__ == "__main__":
    typer.run(main)
