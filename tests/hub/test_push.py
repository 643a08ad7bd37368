"""`kd-landmarks push`: detectors that load by their id, with this package and without it."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from fake_hub.store import Blob, Edit
from finished_runs import change_json, save_run
from huggingface_hub import HfApi, ModelCard, parse_eval_result_entries
from PIL import Image
from small_networks import assert_same_network
from transformers import AutoImageProcessor, AutoModelForKeypointDetection, pipeline
from typer.testing import CliRunner

from kd_landmarks import (
    FaceLandmarkPipeline,
    KDLandmarksForKeypointDetection,
    KDLandmarksImageProcessor,
)
from kd_landmarks.cli import app
from kd_landmarks.inference.export import export_onnx
from kd_landmarks.models.compact import save_compact
from kd_landmarks.models.loading import AUTO_CLASSES, load_detector
from kd_landmarks.synthetic import generate_face

REPO = "ada/student"
BOX = [[210, 80, 330, 240]]  # of the card's snippets
CODE = {
    "configuration_kd_landmarks.py",
    "crop_kd_landmarks.py",
    "crop_settings_kd_landmarks.py",
    "image_processing_kd_landmarks.py",
    "modeling_kd_landmarks.py",
}
FILES = CODE | {
    ".gitattributes",
    "README.md",
    "config.json",
    "ibug68.png",
    "model.safetensors",
    "onnx/model.onnx",
    "preprocessor_config.json",
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A run whose networks have an ONNX file already: to export takes seconds."""
    run = save_run(tmp_path_factory.mktemp("saved") / "run")
    (run / "student/onnx").mkdir()
    export_onnx(*load_detector(run / "student"), run / "student/onnx/model.onnx")
    shutil.copytree(run / "student/onnx", run / "tough_teacher/onnx")
    return run


@pytest.fixture
def run(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "run")


@pytest.fixture
def student(run):
    return run / "student"


def push(*words, repo_id=REPO):
    return CliRunner().invoke(app, ["push", *map(str, words), "--repo-id", repo_id])


def pushed(*words, **options):
    result = push(*words, **options)
    assert result.exit_code == 0, result.output
    return result.output


def card(hub, repo_id=REPO):
    return ModelCard(hub.files(repo_id)["README.md"].decode())


def save_photo(folder):
    face = generate_face(5, size=240)
    photo = Image.new("RGB", (400, 320), (90, 120, 90))
    photo.paste(Image.fromarray(face.image), (150, 40))
    folder.mkdir(exist_ok=True)
    photo.save(folder / "photo.jpg")
    return photo


# --- what is pushed


def test_one_commit_has_everything_and_nothing_else(hub, student):
    output = pushed(student)
    files = hub.files(REPO)
    assert files.keys() == FILES
    assert len(list(hub.repository(REPO).history("main"))) == 2  # the Hub makes the first
    assert files["model.safetensors"] == (student / "model.safetensors").read_bytes()
    config = json.loads(files["config.json"])
    assert config["auto_map"] == {
        "AutoConfig": "configuration_kd_landmarks.KDLandmarksConfig",
        "AutoModelForKeypointDetection": "modeling_kd_landmarks.KDLandmarksForKeypointDetection",
    }
    processor = json.loads(files["preprocessor_config.json"])
    assert processor["crop_margin"] == 1.4
    assert processor["auto_map"] == {
        "AutoImageProcessor": "image_processing_kd_landmarks.KDLandmarksImageProcessor"
    }
    assert files["ibug68.png"].startswith(b"\x89PNG")
    assert f"Pushed to {REPO}: {hub.endpoint}/{REPO}/commit/" in output
    assert str(student.parent) not in "".join(
        files[name].decode() for name in files if name.endswith((".json", ".md", ".py"))
    )


def test_a_light_installation_loads_it_by_its_id(hub, student):
    shutil.rmtree(student / "onnx")  # the push makes it
    pushed(student)
    detect = FaceLandmarkPipeline(REPO)
    assert detect.backend.name == "onnxruntime"
    photo, box = np.zeros((90, 90, 3), np.uint8), [10, 10, 60, 60]
    [found], [expected] = (
        made(photo, boxes=box) for made in (detect, FaceLandmarkPipeline(student))
    )
    np.testing.assert_allclose(found.keypoints, expected.keypoints, atol=0.02)


