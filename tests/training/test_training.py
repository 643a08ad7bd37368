"""The main job from its command line: four networks, a report, and messages that help."""

import json
import math
import shutil

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from datasets import Dataset
from faces import rewrite_lines, write_lines
from finished_runs import change_json
from PIL import Image
from training import run_training, tiny_arguments, train_here
from transformers import AutoImageProcessor, AutoModelForKeypointDetection
from typer.testing import CliRunner

import kd_landmarks  # noqa: F401 - tells the Auto classes about the detector
from kd_landmarks.cli import app
from kd_landmarks.data.convert import convert
from kd_landmarks.data.crops import crop_points
from kd_landmarks.data.splits import without_photos_of
from kd_landmarks.data.unlabeled import load_unlabeled
from kd_landmarks.errors import KDLandmarksError
from kd_landmarks.evaluation.evaluate import evaluate_detector
from kd_landmarks.inference.upright import face_roll
from kd_landmarks.models.loading import load_detector
from kd_landmarks.schemes import get_scheme
from kd_landmarks.synthetic import generate_face, generated_dataset
from kd_landmarks.training import pseudo_labels, run, stages
from kd_landmarks.training.data import load_sets, with_generated
from kd_landmarks.training.optimization import learning_rate_schedule
from kd_landmarks.training.recipe import load_recipe, recipe_keys
from kd_landmarks.training.recipe_settings import STAGES, DataSettings, LossSettings, MoreFaces
from kd_landmarks.training.run_folder import plan_run
from kd_landmarks.training.shape_model import ShapeModel
from kd_landmarks.training.teachers import add_point_column, stored_targets
from kd_landmarks.training.unlabeled import origins_of_targets


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A tiny run to its end: its folder and what it printed."""
    folder = tmp_path_factory.mktemp("runs") / "straight"
    unlabeled = {"unlabeled__source": "generated", "data__generated_unlabeled": 12}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pseudo_labels, "TOLERANCE", 1)  # whatever the hardly trained teacher says
        return folder, train(*tiny_arguments("--output", folder, **unlabeled))


def train(*words):
    """Run the job to its end within this process; what it printed."""
    status, output = train_here(*words)
    assert status == 0, output
    return output


def test_every_network_loads_and_detects(finished):
    folder, _ = finished
    for stage in STAGES:
        model = AutoModelForKeypointDetection.from_pretrained(folder / stage)
        processor = AutoImageProcessor.from_pretrained(folder / stage)
        photo = np.full((100, 120, 3), 128, np.uint8)
        inputs = processor(photo, boxes=[20, 20, 80, 90], return_tensors="pt")
        keypoints = model(**inputs).keypoints
        assert keypoints.shape == (1, 68, 2)
        assert torch.isfinite(keypoints).all()
        assert model.config.scheme["name"] == "ibug68"
        assert processor.crop_margin == 1.25
    roles = [AutoModelForKeypointDetection.from_pretrained(folder / s).config.role for s in STAGES]
    assert roles == ["tough_teacher", "tolerant_teacher", "student", "student"]


def test_the_folder_holds_report_recipe_and_shape_model(finished):
    folder, output = finished
    metrics = json.loads((folder / "metrics.json").read_text())
    assert list(metrics["networks"]) == list(STAGES)
    assert metrics["faces"] == {"train": 32, "validation": 8, "test": 12}
    for stage, entry in metrics["networks"].items():
        assert len(entry["test"]["errors"]) == 12
        assert entry["test"]["nme"] == pytest.approx(np.mean(entry["test"]["errors"]))
        assert f"{entry['test']['nme']:.2f}" in output
        model = AutoModelForKeypointDetection.from_pretrained(folder / stage)
        assert entry["parameters"] == sum(value.numel() for value in model.parameters())
    assert 0 < metrics["soft_landmarks_nme"] < 10
    recipe = load_recipe(folder / "recipe.yaml")
    assert recipe.student.epochs == 2


def test_the_student_alone_takes_as_many_steps_and_the_gain_is_told(finished):
    folder, output = finished
    faces = 32 + len(Dataset.load_from_disk(folder / "unlabeled"))
    steps = [
        json.loads((folder / stage / "training.json").read_text())["steps"]
        for stage in ("student", "baseline")
    ]
    assert steps == [math.ceil(2 * faces / 8)] * 2
    metrics = json.loads((folder / "metrics.json").read_text())
    taught, alone = (metrics["networks"][s]["test"]["nme"] for s in ("student", "baseline"))
    gain = metrics["teachers_gain"]
    assert gain["percent"] == pytest.approx(100 * (1 - taught / alone))
    assert gain["interval"][0] <= gain["percent"] <= gain["interval"][1]
    assert f"Less error with teachers: {gain['percent']:.1f} % (95 % interval" in output
    assert (
        "with pseudo-labels on faces that the student without teachers cannot learn from" in output
    )
    assert ShapeModel.from_pretrained(folder / "shape_model").num_components >= 1
    for name in ("ced.png", "predictions.png"):
        assert Image.open(folder / name).width > 500
    assert not (folder / "checkpoints").exists()
    assert not list(folder.glob(".*"))


def test_teachers_of_an_earlier_run_teach_a_new_student(finished, tmp_path):
    folder, _ = finished
    words = tiny_arguments(
        "--output", tmp_path / "student", "--stages", "student", "--init", folder / "baseline"
    )
    words += ["--teachers.tough", folder / "tough_teacher"]
    words += ["--teachers.tolerant", folder / "tolerant_teacher", "--teachers.targets", "online"]
    words += ["--student.loss.map_weight", "0.1"]
    output = train(*words)
    metrics = json.loads((tmp_path / "student/metrics.json").read_text())
    assert list(metrics["networks"]) == ["student"]
    # Nobody learns Soft-landmarks here, so nothing is said of them.
    assert metrics["soft_landmarks_nme"] is None
    assert "Soft-landmarks" not in output
    assert not (tmp_path / "student/shape_model").exists()
    history = json.loads((tmp_path / "student/student/training.json").read_text())["history"]
    assert {"loss", "main", "tough", "tolerant", "maps", "validation_nme"} <= history[-1].keys()
    assert history[-1]["tough"] != 0


def test_a_students_teacher_may_be_a_column_of_the_data(tmp_path):
    rows = generated_dataset(40, cache=False)
    said = np.asarray(rows.with_format("numpy")["landmarks"]) + 2
    (tmp_path / "data").mkdir()
    add_point_column(rows, "tough_landmarks", said).to_parquet(tmp_path / "data/train.parquet")
    rows.select(range(8)).to_parquet(tmp_path / "data/test.parquet")
    words = tiny_arguments("--data.source", tmp_path / "data", "--data.validation_faces", "8")
    words += ["--stages", "student", "--teachers.targets", "stored"]
    status, output = train_here("--output", tmp_path / "both", *words)
    assert status == 2, output
    assert "have no column tolerant_landmarks" in output
    words += ["--student.loss.tolerant_weight", "0", "--output", tmp_path / "run"]
    train(*words)
    history = json.loads((tmp_path / "run/student/training.json").read_text())["history"]
    assert history[-1]["tough"] != 0


def test_stored_points_of_a_teacher_that_no_loss_listens_to_are_left_out():
    rows = generated_dataset(2, cache=False)
    points = np.asarray(rows.with_format("numpy")["landmarks"])
    for column in ("tough_landmarks", "tolerant_landmarks"):
        rows = add_point_column(rows, column, points)
    heard = stored_targets(rows, LossSettings(name="kd", tolerant_weight=0))
    assert "tough_landmarks" in heard.column_names
    # The published main loss would take its joint from it.
    assert "tolerant_landmarks" not in heard.column_names


# With few labels the last fit of the refinement takes all 72 faces that the student learned from.
@pytest.mark.parametrize(("enough", "fitted_to"), [(41, 72), (40, 40)])
def test_unlabeled_faces_join_a_students_training(
    finished, tmp_path, monkeypatch, caplog, enough, fitted_to
):
    fits = []
    spy = "kd_landmarks.training.stages.refit_refinement"
    monkeypatch.setattr(spy, lambda _, __, rows, *___: fits.append(len(rows)))
    monkeypatch.setattr(stages, "ENOUGH_FACES", enough)
    monkeypatch.setattr(pseudo_labels, "TOLERANCE", 1)  # whatever the hardly trained teacher says
    folder, _ = finished
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(12):
        face = generate_face(number, size=96)
        Image.fromarray(face.image).save(photos / f"{number}.png")
        corners = [*face.landmarks.min(0).tolist(), *face.landmarks.max(0).tolist()]
        with (photos / "faces.jsonl").open("a") as lines:
            lines.write(json.dumps({"image": f"{number}.png", "box": corners}) + "\n")
    teacher = shutil.copytree(folder / "tough_teacher", tmp_path / "teacher")
    change_json(teacher / "config.json", derived_from=["mobilenetv2-300w"])
    words = tiny_arguments("--output", tmp_path / "run", "--stages", "student")
    words += ["--teachers.tough", teacher, "--unlabeled.source", photos]
    words += ["--teachers.tolerant", folder / "tolerant_teacher"]
    # Nothing is held back, and twenty drawn faces join the forty.
    words += ["--data.generated_extra", "20", "--data.validation_faces", "0"]
    with caplog.at_level("INFO", "kd_landmarks"):
        output = train(*words)
    assert "40 train, no validation, 12 test faces" in output
    assert "12 of 12" in caplog.text
    # (60 + 12) faces, 2 epochs, batches of 8
    training = json.loads((tmp_path / "run/student/training.json").read_text())
    assert training["steps"] == 18
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert metrics["networks"]["student"].keys() >= {"test"}
    assert "validation" not in metrics["networks"]["student"]
    assert (tmp_path / "run/unlabeled").is_dir()
    assert fits == [fitted_to]
    # The teacher's terms hold for the student, and for who learns from its targets.
    told = json.loads((tmp_path / "run/student/config.json").read_text())
    assert told["derived_from"] == ["mobilenetv2-300w"]
    assert origins_of_targets(tmp_path / "run/unlabeled") == {"mobilenetv2-300w"}


def test_the_same_seed_gives_the_same_networks(finished, tmp_path):
    folder, _ = finished
    words = tiny_arguments("--output", tmp_path / "again", "--stages", "tough_teacher")
    train(*words)
    first, second = (
        AutoModelForKeypointDetection.from_pretrained(place / "tough_teacher").state_dict()
        for place in (folder, tmp_path / "again")
    )
    assert all(torch.equal(first[name], second[name]) for name in first)
    words = tiny_arguments("--output", tmp_path / "other", "--stages", "tough_teacher")
    train(*words, "--run.seed", "1")
    other = AutoModelForKeypointDetection.from_pretrained(tmp_path / "other/tough_teacher")
    assert not torch.equal(other.state_dict()["head.maps.weight"], first["head.maps.weight"])


def test_each_stage_learns_from_training_faces_what_it_is_there_for(tmp_path, monkeypatch):
    fitted, targets, validated = [], [], []
    fit, step, validation = run.fit_shape_model, stages.plain_step, stages.validation

    def spy(seen, function, position):
        def spied(*given):
            seen.append(given[position])
            return function(*given)

        return spied

    monkeypatch.setattr(run, "fit_shape_model", spy(fitted, fit, 0))
    monkeypatch.setattr(stages, "plain_step", spy(targets, step, 1))
    monkeypatch.setattr(stages, "validation", spy(validated, validation, 3))
    words = tiny_arguments("--output", tmp_path / "run", tough_teacher__epochs=0.5)
    train(*words, "--stages", "tough_teacher,tolerant_teacher", "--tolerant_teacher.epochs", "0.5")
    assert targets == ["landmarks", "soft_landmarks"]
    assert [len(rows) for rows in fitted] == [32]
    assert [len(rows) for rows in validated] == [8, 8]
    assert not set(fitted[0]["source"]) & set(validated[0]["source"])


def test_a_stage_that_is_added_later_brings_its_shape_model(tmp_path):
    words = tiny_arguments("--output", tmp_path / "run", tough_teacher__epochs=0.5)
    words += ["--tolerant_teacher.epochs", "0.5"]
    train(*words, "--stages", "tough_teacher")
    assert not (tmp_path / "run/shape_model").exists()
    resumed = ("--resume", tmp_path / "run")
    train(*resumed, "--stages", "tough_teacher,tolerant_teacher")
    assert (tmp_path / "run/shape_model").is_dir()
    train(*resumed)
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert "tolerant_teacher" in metrics["networks"]
    assert metrics["soft_landmarks_nme"] > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--student.epoch", "3"], "unknown option '--student.epoch' (did you mean"),
        (["--student.epochs", "-3"], "student.epochs: Input should be greater than 0, not -3"),
        (["--recipe", "400w"], "unknown recipe '400w': one of 300w, cofw, embedded"),
        (["--recipe", "300w"], "name it with --data FOLDER_OR_HUB_ID"),
        (["--recipe", "300w", "--data", "./nowhere"], "there is no file or folder ./nowhere"),
        (["--stages", "student"], "add the stage tough_teacher, name a finished one"),
        (["--teachers.tough", "./nowhere"], "no checkpoint at ./nowhere"),
        (["--scheme", "ibug67"], "ibug67"),
        (["--student.head", "linear", "--student.loss.map_weight", "1"], "map_weight 1.0 needs"),
        (["--tough_teacher.backbone", "mobilenetv2_53"], "did you mean mobilenetv2_"),
        (["--resume", "./nowhere"], "holds no run to continue"),
        (["--data.validation_faces", "0", "--data.test_split", "null"], "leave no faces"),
        (["--run.trackers", "[no_such_tracker]"], "'no_such_tracker' is not a tracker"),
        (["--stages", "baseline", "--baseline.backbone_weights", "imagenet"], "backbone_weights"),
    ],
)
def test_bad_input_ends_with_one_clear_message(words, message, tmp_path):
    resumes = "--resume" in words
    output = [] if resumes else ["--output", tmp_path / "run"]
    sizes = {"data.generated_train": 40, "data.generated_test": 8, "data.validation_faces": 8}
    few = [] if resumes else [str(w) for key, v in sizes.items() for w in (f"--{key}", v)]
    result = CliRunner().invoke(app, ["train", *map(str, (*output, *few, *words))])
    assert result.exit_code == 2, result.output
    assert result.output.count("error: ") == 1
    assert message in result.output.replace("\n", " ")
    assert not (tmp_path / "run/tough_teacher").exists()


def test_the_help_tells_what_every_key_means():
    result = CliRunner().invoke(app, ["train", "--help"])
    assert result.exit_code == 0
    words = result.output.split()
    assert set(words) >= {f"--{key}" for key in recipe_keys()}
    assert "faces per process and step" in " ".join(words)


def test_a_folder_that_is_taken_is_not_touched(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(KDLandmarksError, match=r"not empty: continue its run with --resume"):
        plan_run(None, {}, tmp_path, None)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_run_does_not_go_into_the_photos_that_it_learns_from(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    values = {"unlabeled.source": str(tmp_path / "photos")}
    for place in ("photos", "photos/run", "link/run"):
        with pytest.raises(KDLandmarksError, match=r"--output .* is inside the input folder"):
            plan_run(None, values, tmp_path / place, None)
    assert plan_run(None, values, tmp_path / "run", None)[1] == tmp_path / "run"


def test_a_new_run_takes_the_first_free_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/embedded").mkdir(parents=True)
    (tmp_path / "runs/embedded-2").mkdir()
    assert str(plan_run(None, {}, None, None)[1]) == "runs/embedded-3"


@pytest.mark.slow
def test_two_processes_measure_what_one_does(finished, tmp_path):
    folder, _ = finished
    shutil.copytree(folder, tmp_path / "run")
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    status, output = run_training("--resume", tmp_path / "run", launcher=launcher)
    assert status == 0, output
    assert output.count("NME %") == 1
    alone, together = (
        json.loads((place / "metrics.json").read_text())["networks"]
        for place in (folder, tmp_path / "run")
    )
    for stage in STAGES:
        for split in ("validation", "test"):
            one, two = alone[stage][split], together[stage][split]
            # Batches of other sizes round otherwise, and networks that learned little enlarge it.
            assert one["errors"] == pytest.approx(two["errors"], rel=1e-4)
            assert one["nme"] == pytest.approx(two["nme"], rel=1e-4)
            groups = one["groups"]["subset"]["generated"]
            assert groups == pytest.approx(two["groups"]["subset"]["generated"], rel=1e-4)


@pytest.mark.slow
def test_two_processes_train_together(tmp_path):
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    words = tiny_arguments("--output", tmp_path / "run", run__mixed_precision="bf16")
    words += ["--run.gradient_accumulation", "2"]
    status, output = run_training(*words, launcher=launcher)
    assert status == 0, output
    # 32 faces, 2 epochs, 2 processes of batch 8, 2 batches a step
    assert json.loads((tmp_path / "run/student/training.json").read_text())["steps"] == 2
    # Networks are measured in float32, as they will be used.
    recipe = load_recipe(tmp_path / "run/recipe.yaml")
    faces = load_sets(Accelerator(cpu=True), recipe.data, get_scheme("ibug68"), 0).test
    told = json.loads((tmp_path / "run/metrics.json").read_text())["networks"]["student"]["test"]
    found = evaluate_detector(*load_detector(tmp_path / "run/student"), faces, get_scheme("ibug68"))
    assert found.result.nme == pytest.approx(told["nme"], rel=1e-5)


@pytest.fixture
def own_faces(tmp_path):
    """A user's folder of JSON lines, with three bad rows among its training faces."""
    folder = tmp_path / "faces"
    (folder / "images").mkdir(parents=True)
    lines = []
    for number in range(30):
        face = generate_face(number, size=96)
        Image.fromarray(face.image).save(folder / f"images/{number}.png")
        points = face.landmarks.tolist()
        if number == 7:
            points[3][0] = float("nan")
        if number == 11:
            points = points[:67]
        lines.append(json.dumps({"image": f"images/{number}.png", "landmarks": points}))
    whole = (folder / "images/15.png").read_bytes()
    (folder / "images/15.png").write_bytes(whole[: len(whole) // 2])
    (folder / "train.jsonl").write_text("\n".join(lines[:24]))
    (folder / "test.jsonl").write_text("\n".join(lines[24:]))
    return folder


def test_bad_rows_stop_a_run_or_are_listed_and_left_out(own_faces, tmp_path, caplog):
    words = tiny_arguments("--recipe", "embedded", "--data", own_faces, "--stages", "baseline")
    result = CliRunner().invoke(app, ["train", *words, "--output", str(tmp_path / "stopped")])
    assert result.exit_code == 2, result.output
    assert "train.jsonl:8" in result.output
    assert not (tmp_path / "stopped").exists()
    words += ["--output", str(tmp_path / "left_out"), "--skip-bad-rows"]
    with caplog.at_level("WARNING", "kd_landmarks"):
        train(*words)
    for line in ("train.jsonl:8", "train.jsonl:12", "train.jsonl:16"):
        assert caplog.text.count(line) == 1  # though they were looked at before torch was loaded
    metrics = json.loads((tmp_path / "left_out/metrics.json").read_text())
    assert metrics["faces"] == {"train": 13, "validation": 8, "test": 6}


@pytest.mark.parametrize("steps", [1, 2, 8, 9, 10, 19, 200])
def test_a_run_of_any_length_has_a_learning_rate(steps):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule = learning_rate_schedule(optimizer, 0.1, steps)
    rates = []
    for _ in range(steps):
        rates += schedule.get_last_lr()
        optimizer.step()
        schedule.step()
    assert all(0 < rate <= 0.1 for rate in rates)  # in test_objectives, how it goes


def test_faces_may_be_trained_on_upright():
    settings = DataSettings(
        source="generated", generated_train=8, generated_test=8, validation_faces=0, box="upright"
    )
    scheme = get_scheme("ibug68")
    sets = load_sets(Accelerator(cpu=True), settings, scheme, seed=0)
    for rows in (sets.train, sets.test):
        points = crop_points(rows, "landmarks", 1.25)
        assert max(abs(face_roll(face, scheme)) for face in points) < 1e-3
        assert [len(box) for box in rows["box"][:]] == [5] * 8


@pytest.fixture
def more_faces(tmp_path):
    """Ten generated faces of two photos each, as JSON lines; two of them lack landmarks."""
    folder = tmp_path / "more"
    folder.mkdir()
    lines = []
    for number in range(10):
        face = generate_face(100 + number, size=96)
        Image.fromarray(face.image).save(folder / f"{number}.png")
        points = face.landmarks.tolist()
        if number < 2:
            points[:5] = [None] * 5
        line = {"image": f"{number}.png", "landmarks": points, "photo": f"photo {number // 2}"}
        lines.append(json.dumps(line))
    (folder / "faces.jsonl").write_text("\n".join(lines))
    return folder / "faces.jsonl"


def test_more_faces_join_the_training_with_their_weight(more_faces):
    more = {"source": str(more_faces), "weight": 0.5, "held_back": 4}
    settings = DataSettings(
        source="generated",
        generated_train=20,
        generated_test=8,
        validation_faces=4,
        more=(more,),
    )
    scheme = get_scheme("ibug68")
    sets = load_sets(Accelerator(cpu=True), settings, scheme, seed=0)
    (held,) = sets.held_back.values()
    assert (len(sets.train), len(held)) == (16 + 6, 4)
    assert not set(held["photo"]) & set(sets.train["photo"])
    weights = np.asarray(sets.train["weights"])
    assert (weights[:16] == 1).all()
    assert (weights[16:] == 0.5).all()
    missing = np.isnan(np.asarray(sets.train["landmarks"])).any(-1).sum()
    assert missing > 0
    assert f"{missing} landmarks of train are not there" in sets.describe()
    # Another source that has a held-back photo, too, gives it up.
    twice = settings.model_copy(
        update={"more": (*settings.more, MoreFaces(source=str(more_faces)))}
    )
    again = load_sets(Accelerator(cpu=True), twice, scheme, seed=0)
    assert len(again.train) == 16 + 6 + 6


def test_a_run_learns_from_faces_with_gaps(more_faces, tmp_path, monkeypatch):
    # The recipe says how many batches make a step, not a variable of Accelerate's.
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    more = f"[{{source: {more_faces}, held_back: 2}}]"
    words = tiny_arguments("--output", tmp_path / "run", "--data.more", more)
    words += ["--tough_teacher.epochs", "0.5", "--student.epochs", "0.5"]
    output = train(*words)
    assert "40 train" in output
    assert f"2 held back of {more_faces}; 10 landmarks of train are not there" in output
    assert f"NME on faces held back of {more_faces}: Tough-Teacher " in output
    for stage in STAGES:
        told = json.loads((tmp_path / f"run/{stage}/training.json").read_text())
        assert np.isfinite(told["history"][-1]["loss"])
    assert told["steps"] == 3  # half of 40 faces, 8 at a time


def test_streams_are_of_one_source(tmp_path):
    words = tiny_arguments("--output", tmp_path / "run", "--data.more", "x", "--streaming")
    status, output = train_here(*words)
    assert status == 2
    assert "data.more cannot be streamed" in output


def test_drawn_faces_join_faces_of_known_visibility(tmp_path):
    lines = write_lines(tmp_path / "faces", range(12))
    rewrite_lines(tmp_path / "faces/faces.jsonl", [{**line, "visible": [1] * 68} for line in lines])
    settings = DataSettings(
        source=str(tmp_path / "faces"),
        train_split=None,
        test_split=None,
        validation_faces=2,
        generated_extra=3,
    )
    scheme, accelerator = get_scheme("ibug68"), Accelerator(cpu=True)
    sets = load_sets(accelerator, settings, scheme, seed=0)
    rows = with_generated(accelerator, sets.train, settings, scheme)
    assert len(rows) == len(sets.train) + 3
    assert "visible" in rows.column_names


@pytest.mark.parametrize("streaming", [False, True])
def test_faces_that_cannot_be_measured_are_trained_on_and_not_measured(tmp_path, streaming, caplog):
    lines = write_lines(tmp_path / "faces", range(12))
    scheme = get_scheme("ibug68")

    def load():
        rewrite_lines(tmp_path / "faces/faces.jsonl", lines)
        shutil.rmtree(tmp_path / "parquet", ignore_errors=True)
        convert("own", tmp_path / "faces", tmp_path / "parquet", scheme=scheme)
        settings = DataSettings(
            source=str(tmp_path / ("parquet" if streaming else "faces")),
            train_split=None,
            test_split=None,
            validation_faces=4,
            streaming=streaming,
        )
        return load_sets(Accelerator(cpu=True), settings, scheme, seed=0)

    whole = load()
    first = whole.validation["source"][0]
    lines[int(first.rpartition(":")[2]) - 1]["landmarks"][36] = None  # the corner of an eye
    lines[int(whole.train["source"][0].rpartition(":")[2]) - 1]["landmarks"][36] = None
    some = load()
    assert some.validation["source"][:] == whole.validation["source"][1:]
    assert some.train["source"][:] == whole.train["source"][:]
    assert "1 of 4 faces to measure on are left out: they lack the landmarks" in caplog.text
    for line in lines:
        line["landmarks"][36] = None
    with pytest.raises(KDLandmarksError, match=r"none of 4 faces to measure on, such as faces.js"):
        load()


def test_no_photo_that_is_measured_on_is_trained_on_whatever_it_is_called(tmp_path, caplog):
    write_lines(tmp_path / "faces", range(12))
    (tmp_path / "more").mkdir()
    shutil.copytree(tmp_path / "faces", tmp_path / "more/deeper")
    for photo in list((tmp_path / "more/deeper").glob("*.png")):
        photo.rename(photo.with_name(f"copy{photo.name}"))
    file = tmp_path / "more/deeper/faces.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    rewrite_lines(file, [{**line, "image": f"copy{line['image']}"} for line in lines])
    settings = DataSettings(
        source=str(tmp_path / "faces"),
        train_split=None,
        test_split=None,
        validation_faces=4,
        more=str(file),
    )
    scheme = get_scheme("ibug68")
    sets = load_sets(Accelerator(cpu=True), settings, scheme, seed=0)
    assert len(sets.validation) == 4
    assert len(sets.train) == 8 + 8
    assert "4 of 12 faces are left out: their photos are used for validation" in caplog.text
    unlabeled = load_unlabeled(tmp_path / "more/deeper")
    assert len(without_photos_of(unlabeled, list(sets.all_measured.values()))) == len(unlabeled) - 4


def test_a_split_with_test_photos_or_copies_of_them_is_cleaned(tmp_path, caplog):
    folder = tmp_path / "faces"
    lines = write_lines(folder, range(12))
    shutil.copy(folder / "0.png", folder / "copy.png")
    lines.append({**lines[0], "image": "copy.png"})
    for number, line in enumerate(lines):
        line["split"] = "test" if 8 <= number < 12 else "train"
    rewrite_lines(folder / "faces.jsonl", lines)
    wanted = {"source": str(folder), "train_split": None, "test_split": "test"}

    def load(seed=0, **more):
        settings = DataSettings(**(wanted | more))
        return load_sets(Accelerator(cpu=True), settings, get_scheme("ibug68"), seed)

    sets = load(validation_faces=0)
    assert (len(sets.train), len(sets.test)) == (9, 4)
    assert "4 of 13 faces are left out: their photos are used for" in caplog.text
    copies = {"0.png", "copy.png"}
    assert copies < set(sets.train["photo"])
    drawn = [load(seed, validation_faces=4) for seed in range(6)]
    validated = [sets for sets in drawn if copies & set(sets.validation["photo"])]
    assert validated
    assert all(not copies & set(sets.train["photo"]) for sets in validated)
    with pytest.raises(KDLandmarksError, match="all of 4 faces to learn from are in photos of"):
        load(train_split="test", validation_faces=0)


def test_photos_of_one_name_in_two_folders_are_two(tmp_path):
    write_lines(tmp_path / "faces", range(12))
    write_lines(tmp_path / "other", range(20, 32))  # 0.png and so on, too
    settings = DataSettings(
        source=str(tmp_path / "faces"),
        train_split=None,
        test_split=None,
        validation_faces=4,
        more=(str(tmp_path / "other"), str(tmp_path / "faces")),
    )
    sets = load_sets(Accelerator(cpu=True), settings, get_scheme("ibug68"), seed=0)
    assert len(sets.train) == 8 + 12 + 8


def test_two_faces_of_a_photo_may_be_on_both_sides_of_an_official_split(tmp_path):
    lines = write_lines(tmp_path / "faces", range(6))
    for line in lines:
        line["split"] = "train"
    beside = (np.array(lines[0]["landmarks"]) * [0.4, 0.4]).tolist()  # another face of the photo
    lines.append({**lines[0], "landmarks": beside, "split": "test"})
    lines.append({**lines[1], "split": "test"})
    rewrite_lines(tmp_path / "faces/faces.jsonl", lines)
    settings = DataSettings(
        source=str(tmp_path / "faces"), train_split="train", test_split="test", validation_faces=0
    )
    sets = load_sets(Accelerator(cpu=True), settings, get_scheme("ibug68"), seed=0)
    assert sets.train["photo"][:] == [f"{number}.png" for number in (0, 2, 3, 4, 5)]
