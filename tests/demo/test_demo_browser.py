"""The demo in a real browser: Debian's Chromium, driven by Playwright."""

import io
import json
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import write_clip
from demo_server import CHROMIUM, REPOSITORY, running_demo
from gradio_client import Client, handle_file
from PIL import Image

from kd_landmarks import FaceLandmarkPipeline
from kd_landmarks.demo.examples import example

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not Path(CHROMIUM).exists(), reason=f"no {CHROMIUM}: apt-get install chromium"
    ),
]

EXAMPLES = REPOSITORY / "kd_landmarks/demo/examples"
PHOTO = EXAMPLES / "grace_hopper.jpg"
SIZES = {"phone": (390, 844), "desktop": (1440, 900)}
TABS = ("Photo", "Webcam", "Video", "Compare", "How it works", "Results")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    with running_demo(tmp_path_factory.mktemp("demo")) as running:
        yield running
    assert [path for path in running[2].rglob("*") if path.is_file()] == []


@pytest.fixture(scope="module")
def camera(tmp_path_factory):
    """What the fake camera sees: the astronaut, moving to and fro, as motion JPEG."""
    path = tmp_path_factory.mktemp("camera") / "face.mjpeg"
    face = cv2.imread(str(EXAMPLES / "astronaut.jpg"))
    with path.open("wb") as file:
        for number in range(50):
            frame = np.full((480, 640, 3), 90, np.uint8)
            left = int(150 + 60 * np.sin(number / 8))
            frame[80:400, left : left + 320] = face
            file.write(cv2.imencode(".jpg", frame)[1].tobytes())
    return path


@pytest.fixture(scope="module")
def browser(camera):
    with sync_api.sync_playwright() as playwright:
        yield playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-video-capture={camera}",
            ],
        )


@pytest.fixture
def open_page(demo, browser):
    """Opens the demo; at the end nothing may have failed, and nothing been asked of elsewhere."""
    contexts, problems, expected = [], [], []

    def opened(size="desktop", theme="light", *, allowed=()):
        expected.extend(allowed)
        width, height = SIZES[size]
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=theme,
            permissions=["camera"],
            accept_downloads=True,
        )
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console",
            lambda told: problems.append(told.text) if told.type == "error" else None,
        )
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda asked: problems.append(asked.url) if outside(asked.url) else None)
        page.goto(demo[0] + f"?__theme={theme}")
        page.wait_for_selector("#photo-view svg")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert [told for told in problems if not any(word in told for word in expected)] == []


def outside(url):
    return not url.startswith(("http://127.0.0.1:", "data:", "blob:", "about:"))


def go_to(page, name):
    page.get_by_role("tab", name=name).click()


def send(page, file, number=0):
    page.locator("input[type=file][accept*=image]").nth(number).set_input_files(file)


def picture_of(page, selector):
    return np.asarray(
        Image.open(io.BytesIO(page.locator(selector).screenshot())).convert("RGB"), dtype=float
    )


def test_a_photo_gets_its_points_where_they_belong(open_page, demo):
    page = open_page()
    send(page, PHOTO)
    page.wait_for_selector('#photo-view svg[viewBox="0 0 512 600"]')
    with page.expect_download() as told:
        page.get_by_text("Save JSON").click()
    [face] = json.loads(Path(told.value.path()).read_text())["faces"]
    [expected] = FaceLandmarkPipeline(device="cpu")(str(PHOTO))
    np.testing.assert_allclose(face["keypoints"], expected["keypoints"], atol=1)

    with_points = picture_of(page, "#photo-view svg")
    for part in ("Points", "Outlines"):
        page.get_by_role("checkbox", name=part).uncheck()
    page.wait_for_function("document.getElementById('photo-tab').dataset.kdPoints === 'off'")
    changed = np.abs(with_points - picture_of(page, "#photo-view svg")).max(axis=2) > 60
    scale = changed.shape[1] / 512
    points = (expected["keypoints"] + 0.5) * scale
    for x, y in points.round().astype(int):
        assert changed[y - 1 : y + 2, x - 1 : x + 2].any()
    low, high = points.min(0) - 8, points.max(0) + 8
    changed[int(low[1]) : int(high[1]), int(low[0]) : int(high[0])] = False
    assert not changed.any()


