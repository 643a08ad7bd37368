"""Model cards: they say what was measured and what is known, run as printed, and stay in step."""

import hashlib
import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
from finished_runs import change_json, save_run, scores
from huggingface_hub import ModelCard
from PIL import Image
from small_networks import save_small
from typer.testing import CliRunner

from kd_landmarks import KDLandmarksError
from kd_landmarks.cli import app
from kd_landmarks.hub import released as released_module
from kd_landmarks.hub.card import Links, render_card
from kd_landmarks.hub.card_facts import read_checkpoint
from kd_landmarks.hub.picture import scheme_picture
from kd_landmarks.hub.released import ReleasedTexts, released_names
from kd_landmarks.hub.results import check_figures
from kd_landmarks.inference.checkpoints import DEFAULT_FOLDER
from kd_landmarks.schemes import SCHEMES, get_scheme
from kd_landmarks.training.recipe import load_recipe, save_recipe

REPOSITORY = Path(__file__).resolve().parents[2]
MODEL_CARDS = REPOSITORY / "model_cards"
METRICS = ("nme", "failure_rate_8", "failure_rate_10", "auc_8", "auc_10")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return save_run(tmp_path_factory.mktemp("runs") / "faces")


@pytest.fixture(scope="module")
def student(run):
    return read_checkpoint(run / "student")


@pytest.fixture
def network(tmp_path):
    """A network by itself, with nothing known of it."""
    return save_small(tmp_path / "network")


def evaluation(seed=1, **more):
    """What `kd-landmarks evaluate --json` writes, without the faces' errors."""
    found = scores(seed)
    del found["errors"], found["groups"]
    return {**found, "box": "gt", "interval": [3.5, 4.5], **more}


def rows_of(text):
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]


def section(text, title):
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


# --- what it says


def test_figures_are_those_of_metrics_json(run, student):
    text = render_card(student)
    truth = json.loads((run / "metrics.json").read_text())["networks"]["student"]["test"]
    [row] = [row for row in rows_of(text) if row[0] == "300w common" and len(row) == 9]
    shown = [f"{truth[name]:.{3 if 'auc' in name else 2}f}" for name in METRICS]
    assert row[1:8] == ["ground truth", "40", *shown]
    low, high = map(float, row[8].split(" to "))
    assert low < truth["nme"] < high  # by bootstrap over the faces' errors
    parts = {row[1]: row for row in rows_of(text) if row[0] == "300w common" and len(row) == 8}
    assert parts.keys() == {"helen", "lfpw", "blur"}
    assert parts["helen"][3] == f"{truth['groups']['subset']['helen']['nme']:.2f}"
    assert parts["blur"][3] == f"{truth['groups']['blur']['1']['nme']:.2f}"
    index = ModelCard(text).data.eval_results
    assert [found.metric_type for found in index] == list(METRICS)
    assert [found.metric_value for found in index] == list(map(float, shown))
    assert {found.dataset_name for found in index} == {"300w common"}
    assert index[0].metric_args == {"normalizer": "inter_ocular", "box": "gt"}


def test_it_tells_what_the_files_tell(student):
    text = render_card(student, Links(repo_id="ada/student", license="mit"), "ibug68.png")
    for words in (
        "68, scheme `ibug68`",
        "`test_efficientnet`, integral head",
        "64 x 64 pixels: the square of 1.4 times the longer side of the face box",
        "1.2 ms a face: PyTorch, one CPU thread, batch 1",
        "jaw 0 to 16, left brow 17 to 21",
        "generated face](ibug68.png)",
        "Faces of `300w`: 1,712 to train on, cut by the tight box of the ground-truth points. 300",
        "At hand were 2,012 of the official 3,148 training faces of 300W (64 %).",
        "KD-Loss, variant `ours`; 123 steps in 7.61 minutes",
        "Teachers assisted it, their targets precomputed.",
        "Soft-landmarks (aligned, 90 % of the variance) are 2.58 % NME",
        "Software: torch 2.0.",
        "backbone: mobilenetv2_100",
        "Weights: `mit`",
        "arXiv:2111.07047",
    ):
        assert words in text, words
    assert "None" not in text
    assert "/data/somewhere" not in text  # where files lay is nobody's business
    data = ModelCard(text).data
    assert (data.license, data.library_name, data.pipeline_tag) == (
        "mit",
        "transformers",
        "keypoint-detection",
    )


