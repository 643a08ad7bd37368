"""The test Hub answers the real clients as the Hub does, and fails when told to."""

import hashlib
import os
import re
from pathlib import Path

import datasets
import numpy as np
import pytest
import transformers.utils.hub
from datasets import Dataset, load_dataset
from datasets.exceptions import DatasetNotFoundError
from detectors import save_detector
from fake_hub.clients import LocalHub
from fake_hub.store import Blob, Edit
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    HfFileSystem,
    constants,
    get_session,
    hf_hub_download,
    hf_hub_url,
    model_info,
    snapshot_download,
    whoami,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import api
from transformers import AutoConfig, AutoImageProcessor, AutoModelForKeypointDetection

from kd_landmarks.schemes import get_scheme

REPO = "ada/faces"
WEIGHTS = bytes(range(256)) * 8


def fill(hub, repo_id=REPO, repo_type="model", private=False, **files):
    """A repository made through the client, `files` put straight into the store."""
    HfApi().create_repo(repo_id, repo_type=repo_type, private=private)
    edits = [Edit(path, Blob(data)) for path, data in (files or {"a.txt": b"one"}).items()]
    return hub.repository(repo_id, repo_type).commit(edits, "ada", "fill")


def put(path, data, **options):
    return HfApi().upload_file(path_or_fileobj=data, path_in_repo=path, repo_id=REPO, **options)


def read(path, **options):
    return Path(hf_hub_download(REPO, path, **options)).read_bytes()


@pytest.mark.parametrize(
    ("repo_type", "options"), [("model", {}), ("dataset", {}), ("space", {"space_sdk": "gradio"})]
)
def test_small_and_large_files_go_up_and_come_back(hub, tmp_path, repo_type, options):
    HfApi().create_repo(REPO, repo_type=repo_type, **options)
    files = {"README.md": b"---\ntags: [faces]\n---\n", "sub/model.safetensors": WEIGHTS}
    for path, data in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(data)
    made = HfApi().upload_folder(repo_id=REPO, repo_type=repo_type, folder_path=tmp_path / ".")
    stored = hub.files(REPO, repo_type)
    assert {path: stored[path] for path in files} == files
    assert set(hub.repository(REPO, repo_type).objects) == {hashlib.sha256(WEIGHTS).hexdigest()}
    folder = Path(snapshot_download(REPO, repo_type=repo_type))
    assert {path: (folder / path).read_bytes() for path in files} == files
    about = HfApi().repo_info(REPO, repo_type=repo_type, files_metadata=True)
    assert (about.sha, about.tags, about.private) == (made.oid, ["faces"], False)
    sizes = {file.rfilename: file.lfs.size for file in about.siblings if file.lfs}
    assert sizes == {"sub/model.safetensors": len(WEIGHTS)}


def test_a_large_file_whose_content_is_not_what_was_announced_is_refused(hub):
    fill(hub)
    wanted = hashlib.sha256(WEIGHTS).hexdigest()
    address = f"{hub.endpoint}/{REPO}.git/info/lfs/objects/{wanted}"
    assert get_session().put(address, content=b"something else").status_code == 400
    assert not hub.repository(REPO).objects


def test_revisions_are_pulled_by_tag_branch_and_commit(hub):
    first = fill(hub)
    api = HfApi()
    api.create_tag(REPO, tag="v1")
    api.create_branch(REPO, branch="next/try", revision="v1")
    second = put("a.txt", b"two")
    put("a.txt", b"three", revision="next/try")
    found = {name: read("a.txt", revision=name) for name in ("v1", "main", "next/try", first.oid)}
    assert list(found.values()) == [b"one", b"two", b"three", b"one"]
    assert (Path(snapshot_download(REPO, revision="v1")) / "a.txt").read_bytes() == b"one"
    refs = api.list_repo_refs(REPO)
    assert {ref.name for ref in refs.branches} == {"main", "next/try"}
    assert {ref.name: ref.target_commit for ref in refs.tags} == {"v1": first.oid}
    log = api.list_repo_commits(REPO)
    assert [commit.commit_id for commit in log][:2] == [second.oid, first.oid]
    assert [commit.title for commit in log][1:] == ["fill", "initial commit"]
    api.delete_tag(REPO, tag="v1")
    api.delete_branch(REPO, branch="next/try")
    for gone in ("v1", "next/try"):
        with pytest.raises(RevisionNotFoundError):
            api.model_info(REPO, revision=gone)


def test_names_in_use_are_refused_unless_they_may_exist(hub):
    fill(hub)
    api = HfApi()
    api.create_tag(REPO, tag="v1")
    for again in (
        lambda **option: api.create_repo(REPO, **option),
        lambda **option: api.create_tag(REPO, tag="v1", **option),
        lambda **option: api.create_branch(REPO, branch="main", **option),
    ):
        again(exist_ok=True)
        with pytest.raises(HfHubHTTPError, match="409"):
            again()


