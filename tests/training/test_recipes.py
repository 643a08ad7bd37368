"""Recipes: what they inherit, how they are overridden, and that bad ones are refused by name."""

from contextlib import suppress

import pytest
import yaml

from kd_landmarks.errors import KDLandmarksError
from kd_landmarks.schemes import get_scheme
from kd_landmarks.training.recipe import (
    changed_values,
    load_recipe,
    parse_overrides,
    recipe_keys,
    save_recipe,
)
from kd_landmarks.training.recipe_settings import STAGES, Recipe

BUILT_IN = ("embedded", "300w", "paper_300w", "own", "wflw", "cofw")


@pytest.fixture
def recipe_file(tmp_path):
    def write(text):
        path = tmp_path / "mine.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


# --- places


def test_environment_variables_stand_for_folders(recipe_file, monkeypatch):
    monkeypatch.setenv("FACES", "/data/faces")
    text = "data: {source: $FACES/300w, more: $FACES/aflw}\nunlabeled: {source: $FACES}"
    path = recipe_file(text)
    recipe = load_recipe(path, {"data.more": ["${FACES}/a", "b"]})
    assert recipe.data.source == "/data/faces/300w"
    assert [more.source for more in recipe.data.more] == ["/data/faces/a", "b"]
    assert recipe.unlabeled.source == ("/data/faces",)
    monkeypatch.delenv("FACES")
    with pytest.raises(KDLandmarksError, match=r"data.source.*\$FACES/300w"):
        load_recipe(path)


def test_teachers_are_one_or_several(recipe_file):
    path = recipe_file("teachers: {tough: one, tolerant: [two, three]}")
    teachers = load_recipe(path).teachers
    assert (teachers.tough, teachers.tolerant) == (("one",), ("two", "three"))
    assert load_recipe(path, {"teachers.tough": None}).teachers.tough == ()
    with pytest.raises(KDLandmarksError, match="fill_gaps needs targets precomputed, not online"):
        load_recipe(path, {"teachers.fill_gaps": True, "teachers.targets": "online"})
    for loss in ({"name": "wing"}, {"name": "kd", "tough_weight": 0}):
        told = {f"student.loss.{key}": value for key, value in loss.items()}
        with pytest.raises(KDLandmarksError, match="fill_gaps takes points of the Tough-Teacher"):
            load_recipe(path, {"teachers.fill_gaps": True, **told})