def test_what_is_not_known_is_left_out(network):
    text = render_card(read_checkpoint(network))
    assert "# network\n" in text
    for absent in ("## Results", "## Training", "| time |", "None", "![", "trust_remote_code"):
        assert absent not in text, absent
    assert "No license of the weights is stated." in text
    data = ModelCard(text).data.to_dict()
    assert data.keys() == {"library_name", "pipeline_tag", "tags"}


def test_what_comes_of_released_weights_says_so(network):
    """Their terms hold for what starts from them or learns from such teachers."""
    change_json(network / "config.json", derived_from=["mobilenetv2-300w", "tough-teacher-300w"])
    card = render_card(read_checkpoint(network))
    assert (
        "They started from or learned from `mobilenetv2-300w`, `tough-teacher-300w` of "
        "kd-landmarks, which is for non-commercial research only, and so are they."
    ) in card
    assert ModelCard(card).data.license == "other"  # what the Hub reads
    with pytest.raises(KDLandmarksError, match="--license 'mit': these weights are, or come from"):
        render_card(read_checkpoint(network), Links(license="mit"))


def test_faces_of_several_sources_are_counted_together_and_lack_nothing(tmp_path):
    run = save_run(tmp_path / "mine", ("student",))
    recipe = load_recipe("300w", {"data.source": "300w", "data.more": ["/data/aflw"]})
    (run / "recipe.yaml").unlink()
    save_recipe(recipe, run / "recipe.yaml")
    text = render_card(read_checkpoint(run / "student"))
    assert "Faces of `300w`, `aflw`: 1,712 to train on, " in text
    assert "At hand were" not in text


def test_a_teacher_says_so(run):
    text = render_card(read_checkpoint(run / "tough_teacher"))
    assert "# faces-tough-teacher\n" in text
    assert "learned the ground truth to teach a student" in text
    assert "loss `wing`" in text
    assert "Two teachers" not in text


def test_drawn_faces_are_called_so(tmp_path):
    folder = save_run(tmp_path / "run", stages=("student",), source="generated")
    text = render_card(read_checkpoint(folder / "student"))
    assert "Generated faces: 1,712 to train on" in text
    assert "generated faces, test" in text
    assert "It has seen generated faces alone, and is of little use on photos." in text
    assert "official" not in text


def test_validation_faces_stand_in_where_there_was_no_test(tmp_path):
    folder = save_run(tmp_path / "run", stages=("student",))
    told = json.loads((folder / "metrics.json").read_text())
    del told["networks"]["student"]["test"]
    (folder / "metrics.json").write_text(json.dumps(told))
    [test] = read_checkpoint(folder / "student").tests
    assert test.name == "300w, validation faces"
    assert test.nme == told["networks"]["student"]["validation"]["nme"]


def test_a_run_without_results_yet_has_none(tmp_path):
    folder = save_run(tmp_path / "run", stages=("student",))
    (folder / "metrics.json").unlink()
    text = render_card(read_checkpoint(folder / "student"))
    assert "## Results" not in text
    assert "Faces of `300w`: cut by" in text


# --- figures beside the weights


