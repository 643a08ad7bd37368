"""`kd-landmarks convert --push`: private unless said otherwise, and clear where the Hub says no."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from downloads import FIVE, convert_command, files_of, write_300w, write_own
from huggingface_hub.errors import (
    HfHubHTTPError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

TOKEN = "hf_this_is_a_secret"


def refusal(kind: type[HfHubHTTPError], status: int, message: str) -> HfHubHTTPError:
    request = SimpleNamespace(headers={"authorization": f"Bearer {TOKEN}"})
    response = SimpleNamespace(status_code=status, headers={}, request=request)
    return kind(message, response=response)


class FakeHub:
    """Keeps what it is asked, as far as `push` asks; `fails` raises at a call of that name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.private: dict[str, bool] = {}
        self.files: dict[str, str] = {}
        self.calls: list[str] = []
        self.fails: dict[str, Exception] = {}

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if name in self.fails:
            raise self.fails[name]

    def whoami(self) -> dict:
        self._called("whoami")
        return {"name": "me"}

    def repo_info(
        self, repo_id: str, *, repo_type: str, revision: None, timeout: float
    ) -> SimpleNamespace:
        self._called("repo_info")
        assert repo_type == "dataset"
        assert revision is None
        if repo_id not in self.private:
            raise refusal(RepositoryNotFoundError, 404, "Repository Not Found")
        files = [SimpleNamespace(rfilename=name) for name in self.files]
        return SimpleNamespace(private=self.private[repo_id], siblings=files, sha="0" * 40)

    def hf_hub_download(self, repo_id: str, name: str, *, repo_type: str, revision: str) -> str:
        self._called("hf_hub_download")
        assert (repo_type, revision) == ("dataset", "0" * 40)
        place = self.folder / name
        place.write_text(self.files[name], encoding="utf-8")
        return str(place)

    def create_repo(self, repo_id: str, *, repo_type: str, private: bool, exist_ok: bool) -> str:
        self._called("create_repo")
        assert (repo_type, exist_ok) == ("dataset", True)
        self.private.setdefault(repo_id, private)
        return f"https://hub.test/datasets/{repo_id}"

    def upload_folder(
        self,
        *,
        repo_id: str,
        repo_type: str,
        folder_path: Path,
        commit_message: str,
        delete_patterns: list[str],
    ) -> None:
        self._called("upload_folder")
        assert repo_type == "dataset"
        assert commit_message
        self.files = files_of(Path(folder_path))
        self.deleted = delete_patterns


@pytest.fixture
def root_300w(tmp_path):
    return write_300w(tmp_path / "300W")


@pytest.fixture
def fake_hub(monkeypatch, tmp_path_factory):
    """A Hub that this process reaches only in imagination."""
    fake = FakeHub(tmp_path_factory.mktemp("hub"))
    monkeypatch.setattr("kd_landmarks.hub.push_data.HfApi", lambda: fake)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return fake


