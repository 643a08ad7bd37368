"""`kd-landmarks push-space`: the demo as a Space of one's own."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest
from fake_hub.store import Blob, Edit
from full_disk import full_disk
from huggingface_hub import HfApi, SpaceCard
from packaging.requirements import Requirement
from space_wheels import changed, run_uninstalled
from typer.testing import CliRunner

from kd_landmarks.cli import app
from kd_landmarks.hub.space import COMPARED, build_wheel, requirements

REPO = "ada/demo"
REPOSITORY = Path(__file__).resolve().parents[2]
WEIGHTS = "kd_landmarks/models/weights/mobilenetv2-300w/model.safetensors"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel that push-space builds where none is named."""
    before = set(REPOSITORY.iterdir())
    built = build_wheel(REPOSITORY, tmp_path_factory.mktemp("dist"))
    assert set(REPOSITORY.iterdir()) == before
    return built


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Checkpoints in name only: the Space's files are copied, not loaded."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for name in COMPARED:
        (folder / name).mkdir()
        for file in ("README.md", "config.json", "preprocessor_config.json", "model.safetensors"):
            (folder / name / file).write_bytes(f"{name}/{file}".encode())
    return folder


@pytest.fixture
def words(wheel, small):
    return ["--wheel", wheel, "--checkpoints", small]


def push(*words, repo_id=REPO):
    return CliRunner().invoke(app, ["push-space", "--repo-id", repo_id, *map(str, words)])


def pushed(*words, **options):
    result = push(*words, **options)
    assert result.exit_code == 0, result.output
    return result.output


def refused(*words, **options):
    result = push(*words, **options)
    assert result.exit_code == 2, result.output
    assert result.output.count("error: ") == 1
    return result.output


# --- what is pushed


def test_one_commit_has_everything_and_nothing_else(hub, words, wheel, small):
    output = pushed(*words)
    files = hub.files(REPO, "space")
    own = {path.relative_to(small).as_posix() for path in small.rglob("*.*") if path.is_file()}
    assert files.keys() == {".gitattributes", "README.md", "app.py", "requirements.txt"} | {
        wheel.name,
        *(f"checkpoints/{path}" for path in own),
    }
    assert len(list(hub.repository(REPO, "space").history("main"))) == 2  # the Hub makes the first
    assert hub.repository(REPO, "space").sdk == "gradio"
    assert not hub.repository(REPO, "space").private
    assert files["app.py"] == (REPOSITORY / "spaces_app/app.py").read_bytes()
    assert files[wheel.name] == wheel.read_bytes()
    assert all(files[f"checkpoints/{path}"] == (small / path).read_bytes() for path in own)
    assert f"Pushed to {REPO}: {hub.endpoint}/spaces/{REPO}/commit/" in output
    assert f"runs at {hub.endpoint}/spaces/{REPO}\n" in output
    assert not any(os.environ["HF_TOKEN"].encode() in data for data in files.values())


def test_the_card_is_the_folders_with_the_ids_that_were_given(hub, words):
    own = SpaceCard.load(REPOSITORY / "spaces_app/README.md")
    told = own.data.to_dict()
    wanted = "title emoji colorFrom colorTo sdk sdk_version python_version app_file license models"
    assert told.keys() >= {*wanted.split(), "datasets", "tags", "short_description"}
    assert (told["sdk"], told["python_version"], told["app_file"]) == ("gradio", "3.12", "app.py")
    # The Hub has one field for both licenses: the stricter one, of the weights, stands there.
    assert (told["license"], told["license_name"]) == ("other", "non-commercial-research")
    assert (told["models"], told["datasets"]) == ([], [])  # an id that nobody has given is none
    kin = ("--models", "ada/student", "--models", "ada/tough", "--datasets", "ada/300w")
    pushed(*words, *kin, "--private")
    card = SpaceCard(hub.files(REPO, "space")["README.md"].decode())
    ids = {"models": ["ada/student", "ada/tough"], "datasets": ["ada/300w"]}
    assert card.data.to_dict() == told | ids
    assert f'Client("{REPO}")' in card.text
    assert "NAMESPACE" not in card.text
    assert hub.repository(REPO, "space").private


def test_the_next_push_removes_what_the_last_one_brought(hub, words, wheel, small, tmp_path):
    pushed(*words)
    stale = [Edit(f"checkpoints/{COMPARED[0]}/old.json", Blob(b"{}")), Edit("notes", Blob(b"mine"))]
    hub.repository(REPO, "space").commit(stale, "ada", "notes")
    newer = changed(wheel, tmp_path, "9.9")
    before = hub.files(REPO, "space").keys()
    pushed("--wheel", newer, "--checkpoints", small)
    after = hub.files(REPO, "space").keys()
    assert before - after == {wheel.name, f"checkpoints/{COMPARED[0]}/old.json"}
    assert after - before == {"kd_landmarks-9.9-py3-none-any.whl"}
    assert "notes" in after
    assert len(list(hub.repository(REPO, "space").history("main"))) == 4