def test_what_is_shown_can_be_chosen_and_saved(open_page):
    page = open_page()
    page.get_by_role("button", name="Six generated faces").first.click()
    page.wait_for_function("document.querySelectorAll('#photo-view .kd-face').length === 6")
    assert page.locator(".kd-number:visible").count() == 0
    page.get_by_role("checkbox", name="Numbers").check()
    page.wait_for_function("document.getElementById('photo-tab').dataset.kdNumbers === 'on'")
    assert page.locator("#photo-faces .kd-number:visible").count() == 68
    assert not page.locator("#photo-legend").is_visible()
    page.get_by_role("checkbox", name="Boxes").check()
    page.get_by_label("Confidence colors").check()
    assert page.locator("#photo-legend").is_visible()
    page.locator("#photo-faces .kd-choice label").nth(2).click()
    page.wait_for_selector('#photo-view .kd-face.kd-chosen[data-face="2"]')
    page.get_by_text("Points of face 3").click()
    page.get_by_text("Landmarks of face 3, in pixels").wait_for()
    page.locator('#photo-view .kd-face[data-face="4"] .kd-point').nth(30).click(force=True)
    close_up = page.locator("#photo-faces .kd-close-up:visible")
    assert close_up.get_attribute("data-face") == "4"
    close_up.locator(".kd-point").nth(30).scroll_into_view_if_needed()
    box = close_up.locator(".kd-point").nth(30).bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.locator("#kd-tip").get_by_text(re.compile(r"^30 .*% sure$")).wait_for()
    with page.expect_download() as told:
        page.get_by_role("button", name="Save PNG of the face").click()
    assert max(Image.open(told.value.path()).size) == 1024
    with page.expect_download() as told:
        page.get_by_role("button", name="Save PNG", exact=True).click()
    saved = np.asarray(Image.open(told.value.path()).convert("RGB"), dtype=int)
    assert saved.shape == (512, 768, 3)
    drawn = np.asarray(example("Six generated faces").photo, dtype=int)
    changed = np.abs(saved - drawn).max(axis=2) > 60
    assert changed[:256, :256].sum() > 300  # lines and points of the first face
    assert changed[256:, 512:].sum() > 300  # and of the last one
    with page.expect_download() as told:
        page.get_by_text("Save CSV").click()
    assert len(Path(told.value.path()).read_text().splitlines()) == 7


def test_a_photo_is_turned(open_page):
    page = open_page()
    before = page.locator("#photo-faces .kd-bars").inner_text()
    page.get_by_label("number input for Rotate the astronaut's photo").fill("90")
    page.keyboard.press("Enter")
    page.wait_for_function(
        "before => document.querySelector('#photo-faces .kd-bars').innerText !== before", arg=before
    )
    assert re.search(r"Head roll\s+9\d°", page.locator("#photo-faces .kd-bars").inner_text())


def test_bad_files_are_told_and_the_page_lives_on(open_page, tmp_path, demo):
    # Gradio tells the console, too, of what it refuses as too large.
    page = open_page(allowed=("status of 404", "Response"))
    (tmp_path / "broken.jpg").write_bytes(PHOTO.read_bytes()[:20_000])
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "large.png").write_bytes(b"\x89PNG" + bytes(53_000_000))
    Image.new("1", (8000, 8000)).save(tmp_path / "many.png")
    Image.new("RGB", (300, 200), "gray").save(tmp_path / "empty.png")
    for name, said in {
        "broken.jpg": "This photo is broken",
        "text.jpg": "JPEG, PNG or WebP",
        "many.png": "64 megapixels",
        "empty.png": "No face was found",
    }.items():
        send(page, tmp_path / name)
        page.locator("#photo-view").get_by_text(re.compile(said)).wait_for()
    (tmp_path / "words.txt").write_text("hello")
    send(page, tmp_path / "words.txt")
    page.get_by_text("Invalid file type").wait_for()
    send(page, tmp_path / "large.png")
    page.get_by_text(re.compile("exceed the maximum")).first.wait_for()
    send(page, PHOTO)
    page.wait_for_selector('#photo-view svg[viewBox="0 0 512 600"] circle')


def test_compare_shows_three_results(open_page):
    page = open_page()
    go_to(page, "Compare")
    figures = page.locator("#compare-view figure")
    page.wait_for_selector("#compare-view figure:nth-child(3)")
    assert figures.count() == 3
    assert figures.locator("circle").count() == 3 * 68
    told = figures.all_inner_texts()
    assert all("ms a face" in one and "million" in one and "error" in one for one in told)
    send(page, PHOTO, 1)
    page.wait_for_selector('#compare-view svg[viewBox="0 0 512 600"]')
    assert "error" not in figures.first.inner_text()