def test_several_tests_stand_beside_the_weights(network):
    parts = {name: evaluation(seed) for seed, name in enumerate(("easy", "hard"), start=5)}
    tests = {
        "300W common": evaluation(1, subsets=parts, data="300w", split="common"),
        "300W common, detector's box": evaluation(2, box="dataset", data="300w", split="common"),
        "WFLW": evaluation(3, attributes={"pose": evaluation(4)}, interval=None),
    }
    told = {"tests": tests, "milliseconds": 5.04, "machine": "a Xeon"}
    (network / "metrics.json").write_text(json.dumps(told))
    text = render_card(read_checkpoint(network), Links(datasets=("ada/300w",)))
    rows = rows_of(section(text, "Results"))
    assert [row[0] for row in rows if len(row) == 9 and row[0] in tests] == list(tests)
    assert [row[1] for row in rows if len(row) == 8][2:] == ["easy", "hard", "pose"]
    assert "5.0 ms a face: PyTorch, one CPU thread, batch 1, a Xeon" in text
    index = ModelCard(text).data.eval_results
    assert len(index) == 15
    assert [found.dataset_type for found in index[::5]] == ["ada/300w", "ada/300w", "wflw"]
    assert [found.dataset_config for found in index[::5]] == [None, "box-dataset", None]


def test_what_evaluate_writes_will_do(network):
    told = evaluation(data="sets/300w", split="common", errors=[{"nme": 4.0, "source": "a"}])
    told |= {"nme": 4.0}
    (network / "metrics.json").write_text(json.dumps(told))
    [test] = read_checkpoint(network).tests
    assert (test.name, test.interval) == ("300w common", (3.5, 4.5))


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({}, None),
        ({"tests": {}}, "has no figures"),
        ({"tests": {"a": {"nme": 3.0}}}, "test 'a': failure_rate_8: Field required"),
        ({"tests": {"a": 3}}, "test 'a'"),
        ({"tests": {"a": evaluation(nme=-1.0)}}, "nme: Input should be greater than or equal"),
        ({"tests": {"a": evaluation(auc_8=51.7)}}, "auc_8: Input should be less than or equal"),
        ({"tests": {"a": evaluation(nme=float("nan"))}}, "nme: Input should be"),
        ({"tests": {"a": evaluation(box=None)}}, "box: Input should be a valid string"),
        ({"tests": {"a": evaluation(errors=[1.0, 2.0])}}, "but the mean of errors 1.5"),
        ({"tests": {"a": evaluation(errors=[{"face": 1}])}}, "invalid metrics"),
        ({"tests": {"a": evaluation(errors=[10**400])}}, "invalid metrics"),
        ({"tests": {"x" * 10**5: 3}}, "test 'xxx"),
        ({"tests": [1]}, "has no figures"),
        (
            {"tests": {"a": evaluation(errors=[3.0] * 40_000, interval=None)}},
            "errors of 40000 faces",
        ),
        *[
            ({"tests": {"a": evaluation()}, "milliseconds": time}, f"milliseconds is {time!r}")
            for time in ("fast", True, -1, float("inf"), [])
        ],
        (
            {"tests": {"a": evaluation()}, "machine": ["x"]},
            "machine: Input should be a valid string",
        ),
        ({"tests": {"a": evaluation()}, "training": [1]}, "training: Input should be"),
        ({"tests": {"a": evaluation()}, "training": {"settings": {"epochs": -1}}}, "epochs"),
        ({"tests": {"a": evaluation()}, "training": {"settings": {}, "steps": "x"}}, "steps"),
    ],
)
def test_invalid_metrics_are_refused(network, told, message):
    (network / "metrics.json").write_text(json.dumps(told))
    if message is None:
        assert read_checkpoint(network).tests == ()
        return
    with pytest.raises(KDLandmarksError, match=re.escape(message)):
        read_checkpoint(network)


@pytest.mark.parametrize(
    "told",
    [
        {"networks": []},
        {"networks": {"student": 3}},
        {"networks": {"student": {"test": 3}}},
        {"networks": {"student": {"test": {"groups": 3}}}},
        {"networks": {"student": {"test": {"groups": {"blur": {"1": 3}}}}}},
        {"networks": {"student": {"test": {"nme": 10**400}}}},
        {"protocol": 3},
        {"protocol": {}},
        {"faces": {"train": "many"}},
        {"faces": [1]},
        {"versions": {"torch": ["x"]}},
        {"soft_landmarks_nme": float("nan")},
    ],
    ids=range(12),
)
def test_a_runs_invalid_metrics_are_refused(tmp_path, told):
    folder = save_run(tmp_path / "run", stages=("student",))
    change_json(folder / "metrics.json", **told)
    with pytest.raises(KDLandmarksError, match=r"metrics\.json") as caught:
        read_checkpoint(folder / "student")
    assert len(str(caught.value)) <= 510