# --- what is built in


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_recipes_load_and_run_the_whole_method(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.description
    # Landmarks of one's own are one network's, which needs no teachers.
    assert recipe.stages == (("student",) if name == "own" else STAGES)
    assert recipe.student.loss.name == ("wing" if name == "own" else "kd")
    assert "kd" not in {recipe.tough_teacher.loss.name, recipe.baseline.loss.name}
    get_scheme(recipe.scheme)


def test_built_in_recipes_are_all_listed_where_one_is_unknown():
    with pytest.raises(KDLandmarksError) as caught:
        load_recipe("400w")
    assert "unknown recipe '400w'" in str(caught.value)
    assert all(name in str(caught.value) for name in BUILT_IN)


def test_the_embedded_recipe_needs_no_data_and_no_network():
    recipe = load_recipe("embedded")
    assert recipe.data.source == "generated"
    assert {getattr(recipe, stage).backbone_weights for stage in STAGES} == {"none"}


# --- what sections take from one another


@pytest.mark.parametrize("name", BUILT_IN)
def test_teachers_are_twins_and_the_baseline_is_the_student_without_them(name):
    recipe = load_recipe(name)
    # A Tolerant-Teacher may start from its finished twin, and then needs less.
    start = {"init", "epochs", "learning_rate"} if recipe.tolerant_teacher.init else set()
    tough, tolerant = (
        teacher.model_dump(exclude=start)
        for teacher in (recipe.tough_teacher, recipe.tolerant_teacher)
    )
    assert tolerant == tough
    plain = recipe.student.model_copy(update={"loss": recipe.baseline.loss})
    assert recipe.baseline == plain


def test_overrides_are_inherited_too():
    recipe = load_recipe(
        "300w",
        {
            "tough_teacher.epochs": 7,
            "student.epochs": 5,
            "student.augmentation.rotation": 12.0,
            "student.loss.map_sigma": 3.0,
        },
    )
    assert recipe.tolerant_teacher.epochs == 7
    assert recipe.baseline.epochs == 5
    assert recipe.baseline.augmentation.rotation == 12
    assert (recipe.baseline.loss.name, recipe.baseline.loss.map_sigma) == ("wing", 3.0)


def test_what_a_section_says_itself_stands():
    recipe = load_recipe("300w", {"student.epochs": 5, "baseline.epochs": 6})
    assert (recipe.student.epochs, recipe.baseline.epochs) == (5, 6)
    assert recipe.tough_teacher.epochs == load_recipe("300w").tough_teacher.epochs


def test_null_in_a_section_is_said_not_inherited(recipe_file):
    path = recipe_file("student: {init: ID}\nbaseline: {init: null}")
    recipe = load_recipe(path)
    assert (recipe.student.init, recipe.baseline.init) == ("ID", None)


def test_an_empty_section_inherits_everything(recipe_file):
    recipe = load_recipe(recipe_file("student: {epochs: 4}\nbaseline:\n"))
    assert recipe.baseline == recipe.student
    assert recipe.name == "mine"


# --- overrides from the command line


@pytest.mark.parametrize(
    ("arguments", "values"),
    [
        (["--student.learning_rate", "1e-4"], {"student.learning_rate": 1e-4}),
        (["--student.learning_rate=.5"], {"student.learning_rate": 0.5}),
        (["--run.seed", "7"], {"run.seed": 7}),
        (["--student.head_strides", "[4, 8, 16, 32]"], {"student.head_strides": (4, 8, 16, 32)}),
        (["--run.trackers", "[tensorboard]"], {"run.trackers": ("tensorboard",)}),
        (["--stages", "[student, baseline]"], {"stages": ("student", "baseline")}),
        (["--data.streaming", "false"], {"data.streaming": False}),
        (["--shape_model.aligned=true"], {"shape_model.aligned": True}),
        (["--student.init", "null"], {"student.init": None}),
        (["--student.init="], {"student.init": None}),
        # Text that YAML would take for something else.
        (["--run.mixed_precision", "no"], {"run.mixed_precision": "no"}),
        (["--student.backbone_weights", "none"], {"student.backbone_weights": "none"}),
        (["--data.source", "0123"], {"data.source": "0123"}),
        (["--data.source", "2024-01-01"], {"data.source": "2024-01-01"}),
        (["--data.source=a=b: c"], {"data.source": "a=b: c"}),
        (["--data.source", "[faces"], {"data.source": "[faces"}),
        (
            ["--student.epochs", "3", "--data.box=gt"],
            {"student.epochs": 3.0, "data.box": "gt"},
        ),
    ],
)
def test_overrides_arrive_with_the_recipes_types(arguments, values):
    recipe = load_recipe("300w", parse_overrides(arguments))
    for key, value in values.items():
        found = recipe
        for part in key.split("."):
            found = getattr(found, part)
        assert found == value
        assert type(found) is type(value)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--student.epoch", "3"], r"unknown option '--student.epoch' .*--student.epochs"),
        (["--epochs", "3"], r"unknown option '--epochs' .*--tough_teacher.epochs.*--student.ep"),
        (["--student.epochs=3", "--rotation=3"], r"'--rotation' .*student.augmentation.rotation"),
        (["--student", "3"], "unknown option '--student'"),
        (["student.epochs", "3"], r"unknown option 'student.epochs' .*--student.epochs"),
        (["--zzz"], "unknown option '--zzz'$"),
        (["--student.epochs"], "--student.epochs: expected one"),
        (["--student.epochs", "--run.seed", "3"], "--student.epochs: expected one"),
    ],
)
def test_unknown_options_are_named_with_their_neighbors(arguments, complaint):
    with pytest.raises(KDLandmarksError, match=complaint):
        parse_overrides(arguments)


def test_every_value_of_a_recipe_has_its_option():
    keys = recipe_keys()
    some = {"student.augmentation.shift", "baseline.loss.variant", "run.seed", "stages"}
    assert some <= keys.keys()
    assert all(keys.values())  # each tells what it means

    def leaves(values, prefix=""):
        for key, value in values.items():
            yield from (
                leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [prefix + key]
            )

    assert set(leaves(load_recipe("300w").model_dump())) == set(keys)


