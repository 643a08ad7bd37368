"""The demo without a browser: uploads, what is drawn, what its tabs answer, what it records."""

import base64
import hashlib
import importlib
import io
import json
import re
import socket
import subprocess
import sys
import types
import xml.etree.ElementTree as ElementTree
from html import unescape
from pathlib import Path

import cv2
import gradio as gr
import numpy as np
import pytest
import torch
from clips import as_recorded, cut_off, what_is_in, write_clip
from full_disk import full_disk
from PIL import Image
from typer.testing import CliRunner

from kd_landmarks import KDLandmarksError
from kd_landmarks.cli import app
from kd_landmarks.demo import (
    compare_tab,
    method_tab,
    photo_tab,
    received,
    results_tab,
    uploads,
    video_tab,
    webcam_tab,
)
from kd_landmarks.demo import results as shown
from kd_landmarks.demo.app import build, launch
from kd_landmarks.demo.bars import measure_bars
from kd_landmarks.demo.examples import CLIP, Example, example, turned
from kd_landmarks.demo.networks import MOST_FACES, Networks, compared
from kd_landmarks.demo.overlay import notice, photo_view, table
from kd_landmarks.demo.recorded import FOLDER, results
from kd_landmarks.evaluation.metrics import nme
from kd_landmarks.inference.tracking import FaceTracker
from kd_landmarks.losses.kd import KDLoss
from kd_landmarks.losses.variants import VARIANTS
from kd_landmarks.training.shape_model import ShapeModel

REPOSITORY = Path(__file__).resolve().parents[2]
CHECKPOINTS = REPOSITORY / "checkpoints"
SVG = "{http://www.w3.org/2000/svg}"
PHOTO = REPOSITORY / "kd_landmarks/demo/examples/grace_hopper.jpg"


@pytest.fixture(scope="module")
def networks():
    return Networks("cpu")


@pytest.fixture(scope="module")
def tabs(networks):
    """The tabs that detect, in one Blocks."""
    taken = received.Uploads()
    with received.Demo(taken):
        photo = photo_tab.PhotoTab(networks, taken)
        with gr.Tab("Compare") as tab:
            compare = compare_tab.CompareTab(networks, taken, compared(CHECKPOINTS), tab)
        webcam = webcam_tab.WebcamTab(networks, taken)
        video = video_tab.VideoTab(networks, taken)
    return types.SimpleNamespace(
        photo=photo, compare=compare, webcam=webcam, video=video, uploads=taken
    )


@pytest.fixture
def upload(tabs):
    """Puts a file where Gradio would, and gives its path."""

    def put(content, name="photo.jpg"):
        folder = Path(tabs.uploads.folder) / hashlib.sha256(content).hexdigest()
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
        tabs.uploads.receive(str(folder / name))
        return str(folder / name)

    return put


def encoded(picture, kind="PNG", **words):
    file = io.BytesIO()
    picture.save(file, kind, **words)
    return file.getvalue()


# --- uploads


def test_an_uploaded_photo_stands_upright():
    turned = Image.new("RGB", (40, 20))
    exif = Image.Exif()
    exif[274] = 6
    assert uploads.read_photo(encoded(turned, "JPEG", exif=exif)).size == (20, 40)


def test_bad_photos_are_told_in_plain_words():
    with pytest.raises(KDLandmarksError, match="JPEG, PNG or WebP"):
        uploads.read_photo(b"hello")
    with pytest.raises(KDLandmarksError, match="broken"):
        uploads.read_photo(PHOTO.read_bytes()[:20_000])


@pytest.mark.parametrize(("side", "said"), [(8000, "64 megapixels"), (20_000, "more than 178")])
def test_photos_of_too_many_pixels_are_refused_by_their_header(side, said):
    with pytest.raises(KDLandmarksError, match=said):
        uploads.read_photo(encoded(Image.new("1", (side, side))))