def test_commits_that_others_overtook_are_refused(hub):
    first = fill(hub)
    put("a.txt", b"two")
    with pytest.raises(HfHubHTTPError, match="412"):
        put("a.txt", b"three", parent_commit=first.oid)
    assert hub.files(REPO)["a.txt"] == b"two"


def test_files_and_folders_are_deleted(hub):
    fill(hub, **{"a.txt": b"a", "b/c.txt": b"c", "b/d/e.txt": b"e"})
    HfApi().delete_file("a.txt", REPO)
    operations = [CommitOperationDelete("b/d/"), CommitOperationAdd("f.txt", b"f")]
    HfApi().create_commit(REPO, operations, commit_message="tidy")
    assert set(hub.files(REPO)) == {".gitattributes", "b/c.txt", "f.txt"}
    with pytest.raises(EntryNotFoundError, match="doesn't exist"):
        HfApi().delete_file("a.txt", REPO)
    with pytest.raises(EntryNotFoundError):
        read("a.txt")


def test_trees_list_folders_too_and_run_over_several_pages(hub):
    fill(hub, **{f"{kind}/{n:04}.txt": b"x" for kind in ("test", "train") for n in range(700)})
    api = HfApi()
    top = {entry.path: type(entry).__name__ for entry in api.list_repo_tree(REPO)}
    assert top == {".gitattributes": "RepoFile", "test": "RepoFolder", "train": "RepoFolder"}
    hub.requests.clear()
    assert sum(1 for _ in api.list_repo_tree(REPO, recursive=True)) == 1403
    assert len(hub.requests) == 2
    inside = list(api.list_repo_tree(REPO, "test", expand=True))
    assert len(inside) == 700
    assert {file.last_commit.title for file in inside} == {"fill"}
    known = api.get_paths_info(REPO, ["train", "test/0001.txt", "absent"])
    assert [entry.path for entry in known] == ["train", "test/0001.txt"]
    assert HfFileSystem().glob(f"{REPO}/t*/069?.txt")[::10] == [
        f"{REPO}/test/0690.txt",
        f"{REPO}/train/0690.txt",
    ]
    with pytest.raises(EntryNotFoundError):
        list(api.list_repo_tree(REPO, "absent"))


@pytest.mark.parametrize(
    ("wanted", "status", "start", "end"),
    [
        ("bytes=2-5", 206, 2, 6),
        ("bytes=2000-", 206, 2000, 2048),
        ("bytes=-3", 206, 2045, 2048),
        ("bytes=2040-9999", 206, 2040, 2048),
        ("bytes=2048-", 416, 0, 0),
        ("bytes=1-2,5-6", 200, 0, 2048),
    ],
)
def test_ranges_of_files_are_read(hub, wanted, status, start, end):
    fill(hub, **{"w.bin": WEIGHTS})
    answer = get_session().get(hf_hub_url(REPO, "w.bin"), headers={"Range": wanted})
    assert answer.status_code == status
    assert answer.content == WEIGHTS[start:end]
    if status != 200:
        span = "*" if status == 416 else f"{start}-{end - 1}"
        assert answer.headers["Content-Range"] == f"bytes {span}/2048"


def test_private_repositories_are_shown_to_their_owners_alone(hub):
    fill(hub, private=True)
    for token, status in ((None, 401), (hub.stranger_token, 404)):
        hub.use(token=token)
        for look in (model_info, snapshot_download, lambda repo: read("a.txt")):
            with pytest.raises(RepositoryNotFoundError) as refusal:
                look(REPO)
            assert refusal.value.response.status_code == status
    hub.use(token=hub.read_token)
    assert read("a.txt") == b"one"
    hub.use(token=hub.token)
    HfApi().update_repo_settings(REPO, private=False)
    hub.use(token=None)
    assert not model_info(REPO).private


def test_tokens_that_may_only_read_or_are_unknown_cannot_write(hub):
    fill(hub)
    before = hub.files(REPO)
    for token, status in ((hub.read_token, 403), (hub.stranger_token, 403), (None, 401)):
        hub.use(token=token)
        for change in (
            lambda: put("a.txt", b"two"),
            lambda: put("w.bin", WEIGHTS),
            lambda: HfApi().create_repo("ada/other"),
            lambda: HfApi().create_tag(REPO, tag="v1"),
            lambda: HfApi().delete_repo(REPO),
        ):
            with pytest.raises(HfHubHTTPError) as refusal:
                change()
            assert refusal.value.response.status_code == status
    assert hub.files(REPO) == before
    hub.use(token="hf_nobody")
    with pytest.raises(HfHubHTTPError, match="Invalid credentials"):
        model_info(REPO)
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        whoami()


