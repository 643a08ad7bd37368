"""A Hub that keeps its clients waiting: seconds, then the cache or one clear line."""

import json
import logging
import time

import datasets
import numpy as np
import pytest
from downloads import FIVE, face
from fake_hub.store import Blob, Edit
from huggingface_hub import HfApi, hf_hub_download
from PIL import Image
from small_networks import save_small

from kd_landmarks import KDLandmarksError
from kd_landmarks.data.loading import load_rows
from kd_landmarks.hub.push_data import check_push, push_folder
from kd_landmarks.models.loading import load_detector
from kd_landmarks.utils import hub_patience
from kd_landmarks.utils.hub_patience import HubWaitError, patient_hub

REPO = "ada/student"
FACES = "ada/faces"
BOUND = 20  # seconds; generous, the patience of these tests is 0.3


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(hub_patience, "PATIENCE", 0.3)
    monkeypatch.setattr(hub_patience, "SILENCE", 0.3)
    monkeypatch.setattr(hub_patience, "UPLOAD_SILENCE", 0.3)


@pytest.fixture
def student(hub, tmp_path):
    """A detector on the Hub, and its first commit in the cache."""
    return put(hub, save_small(tmp_path / "network"))


def put(hub, folder, margin=1.3):
    settings = folder / "preprocessor_config.json"
    values = json.loads(settings.read_text())
    settings.write_text(json.dumps({**values, "crop_margin": margin}))
    HfApi().create_repo(REPO, exist_ok=True)
    edits = [Edit(file.name, Blob(file.read_bytes())) for file in folder.iterdir()]
    return hub.repository(REPO).commit(edits, "ada", "fill")


@pytest.fixture
def faces(hub):
    """A data set on the Hub."""
    photo = Image.fromarray(np.full((70, 90, 3), 100, np.uint8))
    kinds = datasets.Features(
        {"image": datasets.Image(), "landmarks": datasets.Array2D((5, 2), "float32")}
    )
    rows = {"image": [photo] * 2, "landmarks": [face(5), face(5, 1)]}
    datasets.Dataset.from_dict(rows, features=kinds).push_to_hub(FACES)


def load_faces(streaming=False):
    return load_rows(FACES, scheme=FIVE, streaming=streaming)


TROUBLES = {
    "busy": lambda hub: hub.fail_next("/", status=429, retry_after=3600, times=999),
    "broken": lambda hub: hub.fail_next("/", status=503, retry_after=3600, times=999),
    "silent": lambda hub: hub.delay_next("/", 5, times=999),
    "down": lambda hub: hub.down(),
    "round": lambda hub: hub.answer_next(
        "/", b"", times=999, method=None, status=302, Location=hub.endpoint + "/api/models/round"
    ),
    "elsewhere": lambda hub: hub.answer_next("/", b"<html>login</html>", times=999),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_cached_detector_is_loaded_and_said_to_be(hub, student, trouble, caplog):
    load_detector(REPO)
    TROUBLES[trouble](hub)
    start = time.monotonic()
    with caplog.at_level(logging.WARNING, "kd_landmarks"):
        load_detector(REPO)
    assert time.monotonic() - start < BOUND
    assert f"{REPO} is taken from the Hub's cache: commit {student.oid[:12]}" in caplog.text
    assert all(wait < 10 for wait in hub.waits)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_without_a_cache_one_line_says_what_is_wrong(hub, student, trouble):
    TROUBLES[trouble](hub)
    start = time.monotonic()
    with pytest.raises(KDLandmarksError, match="neither here nor in the Hub's cache") as caught:
        load_detector(REPO)
    assert time.monotonic() - start < BOUND
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json", "model.safetensors"])
def test_a_newer_commit_that_cannot_be_had_whole_leaves_the_older_one(
    hub, student, tmp_path, file, caplog
):
    load_detector(REPO)
    newer = put(hub, save_small(tmp_path / "newer", noise=1), margin=1.6)
    hub.fail_next(f"{newer.oid}/{file}", status=429, retry_after=3600, times=999)
    for _ in range(2):
        assert load_detector(REPO)[1].crop_margin == 1.3
        assert f"commit {student.oid[:12]}" in caplog.text
    hub.use()
    hub._faults.clear()
    assert load_detector(REPO)[1].crop_margin == 1.6


@pytest.mark.parametrize("pause", [0.1, 0.4])
def test_bytes_that_drip_are_no_answer(hub, student, pause):
    load_detector(REPO)
    hub.drip_next("/api/models/", pause)
    start = time.monotonic()
    load_detector(REPO)
    assert time.monotonic() - start < BOUND


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"[" * 10**5, "not JSON that can be read: it is nested too deeply"),
        (b"[]", r"is invalid: \[\]"),
        (b'{"sha": 3}', "is invalid"),
        (b'{"siblings": []}', "names no commit, but None"),
        (b'{"sha": "../../../x", "siblings": []}', "names no commit, but '../../../x'"),
        (b'{"sha": "%s", "siblings": [7]}' % (b"a" * 40), "is invalid"),
        (
            b'{"sha": "%s", "siblings": [{"rfilename": "x", "size": "9"}]}' % (b"a" * 40),
            "an entry that is not a file",
        ),
        (b'{"sha": "%s", "siblings": [{}]}' % (b"a" * 40), "an entry that is not a file"),
        (
            b'{"sha": "%s", "siblings": [{"rfilename": "../config.json"}]}' % (b"a" * 40),
            "it has no config.json",
        ),
        (b" " * (2**22 + 1), "more than 4194304 bytes"),
    ],
)
def test_lists_of_files_that_cannot_be_meant_are_refused(hub, student, answer, message):
    hub.answer_next("/api/models/", answer)
    with pytest.raises(KDLandmarksError, match=message):
        load_detector(REPO)


