"""JSON and YAML of strangers: bounded, and told by file and place."""

import pytest

from kd_landmarks.errors import LONGEST_LINE, MOST_LINES, KDLandmarksError, shown
from kd_landmarks.utils.parsing import parse_json, plain_name, read_json_object, read_yaml

NINE_FOLD = "a0: &a0 [1]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "too many digits"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "the key 'c'"),
        ("{a}", "line 1, column 2"),
        ("", "line 1, column 1"),
        ("[1]", "not an object"),
        ('"' + "x" * 5_000_000 + '"', "4194304 bytes"),
    ],
)
def test_bad_json_is_told_by_file_and_reason(tmp_path, text, said):
    file = tmp_path / "config.json"
    file.write_text(text)
    with pytest.raises(KDLandmarksError, match=said) as caught:
        read_json_object(file)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff\xfe{\x00}\x00", None])
def test_what_is_no_text_or_no_file_is_told(tmp_path, content):
    file = tmp_path / "config.json"
    file.mkdir() if content is None else file.write_bytes(content)
    with pytest.raises(KDLandmarksError, match=r"config\.json"):
        read_json_object(file)


def test_good_values_come_through(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("base: &base {epochs: 3}\nstudent: {<<: *base, width: 1}\n")
    assert read_yaml(file)["student"] == {"epochs": 3, "width": 1}
    assert parse_json('{"a": [1]}', "it") == {"a": [1]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (NINE_FOLD, "aliases"),
        ("a: &a [*a]", "aliases"),
        ("[" * 2000 + "]" * 2000, "deep|levels"),
        ("{" * 60 + "}" * 60, "levels"),
        ("- " * 60 + "x", "levels"),
        ("a0: &a0 " + "[" * 30 + "]" * 30 + "\na1: " + "[" * 30 + "*a0" + "]" * 30, "levels"),
        ("[" + "x, " * 15_000 + "]", "more than 10000 values"),
        ("a: !!int ''", "is not YAML"),
        ("a: !!float x", "is not YAML"),
        ("a: !!bool x", "is not YAML"),
        ("a: !!timestamp x", "is not YAML"),
        ("a: !!binary \\0", "is not YAML"),
        ("a: !!omap [1, {b: 2, c: 3}]", "is not YAML"),
        ("a: " + "59:" * 500 + "59.5", "too large"),
        ("a: 2024-13-41", "month"),
        ("a: [1", "line 1"),
        ("a: !!python/object/apply:os.system [echo]", "constructor"),
        ("# " + "x" * 70_000, "65536 bytes"),
        ("? [a, b]\n: 1", "unhashable"),
        ("a: \0", "special characters"),
    ],
)
def test_bad_yaml_is_told_by_file_and_place(tmp_path, text, said):
    file = tmp_path / "recipe.yaml"
    file.write_text(text)
    with pytest.raises(KDLandmarksError, match=said) as caught:
        read_yaml(file)
    assert str(file) in str(caught.value)


def test_a_message_is_short_whatever_is_in_it():
    message = str(KDLandmarksError(f"{'x' * 10**6}\x1b[2J\n" * 100 + "the mend"))
    lines = message.split("\n")
    assert len(lines) == MOST_LINES
    assert max(map(len, lines)) <= LONGEST_LINE + 20
    assert "\x1b" not in message
    assert str(KDLandmarksError("as it is: größer\n  second")) == "as it is: größer\n  second"


@pytest.mark.parametrize("name", ["a", "300w-2", "größer", "my run", "x" * 100])
def test_a_plain_name_is_taken_as_it_is(name):
    assert plain_name(name, "the name") == name


@pytest.mark.parametrize(
    "name", [None, 3, "", "..", ".x", "a/b", "a\\b", "x\0", "x\n", "\ud800", "x.", " x", "é" * 51]
)
def test_what_is_no_plain_name_is_refused(name):
    with pytest.raises(KDLandmarksError, match=r"^the split .* give a plain name"):
        plain_name(name, "the split")


@pytest.mark.parametrize(
    "value",
    ["x" * 10**6, list(range(10**6)), {"a": [[["b"]]]}, 10**4000, [10**5000], 16**5000],
    ids=range(6),  # which pytest would else make of the numbers' digits
)
def test_a_shown_value_is_short(value):
    assert len(shown(value)) <= 80