def test_a_push_leaves_the_classes_as_they_were(hub, student, tmp_path):
    pushed(student)
    assert [real._auto_class for real in AUTO_CLASSES.values()] == [None] * 3
    load_detector(student)[0].save_pretrained(tmp_path / "again")
    assert {file.name for file in (tmp_path / "again").iterdir()} == {
        "config.json",
        "model.safetensors",
    }


def test_a_second_push_replaces_the_first(hub, run, student):
    pushed(student, "--dataset", "ada/300w")
    assert ".eval_results/300w.yaml" in hub.files(REPO)
    put(hub, "old_kd_landmarks.py", b"")
    put(hub, "onnx/model_int8.onnx", b"of the earlier weights")
    (run / "metrics.json").unlink()
    pushed(student)
    assert hub.files(REPO).keys() == FILES
    assert "## Results" not in hub.files(REPO)["README.md"].decode()


def test_a_branch_may_be_named(hub, student):
    pushed(student, "--revision", "next")
    assert hub.files(REPO).keys() == {".gitattributes"}
    assert hub.files(REPO, revision="next").keys() == FILES
    assert load_detector(REPO, "next")[0].config.num_landmarks == 68


def test_private_means_private(hub, student):
    pushed(student, "--private")
    assert hub.repository(REPO).private
    hub.use(token=None, cache=student / "fresh")
    with pytest.raises(OSError, match="not a valid model identifier"):
        AutoModelForKeypointDetection.from_pretrained(REPO)


def test_a_dry_run_asks_the_hub_nothing(hub, student):
    hub.use(token=None)
    output = pushed(student, "--dry-run", "--dataset", "ada/300w")
    assert not hub.requests
    listed = {line.split()[-1] for line in output.splitlines()[:-2]}
    assert listed == FILES - {".gitattributes"} | {".eval_results/300w.yaml"}
    assert "Nothing was pushed" in output


def test_networks_of_halves_stay_halves(hub, student, tmp_path):
    save_compact(*load_detector(student), tmp_path / "half")
    shutil.copytree(student / "onnx", tmp_path / "half/onnx")
    pushed(tmp_path / "half")
    stored = hub.files(REPO)["model.safetensors"]
    assert stored == (tmp_path / "half/model.safetensors").read_bytes()
    assert "MB on disk (float16)" in card(hub).text
    assert AutoModelForKeypointDetection.from_pretrained(REPO).dtype == torch.float32


def test_without_arguments_it_is_the_packages_own(hub, student, monkeypatch):
    monkeypatch.setattr("kd_landmarks.inference.checkpoints.DEFAULT_FOLDER", student)
    pushed()
    assert hub.files(REPO)["model.safetensors"] == (student / "model.safetensors").read_bytes()


# --- what is loaded


def test_the_cards_first_snippet_runs_as_printed(hub, student, tmp_path, monkeypatch, capsys):
    """For those who have the package."""
    pushed(student)
    save_photo(tmp_path / "elsewhere")
    snippet, _ = re.findall(r"```python\n(.*?)```", card(hub).text, re.DOTALL)
    monkeypatch.chdir(tmp_path / "elsewhere")
    hub.use(token=None, cache=tmp_path / "fresh")
    capsys.readouterr()
    exec(compile(snippet, "README.md", "exec"), {"__name__": "__main__"})
    printed = capsys.readouterr().out
    points = np.array(re.findall(r"-?\d+\.\d+|-?\d+\.", printed), dtype=float).reshape(-1, 2)
    assert len(points) == 68