@pytest.mark.parametrize(
    ("size", "frames", "rate", "said"),
    [
        ((64, 48), 50, 2, "25 seconds long"),
        ((1936, 16), 2, 25, "1936 x 16 pixels"),
        ((16, 16), 1300, 100, "1300 frames"),
    ],
)
def test_clips_that_are_too_long_or_large_are_refused(tmp_path, size, frames, rate, said):
    path = write_clip(tmp_path / "clip.avi", [np.zeros((*size[::-1], 3), np.uint8)] * frames, rate)
    with (
        pytest.raises(KDLandmarksError, match=said),
        uploads.open_clip(path.read_bytes()),
    ):
        pass


@pytest.mark.parametrize(
    "content",
    [
        b"hello",
        b"",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{clip}\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile {name}\n",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    ],
)
def test_what_is_no_clip_is_told_in_plain_words(tmp_path, content):
    clip = write_clip(tmp_path / "clip.avi", [np.zeros((48, 64, 3), np.uint8)] * 5, 5)
    listed = content.replace(b"{clip}", bytes(clip)).replace(b"{name}", clip.name.encode())
    with pytest.raises(KDLandmarksError, match="MP4"), uploads.open_clip(listed):
        pass


# --- what is drawn


def test_a_view_has_every_point_where_the_pipeline_found_it(networks):
    photo = example("Six generated faces").photo
    faces = networks.get()(photo)
    root = ElementTree.fromstring(photo_view(photo, faces, networks.scheme))
    assert root.get("viewBox") == f"0 0 {photo.width} {photo.height}"
    assert "6 faces with 68 points" in root.get("aria-label")
    groups = root.findall(f"{SVG}g")
    assert [group.get("class") for group in groups] == ["kd-face kd-chosen"] + ["kd-face"] * 5
    for group, face in zip(groups, faces, strict=True):
        circles = group.findall(f"{SVG}circle")
        drawn = [[float(one.get("cx")), float(one.get("cy"))] for one in circles]
        np.testing.assert_allclose(drawn, face["keypoints"] + 0.5, atol=0.01)
        levels = {
            "kd-point kd-unsure": face["confidence"] < 0.6,
            "kd-point kd-fair": (face["confidence"] >= 0.6) & (face["confidence"] < 0.9),
            "kd-point kd-sure": face["confidence"] >= 0.9,
        }
        for level, expected in levels.items():
            assert [one.get("class") == level for one in circles] == expected.tolist()


def test_what_people_send_is_escaped():
    assert "<b>" not in notice("<b>")
    assert "<b>" not in table(["<b>"], [["<b>"]], "<b>")


# --- the tabs


def test_the_endpoint_says_what_the_pipeline_says(tabs, networks, upload):
    answer = tabs.photo.detect(upload(PHOTO.read_bytes()))
    [expected] = networks.get()(str(PHOTO))
    [face] = answer["faces"]
    assert (answer["width"], answer["height"]) == (512, 600)
    np.testing.assert_allclose(face["keypoints"], expected["keypoints"], atol=0.01)
    assert face == expected.to_dict()


def test_the_endpoint_refuses_in_words(tabs, upload):
    with pytest.raises(gr.Error, match="JPEG, PNG or WebP"):
        tabs.photo.detect(upload(b"hello"))
    with pytest.raises(gr.Error, match="give a photo"):
        tabs.photo.detect(None)


def test_an_upload_is_drawn_and_makes_room_for_the_next(tabs, upload):
    view, saved, faces, room = tabs.photo._of_upload(upload(PHOTO.read_bytes()))
    assert view.count("<circle") == 68
    assert saved.count("download=") == 2
    assert saved.count("kdSavePicture") == 2
    assert faces.count("<circle") == 68
    assert faces.count("<tr>") == 69
    assert "kd-choice" not in faces  # there is one face only
    assert room is None


def test_a_photo_without_faces_says_so(tabs, upload):
    view, *_ = tabs.photo._of_upload(upload(encoded(Image.new("RGB", (300, 200), "gray"))))
    assert "No face was found" in view
    assert 'role="alert"' in view
    view, *_ = tabs.photo._of_upload(upload(b"hello"))
    assert "JPEG, PNG or WebP" in view


def test_each_face_is_enlarged_with_its_points(tabs, networks):
    photo = example("Six generated faces").photo
    _, _, html = tabs.photo._result(photo)
    found = networks.get()(photo)
    root = ElementTree.fromstring(f"<div>{html}</div>")
    assert len(root.findall(".//input")) == 6
    for section, face in zip(root.findall("section"), found, strict=True):
        [picture] = section.findall(f"{SVG}svg")
        left, top, width, height = map(float, picture.get("viewBox").split())
        low, high = face["keypoints"].min(0), face["keypoints"].max(0)
        assert ((left, top) <= low).all()
        assert (high <= (left + width, top + height)).all()
        assert max(width, height) < 1.6 * (high - low).max()
        circles = picture.findall(f".//{SVG}circle")
        drawn = [[float(one.get("cx")), float(one.get("cy"))] for one in circles]
        np.testing.assert_allclose(drawn, face["keypoints"] + 0.5, atol=0.01)
        assert len(picture.findall(f".//{SVG}text")) == 68
        names = json.loads(picture.get("data-names"))
        rows = [[cell.text for cell in row] for row in section.findall(".//tbody/tr")]
        assert [row[1] for row in rows] == names
        assert rows[8][2:] == [
            f"{face['confidence'][8]:.0%}",
            *(f"{value:.1f}" for value in face["keypoints"][8].tolist()),
        ]


def test_numbers_are_drawn_where_they_can_be_read_only(networks):
    crowd = example("Six generated faces").photo
    assert "<text" not in photo_view(crowd, networks.get()(crowd), networks.scheme)
    portrait = example("Generated face").photo
    assert "<text" in photo_view(portrait, networks.get()(portrait), networks.scheme)


def test_points_are_sized_by_their_face(networks):
    """A face that is half as large gets half as wide lines."""
    sizes = {}
    for side in (512, 256):
        canvas = Image.new("RGB", (512, 512))
        canvas.paste(example("Generated face").photo.resize((side, side)))
        html = photo_view(canvas, networks.get()(canvas), networks.scheme)
        sizes[side] = float(re.search(r"--radius:([\d.]+)px", html)[1])
    assert sizes[256] == pytest.approx(sizes[512] / 2, rel=0.1)


@pytest.mark.parametrize("degrees", [0, 90, 180, -135])
def test_a_turned_photo_has_its_points_turned_along(networks, degrees):
    photo = example("Astronaut").photo
    [upright] = networks.get()(photo)
    [face] = networks.get()(turned(photo, degrees))
    roll = face.head_pose().roll - upright.head_pose().roll
    assert (roll - degrees + 180) % 360 - 180 == pytest.approx(0, abs=5)


def test_bars_show_their_values():
    html = measure_bars({"mouth_aspect_ratio": 0.25, "yaw": -45.0, "pitch": -0.2})
    root = ElementTree.fromstring(html)
    told = {row.find("dt").text: row for row in root}
    assert told["Mouth open"].find("dd/b").text == "0.25"
    assert told["Mouth open"].find("dd/span/i").get("style") == "left:0.0%;width:25.0%"
    assert told["Head yaw"].find("dd/b").text == "-45°"
    assert told["Head yaw"].find("dd/span/i").get("style") == "left:25.0%;width:25.0%"
    assert told["Head pitch"].find("dd/b").text == "0°"
    assert told["Left eye open"].find("dd/b").text == "–"


def test_three_detectors_are_compared_with_their_errors(tabs, networks):
    drawn = example("Generated face")
    html = tabs.compare._compare(drawn)
    assert html.count("<figure>") == 3
    assert html.count("ms a face") == 3
    [face] = networks.get()(drawn.photo)
    error = float(nme(face["keypoints"][None], drawn.truth[None], networks.scheme)[0])
    assert f"<dd>{error:.2f} %</dd>" in html
    assert "1.89 million" in html
    assert "4.45 million" in html


def test_absent_detectors_are_named_with_how_to_get_them(tabs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tabs.compare, "_entries", compared(None))
    html = tabs.compare._compare(Example(example("Generated face").photo))
    assert html.count("<svg") == 1
    assert html.count("--checkpoints") == 2
    assert html.count(f"no checkpoint at {tmp_path}") == 2  # and the Hub was not asked
    entry = compared(None, teacher="somebody/teacher")[2]
    assert entry.source == "somebody/teacher"


def frames_of(count, noise=0.0):
    face = np.asarray(example("Generated face").photo.resize((200, 200)))
    rng = np.random.default_rng(0)
    for number in range(count):
        frame = np.full((240, 320, 3), 120.0)
        frame[20:220, 40 + number : 240 + number] = face
        yield (frame + rng.normal(0, noise, frame.shape)).clip(0, 255).astype(np.uint8)


def test_a_clip_comes_back_drawn_with_its_table(tabs, tmp_path, upload):
    path = write_clip(tmp_path / "clip.avi", list(frames_of(12)), 10)
    payload = upload(path.read_bytes(), "a.avi")
    news, view, details, measures = list(tabs.video._follow(payload, "Smoothed", []))[-1]
    assert "1 face followed in 12 frames" in news
    assert 'src="data:video/webm;base64,' in view
    assert view.count("download=") == 3
    assert "<td>12</td>" in details
    assert measures.count("<polyline") == 6
    assert len(json.loads(unescape(re.search(r'data-frames="([^"]+)"', measures)[1]))) == 12
    assert "Choose a clip" in next(tabs.video._follow(None, "Smoothed", []))[0]
    assert "MP4" in next(tabs.video._follow(upload(b"hello", "b.avi"), "Smoothed", []))[0]


def test_a_clip_keeps_its_times_and_its_sound(tabs, tmp_path, upload):
    times = [0.0, 0.1, 0.2, 1.5, 1.6, 3.0]
    path = write_clip(tmp_path / "a.mp4", list(frames_of(6)), 10, times=times, sound="aac")
    payload = upload(path.read_bytes(), "a.mp4")
    _, view, details, _ = list(tabs.video._follow(payload, "Smoothed", []))[-1]
    assert "<td>3.00 s</td>" in details
    clip = tmp_path / "back.webm"
    clip.write_bytes(base64.b64decode(re.search(r"video/webm;base64,([^\"]+)", view)[1]))
    codecs, shown = what_is_in(clip)
    assert codecs == {"video": "vp9", "audio": "opus"}
    np.testing.assert_allclose(shown, times, atol=2e-3)


def test_a_clip_that_is_cut_off_comes_back_with_what_there_is(tabs, tmp_path, upload):
    path = cut_off(write_clip(tmp_path / "a.mp4", list(frames_of(20, noise=9)), 10), 0.5)
    payload = upload(path.read_bytes(), "a.mp4")
    news, view, *_ = list(tabs.video._follow(payload, "Smoothed", []))[-1]
    assert "of 20 frames could be read" in news
    assert "video/webm" in view


@pytest.mark.parametrize("recorded", [True, False])
def test_a_clip_that_does_not_say_how_long_it_is_ends_in_time(
    tabs, tmp_path, upload, monkeypatch, recorded
):
    path = write_clip(
        tmp_path / "a.webm", list(frames_of(6)), 10, times=[0, 1, 2, 19, 21, 500], sound="libopus"
    )
    content = path.read_bytes()
    if not recorded:
        with pytest.raises(KDLandmarksError, match="seconds long"), uploads.open_clip(content):
            pass
        return
    payload = upload(as_recorded(path).read_bytes(), "a.webm")
    news, *_ = list(tabs.video._follow(payload, "Smoothed", []))[-1]
    assert "in 4 frames" in news
    assert "only the first 20 seconds" in news


def test_a_clip_that_finds_no_room_is_told_without_the_servers_places(
    tabs, tmp_path, upload, monkeypatch
):
    path = write_clip(tmp_path / "clip.avi", list(frames_of(12)), 10)
    payload = upload(path.read_bytes(), "a.avi")
    with full_disk(3000):
        came = list(tabs.video._follow(payload, "Smoothed", []))[-1]
    check = video_tab.check_frames
    monkeypatch.setattr(video_tab, "check_frames", lambda file, frames: check(file, frames + 1))
    drawn = list(tabs.video._follow(payload, "Smoothed", []))[-1]
    for news, view, *_ in (came, drawn):
        assert "The server has no room left" in news
        assert not view


def points_of(view):
    """The points (frames, N, 2) of the JSON lines that can be saved."""
    [lines] = re.findall(r"data:application/json;base64,([^\"]+)", view)
    frames = map(json.loads, base64.b64decode(lines).splitlines())
    return np.array([frame["faces"][0]["keypoints"] for frame in frames])


def test_the_example_clip_shows_what_smoothing_does(tabs):
    ways = {}
    for way in ("As found", "Smoothed", "Both"):
        news, view, _, measures = list(tabs.video._follow_example(way, []))[-1]
        assert "1 face followed in 100 frames" in news
        ways[way] = points_of(view)
    before, after = (
        np.linalg.norm(np.diff(ways[way], n=2, axis=0), axis=-1).mean()
        for way in ("As found", "Smoothed")
    )
    assert after < 0.8 * before
    assert f"<strong>{before:.2f}</strong> pixels as found" in measures
    assert f"<strong>{after:.2f}</strong> smoothed" in measures
    np.testing.assert_array_equal(ways["Both"], ways["Smoothed"])


def test_the_example_clip_is_small():
    assert CLIP.stat().st_size < 300_000


def test_a_canceled_clip_ends_at_once(tabs, tmp_path, upload):
    path = write_clip(tmp_path / "clip.avi", list(frames_of(60)), 30)
    canceled = []
    steps = tabs.video._follow(upload(path.read_bytes(), "a.avi"), "Smoothed", canceled)
    assert "<progress" in next(steps)[0]
    canceled.append(True)
    assert ["Canceled." in news for news, *_ in steps] == [True]


def test_a_clip_that_was_canceled_in_the_queue_does_not_begin(tabs, tmp_path, upload):
    path = write_clip(tmp_path / "clip.avi", list(frames_of(6)), 30)
    steps = tabs.video._follow(upload(path.read_bytes(), "a.avi"), "Smoothed", [True])
    assert ["Canceled." in news for news, *_ in steps] == [True]


def test_a_clip_that_takes_too_long_to_follow_is_cut(tabs, tmp_path, upload, monkeypatch):
    monkeypatch.setattr(video_tab, "MOST_SECONDS", 0.0)
    path = write_clip(tmp_path / "clip.avi", list(frames_of(60)), 30)
    payload = upload(path.read_bytes(), "a.avi")
    news, *_ = list(tabs.video._follow(payload, "Smoothed", []))[-1]
    assert "only the first 0 seconds were processed" in news


def test_of_a_crowd_a_few_are_followed(tabs):
    crowd = Image.new("RGB", (1000, 600), "gray")
    face = example("Generated face").photo.resize((180, 180))
    for number in range(15):
        crowd.paste(face, (10 + 195 * (number % 5), 10 + 195 * (number // 5)))
    tracker = FaceTracker(Networks("cpu").get(), most_faces=MOST_FACES)
    assert len(tracker(crowd, 0.0)) == MOST_FACES


def test_a_stream_ends_and_the_next_one_begins(tabs, upload, monkeypatch):
    frame = cv2.imencode(".jpg", next(frames_of(1)))[1].tobytes()
    payload = types.SimpleNamespace(url=None, path=upload(frame, "frame.jpg"))
    now = iter([0, 0, 60, 60, 121, 122, 125, 125])
    monkeypatch.setattr(webcam_tab, "time", types.SimpleNamespace(monotonic=lambda: next(now)))
    monkeypatch.setattr(webcam_tab, "PAUSE", 61)
    monkeypatch.setattr(webcam_tab, "STREAM_SECONDS", 100)
    state, views = None, []
    for _ in range(4):
        view, state = tabs.webcam._follow(payload, True, state)
        views.append(view)
    assert ["frames per second" in view for view in views] == [True, True, False, False]
    assert "Press Record for another one" in views[3]
    monkeypatch.setattr(webcam_tab, "PAUSE", 2)
    view, state = tabs.webcam._follow(payload, True, state)
    assert "frames per second" in view


def test_all_that_is_computed_shares_one_limit():
    """Gradio's own is one for each function."""
    limits = {}
    for function in build(device="cpu").fns.values():
        limits.setdefault(function.concurrency_id, set()).add(function.concurrency_limit)
    assert sorted(map(str, limits.values())) == ["{'default'}", "{1}", "{4}"]


def test_the_camera_is_followed_and_bad_frames_are_passed_over(tabs, upload):
    state = None
    for frame in frames_of(3):
        path = upload(cv2.imencode(".jpg", frame[..., ::-1])[1].tobytes(), "frame.jpg")
        payload = types.SimpleNamespace(url=None, path=path)
        view, state = tabs.webcam._follow(payload, True, state)
        assert view.count("<circle") == 68
    assert "frames per second, 1 face, smoothed" in view
    broken = types.SimpleNamespace(url=None, path=upload(b"hello"))
    view, state = tabs.webcam._follow(broken, True, state)
    assert "alert" in view
    before = state
    _, state = tabs.webcam._follow(None, True, state)
    assert state is before


# --- how it works, and results


@pytest.mark.parametrize("name", list(VARIANTS))
def test_the_plotted_loss_is_the_packages(name):
    constants = VARIANTS[name].tough
    frame = method_tab.loss_curves(name, constants.alpha, constants.beta, 0.02, 0.04)
    total = frame[frame["part"] == "KD-Loss"]
    error = torch.tensor(total["error of the student"].to_numpy())
    zero = torch.zeros(len(error), 1, 2)
    pred = zero + error[:, None, None].float()
    expected = [
        float(KDLoss(name)(p[None], z[None], z[None] + 0.02, z[None] + 0.04)["loss"])
        for p, z in zip(pred, zero, strict=True)
    ]
    if VARIANTS[name].tough.alpha == VARIANTS[name].tolerant.alpha:
        np.testing.assert_allclose(total["loss"], expected, atol=1e-6)
    steeper = method_tab.loss_curves(name, 2 * constants.alpha, constants.beta, 0.02, 0.04)
    beyond = frame["error of the student"] > 0.05
    tough = (frame["part"] == "Tough-Teacher") & beyond
    np.testing.assert_allclose(steeper["loss"][tough], 2 * frame["loss"][tough], rtol=1e-5)


def test_less_variance_smooths_more():
    model = ShapeModel.from_pretrained(FOLDER)
    truth = example("Generated face").truth.astype(float)
    away = [
        np.linalg.norm(model.reduced(share).soften(truth) - truth, axis=1).mean()
        for share in (0.99, 0.9, 0.5)
    ]
    assert away == sorted(away)
    assert away[0] < 0.6 * away[2]


def test_the_recorded_results_are_in_step_with_the_benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    records = importlib.import_module("demo_records")
    assert results() == records.gather()


def test_tables_show_what_was_recorded():
    student = results()["released"]["models"][shown.STUDENT]
    assert f"{student['tests'][shown.COMMON]['nme']:.2f} (" in shown.released_table()
    assert shown.released_table().count("<tr>") == 1 + len(shown.TITLES)
    machines = {part: results()[part]["machine"]["processor"] for part in ("released", "peers")}
    assert f"one core of {machines['released']} (" in shown.released_table()
    for part in ("common", "wflw"):
        html = shown.peers_table(part)
        assert html.count("<tr>") == 1 + len(results()["peers"]["errors"])
        assert f"one core of {machines['peers']} (" in html
        errors = results()["peers"]["errors"]
        mesh, dlib = errors["MediaPipe, 478 points"][part], errors["dlib"][part]
        assert f"<td>{mesh['mapped']['nme']:.2f}</td>" in html
        assert f"<td>{dlib['as it is']['nme']:.2f}</td>" in html
    curves = shown.error_curves(shown.COMMON)
    assert set(curves["network"]) == set(shown.TITLES.values())
    assert curves["faces, %"].between(0, 100).all()


def test_what_teachers_brought_has_the_sign_of_the_two_errors():
    models = results()["released"]["models"]
    taught, alone = (
        models[name]["tests"][shown.COMMON]["nme"]
        for name in (shown.STUDENT, "mobilenetv2-300w-no-teachers")
    )
    change = "lower" if taught < alone else "raise"
    text = shown.gain_text()
    assert f" {change} the NME on 300W common by **{abs(taught - alone):.3f} points**" in text
    assert f"{taught - alone:+.3f}"[0] == text.split("of the change ")[1][0]


def test_each_network_of_the_results_has_a_color_of_its_own():
    with gr.Blocks() as page:
        results_tab.ResultsTab()
    maps = [block.color_map for block in page.blocks.values() if isinstance(block, gr.LinePlot)]
    assert [list(colors) for colors in maps[:2]] == [list(shown.TITLES.values())] * 2
    for colors in maps:
        assert len(set(colors.values())) == len(colors)


# --- where it runs


def test_a_lent_gpu_is_asked_for_by_a_mark(monkeypatch):
    from kd_landmarks.demo import zero_gpu

    marked = []
    fake = types.SimpleNamespace(GPU=lambda function: marked.append(function) or function)
    monkeypatch.setitem(sys.modules, "spaces", fake)
    importlib.reload(zero_gpu)
    assert zero_gpu.LENT
    assert zero_gpu.on_gpu(len) is len
    assert marked == [len]
    monkeypatch.delitem(sys.modules, "spaces")
    monkeypatch.setitem(sys.modules, "spaces", None)
    importlib.reload(zero_gpu)
    assert not zero_gpu.LENT
    assert zero_gpu.on_gpu(len) is len


def in_a_new_process(code):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_starts_without_torch_and_says_where_it_needs_it():
    """The loss and two of the compared networks do; nothing else, and nothing heavy at start."""
    printed = in_a_new_process(
        """
import sys
sys.modules["torch"] = None
from kd_landmarks.demo import app, compare_tab, method_tab
from kd_landmarks.demo.examples import example
tabs = {}
for kind in (compare_tab.CompareTab, method_tab.MethodTab):
    make = kind.__init__
    def noting(self, *words, make=make):
        tabs[type(self).__name__] = self
        make(self, *words)
    kind.__init__ = noting
demo = app.build()
loaded = {name for name, module in sys.modules.items() if module}
print(*loaded & {"torch", "scipy", "matplotlib", "transformers", "timm"})
print(sum("the plot of the loss needs torch" in str(block.value)
    for block in demo.blocks.values() if hasattr(block, "value")))
html = tabs["CompareTab"]._compare(example("Generated face"))
print(html.count("<svg"), html.count("pip install &#x27;kd-landmarks[train]&#x27;"))
print("components" in tabs["MethodTab"]._softened("leaning", 90))
"""
    )
    assert printed.splitlines() == ["", "1", "1 2", "True"]


def test_the_command_serves_with_the_extra_space_alone():
    printed = in_a_new_process(
        """
import sys
sys.modules |= dict.fromkeys(["torch", "torchvision", "transformers", "timm", "datasets",
                              "accelerate", "matplotlib"])
from typer.testing import CliRunner
from kd_landmarks.cli import app
from kd_landmarks.demo import app as demo
demo.launch = lambda page, host, port: print(type(page).__name__, host, port)
result = CliRunner().invoke(app, ["demo"])
print(result.exit_code, result.output)
"""
    )
    assert printed.split() == ["0", "Demo", "None", "None"]


def test_nothing_on_the_page_comes_from_elsewhere():
    for name in ("page.css", "page.js"):
        text = (REPOSITORY / "kd_landmarks/demo" / name).read_text(encoding="utf-8")
        assert "http" not in text
        assert "url(" not in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--checkpoints", "./nowhere"], "there is no folder nowhere"),
        (["--port", "0"], "greater than or equal to 1"),
    ],
)
def test_bad_words_are_refused(words, said):
    done = CliRunner().invoke(app, ["demo", *words])
    assert done.exit_code == 2
    assert said in done.output


def test_a_port_that_is_taken_is_told():
    with socket.socket() as other, received.Demo(received.Uploads()) as empty:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(KDLandmarksError, match=f"cannot listen on port {port}"):
            launch(empty, port=port)