def test_sliders_move_the_plots(open_page):
    page = open_page()
    go_to(page, "How it works")
    page.wait_for_selector("#loss-plot canvas, #loss-plot svg.marks")
    page.wait_for_timeout(500)
    before = picture_of(page, "#loss-plot")
    page.get_by_label("number input for α, both teachers").fill("3.5")
    page.keyboard.press("Enter")
    page.wait_for_timeout(2000)
    assert np.abs(before - picture_of(page, "#loss-plot")).max() > 60
    soft = page.locator("#soft-view").inner_text()
    assert "components" in soft
    page.get_by_label("number input for Retained variance, %").fill("50")
    page.keyboard.press("Enter")
    page.wait_for_function(
        "before => document.querySelector('#soft-view').innerText !== before", arg=soft
    )


def test_the_camera_is_followed(open_page, demo):
    page = open_page()
    go_to(page, "Webcam")
    page.get_by_text("Click to Access Webcam").click()
    page.locator("button:visible", has_text="Record").click()
    told = page.locator("#webcam-view .kd-rate")
    told.get_by_text(re.compile("1 face, smoothed")).wait_for()
    page.wait_for_timeout(2000)
    assert float(told.inner_text().split()[0]) > 1
    overlay = page.locator("#webcam .kd-overlay")
    assert overlay.locator("circle").count() == 68
    preview, above = page.locator("#webcam video").bounding_box(), overlay.bounding_box()
    assert all(abs(preview[key] - above[key]) < 1 for key in preview)
    assert re.search(r"Mouth open\s+0\.\d\d", page.locator("#webcam-view").inner_text())
    page.get_by_label("Smoothing (One-Euro filter)").first.uncheck()
    told.get_by_text(re.compile("1 face, as found")).wait_for()
    page.locator("button:visible", has_text="Stop").click()
    overlay.wait_for(state="detached")
    # Behind another tab the camera is off, and on again behind this one.
    page.locator("button:visible", has_text="Record").click()
    overlay.wait_for()
    go_to(page, "Results")
    state = "document.querySelector('#webcam video').srcObject.getTracks()[0].readyState"
    page.wait_for_function(f"{state} === 'ended'")
    sent = []
    page.on("request", lambda request: sent.append(request.url))
    page.wait_for_timeout(1000)
    assert not [url for url in sent if "/stream" in url or "/upload" in url]
    go_to(page, "Webcam")
    page.wait_for_function(f"{state} === 'live'")
    page.locator("button:visible", has_text="Record").click()
    overlay.wait_for()


def test_a_clip_is_followed_and_a_long_one_canceled(open_page, tmp_path, demo):
    face = np.asarray(Image.open(PHOTO).convert("RGB").resize((256, 300)))
    short = write_clip(tmp_path / "short.avi", [face] * 8, 8)
    # Large, so that a busy machine does not finish it before the click arrives.
    large = np.asarray(Image.open(PHOTO).convert("RGB").resize((768, 900)))
    long = write_clip(tmp_path / "long.avi", [large] * 600, 30)
    page = open_page()
    go_to(page, "Video")
    chooser = page.locator("input[type=file][accept*=video]")
    chooser.set_input_files(long)
    page.wait_for_selector("video")
    page.get_by_role("button", name="Find landmarks").click()
    page.locator("#video-news progress").wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.locator("#video-news").get_by_text("Canceled.").wait_for()
    page.wait_for_timeout(1500)
    assert page.locator("#video-news").inner_text().strip() == "Canceled."
    page.locator("#video-tab").get_by_label("Clear").first.click()
    page.wait_for_selector("video", state="detached")
    chooser.set_input_files(short)
    page.wait_for_selector("video")
    page.get_by_role("button", name="Find landmarks").click()
    page.locator("#video-news").get_by_text("1 face followed in 8 frames").wait_for()
    page.wait_for_function("document.querySelector('#video-view video').readyState >= 2")
    with page.expect_download() as told:
        page.get_by_text("Save JSON lines").click()
    lines = Path(told.value.path()).read_text().splitlines()
    assert [len(json.loads(line)["faces"]) for line in lines] == [1] * 8
    with page.expect_download() as told:
        page.get_by_text("Save clip").click()
    assert Path(told.value.path()).read_bytes().startswith(b"\x1aE\xdf\xa3")  # of WebM