def test_repositories_move_and_go(hub):
    fill(hub)
    HfApi().move_repo(REPO, "ada/people")
    assert model_info("ada/people").id == "ada/people"
    HfApi().delete_repo("ada/people")
    for gone in (REPO, "ada/people"):
        with pytest.raises(RepositoryNotFoundError):
            model_info(gone)


def test_cards_that_the_hub_refuses_are_refused(hub):
    fill(hub)
    index = "model-index:\n- name: a\n  results:\n  - task: {type: t}\n    metrics: []"
    for yaml, message in (
        ("tags: [1]", "tags"),
        ("a: [", "could not be read"),
        (index, "dataset.name"),
    ):
        with pytest.raises(ValueError, match=message):
            put("README.md", f"---\n{yaml}\n---\n".encode())
    assert "README.md" not in hub.files(REPO)
    with pytest.warns(UserWarning, match="empty or missing yaml metadata"):
        put("README.md", b"no metadata")


def test_settings_of_a_space_that_the_hub_refuses_are_refused(hub):
    HfApi().create_repo(REPO, repo_type="space", space_sdk="gradio")
    for yaml, message in (
        ("colorFrom: orange", "colorFrom"),
        ("sdk: gradia", "one of .gradio"),
        (f"short_description: {'a' * 61}", "less than or equal to 60"),
    ):
        with pytest.raises(ValueError, match=message):
            put("README.md", f"---\n{yaml}\n---\n".encode(), repo_type="space")


def test_pull_requests_are_refused_in_words(hub):
    fill(hub)
    with pytest.raises(HfHubHTTPError, match="no pull requests"):
        put("a.txt", b"two", create_pr=True)


def test_rate_limits_are_waited_for_or_reported(hub):
    fill(hub)
    hub.fail_next("resolve/main/a.txt", status=429, retry_after=3, times=2, method="GET")
    assert read("a.txt") == b"one"
    assert hub.waits == [4, 4]  # The client adds a second.
    hub.fail_next("/api/repos/create", status=429, retry_after=1)
    with pytest.raises(HfHubHTTPError, match="429"):
        HfApi().create_repo("ada/other")
    assert not hub.unused_faults


def test_a_hub_that_breaks_for_a_moment_is_asked_again(hub):
    fill(hub)
    hub.fail_next("preupload", status=500)
    hub.fail_next("lfs/objects/[0-9a-f]+", status=503, method="PUT")
    put("w.bin", WEIGHTS)
    hub.fail_next("resolve/main/w.bin", status=504, method="HEAD")
    assert read("w.bin") == WEIGHTS
    assert not hub.unused_faults


def test_a_file_cut_off_in_the_middle_is_fetched_from_there(hub):
    data = bytes(range(256)) * 45_000
    fill(hub, **{"w.bin": data})
    hub.cut_next("w.bin", after=11_000_000)
    assert read("w.bin") == data
    ranges = [asked.headers.get("range") for asked in hub.requests if asked.method == "GET"]
    assert ranges == [None, "bytes=10485760-"]  # The client keeps whole pieces of 10 MiB.


def test_slow_answers_are_timed_out(hub):
    fill(hub)
    hub.delay_next("/api/models", seconds=0.2)
    with pytest.raises(Exception, match="timed out"):
        HfApi().model_info(REPO, timeout=0.05)
    assert HfApi().model_info(REPO, timeout=5).id == REPO


def test_without_the_hub_only_what_is_cached_loads(hub):
    fill(hub, **{"a.txt": b"one", "b.txt": b"b"})
    assert read("a.txt") == b"one"
    hub.down()
    assert read("a.txt") == b"one"
    with pytest.raises(LocalEntryNotFoundError):
        read("b.txt")
    with pytest.raises(LocalEntryNotFoundError):
        snapshot_download("ada/other")
    hub.use(HF_HUB_OFFLINE="1")
    assert read("a.txt") == b"one"
    hub.up()
    hub.use()
    assert read("b.txt") == b"b"


def test_clients_are_left_as_they_were_found(tmp_path):
    def settings():
        copies = (constants, datasets.config, transformers.utils.hub)
        return [dict(vars(module)) for module in copies] + [dict(os.environ), api.endpoint]

    before = settings()
    with pytest.MonkeyPatch.context() as monkeypatch, LocalHub(tmp_path, monkeypatch) as hub:
        assert api.endpoint == hub.endpoint
        fill(hub)
    assert settings() == before