def test_it_loads_without_this_package_and_finds_the_same_points(hub, student, tmp_path):
    """The card's second snippet, as printed, where only transformers, timm and the like are."""
    pushed(student)
    photo = save_photo(tmp_path / "elsewhere")
    _, snippet = re.findall(r"```python\n(.*?)```", card(hub).text, re.DOTALL)
    script = (
        "import sys; sys.modules['kd_landmarks'] = None\n"  # none may be found
        f"{snippet}\n"
        "import numpy; numpy.save('found.npy', faces[0]['keypoints'].numpy())\n"
        "print(type(model).__module__, type(processor).__module__)"
    )
    # Without the site module, no file of site-packages adds this checkout to the path.
    done = subprocess.run(
        [sys.executable, "-S", "-P", "-c", script],
        env=hub.environment(
            token=None,
            cache=tmp_path / "fresh",
            PYTHONPATH=sysconfig.get_path("purelib"),
        ),
        cwd=tmp_path / "elsewhere",
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].count("transformers_modules.ada.student.") == 2
    model, processor = load_detector(student)
    photo = Image.open(tmp_path / "elsewhere/photo.jpg")
    outputs = model(**processor(photo, boxes=BOX, return_tensors="pt"))
    [[face]] = processor.post_process_keypoint_detection(outputs, boxes=BOX)
    found = np.load(tmp_path / "elsewhere/found.npy")  # in pixels of the photo
    np.testing.assert_allclose(found, face["keypoints"].numpy(), atol=1e-3)
    assert face["keypoints"].std(0).min() > 1


def test_with_this_package_no_code_of_the_repository_is_needed_or_run(hub, student):
    pushed(student)
    pixels = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    expected, _ = load_detector(student)
    for options in ({}, {"trust_remote_code": True}):
        model = AutoModelForKeypointDetection.from_pretrained(REPO, **options)
        processor = AutoImageProcessor.from_pretrained(REPO, **options)
        assert type(model) is KDLandmarksForKeypointDetection
        assert type(processor) is KDLandmarksImageProcessor
        assert_same_network(model, expected, pixels)
    assert_same_network(load_detector(REPO)[0], expected, pixels)
    assert not list(hub.folder.rglob("transformers_modules"))
    assert not any(asked.path.endswith(".py") and asked.method == "GET" for asked in hub.requests)


# --- kin


def test_teachers_and_student_link_to_one_another(hub, run):
    pushed(run / "tough_teacher", "--student", REPO, "--dataset", "ada/300w", repo_id="ada/tough")
    kin = ("--base-model", "ada/tough", "--base-model", "ada/tolerant", "--dataset", "ada/300w")
    pushed(run / "student", *kin)
    taught, teacher = card(hub), card(hub, "ada/tough")
    assert taught.data.base_model == ["ada/tough", "ada/tolerant"]
    assert taught.data.get("base_model_relation") == "finetune"
    assert taught.data.datasets == teacher.data.datasets == ["ada/300w"]
    site = hub.endpoint
    assert (
        f"Its teachers, by KD-Loss: [ada/tough]({site}/ada/tough) and [ada/tolerant]"
        f"({site}/ada/tolerant). Training data: [ada/300w]({site}/datasets/ada/300w)."
    ) in taught.text
    assert f"It taught [{REPO}]({site}/{REPO})." in teacher.text
    assert "Tough-Teacher" in teacher.text


def test_results_are_there_for_machines(hub, student):
    pushed(student, "--dataset", "ada/300W")
    told = yaml.safe_load(hub.files(REPO)[".eval_results/300w.yaml"])
    [entry] = parse_eval_result_entries(told)
    assert (entry.dataset_id, entry.task_id) == ("ada/300W", "common")
    metrics = json.loads((student.parent / "metrics.json").read_text())
    assert entry.value == round(metrics["networks"]["student"]["test"]["nme"], 2)
    assert "NME in %, 40 faces, divided by the distance of the outer eye corners" in entry.notes
    [result] = [found for found in card(hub).data.eval_results if found.metric_type == "nme"]
    assert (result.dataset_type, result.dataset_split) == ("ada/300W", "common")
    assert result.metric_value == entry.value


# --- the card that somebody has edited


def write_card(student, *words):
    out = student / "README.md"
    result = CliRunner().invoke(app, ["card", str(student), "--output", str(out), *words])
    assert result.exit_code == 0, result.output
    return out