def test_the_example_clip_moves_its_bars(open_page):
    page = open_page()
    go_to(page, "Video")
    page.get_by_role("button", name="Example clip").click()
    page.locator("#video-news").get_by_text("1 face followed in 100 frames").wait_for()
    page.wait_for_function("document.querySelector('#video-view video').currentTime > 0.5")
    page.evaluate("document.querySelector('#video-view video').pause()")
    shown = {}
    for seconds in (1.25, 3.75):  # where the head is turned most
        page.evaluate(
            "t => { document.querySelector('#video-view video').currentTime = t }", seconds
        )
        page.wait_for_timeout(500)
        told = page.locator("#video-measures .kd-bars").inner_text()
        shown[seconds] = int(re.search(r"Head yaw\s+(-?\d+)°", told)[1])
    assert shown[1.25] > 10
    assert shown[3.75] < -10


def test_a_phone_shows_what_matters(open_page):
    """No tab is in a menu, the table is whole, and the camera's points are in sight."""
    width, height = SIZES["phone"]
    page = open_page("phone")
    for name in TABS:
        assert page.get_by_role("tab", name=name).is_visible()
    page.get_by_text("Points of face 1").click()
    for cell in page.locator(".kd-close-up th:visible").all():
        box = cell.bounding_box()
        assert box["x"] + box["width"] <= width
    go_to(page, "Webcam")
    page.get_by_text("Click to Access Webcam").click()
    page.locator("button:visible", has_text="Record").click()
    page.locator("#webcam .kd-overlay circle").first.wait_for()
    box = page.locator("#webcam .kd-overlay").bounding_box()
    assert box["y"] + box["height"] <= height


def test_twenty_at_once_are_all_answered_rightly(demo):
    client = Client(demo[0], verbose=False)
    detect = FaceLandmarkPipeline(device="cpu")
    photos = [PHOTO, EXAMPLES / "astronaut.jpg"]
    expected = [detect(str(photo))[0]["keypoints"] for photo in photos]

    def ask(number):
        return client.predict(handle_file(photos[number % 2]), api_name="/detect")

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(ask, range(20)))
    for number, answer in enumerate(answers):
        [face] = answer["faces"]
        np.testing.assert_allclose(face["keypoints"], expected[number % 2], atol=1)


def test_the_pages_program_runs_as_printed(demo, tmp_path):
    text = (REPOSITORY / "docs/hub.md").read_text(encoding="utf-8")
    [code] = re.findall(r"(?s)```python\n(from gradio_client.*?)```", text)
    assert '"http://127.0.0.1:7860"' in code
    shutil.copy(PHOTO, tmp_path / "photo.jpg")
    done = subprocess.run(
        [sys.executable, "-c", code.replace("http://127.0.0.1:7860", demo[0])],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2  # the client tells what it loaded, then the face


def test_the_endpoints_are_documented(demo):
    client = Client(demo[0], verbose=False)
    told = client.view_api(return_format="dict")["named_endpoints"]
    assert list(told) == ["/detect", "/landmarks"]
    [asked] = told["/detect"]["parameters"]
    assert asked["label"] == "photo"
    scheme = client.predict(api_name="/landmarks")
    assert (scheme["name"], len(scheme["names"])) == ("ibug68", 68)
    assert max(max(outline["indices"]) for outline in scheme["outlines"]) == 67


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
def test_every_tab_fits_and_every_control_has_a_name(open_page, size, theme):
    page = open_page(size, theme)
    for tab in TABS:
        go_to(page, tab)
        page.wait_for_timeout(800)
        assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0], tab
        nameless = page.evaluate(NAMELESS)
        assert nameless == [], tab


# Visible controls that a screen reader would call nothing.
NAMELESS = """() => [...document.querySelectorAll("button, input, select, textarea, a[href]")]
  .filter((one) => one.checkVisibility() && !one.closest("footer"))
  .filter((one) => !(one.getAttribute("aria-label") || one.title || one.innerText?.trim()
    || one.labels?.length || one.getAttribute("aria-labelledby") || one.placeholder))
  .map((one) => one.outerHTML.slice(0, 160))"""