def test_a_dry_run_asks_the_hub_nothing(hub, words, wheel):
    hub.use(token=None)
    output = pushed(*words, "--dry-run")
    listed = dict(line.split()[::-1] for line in output.splitlines()[:-2])
    assert listed[wheel.name] == f"{wheel.stat().st_size:,}"
    assert {"app.py", f"checkpoints/{COMPARED[1]}/model.safetensors"} <= listed.keys()
    assert "Nothing was pushed" in output
    assert not hub.requests


def test_out_writes_the_files_into_a_new_folder(hub, wheel, tmp_path, monkeypatch):
    """Without other words, the checkpoints are the clone's and the wheel is built from it."""

    def build(clone, folder):
        assert clone == REPOSITORY
        return Path(shutil.copy(wheel, folder))

    monkeypatch.setattr("kd_landmarks.hub.space.build_wheel", build)
    out = tmp_path / "new/space"
    assert f"Written to {out}. Nothing was pushed" in pushed("--output", out)
    assert not hub.requests
    for name in COMPARED:
        stored = (out / "checkpoints" / name / "model.safetensors").read_bytes()
        assert stored == (REPOSITORY / "checkpoints" / name / "model.safetensors").read_bytes()
    assert f"{out} is not an empty folder" in refused("--output", out)
    with full_disk(1000):
        assert "cannot write" in refused("--output", tmp_path / "full/space")
    assert not list((tmp_path / "full").iterdir())


# --- how it starts