# --- refused


@pytest.mark.parametrize(
    ("overrides", "complaints"),
    [
        ({"student.epoch": 3}, ["student.epoch: unknown key", "--student.epochs"]),
        ({"epochs": 3}, ["epochs: unknown key", "--student.epochs"]),
        ({"student.epochs": "many"}, ["student.epochs: ", "'many'"]),
        ({"student.epochs": 0}, ["student.epochs: ", "greater than 0", "not 0"]),
        ({"student.epochs": "-3"}, ["student.epochs: ", "greater than 0, not -3"]),
        ({"student.batch_size": 2.5}, ["student.batch_size: ", "2.5"]),
        ({"student.learning_rate": float("nan")}, ["student.learning_rate: ", "nan"]),
        ({"student.loss.map_sigma": float("inf")}, ["student.loss.map_sigma: ", "inf"]),
        ({"student.loss.name": "kdd"}, ["student.loss.name: ", "'kd'", "'wing'", "not 'kdd'"]),
        ({"student.loss": "kd"}, ["student.loss: ", "not 'kd'"]),
        ({"student": 3}, ["student: ", "not 3"]),
        ({"student.head_strides": "8"}, ["student.head_strides: give a list", "not 8"]),
        ({"student.ema": 0.0}, ["student.ema: unknown key"]),
        ({"stages": ["student", "tough"]}, ["stages.1: ", "'tough_teacher'", "not 'tough'"]),
        ({"stages": []}, ["stages: ", "at least 1"]),
        ({"data.box": "face", "run.seed": -1}, ["data.box: ", "run.seed: ", "not -1"]),
        ({"data": {"box": "dataset", "generated_extra": 9}}, ["is for labeled faces alone"]),
    ],
)
def test_bad_values_are_named_once(overrides, complaints):
    with pytest.raises(KDLandmarksError, match="the recipe 300w has bad values:") as caught:
        load_recipe("300w", overrides)
    lines = str(caught.value).splitlines()[1:]
    # The baseline, which has them from the student, does not complain a second time.
    assert len(lines) == len(overrides)
    assert all(part in str(caught.value) for part in complaints)


NINE_FOLD = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("- a\n- b", r"holds \['a', 'b'\], not a mapping"),
        ("", "holds None, not a mapping"),
        ("a: [", "line 1, column 5"),
        ("a0: &a0 [1]\n" + NINE_FOLD, "aliases"),
        ("student: " + "{a: " * 60 + "1" + "}" * 60, "deep"),
        ("[" * 10**4, "deep"),
        ("name: 2024-01-01", r"name: Input should be a valid string, not datetime.date"),
        ("name:", "name: Input should be a valid string, not None"),
        ("data: {source: 2024-01-01}", "data.source: Input should be a valid string"),
        ("2024-01-01: 1", "Keys should be strings"),
        ("student: {epochs: yes}", "student.epochs: give a number, not True"),
        ("student: {epochs: 1e400}", "student.epochs: Input should be a finite number"),
        ("student: {learning_rate: .inf}", "student.learning_rate: Input should be a finite"),
        ("student: {augmentation: {rotation: .nan}}", "augmentation.rotation: .*not nan"),
        ("student: {head_strides: [8, 0]}", "head_strides.1: .*not 0"),
        ("run: {seed: 0x" + "f" * 9000 + "}", "run.seed: .*a int of too many digits"),
        ("run: {trackers: [" + "x, " * 5000 + "x]}", "run.trackers: .*at most 20 items"),
        ('data: {source: "a\\0b"}', "data.source: text may have no control characters"),
        ("? " + "k" * 60000 + "\n: 1", "kkk.*: unknown key"),
        ("\n".join(f"k{n}: 1" for n in range(4000)), "k0: unknown key(.|\n)*and more"),
        ("x: &x [1, 2]\nstudent: {epochs: *x, batch_size: *x}", "student.batch_size: .*not"),
        ("student: {lern_rate: 3}", r"student.lern_rate: unknown key .*--student.learning_rate"),
        ("student: 5", "student: .*not 5"),
        ("baseline: 5", "baseline: .*not 5"),
        ("1: 2", "1: Keys should be strings"),
    ],
)
def test_bad_files_are_refused(recipe_file, text, complaint):
    path = recipe_file(text)
    with pytest.raises(KDLandmarksError, match=complaint) as caught:
        load_recipe(path)
    assert str(path) in str(caught.value)
    assert max(map(len, str(caught.value).split("\n"))) <= 500


