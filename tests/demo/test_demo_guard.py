"""The demo as a stranger meets it: what it reads, keeps, answers to, and tells."""

import asyncio
import base64
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import gradio as gr
import httpx
import numpy as np
import pytest
from clips import write_clip
from demo_server import free_port
from PIL import Image

from kd_landmarks import KDLandmarksError
from kd_landmarks.demo import guard, received, uploads
from kd_landmarks.demo.app import build, own_names, serve

REPOSITORY = Path(__file__).resolve().parents[2]
PHOTO = (REPOSITORY / "kd_landmarks/demo/examples/grace_hopper.jpg").read_bytes()
CANARY = "kept\n"


@pytest.fixture(scope="module")
def demo():
    """The whole demo, serving on loopback."""
    demo = build(REPOSITORY / "checkpoints", device="cpu")
    serve(demo, port=free_port())
    yield demo
    demo.close()


@pytest.fixture
def visitor(demo):
    """Somebody's browser, as far as requests go."""
    with Visitor(demo) as one:
        yield one


class Visitor(httpx.Client):
    """Opens the page, sends files and calls endpoints, each named or by its number."""

    def __init__(self, demo):
        super().__init__(base_url=demo.local_url, timeout=60, trust_env=False)

    def __enter__(self):
        super().__enter__()
        self.get("/").raise_for_status()  # which brings the cookie
        return self

    def post_file(self, content, name="photo.jpg"):
        return self.post("/gradio_api/upload", files={"files": (name, content)})

    def uploaded(self, content, name="photo.jpg"):
        [path] = self.post_file(content, name).raise_for_status().json()
        return path

    def call(self, function, payloads):
        """What an endpoint says in the end: its data, or its error."""
        session = uuid.uuid4().hex
        words = {"data": payloads, "fn_index": function, "session_hash": session}
        self.post("/gradio_api/queue/join", json=words).raise_for_status()
        with self.stream("GET", f"/gradio_api/queue/data?session_hash={session}") as events:
            for line in events.iter_lines():
                if not line.startswith("data:"):
                    continue
                told = json.loads(line[5:])
                if told["msg"] == "process_completed":
                    return told["output"]
        raise AssertionError("no answer")

    def detect(self, payload):
        """The named endpoint, as programs call it."""
        answer = self.post("/gradio_api/call/detect", json={"data": [payload]})
        event = answer.raise_for_status().json()["event_id"]
        return self.get(f"/gradio_api/call/detect/{event}").text


def takers(demo):
    """Every endpoint that takes a file: its number, and other words that it wants."""
    found = {}
    for number, function in demo.fns.items():
        files = [isinstance(block, gr.Image | gr.Video) for block in function.inputs]
        if any(files):
            found[number] = [
                None if is_file else getattr(block, "value", None) or True
                for block, is_file in zip(function.inputs, files, strict=True)
            ]
    return found


def with_file(words, payload):
    return [payload if word is None else word for word in words]


def is_refused(output):
    return output.get("error") == received.REFUSAL


# --- payloads that name what is not theirs


@pytest.fixture
def targets(tmp_path, demo, visitor):
    """What a stranger may name, each as a path; the upload folder has some as well."""
    canary = tmp_path / "canary.jpg"
    canary.write_bytes(PHOTO)
    (tmp_path / "alone").mkdir()
    alone = tmp_path / "alone" / "canary.txt"
    alone.write_text(CANARY)
    inside = Path(demo.uploads.folder) / f"inside-{uuid.uuid4().hex}"
    inside.mkdir()
    link, fifo = inside / "link.jpg", inside / "fifo.jpg"
    link.symlink_to(canary)
    os.mkfifo(fifo)
    (inside / "never-sent.jpg").write_bytes(PHOTO)
    sent = visitor.uploaded(PHOTO)
    with Visitor(demo) as other:
        others = other.uploaded(PHOTO + b"another's")
    return SimpleNamespace(
        canaries=[canary, alone, Path(others), inside / "never-sent.jpg"],
        paths={
            "absolute": str(canary),
            "alone in its folder": str(alone),
            "relative": os.path.relpath(canary),
            "dots": f"{demo.uploads.folder}/../../{canary}",
            "dots behind an upload": f"{sent}/../../../..{canary}",
            "link": str(link),
            "folder": str(inside),
            "upload folder": demo.uploads.folder,
            "FIFO": str(fifo),
            "device": "/dev/zero",
            "absent": str(tmp_path / "absent.jpg"),
            "in the folder, never sent": str(inside / "never-sent.jpg"),
            "another visitor's": others,
            "url": "http://127.0.0.1:9/photo.jpg",
            "file=": f"{demo.local_url}gradio_api/file={canary}",
            "number": 7,
            "nothing": None,
        },
    )