def test_settings_that_recipes_no_longer_have_are_left_out(tmp_path):
    folder = save_run(tmp_path / "run", stages=("student",)) / "student"
    recipe = folder.parent / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("student:\n", "student:\n  ema: 0.9\n"))
    change_json(folder / "training.json", settings={"epochs": 3, "ema": 0.9, "loss": {"scale": 1}})
    text = render_card(read_checkpoint(folder))
    assert "3 epochs" in text
    assert "ema" not in text.split("```yaml")[-1]


def test_what_old_settings_leave_unsaid_is_as_in_a_recipe(network):
    told = {"settings": {"epochs": 3, "loss": {"name": "l1"}}}
    (network / "training.json").write_text(json.dumps(told))
    text = render_card(read_checkpoint(network))
    assert "3 epochs, 32 faces a step" in text
    assert "loss `l1`" in text


@pytest.mark.parametrize(
    "metadata",
    [
        "a0: &a0 [1]\n"
        + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)),
        "[" * 10**4,
        "- a",
        "2024-01-01: 3",
        "model-index: {a: 3}",
        "model-index: [3]",
        "model-index: [{name: x, results: [{}]}]",
        "eval_results: 3",
        "model-index: [{name: x, results: [{dataset: {name: 1.5}, "
        "metrics: [{type: nme, value: 1}]}]}]",
        "x: " + "y" * 10**5,
    ],
    ids=range(10),
)
def test_a_hostile_cards_metadata_are_refused(student, metadata):
    text = render_card(student).replace("---\n", f"---\n{metadata}\n---\n", 1)
    with pytest.raises(KDLandmarksError, match=r"README\.md") as caught:
        check_figures(text, student.tests, "README.md")
    assert len(str(caught.value)) <= 510


@pytest.mark.parametrize("content", [b"[]", b"{", b"\xff", b"[" * 10**5])
@pytest.mark.parametrize("file", ["metrics.json", "training.json"])
def test_files_that_are_not_json_are_refused(network, file, content):
    (network / file).write_bytes(content)
    with pytest.raises(KDLandmarksError, match=file):
        read_checkpoint(network)


# --- figures that do not match


def test_it_says_whether_confidence_is_a_probability(student, network):
    assert "they are not calibrated" in render_card(student)
    calibration = {"tolerance": 0.03, "slope": -9.0, "intercepts": [0.0] * 68}
    change_json(network / "config.json", confidence=calibration)
    text = render_card(read_checkpoint(network))
    assert "likely a point is right, which is to say within 3 % of the box's longer side" in text


def test_a_rendered_card_matches(student):
    check_figures(render_card(student), student.tests, "card")
    check_figures(render_card(student, Links(datasets=("ada/300w",))), student.tests, "card")


def test_rows_of_others_and_other_words_are_free(student):
    text = render_card(student).replace("## Limits", "| the paper | 3.56 |\n\n## Mine\n\n## Limits")
    check_figures(text, student.tests, "card")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            r"(?m)^    - type: nme\n      value: \S+",
            "    - type: nme\n      value: 1.0",
            "nme 1 for",
        ),
        (r"type: auc_10", "type: auc_11", "auc_10 nothing for"),
        (r"(?s)model-index:.*?\n---", "license: mit\n---", "nothing for '300w common'"),
        (r"\| 40 \| \d+\.\d+ ", "| 40 | 1.00 ", "it has no row '300w common | ground truth | 40"),
        (r"\| (300w common \| helen) \| 20", r"| \1 | 21", "it has no row '300w common | helen"),
        (
            r"(\|[^|]*\| --- .*\n)(\| 300w common)",
            r"\1| 300w common | all | 1.0 |\n\2",
            "disagrees",
        ),
        (r"^---", "--", "nothing for '300w common'"),
        # Machines may read the first of two.
        (
            r"(?m)^    - type: nme\n",
            "    - type: nme\n      value: 0.01\n      name: NME %\n    - type: nme\n",
            "says nme 0.01 and",
        ),
        (r"model-index:", "model-index: [", "the metadata of card is not YAML"),
    ],
)
def test_other_figures_are_found(student, old, new, message):
    text = re.sub(old, new, render_card(student), count=1)
    assert text != render_card(student)
    with pytest.raises(KDLandmarksError, match=re.escape(message)):
        check_figures(text, student.tests, "card")


