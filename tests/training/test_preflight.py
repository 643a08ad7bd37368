"""What keeps a run from starting is said at once, all of it, with what mends it."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from faces import rewrite_lines, write_lines
from small_networks import save_small
from training import tiny_arguments, train_here

from kd_landmarks.errors import KDLandmarksError
from kd_landmarks.training.preflight import check_start
from kd_landmarks.training.recipe import load_recipe
from kd_landmarks.training.teachers import find_teachers


@pytest.fixture
def faces(tmp_path):
    """A folder with 12 faces of as many photos in one file."""
    write_lines(tmp_path / "faces", range(12), name="mine.jsonl")
    return tmp_path / "faces"


def write(folder, lines):
    rewrite_lines(folder / "mine.jsonl", lines)


def read(folder):
    return [json.loads(line) for line in (folder / "mine.jsonl").read_text().splitlines()]


def refused(**values):
    with pytest.raises(KDLandmarksError) as caught:
        check_start(load_recipe("300w", {k.replace("__", "."): v for k, v in values.items()}))
    return str(caught.value)


def test_all_that_is_wrong_is_said_at_once(faces):
    told = refused(data__source=str(faces), tough_teacher__backbone_weights="/no/b3.safetensors")
    lines = told.splitlines()
    assert lines[0] == "this run cannot start:"
    assert "has no split 'common'" in lines[1]
    assert "--data.test_split NAME, or null for none" in lines[1]
    assert "there is no file of weights /no/b3.safetensors" in lines[2]
    assert len(lines) == 3  # the Tolerant-Teacher, which inherits it, says nothing
    told = refused(data__source=str(faces), data__train_split="west", data__test_split=None)
    assert "has no split 'west'" in told
    assert "--data.train_split NAME, or null for all of it" in told


def test_a_single_thing_is_a_single_line(faces):
    whole = {"data__source": str(faces), "data__train_split": None, "data__test_split": None}
    write(faces, read(faces)[:1])
    told = refused(**whole)
    assert told.startswith(f"all training faces of {faces} (1) are of one photo")
    assert "--data.validation_faces 0" in told
    write(faces, [{**line, "landmarks": line["landmarks"][:5]} for line in read(faces)])
    told = refused(**whole)
    assert "has faces of 5 landmarks, and the recipe's scheme ibug68 has others" in told
    assert "\n" not in told


def test_a_broken_row_is_no_question_of_splits(faces):
    lines = read(faces)
    lines[3]["landmarks"][5] = [1, "two"]
    write(faces, lines)
    told = refused(data__source=str(faces), data__test_split=None)
    assert "mine.jsonl:4: landmarks are" in told
    assert "train_split" not in told


def test_what_can_start_is_let_through(faces):
    values = {"data.source": str(faces), "data.train_split": None, "data.test_split": None}
    check_start(load_recipe("300w", values))
    check_start(load_recipe("embedded"))
    check_start(load_recipe("300w", {"data.source": "somebody/on-the-hub"}))


def test_torch_is_not_loaded_before(faces):
    code = (
        "import sys; from kd_landmarks.training.preflight import check_start; "
        "from kd_landmarks.training.recipe import load_recipe; "
        f"check_start(load_recipe('300w', {{'data.source': {str(faces)!r}, "
        "'data.train_split': None, 'data.test_split': None})); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_few_faces_validate_on_a_fifth_of_them(faces, tmp_path, caplog):
    words = ["--recipe", "embedded", "--data", faces, "--output", tmp_path / "run"]
    words = tiny_arguments(*words, "--stages", "baseline")
    words += ["--data.train_split", "null", "--data.test_split", "null"]
    words += ["--data.validation_faces", "300", "--baseline.epochs", "1"]
    status, output = train_here(*words)
    assert status == 0, output
    assert "10 train, 2 validation, no test faces" in output
    assert "a fifth (2) is held back for validation instead of 300" in caplog.text
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert np.isfinite(metrics["networks"]["baseline"]["validation"]["nme"])


def test_what_the_student_needs_is_known_before_its_teachers_are_trained(faces, tmp_path):
    whole = {"data__source": str(faces), "data__train_split": None, "data__test_split": None}
    nowhere = str(tmp_path / "nowhere")
    assert f"no file or folder {nowhere}" in refused(**whole, unlabeled__source=nowhere)
    assert f"no folder {nowhere}" in refused(**whole, unlabeled__targets=nowhere)
    told = refused(**whole, unlabeled__source="generated", student__loss__name="wing")
    assert "unlabeled faces need a teacher" in told
    unheard = {"student__loss__tough_weight": 0, "student__loss__tolerant_weight": 0}
    told = refused(**whole, unlabeled__source="generated", **unheard)
    assert "unlabeled faces need a teacher" in told
    told = refused(**whole, unlabeled__source="generated", teachers__targets="stored")
    assert "teachers.targets is stored" in told
    other = save_small(tmp_path / "teacher", crop_margin=1.5)
    recipe = load_recipe("300w", {"stages": ["student"], "teachers.tough": str(other)})
    with pytest.raises(KDLandmarksError, match=r"crops of margin 1.5, this run's is 1.25"):
        find_teachers(recipe, tmp_path)


def test_stored_points_that_are_missing_are_told_before_the_teachers_are_trained(tmp_path):
    words = tiny_arguments("--output", tmp_path / "run", "--teachers.targets", "stored")
    status, output = train_here(*words)
    assert status == 2, output
    assert "no column tough_landmarks" in " ".join(output.split())
    assert not (tmp_path / "run").exists()


def test_what_is_wrong_with_unlabeled_faces_is_told_before_the_teachers_are_trained(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "torn.jpg").write_bytes(b"no photo")
    elsewhere = tmp_path / "run"
    words = tiny_arguments("--output", elsewhere, "--stages", "tough_teacher,student")
    words += ["--student.loss.tolerant_weight", "0", "--unlabeled.source", photos]
    status, output = train_here(*words)
    assert status == 2, output
    assert "torn.jpg" in output
    assert not elsewhere.exists()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--student.image_size", "100"), "cannot build the student: .*image_size"),
        (("--student.backbone", "mobilenetv2_10"), "cannot build the student: .*mobilenetv2_10"),
        (("--student.init", "runs/tpyo/student"), "runs/tpyo/student"),
        (("--student.init", "baseline"), "student.init is baseline, which this run does not train"),
        (("--student.init", "tough_teacher"), "student has the backbone .* and starts from tough"),
    ],
)
def test_a_student_that_cannot_be_is_told_before_the_teachers_are_trained(
    tmp_path, words, complaint
):
    arguments = tiny_arguments("--output", tmp_path / "run", "--stages", "tough_teacher,student")
    arguments += ["--student.loss.tolerant_weight", "0", "--tough_teacher.backbone", "test_resnet"]
    arguments += ["--tough_teacher.backbone_weights", "none", *words]
    status, output = train_here(*arguments)
    assert status == 2, output
    assert re.search(complaint, output)
    assert not (tmp_path / "run").exists()