@pytest.mark.parametrize(
    "name",
    ["../x", "/tmp/x", "a/b", "a\\b", "", ".", "..", ".x", "x" * 300, "x\0", "x\n", "x ", "a:b"],
)
def test_a_name_cannot_leave_the_folder_of_runs(recipe_file, name):
    path = recipe_file(yaml.safe_dump({"name": name}))
    for refused in (
        lambda: load_recipe(path),
        lambda: load_recipe("embedded", {"name": name}),
        lambda: load_recipe("embedded", parse_overrides([f"--name={name}"])),
    ):
        with pytest.raises(KDLandmarksError, match="  name: "):
            refused()


def test_a_recipes_file_gives_it_its_name_if_that_is_a_plain_one(recipe_file):
    path = recipe_file("{}")
    assert load_recipe(path).name == "mine"
    with pytest.raises(KDLandmarksError, match="name: this 'a:b' becomes the name of a file"):
        load_recipe(path.rename(path.with_name("a:b.yaml")))


HOSTILE = [".inf", "-1", "99999999999999", "[[" * 5000, "9" * 5000]


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_no_value_of_any_key_gets_past_the_recipes_types(value):
    """On the command line; whatever is taken is a value that the schema allows."""
    for key in recipe_keys():
        if key.startswith(("tolerant_teacher.", "baseline.")):  # as the sections they are like
            continue
        message = ""
        try:
            recipe = load_recipe("embedded", parse_overrides([f"--{key}={value}"]))
        except KDLandmarksError as error:
            message = str(error)
        else:
            assert Recipe.model_validate(recipe.model_dump()) == recipe
        assert max(map(len, message.split("\n"))) <= 500
        assert not message or key.split(".")[-1] in message


@pytest.mark.parametrize("arguments", [["--" + "x" * 10**5, "1"], ["x" * 10**5], ["--\x1b[2J=1"]])
def test_unknown_options_are_told_in_few_words(arguments):
    with pytest.raises(KDLandmarksError, match="unknown option") as caught:
        parse_overrides(arguments)
    assert len(str(caught.value)) < 200
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("spec", ["x" * 300, "x" * 5000, "~nobody/x", "a\0b", "../" * 2000])
def test_what_is_no_recipes_name_is_told(spec):
    for name in (spec, f"{spec}.yaml"):
        with pytest.raises(KDLandmarksError) as caught:
            load_recipe(name)
        assert len(str(caught.value)) <= 510


def test_files_that_cannot_be_read_are_refused(tmp_path):
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder.yaml").mkdir()
    for name in ("binary.yaml", "folder.yaml", "gone.yaml"):
        with pytest.raises(KDLandmarksError, match=name):
            load_recipe(tmp_path / name)


def test_recipes_do_not_change_under_way():
    recipe = load_recipe("embedded")
    with pytest.raises(ValueError, match="frozen"):
        recipe.student.epochs = 3


# --- files


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_saved_recipe_reads_back_equal(tmp_path, name):
    overrides = {
        "student.epochs": 2.5,
        "student.init": "ID",
        "baseline.init": None,
        "run.mixed_precision": "no",
        "run.trackers": ["tensorboard"],
        "data.source": "Gesichter/für mich",
        "description": "",
    }
    recipe = load_recipe(name, overrides)
    save_recipe(recipe, tmp_path / "recipe.yaml")
    again = load_recipe(tmp_path / "recipe.yaml")
    assert again == recipe
    assert isinstance(again, Recipe)
    written = yaml.safe_load((tmp_path / "recipe.yaml").read_text(encoding="utf-8"))
    assert written == recipe.model_dump(mode="json")