def test_figures_of_nothing_are_found(network, student):
    with pytest.raises(KDLandmarksError, match=r"metrics.json nothing"):
        check_figures(render_card(student), read_checkpoint(network).tests, "card")


# --- released models


TEXTS = {name: f"Some {name}." for name in ReleasedTexts.model_fields} | {
    "name": "network",
    "base_model": "timm/some",
    "datasets": ["some/faces"],
}


@pytest.fixture
def releases(network, monkeypatch):
    """Texts of the network, as if it was released."""
    weights = (network / "model.safetensors").read_bytes()
    texts = TEXTS | {"weights": hashlib.sha256(weights).hexdigest()}
    monkeypatch.setattr(released_module, "_texts", lambda: {"network": ReleasedTexts(**texts)})
    return texts


def test_people_write_about_released_models(network, releases):
    tests = {"300W common": evaluation(1), "WFLW": evaluation(2)}
    (network / "metrics.json").write_text(json.dumps({"tests": tests}))
    releases["summary"] = "{tests[300W common].nme:.2f} % on {tests[300W common].faces} faces."
    text = render_card(read_checkpoint(network))
    assert f"\n{tests['300W common']['nme']:.2f} % on 40 faces.\n" in text
    for name in ("training", "commands", "measure", "worst_faces", "limits"):
        assert f"Some {name}." in text
    releases["worst_faces"] = ""
    assert "\n\nSome limits." in render_card(read_checkpoint(network))
    assert "Code: Apache-2.0. Some license." in text
    told = ModelCard(text).data
    assert (told.base_model, told.datasets) == (["timm/some"], ["some/faces"])
    assert ModelCard(text).data.license == "Some license_id."
    with pytest.raises(KDLandmarksError, match="--license 'mit': these weights are, or come from"):
        render_card(read_checkpoint(network), Links(license="mit"))


NEEDED = {name for name, field in ReleasedTexts.model_fields.items() if field.is_required()}


@pytest.mark.parametrize("field", sorted(NEEDED - {"name", "weights"}))
def test_a_text_that_is_not_written_yet_stops_the_card(network, releases, field):
    releases[field] = " "
    with pytest.raises(KDLandmarksError, match=rf"released.yaml: network.{field} is empty"):
        render_card(read_checkpoint(network))


def test_a_released_network_has_its_terms_under_every_folder_name(network, releases, tmp_path):
    copy = tmp_path / ("0a" * 20)
    network.rename(copy)
    assert "Some license." in render_card(read_checkpoint(copy))


def test_somebodys_own_network_may_have_a_released_ones_name(network, releases):
    assert "Some summary." in render_card(read_checkpoint(network))
    save_small(network, spread=0.7)
    text = render_card(read_checkpoint(network))
    assert "Some " not in text
    assert "No license of the weights is stated." in text


@pytest.mark.parametrize("figure", ["{tests[COFW].nme}", "{tests[WFLW].mean}", "{nme}", "{0}", "{"])
def test_figures_that_were_not_measured_stop_the_card(network, releases, figure):
    (network / "metrics.json").write_text(json.dumps({"tests": {"WFLW": evaluation()}}))
    releases["limits"] = f"It has {figure} %."
    with pytest.raises(KDLandmarksError, match=r"network.limits names a figure .*tests: WFLW"):
        render_card(read_checkpoint(network))