def test_a_research_set_is_pushed_private_with_the_files_of_the_folder(
    root_300w, tmp_path, fake_hub
):
    result = convert_command("300w", root_300w, "--push", "me/300w", "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert fake_hub.private == {"me/300w": True}
    assert fake_hub.files == files_of(tmp_path / "out")
    assert "license: other" in (tmp_path / "out" / "README.md").read_text()
    assert "Pushed to https://hub.test/datasets/me/300w" in result.output
    assert TOKEN not in result.output
    # Fewer shards than last time leave none of last time's.
    assert "data/*.parquet" in fake_hub.deleted


def test_without_a_folder_nothing_stays_behind(root_300w, tmp_path, fake_hub):
    before = set(tmp_path.iterdir())
    assert convert_command("300w", root_300w, "--push", "me/300w").exit_code == 0
    assert {"README.md", "data/train-00000-of-00001.parquet"} < set(fake_hub.files)
    assert set(tmp_path.iterdir()) == before


def test_who_has_the_rights_may_push_for_everyone(root_300w, fake_hub):
    words = ("--push", "me/300w", "--i-have-the-rights")
    assert convert_command("300w", root_300w, *words).exit_code == 0
    assert fake_hub.private == {"me/300w": False}


@pytest.mark.parametrize("public", [False, True])
def test_ones_own_data_are_pushed_private_unless_public(tmp_path, fake_hub, public):
    (tmp_path / "five.yaml").write_text(yaml.safe_dump(FIVE.to_dict()))
    words = ("--push", "me/faces", "--scheme", tmp_path / "five.yaml")
    result = convert_command(
        "own", write_own(tmp_path / "own"), *words, *(["--public"] if public else [])
    )
    assert result.exit_code == 0, result.output
    assert fake_hub.private == {"me/faces": not public}


def test_a_public_data_set_gets_no_research_faces(root_300w, tmp_path, fake_hub):
    fake_hub.private["me/300w"] = False
    result = convert_command("300w", root_300w, "--push", "me/300w", "--output", tmp_path / "out")
    assert result.exit_code == 2
    assert "error: me/300w is there and public: make it private" in result.output
    assert "upload_folder" not in fake_hub.calls
    assert not (tmp_path / "out").exists()  # found out before the work


def test_what_somebody_else_keeps_in_a_data_set_stays(root_300w, fake_hub, tmp_path):
    fake_hub.private["me/300w"] = True
    theirs = {"README.md": "---\ntags: [audio]\n---\n", "data/train-00000-of-00001.parquet": ""}
    for files in (theirs, {"README.md": "Of kd-landmarks: mine.", "audio.wav": ""}, {"a.zip": ""}):
        fake_hub.files = files
        result = convert_command("300w", root_300w, "--push", "me/300w", "--output", tmp_path / "o")
        assert result.exit_code == 2
        assert "me/300w is taken: it does not hold what" in result.output
        assert not (tmp_path / "o").exists()
    fake_hub.files = {"README.md": "mine", ".gitattributes": ""}
    assert convert_command("300w", root_300w, "--push", "me/300w").exit_code == 0
    words = ("--push", "me/300w", "--output", tmp_path / "out")
    assert convert_command("300w", root_300w, "--output", tmp_path / "first").exit_code == 0
    card = (tmp_path / "first/README.md").read_text(encoding="utf-8")
    fake_hub.files = {"README.md": card, "data/train-00000-of-00001.parquet": ""}
    assert convert_command("300w", root_300w, *words).exit_code == 0


def test_a_data_set_made_public_in_the_meantime_gets_none_either(root_300w, fake_hub):
    fake_hub.private["me/300w"] = True
    asked = fake_hub.create_repo

    def create_repo(repo_id, **options):
        fake_hub.private[repo_id] = False
        return asked(repo_id, **options)

    fake_hub.create_repo = create_repo
    result = convert_command("300w", root_300w, "--push", "me/300w")
    assert result.exit_code == 2
    assert "is there and public" in result.output
    assert "upload_folder" not in fake_hub.calls


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        ("whoami", LocalTokenNotFoundError("no token"), "run `hf auth login` or set HF_TOKEN"),
        ("whoami", OfflineModeIsEnabled("offline"), "HF_HUB_OFFLINE is set, unset it"),
        ("whoami", refusal(HfHubHTTPError, 401, "Invalid user token."), "is the token valid"),
        ("whoami", ConnectionError("Name or service not known"), "cannot push me/300w: Name or"),
        ("create_repo", refusal(HfHubHTTPError, 403, "Forbidden"), "(403): Forbidden; may the tok"),
        ("upload_folder", refusal(HfHubHTTPError, 500, "Internal"), "(500): Internal"),
        ("upload_folder", TimeoutError("cut"), "cannot push me/300w: cut"),
    ],
)
def test_what_the_hub_refuses_is_one_clear_line(
    root_300w, tmp_path, fake_hub, call, error, message
):
    fake_hub.fails[call] = error
    result = convert_command("300w", root_300w, "--push", "me/300w", "--output", tmp_path / "out")
    assert result.exit_code == 2, result.output
    assert result.output.count("error: ") == 1
    assert message in result.output
    assert TOKEN not in result.output
    # What was found out before the work left nothing; what came after it keeps the work.
    assert (tmp_path / "out").exists() == (call != "whoami")


@pytest.mark.parametrize("name", ["300w", "me/300w/faces", "me/300 w", "me/-", "../300w"])
def test_what_is_no_id_is_refused_before_the_hub_is_asked(root_300w, fake_hub, name):
    result = convert_command("300w", root_300w, "--push", name)
    assert result.exit_code == 2
    assert repr(name) in result.output
    assert not fake_hub.calls


def test_without_a_hub_nothing_is_tried(root_300w, monkeypatch):
    """The real client, offline as all tests are."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    result = convert_command("300w", root_300w, "--push", "me/300w")
    assert result.exit_code == 2
    assert "cannot push me/300w: HF_HUB_OFFLINE is set" in result.output
    assert TOKEN not in result.output