def test_an_edited_card_is_pushed_as_it_is(hub, student):
    out = write_card(student, "--repo-id", REPO, "--license", "cc-by-4.0")
    text = out.read_text().replace("(ibug68.png)", "(../ibug68.png)")
    out.write_text(text.replace("## Limits and biases\n", "## Limits\n\nMine.\n"))
    pushed(student, "--base-model", "ada/tough", "--license", "cc-by-4.0")
    assert "\n## Limits\n\nMine.\n" in card(hub).text
    assert "](ibug68.png)" in card(hub).text
    assert card(hub).data.base_model == ["ada/tough"]
    assert card(hub).data.license == "cc-by-4.0"


@pytest.mark.parametrize("stated", [(), ("--license", "cc-by-4.0")])
def test_an_edited_card_and_the_command_say_one_license(hub, student, stated):
    out = write_card(student, "--repo-id", REPO, *stated)
    out.write_text(out.read_text().replace("## Limits and biases\n", "## Limits\n\nMine.\n"))
    result = push(student, "--license", "mit")
    assert result.exit_code == 2
    said = f"states {stated[1]!r}" if stated else "states no license"
    assert f"{said}, not 'mit': change it there" in result.output
    assert ("model", REPO) not in hub.store.repositories


def test_a_card_that_nobody_has_edited_is_written_anew_for_its_id(hub, student, monkeypatch):
    out = write_card(student)
    out.write_text(out.read_text().replace("(ibug68.png)", "(../../model_cards/ibug68.png)"))
    monkeypatch.chdir(student.parent)
    pushed("student")
    assert "](ibug68.png)" in card(hub).text
    assert f'FaceLandmarkPipeline("{REPO}")' in card(hub).text
    assert f'from_pretrained("{REPO}", trust_remote_code=True)' in card(hub).text


def test_an_edited_card_must_tell_how_to_load_what_is_pushed(hub, student):
    out = write_card(student, "--repo-id", "eve/other")
    result = push(student)
    assert result.exit_code == 2
    assert f"error: {out} does not tell how to load {REPO}: remove it, or" in result.output
    assert ("model", REPO) not in hub.store.repositories


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_card_with_other_figures_than_were_measured_is_refused(hub, student, dry_run):
    write_card(student, "--repo-id", REPO)
    metrics = student.parent / "metrics.json"
    told = json.loads(metrics.read_text())
    told["networks"]["student"]["test"] = told["networks"]["student"]["validation"]
    metrics.write_text(json.dumps(told))
    result = push(student, *(["--dry-run"] if dry_run else []))
    assert result.exit_code == 2
    assert re.search(r"error: .*README.md: its model-index says \w+ \S+ for", result.output)
    assert ("model", REPO) not in hub.store.repositories


# --- what the Hub refuses


def put(hub, path, data, **options):
    HfApi().create_repo(REPO, exist_ok=True, **options)
    return hub.repository(REPO).commit([Edit(path, Blob(data))], "ada", "fill")


def read_only(hub):
    hub.use(token=hub.read_token)


def other_model(hub):
    put(hub, "config.json", b'{"model_type": "bert"}', private=True)


def other_things(hub):
    put(hub, "thesis.pdf", b"%PDF", private=True)


@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        (lambda hub: hub.use(token=None), "needs a token that may write: run `hf auth login`"),
        (lambda hub: hub.use(token="hf_old"), "the Hub refuses ada/student (401): "),
        (read_only, "the token may only read"),
        (lambda hub: hub.use(token=hub.stranger_token), "the Hub refuses ada/student (403): "),
        (lambda hub: hub.use(HF_HUB_OFFLINE="1"), "HF_HUB_OFFLINE is set"),
        (lambda hub: hub.down(), "cannot push ada/student: "),
        (
            lambda hub: hub.fail_next("/commit/main", status=429, retry_after=90),
            "; try again in 90 seconds",
        ),
        (lambda hub: hub.fail_next("/repos/create", status=500), "refuses ada/student (500)"),
        (lambda hub: hub.cut_next("/preupload/main", method="POST", times=6), "cannot push ada/"),
        (other_model, "ada/student is taken: it holds 'bert', not a kd-landmarks checkpoint"),
        (other_things, "ada/student is taken: it holds other files, not a kd-landmarks checkpoint"),
        (lambda hub: put(hub, "README.md", b"mine"), "is there and public: make it private"),
    ],
)
def test_what_the_hub_refuses_is_one_clear_line(hub, student, trouble, message):
    before = {path.name for path in student.iterdir()}
    trouble(hub)
    token = os.environ.get("HF_TOKEN")
    result = push(student, "--private")
    assert result.exit_code == 2, result.output
    assert result.output.count("error: ") == 1
    assert message in result.output
    assert not token or token not in result.output
    assert not hub.unused_faults
    stored = hub.store.repositories.get(("model", REPO))
    assert stored is None or "model.safetensors" not in hub.files(REPO)
    assert {path.name for path in student.iterdir()} == before