def test_the_requirements_are_the_wheels_and_the_folders_own(wheel):
    """Spaces install them before the wheel is there: they name what it needs, not the wheel."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    own_extra, *more = extras["space"]
    assert own_extra == "kd-landmarks[video]"
    wanted = project["dependencies"] + extras["train"] + extras["video"] + more
    own = (REPOSITORY / "spaces_app/requirements.txt").read_text()
    assert {Requirement(line) for line in own.splitlines()} == set(map(Requirement, wanted))
    assert requirements(wheel) == own
    [gradio] = [need for need in map(Requirement, wanted) if need.name == "gradio"]
    card = SpaceCard.load(REPOSITORY / "spaces_app/README.md")
    assert gradio.specifier.contains(card.data.sdk_version)


def test_the_space_starts_from_its_own_wheel(wheel, small, tmp_path):
    (tmp_path / "dist").mkdir()
    probe = changed(wheel, tmp_path / "dist", "9.9", tells=True)
    pushed("--wheel", probe, "--checkpoints", small, "--output", tmp_path / "space")
    libraries = [sysconfig.get_path("purelib")]
    code, printed, errors = run_uninstalled(
        tmp_path / "space/app.py", folder=tmp_path, path=libraries
    )
    assert code == 0, errors
    version, weights, checkpoints = printed.splitlines()
    assert version == "9.9"
    assert not Path(weights).is_relative_to(REPOSITORY)
    assert Path(checkpoints) == tmp_path / "space/checkpoints"


def test_in_a_clone_it_compares_the_clones_checkpoints(wheel, tmp_path):
    zipfile.ZipFile(changed(wheel, tmp_path, "9.9", tells=True)).extractall(tmp_path / "installed")
    start = REPOSITORY / "spaces_app/app.py"
    libraries = [tmp_path / "installed", sysconfig.get_path("purelib")]
    code, printed, errors = run_uninstalled(start, folder=REPOSITORY, path=libraries)
    assert code == 0, errors
    assert Path(printed.splitlines()[-1]) == REPOSITORY / "checkpoints"
    code, _, errors = run_uninstalled(start, folder=tmp_path, path=libraries[1:])
    assert code == 1
    assert errors == "kd-landmarks is not installed: in a clone, pip install -e '.[space]'\n"


def test_the_wheel_that_went_up_installs(hub, words, wheel, tmp_path):
    pushed(*words)
    (tmp_path / wheel.name).write_bytes(hub.files(REPO, "space")[wheel.name])
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    installed = tmp_path / "installed"
    done = subprocess.run(
        [*command, "--target", str(installed), str(tmp_path / wheel.name)], capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert (installed / WEIGHTS).read_bytes() == (REPOSITORY / WEIGHTS).read_bytes()
    for file in REPOSITORY.glob("kd_landmarks/demo/**/*.*"):
        if file.suffix != ".pyc":
            assert (installed / file.relative_to(REPOSITORY)).read_bytes() == file.read_bytes()
    # There, away from a clone, it has nothing to put a Space together from.
    libraries = [installed, sysconfig.get_path("purelib")]
    code, _, errors = run_uninstalled(
        *("-m", "kd_landmarks", "push-space", "--repo-id", REPO, "--dry-run"),
        folder=tmp_path,
        path=libraries,
    )
    assert (code, errors.count("\n")) == (2, 1), errors
    assert errors.startswith("error: a Space is put together in a clone of the repository")


# --- what is refused


def put(hub, path, data, **options):
    HfApi().create_repo(REPO, repo_type="space", space_sdk="gradio", exist_ok=True, **options)
    return hub.repository(REPO, "space").commit([Edit(path, Blob(data))], "ada", "fill")


@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        (lambda hub: hub.use(token=None), "needs a token that may write: run `hf auth login`"),
        (lambda hub: hub.use(token="hf_old"), f"the Hub refuses {REPO} (401): "),
        (lambda hub: hub.use(token=hub.read_token), "the token may only read"),
        (lambda hub: hub.use(token=hub.stranger_token), f"the Hub refuses {REPO} (403): "),
        (lambda hub: hub.use(HF_HUB_OFFLINE="1"), "HF_HUB_OFFLINE is set"),
        (lambda hub: hub.down(), f"cannot push {REPO}: "),
        (lambda hub: hub.fail_next("/commit/main", status=500), f"the Hub refuses {REPO} (500)"),
        (lambda hub: put(hub, "thesis.pdf", b"%PDF", private=True), "is taken"),
        (lambda hub: put(hub, "README.md", b"mine"), "is there and public: make it private"),
    ],
)
def test_what_the_hub_refuses_is_one_clear_line(hub, words, wheel, trouble, message):
    trouble(hub)
    token = os.environ.get("HF_TOKEN")
    output = refused(*words, "--private")
    assert message in output
    assert not token or token not in output
    assert not hub.unused_faults
    stored = hub.store.repositories.get(("space", REPO))
    assert stored is None or wheel.name not in hub.files(REPO, "space")


@pytest.mark.parametrize(
    ("repo_id", "more"),
    [
        ("demo", []),
        ("ada/de mo", []),
        (REPO, ["--models", "a/b/c"]),
        (REPO, ["--datasets", "300w"]),
    ],
)
def test_what_is_no_id_is_refused_before_the_hub_is_asked(hub, words, repo_id, more):
    assert f"{(more or [repo_id])[-1]!r} is not an id" in refused(*words, *more, repo_id=repo_id)
    assert not hub.requests


def test_missing_files_are_named(wheel, small, tmp_path):
    missing = shutil.copytree(small, tmp_path / "checkpoints")
    (missing / COMPARED[1] / "model.safetensors").unlink()
    dry = ("--dry-run", "--wheel")
    output = refused(*dry, wheel, "--checkpoints", missing)
    assert f"there is no {missing / COMPARED[1] / 'model.safetensors'}, which" in output
    assert "by --checkpoints" in output
    assert "there is no wheel nothing.whl" in refused(*dry, "nothing.whl")
    other = tmp_path / "other-1.0-py3-none-any.whl"
    other.write_bytes(b"")
    assert f"{other} is not a wheel of this package" in refused(*dry, other)
    older = tmp_path / "kd_landmarks-0.0.1-py3-none-any.whl"
    with zipfile.ZipFile(older, "w") as archive:
        archive.writestr("kd_landmarks-0.0.1.dist-info/METADATA", "Name: kd-landmarks\n")
    assert f"{older} is of a version without the demo" in refused(*dry, older)
    broken = tmp_path / wheel.name
    broken.write_bytes(b"PK")
    assert f"cannot read the wheel {broken}: " in refused(*dry, broken)


def test_a_wheel_that_cannot_be_built_says_what_to_do(small, monkeypatch, tmp_path):
    words = ("--dry-run", "--checkpoints", small)
    monkeypatch.setattr("kd_landmarks.hub.space._SOURCES", ("README.md", "LICENSE"))
    output = refused(*words)
    assert "error: cannot build the wheel: " in output
    assert "pip install --upgrade build setuptools, or name a wheel by --wheel" in output
    monkeypatch.setattr("importlib.metadata.Distribution.discover", lambda **_: iter(()))
    assert "pip install build, or name a wheel by --wheel" in refused(*words)
