"""The page of docs/browser, which computes in the browser alone, in Debian's Chromium."""

import json
import re
import shutil
import subprocess
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from browser_page import (
    EXAMPLES,
    ISOLATION,
    MISSING,
    SOURCE,
    build_page,
    camera_options,
    served,
    write_camera,
)
from demo_server import CHROMIUM
from PIL import Image

from kd_landmarks import FaceLandmarkPipeline
from kd_landmarks.imaging import detection, yunet
from kd_landmarks.inference import confidence, smoothing, tracking, upright
from kd_landmarks.schemes import get_scheme

in_browser = [
    pytest.mark.slow,
    pytest.mark.skipif(MISSING is not None, reason=str(MISSING)),
    pytest.mark.skipif(
        not Path(CHROMIUM).exists(), reason=f"no {CHROMIUM}: apt-get install chromium"
    ),
]
SIZES = {"phone": (390, 844), "desktop": (1440, 900)}
POLICY = re.search(
    r'Content-Security-Policy"\s+content="([^"]+)"',
    (SOURCE / "src/index.html").read_text(encoding="utf-8"),
)[1]
# Milliseconds that a busy machine may take to compile and load the networks.
PATIENCE = 300_000
# Shares of the face box's longer side. The int8 student's coordinates come in steps of 0.45 %, and
# its sums are rounded otherwise from one processor to the next.
MEAN_OFF, MOST_OFF = 0.005, 0.015


def test_settings_are_those_of_the_package():
    values = {
        name: getattr(module, name)
        for module in (detection, yunet, upright, confidence, smoothing, tracking)
        for name in vars(module)
        if name.strip("_").isupper()
    }
    values |= {f"LEVELS[{index}]": side for index, side in enumerate(yunet.LEVELS)}
    preset = smoothing.Smoothing()
    values |= {"Smoothing.steadiness": preset.steadiness, "Smoothing.follow": preset.follow}
    text = (SOURCE / "src/settings.js").read_text(encoding="utf-8")
    parts = dict(re.findall(r"(?ms)^// kd_landmarks/(\S+)\.py\n(.*?)(?=^//|\Z)", text))
    assert len(parts) == 6
    for lines in parts.values():
        told = re.findall(r"^export const \w+ = (.+); // (\S+)$", lines, re.MULTILINE)
        assert len(told) == lines.count("export"), lines
        for value, name in told:
            expected = values[name]
            expected = list(expected) if isinstance(expected, tuple) else expected
            assert json.loads(value) == expected, name