def test_settings_of_earlier_versions_are_read_from_finished_runs_alone(recipe_file):
    path = recipe_file("student: {ema: 0.9, epochs: 4}\nrun: {verbose: true}")
    assert load_recipe(path, ignore_unknown=True).student.epochs == 4
    with pytest.raises(KDLandmarksError, match=r"student.ema: unknown key"):
        load_recipe(path)


def test_yaml_peculiarities_in_files(recipe_file):
    recipe = load_recipe(recipe_file("student: {learning_rate: 1e-4}\nrun: {mixed_precision: no}"))
    assert recipe.student.learning_rate == 1e-4
    assert recipe.run.mixed_precision == "no"


# --- what a continued run may change


@pytest.mark.parametrize(
    "harmless",
    [
        {"run.workers": 3, "run.threads": 2},
        {"run.checkpoint_every": 0.5, "run.keep_checkpoints": 5, "run.evaluate_every": 1},
        {"run.trackers": ["tensorboard"], "description": "again"},
        {"stages": ["student"], "data.source": "/elsewhere/faces"},
    ],
)
def test_a_continued_run_may_go_about_it_differently(harmless):
    assert changed_values(load_recipe("300w"), load_recipe("300w", harmless)) == []


@pytest.mark.parametrize(
    ("overrides", "lines"),
    [
        ({}, []),
        ({"run.seed": 5}, ["run.seed: 0 in the run, 5 now"]),
        ({"baseline.epochs": 9}, ["baseline.epochs: 80.0 in the run, 9.0 now"]),
        (
            {"student.loss.variant": "paper", "baseline.loss.variant": "ours"},
            ["student.loss.variant: 'ours' in the run, 'paper' now"],
        ),
        (
            {"data.crop_margin": 1.5, "shape_model.aligned": False},
            [
                "data.crop_margin: 1.25 in the run, 1.5 now",
                "shape_model.aligned: True in the run, False now",
            ],
        ),
        (
            {
                "tough_teacher.head_strides": [16, 32],
                "tolerant_teacher.head_strides": [4, 8, 16, 32],
            },
            ["tough_teacher.head_strides: [4, 8, 16, 32] in the run, [16, 32] now"],
        ),
    ],
)
def test_a_continued_run_may_not_learn_something_else(overrides, lines):
    assert changed_values(load_recipe("300w"), load_recipe("300w", overrides)) == lines


def test_only_how_a_run_goes_about_it_may_change():
    """Each key in turn, to whatever other value it takes."""
    # With a linear head there is no map to weigh.
    given = {f"{stage}.loss.map_weight": 0 for stage in STAGES}
    base, free = load_recipe("300w", given), set()
    values = [True, False, 1, 2, 3, 64, 640, 0.5, 1.5, None, ["student"], [8, 16, 32]]
    values += ["no", "l2", "paper", "l1", "dataset", "linear", "stored", "stored", "wflw98", "x"]
    for key in recipe_keys():
        others = []
        for value in values:
            with suppress(KDLandmarksError):
                others.append(load_recipe("300w", given | {key: value}))
        other = next((one for one in others if one != base), None)
        assert other is not None, f"no other value was found for {key}"
        if not any(line.startswith(f"{key}:") for line in changed_values(base, other)):
            free.add(key)
    assert free == {
        *("description", "stages", "data.allow_outside", "data.source", "run.threads"),
        *("run.workers", "run.evaluate_every", "run.checkpoint_every", "run.keep_checkpoints"),
        "run.trackers",
    }


@pytest.mark.parametrize("value", ["-1", ".inf", ".nan"])
def test_no_number_of_any_key_may_be_absurd(value):
    """Negative ones where there is a first number, and infinite ones everywhere."""
    for key in recipe_keys():
        current = load_recipe("embedded").model_dump()
        for part in key.split("."):
            current = current[part]
        if isinstance(current, bool) or not isinstance(current, int | float):
            continue
        with pytest.raises(KDLandmarksError, match=key.split(".")[-1]):
            load_recipe("embedded", parse_overrides([f"--{key}={value}"]))


def test_every_change_that_is_not_harmless_is_listed():
    changes = changed_values(load_recipe("300w"), load_recipe("wflw"))
    assert {line.split(":")[0] for line in changes} == {"name", "scheme", "data.test_split"}