@pytest.mark.parametrize("taken", ["main", "next"])
def test_the_branch_that_is_pushed_to_is_looked_at(hub, student, taken):
    put(hub, "README.md", b"mine")
    HfApi().create_branch(REPO, branch="next")
    edit = Edit("config.json", Blob(b'{"model_type": "bert"}'))
    hub.repository(REPO).commit([edit], "ada", "fill", branch=taken)
    other = {"main": "next", "next": "main"}[taken]
    assert "is taken: it holds 'bert'" in push(student, "--revision", taken).output
    assert hub.files(REPO, revision=taken).keys() == {".gitattributes", "README.md", "config.json"}
    pushed(student, "--revision", other)
    if taken == "main":  # of which a new branch is made
        assert "is taken: it holds 'bert'" in push(student, "--revision", "new").output


def test_a_network_of_a_branch_has_its_own_image_processor(hub, student):
    pushed(student)
    change_json(student / "preprocessor_config.json", crop_margin=1.5)
    pushed(student, "--revision", "wide")
    margins = {}
    for revision in (None, "wide"):
        model = KDLandmarksForKeypointDetection.from_pretrained(REPO, revision=revision)
        named = pipeline("keypoint-detection", model=REPO, revision=revision)
        margins[revision] = [
            made.backend.image_processor.crop_margin
            for made in (FaceLandmarkPipeline(model), named)
        ]
    assert margins == {None: [1.4, 1.4], "wide": [1.5, 1.5]}


def test_an_empty_repository_and_ones_own_are_filled(hub, student):
    put(hub, "README.md", b"---\nlicense: mit\n---\n", private=True)
    pushed(student, "--private")
    pushed(student, "--private")
    assert hub.files(REPO).keys() == FILES


@pytest.mark.parametrize(
    "words",
    [
        ("--repo-id", "student"),
        ("--repo-id", ""),
        ("--repo-id", "ada/stu dent"),
        ("--repo-id", REPO, "--base-model", "tough"),
        ("--repo-id", REPO, "--dataset", "/data/300w"),
        ("--repo-id", REPO, "--student", "a/b/c"),
    ],
)
def test_what_is_no_id_is_refused_before_the_hub_is_asked(hub, student, words):
    result = CliRunner().invoke(app, ["push", str(student), *words])
    assert result.exit_code == 2
    assert f"{words[-1]!r} is not an id" in result.output
    assert not hub.requests


def test_what_is_no_detector_is_refused_before_the_hub_is_asked(hub, student, tmp_path):
    for source, message in (
        (tmp_path / "nothing", "is not a folder: give a stage's folder"),
        (tmp_path, "no checkpoint at"),
        (REPO, f"{REPO} is not a folder"),
    ):
        result = push(source)
        assert result.exit_code == 2
        assert message in result.output
    (student / "model.safetensors").write_bytes(b"")
    assert "error: cannot read" in push(student).output
    change_json(student / "config.json", scheme=None)
    assert "does not say what its 68 landmarks are" in push(student).output
    assert not hub.requests


def test_a_token_in_the_environment_is_not_written_anywhere(hub, student):
    pushed(student)
    token = os.environ["HF_TOKEN"].encode()
    assert not any(token in data for data in hub.files(REPO).values())
    assert not any(
        token in file.read_bytes() for file in Path(student.parent).rglob("*") if file.is_file()
    )