@pytest.mark.skipif(shutil.which("node") is None, reason="no node: apt-get install nodejs")
def test_its_own_tests_pass():
    done = subprocess.run(["node", "--test"], cwd=SOURCE, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def page_folder(tmp_path_factory):
    folder, done = build_page(tmp_path_factory.mktemp("page"))
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def playwright():
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def browser(playwright, tmp_path_factory):
    """With a camera that sees the astronaut."""
    camera = write_camera(tmp_path_factory.mktemp("camera") / "face.y4m")
    options = camera_options(camera)
    yield (browser := playwright.chromium.launch(executable_path=CHROMIUM, args=options))
    browser.close()


@pytest.fixture
def open_page(page_folder, browser):
    """Opens the page; at the end nothing may have failed, or been asked of or sent to anyone."""
    problems = []

    def opened(*, headers=None, size="desktop", theme="light", using=browser, script=""):
        # The page's own policy does not bind its worker, a header does.
        policy = {"Content-Security-Policy": POLICY}
        address, asked = closing.enter_context(served(page_folder, policy | (headers or {})))
        everything.append(asked)
        width, height = SIZES[size]
        context = using.new_context(
            viewport={"width": width, "height": height}, color_scheme=theme, accept_downloads=True
        )
        closing.callback(context.close)
        context.route("**/*", partial(only_from, address, problems))
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.on("console", lambda told: told.type == "error" and problems.append(told.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.add_init_script(script)
        page.goto(address)
        page.wait_for_selector("#choose:not([disabled])")
        return page

    everything = []
    with ExitStack() as closing:
        yield opened
    # Also what the worker asks for, which is not seen from the page.
    assert all(line.startswith("GET /") for asked in everything for line in asked)
    assert problems == []


def only_from(address, problems, route):
    """Let through what is asked of the page's own server; all else is a problem."""
    asked = route.request
    if asked.method == "GET" and asked.url.startswith((address, f"blob:{address}")):
        route.continue_()
    else:
        problems.append(f"{asked.method} {asked.url}")
        route.abort()


def send(page, file):
    page.locator("#file").set_input_files(file)
    page.wait_for_selector("#view[data-shows=photo]")


def saved(page):
    """What "Save points" saves."""
    with page.expect_download() as download:
        page.locator("#save").click()
    return json.loads(Path(download.value.path()).read_text(encoding="utf-8"))


def assert_same_faces(found, expected):
    assert len(found["faces"]) == len(expected)
    assert found["scheme"] == expected.scheme.name
    for face, known in zip(found["faces"], expected, strict=True):
        x0, y0, x1, y1 = known.box
        side = max(x1 - x0, y1 - y0)
        assert np.abs(np.subtract(face["box"], known.box)).max() < 0.01 * side
        off = np.linalg.norm(np.array(face["keypoints"]) - known.keypoints, axis=1) / side
        assert off.mean() < MEAN_OFF
        assert off.max() < MOST_OFF
        assert face["detection_score"] == pytest.approx(known.detection_score, abs=0.02)
        assert face["face_confidence"] == pytest.approx(known.face_confidence, abs=0.02)


@pytest.fixture(scope="module")
def detect():
    return FaceLandmarkPipeline(dtype="int8")


def marked(*marks):
    """Puts several marks on a test."""

    def put(test):
        for mark in marks:
            test = mark(test)
        return test

    return put


@marked(*in_browser)
@pytest.mark.parametrize("name", ["astronaut.jpg", "grace_hopper.jpg"])
def test_photos_get_the_points_that_python_gives_them(open_page, detect, name):
    page = open_page()
    send(page, EXAMPLES / name)
    found = saved(page)
    assert found["image"] == name
    assert_same_faces(found, detect(EXAMPLES / name))


@marked(*in_browser)
def test_photos_of_phones_are_large_and_turned_by_their_exif(open_page, detect, tmp_path):
    photo = Image.open(EXAMPLES / "grace_hopper.jpg").resize((2304, 2700))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    photo.rotate(90, expand=True).save(tmp_path / "phone.jpg", exif=exif, quality=90)
    page = open_page()
    send(page, tmp_path / "phone.jpg")
    assert_same_faces(saved(page), detect(tmp_path / "phone.jpg"))


@marked(*in_browser)
def test_faces_that_lie_on_their_side_are_looked_at_upright(open_page, detect, tmp_path):
    Image.open(EXAMPLES / "grace_hopper.jpg").rotate(90, expand=True).save(tmp_path / "lying.png")
    page = open_page()
    send(page, tmp_path / "lying.png")
    assert_same_faces(saved(page), detect(tmp_path / "lying.png"))


@marked(*in_browser)
@pytest.mark.parametrize("headers", [{}, ISOLATION], ids=["plain", "isolated"])
def test_a_face_before_the_camera_is_followed(open_page, headers):
    page = open_page(headers=headers)
    page.locator("#camera").click()
    page.wait_for_selector("#save:not([hidden])")
    rate = page.locator("#rate", has_text=re.compile(r"^[1-9]\d* frames/s$"))
    rate.wait_for()
    places = []
    for _ in range(4):
        page.wait_for_timeout(400)
        [face] = saved(page)["faces"]
        places.append(np.array(face["keypoints"]))
        assert face["track"] == 0
    # The face moves sideways by up to 32 pixels, within a picture 80 to 400 high.
    middles = np.array([points.mean(axis=0) for points in places])
    assert np.ptp(middles[:, 0]) > 1
    assert np.ptp(middles[:, 1]) < 4
    nose = get_scheme("ibug68").names.index("nose_base_2")
    assert all(points[:, 0].min() < points[nose, 0] < points[:, 0].max() for points in places)
    page.locator("#camera").click()
    page.wait_for_selector("#view[data-shows=nothing]")
    assert page.locator("#camera").inner_text() == "Camera"


@marked(*in_browser)
def test_points_tell_their_names_under_the_cursor(open_page):
    page = open_page()
    page.get_by_role("button", name="Example").click()
    page.wait_for_selector("#view[data-shows=photo]")
    [face] = saved(page)["faces"]
    scheme, area = get_scheme("ibug68"), page.locator("#overlay").bounding_box()
    for index in (8, 36, 54):
        x, y = face["keypoints"][index]
        scale = area["width"] / 320  # the example's pixels
        page.mouse.move(area["x"] + (x + 0.5) * scale, area["y"] + (y + 0.5) * scale)
        told = page.locator("#name").inner_text()
        assert told.startswith(f"{index} · {scheme.names[index]} · ")
    page.mouse.move(0, 0)
    assert page.locator("#name").is_hidden()


@marked(*in_browser)
def test_what_was_asked_for_last_is_shown(open_page, tmp_path):
    """However long what came before takes: decoding a large photo, fetching the example."""
    late = """(() => {
      const [decode, ask] = [createImageBitmap, fetch];
      const wait = () => new Promise((done) => setTimeout(done, 1500));
      let first = true;
      window.createImageBitmap = async (...given) => {
        if (first) { first = false; await wait(); }
        return decode(...given);
      };
      window.fetch = async (...given) => { await wait(); return ask(...given); };
    })()"""
    page = open_page(script=late)
    Image.new("RGB", (900, 700), "gray").save(tmp_path / "gray.png")
    page.locator("#file").set_input_files(tmp_path / "gray.png")
    send(page, EXAMPLES / "astronaut.jpg")
    page.wait_for_timeout(2000)
    assert page.evaluate("document.querySelector('#photo').naturalWidth") == 320
    assert saved(page)["image"] == "astronaut.jpg"
    page.locator("#example").click()
    page.locator("#camera").click()
    page.wait_for_selector("#view[data-shows=camera]")
    page.wait_for_timeout(2000)
    assert page.locator("#view").get_attribute("data-shows") == "camera"
    assert page.locator("#camera").inner_text() == "Stop camera"


@marked(*in_browser)
def test_a_photo_that_is_dropped_beside_the_frame_does_not_replace_the_page(open_page):
    page = open_page()
    for place in ("document.body", "document.querySelector('header')"):
        for kind in ("dragover", "drop"):
            event = f"new DragEvent('{kind}', {{cancelable: true, bubbles: true, "
            event += "dataTransfer: new DataTransfer()})"
            assert page.evaluate(f"{place}.dispatchEvent({event})") is False  # prevented


@marked(*in_browser)
def test_a_worker_that_broke_down_is_said_so(open_page):
    page = open_page(
        script="""(() => {
      const Real = Worker;
      window.Worker = class extends Real {
        constructor(...given) { super(...given); window.worker = this; }
      };
    })()"""
    )
    page.evaluate("worker.terminate(), worker.dispatchEvent(new ErrorEvent('error'))")
    page.locator("#file").set_input_files(EXAMPLES / "astronaut.jpg")
    page.wait_for_selector("#message.wrong")
    assert "Reload the page" in page.locator("#message").inner_text()


@marked(*in_browser)
def test_names_at_the_upper_edge_stay_in_the_picture(open_page, detect, tmp_path):
    photo = Image.open(EXAMPLES / "grace_hopper.jpg")
    [face] = detect(photo)
    top = round(float(face.keypoints[:, 1].min())) - 4
    photo.crop((0, top, *photo.size)).save(tmp_path / "cut.png")
    page = open_page(size="phone")
    send(page, tmp_path / "cut.png")
    [found] = saved(page)["faces"]
    x, y = min(found["keypoints"], key=lambda point: point[1])
    area = page.locator("#overlay").bounding_box()
    scale = area["width"] / photo.width
    page.mouse.move(area["x"] + (x + 0.5) * scale, area["y"] + (y + 0.5) * scale)
    assert page.locator("#name").bounding_box()["y"] >= area["y"] - 0.5


@marked(*in_browser)
def test_what_is_no_photo_or_shows_no_face_is_said_so(open_page, tmp_path):
    page = open_page()
    (tmp_path / "letter.jpg").write_text("Dear all,")
    page.locator("#file").set_input_files(tmp_path / "letter.jpg")
    message = page.locator("#message")
    page.wait_for_selector("#message.wrong")
    assert message.inner_text().startswith("letter.jpg is not a picture")
    Image.new("RGB", (640, 480), "gray").save(tmp_path / "gray.png")
    send(page, tmp_path / "gray.png")
    assert message.inner_text().startswith("No face was found.")
    assert page.locator("#save").is_hidden()
    # And a photo after that works, and leaves no old message.
    send(page, EXAMPLES / "astronaut.jpg")
    page.wait_for_selector("#save:not([hidden])")
    assert message.inner_text() == ""


@marked(*in_browser)
def test_cameras_that_are_not_there_refused_or_busy_are_said_so(open_page, playwright):
    bare = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
    page = open_page(using=bare)
    page.locator("#camera").click()
    page.wait_for_selector("#message.wrong")
    assert page.locator("#message").inner_text().startswith("No camera was found.")
    bare.close()
    failing = """navigator.mediaDevices.getUserMedia = () =>
      Promise.reject(new DOMException("no", "%s"))"""
    for name, start in (
        ("NotAllowedError", "Camera access was refused."),
        ("NotReadableError", "The camera is in use by another program"),
    ):
        page = open_page(script=failing % name)
        page.locator("#camera").click()
        page.wait_for_selector("#message.wrong")
        assert page.locator("#message").inner_text().startswith(start)
    page = open_page(script="delete Navigator.prototype.mediaDevices")
    page.locator("#camera").click()
    page.wait_for_selector("#message.wrong")
    assert "https or localhost" in page.locator("#message").inner_text()


# Visible controls that a screen reader would call nothing.
NAMELESS = """() => [...document.querySelectorAll("button, input, a[href]")]
  .filter((one) => one.checkVisibility())
  .filter((one) => !(one.innerText?.trim() || one.labels?.length)).map((one) => one.outerHTML)"""


@marked(*in_browser)
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
def test_the_page_fits_and_every_control_has_a_name(open_page, size, theme):
    page = open_page(size=size, theme=theme)
    width, height = SIZES[size]
    page.get_by_role("button", name="Example").click()
    page.wait_for_selector("#view[data-shows=photo]")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    picture = page.locator("#view").bounding_box()
    assert picture["y"] + picture["height"] <= height  # to be seen without scrolling
    assert page.evaluate(NAMELESS) == []
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (theme == "dark")


@marked(*in_browser)
def test_another_student_is_built_in(tmp_path, playwright):
    weights = EXAMPLES.parents[1] / "models/weights/mobilenetv2-300w/onnx/model.onnx"
    folder, done = build_page(tmp_path, "--model", str(weights))
    assert done.returncode == 0, done.stderr
    told = json.loads((folder / "models/student.json").read_text(encoding="utf-8"))
    assert told["scheme"] == get_scheme("ibug68").to_dict()
    assert told["bytes"] == weights.stat().st_size
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
    with served(folder) as (address, _):
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(address)
        page.wait_for_selector("#choose:not([disabled])")
        send(page, EXAMPLES / "astronaut.jpg")
        assert_same_faces(saved(page), FaceLandmarkPipeline()(EXAMPLES / "astronaut.jpg"))
    browser.close()


@marked(*in_browser)
def test_files_that_are_no_students_are_refused(tmp_path):
    other = EXAMPLES.parents[1] / "imaging/yunet.onnx"
    _, done = build_page(tmp_path, "--model", str(other))
    assert done.returncode == 1
    assert f"error: {other} is not a kd-landmarks detector" in done.stderr
    assert "kd-landmarks export" in done.stderr