@pytest.fixture(scope="module")
def rendering():
    """`model_cards/render.py`."""
    spec = importlib.util.spec_from_file_location("render", MODEL_CARDS / "render.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def released_folder(name):
    return DEFAULT_FOLDER if name == DEFAULT_FOLDER.name else REPOSITORY / "checkpoints" / name


def test_the_packages_own_network_is_among_the_released():
    assert released_names()[0] == DEFAULT_FOLDER.name


@pytest.mark.parametrize("name", released_names())
def test_released_networks_name_themselves_as_origins(name):
    folder = released_folder(name)
    assert json.loads((folder / "config.json").read_text())["derived_from"] == [name]


@pytest.mark.parametrize("name", released_names())
def test_released_cards_are_in_step_with_the_checkpoints(name, rendering):
    folder = released_folder(name)
    if not (folder / "model.safetensors").is_file():
        pytest.skip(f"{folder} is not there: this checkout has no weights")
    for path, text in rendering.render(name).items():
        assert path.read_text(encoding="utf-8") == text, f"run python {MODEL_CARDS}/render.py"


def test_no_card_is_left_of_what_is_released_no_more():
    there = {file.stem for file in MODEL_CARDS.glob("*.md")}
    assert there <= set(released_names())


# --- the picture


@pytest.mark.parametrize("name", SCHEMES)
def test_the_landmarks_are_drawn_and_numbered(name, rendering, tmp_path):
    rendering.save_scheme_picture(get_scheme(name), tmp_path / "new.png")
    assert (tmp_path / "new.png").stat().st_size < 60_000
    new, committed = (
        np.asarray(Image.open(path).convert("RGB"), dtype=float)
        for path in (tmp_path / "new.png", scheme_picture(get_scheme(name)))
    )
    assert new.shape == (720, 720, 3)
    assert np.abs(new - committed).mean() < 4  # fonts and resizing differ a little by version


def test_the_picture_has_the_points():
    picture = Image.open(scheme_picture(get_scheme("ibug68"))).convert("RGB")
    green = np.asarray(picture).astype(int)
    spots = (np.abs(green - (0, 110, 60)).sum(-1) < 30).sum()
    assert spots > 68 * 20


# --- the command


def card(*words):
    return CliRunner().invoke(app, ["card", *map(str, words)])


def test_the_command_prints_or_writes(run, tmp_path):
    printed = card(run / "student", "--repo-id", "ada/student", "--base-model", "ada/tough")
    assert printed.exit_code == 0, printed.output
    assert printed.stdout.startswith("---\nbase_model:\n- ada/tough\n")
    assert printed.stdout.endswith("```\n")
    out = tmp_path / "new" / "README.md"
    written = card(run / "student", "--repo-id", "ada/student", "--base-model", "ada/tough",
                   "--output", out)  # fmt: skip
    assert written.exit_code == 0, written.output
    assert out.read_text() == printed.stdout
    picture = scheme_picture(get_scheme("ibug68"))
    assert (out.parent / "ibug68.png").read_bytes() == picture.read_bytes()
    assert {file.name for file in out.parent.iterdir()} == {"README.md", "ibug68.png"}


def test_a_scheme_of_ones_own_has_no_picture(tmp_path):
    folder = save_small(tmp_path / "network", "cofw29")
    config = json.loads((folder / "config.json").read_text())
    config["scheme"]["name"] = "mine"
    change_json(folder / "config.json", scheme=config["scheme"])
    written = card(folder, "--output", tmp_path / "out" / "README.md")
    assert written.exit_code == 0, written.output
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["README.md"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nowhere",), "nowhere is not a folder"),
        (("--repo-id", "x"), "'x' is not an id"),
        (("--output", "/dev/null/README.md"), "cannot write"),
    ],
)
def test_bad_words_end_with_one_clear_message(run, words, message):
    folder = [] if words[0] == "nowhere" else [run / "student"]
    result = card(*folder, *words)
    assert result.exit_code == 2
    assert result.output.count("error: ") == 1
    assert message in result.output