SHAPES = {
    "path alone": lambda path: {"path": path},
    "empty meta": lambda path: {"path": path, "meta": {}},
    "meta": lambda path: {"path": path, "meta": {"_type": "gradio.FileData"}},
    "url": lambda path: {"path": None, "url": path, "meta": {"_type": "gradio.FileData"}},
    "url beside": lambda path: {"path": path, "url": f"file://{path}", "is_stream": True},
    "text": lambda path: path or 7,
    "list": lambda path: [{"path": path}],
    "deep": lambda path: {"video": {"path": path}, "image": {"path": path}},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_no_endpoint_touches_what_it_has_not_received(demo, visitor, targets, shape):
    before = {path: path.read_bytes() for path in targets.canaries}
    # Every endpoint is asked for the first path, and for every other path one endpoint in turn,
    # which shifts with the shape: all endpoints share one gate.
    paths, numbers = list(targets.paths.values()), list(takers(demo))
    shift = list(SHAPES).index(shape)
    pairs = [(number, paths[0]) for number in numbers]
    pairs += [(numbers[(turn + shift) % len(numbers)], path) for turn, path in enumerate(paths)]
    attacks = [
        (number, with_file(takers(demo)[number], SHAPES[shape](path))) for number, path in pairs
    ]
    with ThreadPoolExecutor(16) as strangers:
        outputs = strangers.map(lambda attack: visitor.call(*attack), attacks)
    for attack, output in zip(attacks, outputs, strict=True):
        assert is_refused(output), (attack, output)
    assert '"faces"' in visitor.detect({"path": visitor.uploaded(PHOTO)})  # none waits for a FIFO
    assert {path: path.read_bytes() for path in targets.canaries} == before


def test_the_named_endpoint_refuses_alike(visitor, targets):
    answers = {visitor.detect({"path": path}) for path in targets.paths.values()}
    assert len(answers) == 1
    assert "send it again" in answers.pop()


def test_a_file_where_plain_values_belong_is_refused(demo, visitor, targets):
    for number, function in demo.fns.items():
        if number not in takers(demo) and function.inputs:
            payloads = [{"path": targets.paths["absolute"]}] * len(function.inputs)
            assert is_refused(visitor.call(number, payloads)), number


@pytest.mark.parametrize("place", ["/gradio_api/file=", "/gradio_api/file/", "/file="])
def test_no_file_is_shown_but_the_visitors_own(visitor, targets, place):
    for name, path in targets.paths.items():
        answer = visitor.get(place + quote(str(path)))
        assert answer.status_code in (403, 404), name
        assert PHOTO[:100] not in answer.content
    own = visitor.uploaded(PHOTO)
    if place == "/gradio_api/file=":
        assert visitor.get(place + own).content == PHOTO


def test_honest_requests_are_answered(demo, visitor, tmp_path):
    assert visitor.detect({"path": visitor.uploaded(PHOTO)}).count('"keypoints"') == 1
    # What the page sends: what Gradio told of an upload, and more words.
    payload = {
        "path": visitor.uploaded(PHOTO),
        "url": f"{demo.local_url}gradio_api/file=x",
        "orig_name": "photo.jpg",
        "size": len(PHOTO),
        "meta": {"_type": "gradio.FileData"},
    }
    clip = write_clip(tmp_path / "clip.avi", [_frame()] * 3, 10).read_bytes()
    for number, words in takers(demo).items():
        [block] = [one for one in demo.fns[number].inputs if isinstance(one, gr.Image | gr.Video)]
        if getattr(block, "streaming", False):
            continue  # a stream ends with its time
        if isinstance(block, gr.Video):
            payload["path"] = visitor.uploaded(clip, "clip.avi")
        else:
            payload["path"] = visitor.uploaded(PHOTO)
        output = visitor.call(number, with_file(words, payload))
        assert "error" not in output or output["error"] is None, output
    # Programs without a cookie may use what they have sent.
    with httpx.Client(base_url=demo.local_url, trust_env=False, timeout=60) as program:
        answer = program.post("/gradio_api/upload", files={"files": ("a.jpg", PHOTO + b"\0")})
        [path] = answer.json()
    assert '"faces"' in visitor.detect({"path": path})


def _frame():
    return np.asarray(Image.open(io.BytesIO(PHOTO)).resize((160, 192)))


def test_a_camera_is_held_to_the_limits_of_files(monkeypatch):
    url = "data:image/jpeg;base64," + base64.b64encode(PHOTO).decode()
    assert uploads.data_of(url) == PHOTO
    with pytest.raises(KDLandmarksError, match="damaged"):
        uploads.data_of("data:image/jpeg;base64,%%%")
    monkeypatch.setattr(uploads, "LARGEST_BYTES", 1000)
    with pytest.raises(KDLandmarksError, match="more than"):
        uploads.data_of(url)


# --- what an upload is, read when its turn comes


@pytest.fixture
def store():
    return received.Uploads()


def put(store, content=b"photo"):
    folder = Path(store.folder) / uuid.uuid4().hex
    folder.mkdir()
    (folder / "a.jpg").write_bytes(content)
    store.receive(str(folder / "a.jpg"))
    return folder / "a.jpg"


def swap(path, other):
    path.unlink()
    other(path)


@pytest.mark.parametrize(
    "other",
    [
        os.mkfifo,
        Path.mkdir,
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to(__file__),
        lambda path: None,
    ],
    ids=["FIFO", "folder", "link to a device", "link", "gone"],
)
def test_what_took_an_uploads_place_is_not_read(store, other):
    path = put(store)
    assert store.read(str(path)) == b"photo"
    swap(path, other)
    with pytest.raises(KDLandmarksError, match="send it again"):
        store.read(str(path))


def test_a_file_that_has_grown_is_not_read(store, monkeypatch):
    path = put(store, b"x" * 100)
    monkeypatch.setattr(received, "LARGEST_BYTES", 50)
    with pytest.raises(KDLandmarksError, match="send it again"):
        store.read(str(path))


def test_the_folder_is_the_servers_own_and_goes_with_it(store):
    assert os.stat(store.folder).st_mode & 0o077 == 0
    folder = Path(store.folder)
    put(store)
    store._scratch.cleanup()
    assert not folder.exists()


@pytest.mark.parametrize("limit", ["MOST_FILES", "MOST_BYTES"])
def test_strangers_cannot_fill_the_disk(demo, visitor, monkeypatch, limit):
    visitor.uploaded(PHOTO)
    monkeypatch.setattr(received, limit, 1)
    answer = visitor.post_file(PHOTO)
    assert answer.status_code == 503
    assert "try again" in answer.text
    monkeypatch.setattr(received, "KEPT_SECONDS", -(10**6))  # as if long ago
    assert demo.uploads.room() > 0


def test_uploads_that_had_begun_before_fill_the_disk_no_further(demo, visitor, monkeypatch):
    """There is room for half a photo when it begins."""
    held = received.MOST_BYTES - demo.uploads.room()
    monkeypatch.setattr(received, "MOST_BYTES", held + len(PHOTO) // 2)
    assert demo.uploads.room() > 0
    assert visitor.post_file(PHOTO).status_code == 503
    monkeypatch.undo()
    assert visitor.post_file(PHOTO).status_code == 200


def test_gradio_deletes_what_it_received_and_nothing_else(demo, visitor, targets):
    from gradio.route_utils import delete_files_created_by_app

    own = Path(visitor.uploaded(PHOTO))
    for number, words in takers(demo).items():
        visitor.call(number, with_file(words, {"path": targets.paths["absolute"]}))
    delete_files_created_by_app(demo, None)
    assert not own.exists()
    assert targets.canaries[0].read_bytes() == PHOTO
    assert targets.canaries[1].read_text() == CANARY


# --- who may ask, and how much may be sent


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
def test_a_foreign_name_is_refused_on_loopback(demo, host):
    with httpx.Client(base_url=demo.local_url, trust_env=False) as client:
        for path in ("/", "/config", "/gradio_api/info"):
            answer = client.get(path, headers={"Host": host})
            assert answer.status_code in (400, 403)
            assert "kd-landmarks" not in answer.text
        assert client.post("/gradio_api/upload", headers={"Host": host}).status_code in (400, 403)
        port = client.base_url.port
        for own in (f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}", "LOCALHOST"):
            assert client.get("/", headers={"Host": own}).status_code == 200


def test_other_hosts_are_known_where_they_are_meant(demo, monkeypatch):
    monkeypatch.delenv("GRADIO_SERVER_NAME", raising=False)
    told = SimpleNamespace(root_path="", share_url=None)
    assert own_names(told, None) == guard.LOOPBACK
    assert own_names(told, "127.0.0.2") == {"127.0.0.2", *guard.LOOPBACK}
    for anywhere in ("0.0.0.0", "192.168.0.7", "::"):
        assert own_names(told, anywhere) is None
    told = SimpleNamespace(
        root_path="https://example.com/demo", share_url="https://abc.gradio.live"
    )
    assert {"example.com", "abc.gradio.live"} < own_names(told, None)
    monkeypatch.setenv("GRADIO_SERVER_NAME", "0.0.0.0")  # as a Space has it
    assert own_names(told, None) is None


FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1.evil.example"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:1"},
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_another_sites_page_gets_nothing(demo, headers):
    with httpx.Client(base_url=demo.local_url, trust_env=False) as client:
        calls = [
            client.get("/config", headers=headers),
            client.options(
                "/gradio_api/upload", headers={**headers, "Access-Control-Request-Method": "POST"}
            ),
            client.post("/gradio_api/call/detect", json={"data": [None]}, headers=headers),
            client.post(
                "/gradio_api/call/detect",
                content='{"data": [null]}',
                headers={**headers, "Content-Type": "text/plain"},
            ),
        ]
    for answer in calls:
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert [answer.status_code for answer in calls[1:]] == [403] * 3


def test_the_servers_own_page_may_ask(demo):
    with httpx.Client(base_url=demo.local_url, trust_env=False) as client:
        origin = demo.local_url.rstrip("/")
        for headers in (
            {"Origin": origin, "Sec-Fetch-Site": "same-origin"},
            {"Origin": origin},
            {"Origin": "https://demo.example", "X-Forwarded-Host": "demo.example"},
            {},
        ):
            answer = client.post("/gradio_api/call/landmarks", json={"data": []}, headers=headers)
            assert answer.status_code == 200, headers


@pytest.mark.parametrize("told", [True, False], ids=["told", "untold"])
@pytest.mark.parametrize("path", ["/gradio_api/upload", "/gradio_api/call/detect"])
def test_a_request_that_is_too_large_is_refused(demo, monkeypatch, path, told):
    monkeypatch.setattr(guard, "LARGEST_BODY", 1000)
    monkeypatch.setattr(guard, "LARGEST_MESSAGE", 1000)
    with httpx.Client(base_url=demo.local_url, trust_env=False) as client:
        content = b"x" * 5000 if told else iter([b"x" * 500] * 10)
        assert client.post(path, content=content).status_code == 413


def test_bodies_share_a_bounded_memory(demo, monkeypatch):
    monkeypatch.setattr(guard, "MOST_IN_FLIGHT", 100)
    with httpx.Client(base_url=demo.local_url, trust_env=False) as client:
        answer = client.post("/gradio_api/call/detect", content=b"x" * 200)
        assert answer.status_code == 503
        monkeypatch.undo()
        assert client.post("/gradio_api/call/landmarks", json={"data": []}).status_code == 200


def test_half_an_upload_leaves_nothing(demo):
    def half():
        yield b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n'
        yield PHOTO[:1000]
        raise RuntimeError

    before = set(Path(demo.uploads.folder).iterdir())
    with httpx.Client(base_url=demo.local_url, trust_env=False) as client:
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        with pytest.raises(RuntimeError):
            client.post("/gradio_api/upload", content=half(), headers=headers)
    time.sleep(0.3)
    assert set(Path(demo.uploads.folder).iterdir()) == before


@pytest.mark.parametrize(
    "path",
    ["proxy=http://example.com/a", "deep_link", "dev/reload", "run-history/buckets", "runs"],
)
def test_routes_that_nobody_needs_are_closed(demo, path):
    with httpx.Client(base_url=demo.local_url, trust_env=False) as client:
        assert client.get(f"/gradio_api/{path}").status_code == 404


@pytest.mark.parametrize(
    "path",
    ["process_recording", "vibe-edit", "undo-vibe-edit", "component_server", "login", "new/route"],
)
def test_only_what_the_demo_needs_can_be_written_to(demo, visitor, path, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    files = {"video": ("v.mp4", b"\0" * 2**16)}
    for prefix in ("/gradio_api/", "/", "/gradio_api/upload/../"):
        answer = visitor.post(f"{prefix}{path}", files=files)
        assert answer.status_code in (404, 405)
    assert list(tmp_path.iterdir()) == []


def test_nobody_passes_the_queue_by(demo, visitor):
    assert visitor.post("/gradio_api/run/detect", json={"data": [None]}).status_code == 404
    number = next(iter(takers(demo)))
    words = {"data": [None], "fn_index": number, "session_hash": "x"}
    assert visitor.post("/gradio_api/run/predict", json=words).status_code == 404


def test_parts_that_are_no_upload_are_counted_and_deleted(demo, visitor, monkeypatch):
    folder = Path(demo.uploads.folder)

    def parts():
        return [path for path in folder.iterdir() if path.is_file()]

    for _ in range(3):
        files = {"other": ("photo.jpg", PHOTO)}
        assert visitor.post("/gradio_api/upload", files=files).json() == []
    assert len(parts()) == 3
    # Beside the three, whatever other tests have sent.
    monkeypatch.setattr(received, "MOST_BYTES", 3 * len(PHOTO))
    assert demo.uploads.room() <= 0
    monkeypatch.setattr(received, "SWEEP_SECONDS", 0.01)
    monkeypatch.setattr(received, "KEPT_SECONDS", -1)  # as if long ago

    async def swept():
        task = asyncio.create_task(demo.uploads.sweep())
        await asyncio.sleep(0.5)
        task.cancel()

    asyncio.run(swept())
    assert parts() == []


@pytest.mark.parametrize("where", ["KAGGLE_KERNEL_RUN_TYPE", "GRADIO_SHARE"])
def test_it_is_published_only_where_somebody_asks_for_it(monkeypatch, where):
    tunnels = []

    def tunnel(*_, **__):
        tunnels.append(1)
        return "https://somewhere.gradio.live"

    monkeypatch.setattr("gradio.networking.setup_tunnel", tunnel)
    monkeypatch.setenv(where, "True")
    with received.Demo(received.Uploads()) as small:
        gr.HTML("here")
    serve(small, port=free_port())
    small.close()
    assert small.share == (where == "GRADIO_SHARE")
    assert bool(tunnels) == small.share


def test_a_web_socket_is_not_answered():
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(guard.Guard(None, None, lambda: None)({"type": "websocket"}, None, send))
    assert sent == []


@pytest.mark.slow
def test_a_server_that_is_stopped_takes_its_uploads_along(tmp_path):
    code = (
        "from kd_landmarks.demo import app, received\n"
        "import gradio as gr\n"
        "with received.Demo(received.Uploads()) as demo: gr.Image()\n"
        f"app.launch(demo, port={free_port()})\n"
    )
    words = {"GRADIO_TEMP_DIR": str(tmp_path / "place"), "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=os.environ | words, stdout=subprocess.PIPE, text=True
    ) as process:
        address = process.stdout.readline().split()[4]
        with httpx.Client(base_url=address, trust_env=False) as client:
            client.post("/gradio_api/upload", files={"files": ("a.jpg", PHOTO)}).raise_for_status()
        assert list((tmp_path / "place").rglob("a.jpg"))
        process.terminate()
        assert process.wait(30) == 143
    assert list((tmp_path / "place").glob("kd-landmarks*")) == []


def test_a_frame_of_another_site_has_a_cookie_where_the_page_is_on_https(demo):
    """As a Space is shown: there browsers keep no other."""
    told = []
    for headers in ({}, {"x-forwarded-proto": "https"}):
        answer = httpx.get(demo.local_url, headers=headers, trust_env=False)
        told.append(answer.headers["set-cookie"].partition("HttpOnly; ")[2])
    assert told == ["SameSite=Lax", "Secure; SameSite=None; Partitioned"]