def test_an_endless_answer_is_not_read_to_its_end(hub, student, monkeypatch):
    monkeypatch.setattr(hub_patience, "MOST_ANSWER", 10**5)
    hub.answer_next("/api/models/", b" " * 10**7)
    with pytest.raises(KDLandmarksError, match="more than 100000 bytes, and no file"):
        load_detector(REPO)


@pytest.mark.parametrize("trouble", ["busy", "broken", "silent", "down", "round"])
def test_cached_faces_are_loaded_and_said_to_be(hub, faces, trouble, caplog):
    load_faces()
    TROUBLES[trouble](hub)
    start = time.monotonic()
    assert len(load_faces()) == 2
    assert time.monotonic() - start < BOUND
    commit = hub.repository(FACES, "dataset").resolve("main").oid
    assert (
        f"{FACES} is taken from the datasets library's cache: commit {commit[:12]}" in caplog.text
    )


@pytest.mark.parametrize(
    ("trouble", "streaming"),
    [*((trouble, False) for trouble in TROUBLES), ("busy", True), ("silent", True)],
)
def test_without_a_cache_faces_are_one_clear_line(hub, faces, trouble, streaming, tmp_path):
    hub.use(cache=tmp_path / "fresh")
    TROUBLES[trouble](hub)
    start = time.monotonic()
    with pytest.raises(KDLandmarksError, match=FACES) as caught:
        load_faces(streaming)
    assert time.monotonic() - start < BOUND
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("trouble", ["busy", "broken", "silent", "down", "round"])
def test_a_push_waits_for_seconds_and_says_so(hub, trouble, tmp_path):
    (tmp_path / "README.md").write_text("# Faces\n")
    TROUBLES[trouble](hub)
    for push in (lambda: check_push(FACES, True), lambda: push_folder(tmp_path, FACES, True)):
        start = time.monotonic()
        with pytest.raises(KDLandmarksError, match=FACES):
            push()
        assert time.monotonic() - start < BOUND
    assert all(wait < 10 for wait in hub.waits)


def test_only_work_of_ours_is_hurried(hub, student):
    """Whoever uses huggingface_hub beside this package waits as it does."""
    with patient_hub():
        hf_hub_download(REPO, "config.json")
    hub.fail_next("/api/models", status=429, retry_after=3600)
    list(HfApi().list_repo_tree(REPO))
    assert hub.waits == [3601]
    hub.delay_next("/api/models", 0.5)
    list(HfApi().list_repo_tree(REPO))


def test_what_comes_fast_enough_may_take_long(hub, student):
    """A file of megabytes, in pieces, longer than the patience."""
    body = bytes(10**4)
    with patient_hub() as waited:
        parts = iter([body] * 16)
        got = []
        for part in waited._watched((time.sleep(0.05) or part for part in parts), is_file=True):
            got.append(part)
    assert len(got) == 16
    with pytest.raises(HubWaitError, match="bytes in"):
        list(waited._watched((time.sleep(0.05) or b"x" for _ in range(16)), is_file=True))