def test_clients_reach_no_other_machine(hub):
    assert get_session().get("http://datasets-server.127.0.0.1/info").status_code == 404
    with pytest.raises(Exception, match="403"):
        get_session().get("https://huggingface.co/api/models")


def test_other_processes_use_the_hub_with_their_own_token_and_cache(hub, tmp_path):
    fill(hub, private=True)
    script = "import sys, huggingface_hub as h; print(h.hf_hub_download(sys.argv[1], 'a.txt'))"
    path = hub.run(script, REPO, cache=tmp_path / "other").stdout.strip()
    assert Path(path).read_bytes() == b"one"
    assert Path(path).is_relative_to(tmp_path / "other")
    refused = hub.run(script, REPO, token=None, check=False)
    assert "RepositoryNotFoundError" in refused.stderr
    with pytest.raises(AssertionError, match="RepositoryNotFoundError"):
        hub.run(script, REPO, token=hub.stranger_token)


@pytest.fixture
def faces(rng):
    """Three rows with a picture, points and a name."""
    rows = {
        "image": [rng.integers(0, 256, (8, 9, 3), np.uint8) for _ in range(3)],
        "landmarks": rng.random((3, 5, 2), np.float32).tolist(),
        "subset": ["common", "common", "challenging"],
    }
    features = {
        "image": datasets.Image(),
        "landmarks": datasets.Array2D((5, 2), "float32"),
        "subset": datasets.Value("string"),
    }
    return Dataset.from_dict(rows, features=datasets.Features(features))


def same_rows(rows, wanted):
    pairs = list(zip(rows, wanted, strict=True))
    return all(
        np.array_equal(np.asarray(row[name]), np.asarray(other[name]))
        for row, other in pairs
        for name in other
    )


def test_data_sets_are_pushed_loaded_and_streamed(hub, tmp_path, faces):
    faces.push_to_hub(REPO, split="train", private=True, num_shards=2)
    faces.select([2, 0]).push_to_hub(REPO, split="test", revision="v1")
    faces.select([1]).push_to_hub(REPO, split="test")
    shards = [
        path for path in hub.files(REPO, "dataset") if re.fullmatch(r"data/.*\.parquet", path)
    ]
    assert len(shards) == 3
    assert hub.repository(REPO, "dataset").private
    loaded = load_dataset(REPO)
    assert loaded["train"].features == faces.features
    assert same_rows(loaded["train"], faces)
    assert same_rows(loaded["test"], faces.select([1]))
    for revision, wanted in ((None, [1]), ("v1", [2, 0])):
        stream = load_dataset(REPO, split="test", streaming=True, revision=revision)
        assert same_rows(stream, faces.select(wanted))
    hub.use(token=None, cache=tmp_path / "nobody")  # What the owner has cached still loads.
    for streaming in (False, True):
        with pytest.raises(DatasetNotFoundError):
            load_dataset(REPO, streaming=streaming)


def test_streams_survive_a_cut_and_loaded_data_sets_a_hub_that_is_down(hub, faces):
    faces.push_to_hub(REPO)
    stream = load_dataset(REPO, split="train", streaming=True)
    hub.cut_next("parquet", after=10, times=2)
    hub.fail_next("parquet", status=429, retry_after=0)
    assert same_rows(stream, faces)
    assert not hub.unused_faults
    load_dataset(REPO)
    hub.down()
    assert same_rows(load_dataset(REPO, split="train"), faces)
    with pytest.raises(ConnectionError, match="ada/other"):
        load_dataset("ada/other")


def test_detectors_load_by_id_and_without_the_hub_from_the_cache(hub, tmp_path):
    scheme = get_scheme("cofw29")
    points = np.linspace(0.1, 0.9, 58).reshape(29, 2)
    folder = save_detector(tmp_path / "detector", scheme, points)
    model = AutoModelForKeypointDetection.from_pretrained(folder)
    model.push_to_hub(REPO, private=True)
    AutoImageProcessor.from_pretrained(folder).push_to_hub(REPO)
    HfApi().create_tag(REPO, tag="v1")
    assert {"config.json", "model.safetensors"} <= hub.files(REPO, revision="v1").keys()
    for online in (True, False):
        if not online:
            hub.down()
        assert AutoConfig.from_pretrained(REPO).num_landmarks == 29
        loaded = AutoModelForKeypointDetection.from_pretrained(REPO, revision="v1")
        assert AutoImageProcessor.from_pretrained(REPO).crop_margin == 1.4
        for name, value in model.state_dict().items():
            assert value.equal(loaded.state_dict()[name]), name
    with pytest.raises(OSError, match="couldn't connect"):
        AutoConfig.from_pretrained("ada/other")
