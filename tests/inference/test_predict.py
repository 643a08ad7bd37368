"""`kd-landmarks predict`: photos in, JSON, CSV or pictures out; one bad photo stops nothing."""

import csv
import json
import logging
import os
import unicodedata

import numpy as np
import pytest
from detectors import save_detector
from PIL import Image
from typer.testing import CliRunner

from kd_landmarks.cli import app
from kd_landmarks.imaging.output import save_drawing
from kd_landmarks.inference.folders import drawn_names, find_photos
from kd_landmarks.schemes import get_scheme
from kd_landmarks.synthetic import generate_face
from kd_landmarks.utils.file_names import path_from_text

SCHEME = get_scheme("ibug68")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    points = np.linspace(0.3, 0.7, 136).reshape(68, 2)
    return save_detector(tmp_path_factory.mktemp("model") / "line", SCHEME, points)


@pytest.fixture
def photos(tmp_path):
    """A photo of one face, one of two in a folder, one of none, one that is broken."""
    faces = [Image.fromarray(generate_face(number, size=160).image) for number in range(3)]
    (tmp_path / "in/more").mkdir(parents=True)
    faces[0].save(tmp_path / "in/one.png")
    pair = Image.new("RGB", (330, 160))
    pair.paste(faces[1], (0, 0))
    pair.paste(faces[2], (170, 0))
    pair.save(tmp_path / "in/more/two.jpg", quality=95)
    Image.new("RGB", (80, 60)).save(tmp_path / "in/none.png")
    (tmp_path / "in/broken.jpg").write_bytes(b"no picture")
    (tmp_path / "in/notes.txt").write_text("no photo")
    return tmp_path / "in"


def predict(model, *words):
    return CliRunner().invoke(app, ["predict", *map(str, words), "--model", str(model)])


def test_a_line_of_json_for_each_photo_in_the_order_of_names(photos, model, tmp_path):
    result = predict(model, photos, "--output", tmp_path / "out/points.jsonl")
    assert result.exit_code == 1  # one is broken
    lines = [json.loads(line) for line in (tmp_path / "out/points.jsonl").open()]
    names = ["broken.jpg", "more/two.jpg", "none.png", "one.png"]
    assert [line["image"] for line in lines] == [str(photos / name) for name in names]
    assert "it is not a picture in a supported format" in lines[0]["error"]
    assert [len(line["faces"]) for line in lines[1:]] == [2, 0, 1]
    for face in lines[1]["faces"] + lines[3]["faces"]:
        assert np.shape(face["keypoints"]) == (68, 2)
        assert np.shape(face["box"]) == (4,)
        assert 0.6 <= face["detection_score"] <= 1
        low, high = np.reshape(face["box"], (2, 2))
        assert (low < np.mean(face["keypoints"], 0)).all()
        assert (np.mean(face["keypoints"], 0) < high).all()
    assert "failed: " in result.output
    assert "3 faces in 3 photos, 1 failed" in result.output


def test_lines_go_to_stdout_and_nothing_else_does(photos, model):
    result = predict(model, photos / "one.png")
    assert result.exit_code == 0
    (line,) = result.stdout.splitlines()
    assert len(json.loads(line)["faces"]) == 1
    assert "1 face in 1 photo," in result.stderr


def test_csv_has_a_row_for_each_face(photos, model, tmp_path):
    assert predict(model, photos / "more", "--output", tmp_path / "points.CSV").exit_code == 0
    rows = list(csv.DictReader((tmp_path / "points.CSV").open()))
    assert [row["face"] for row in rows] == ["0", "1"]
    assert len(rows[0]) == 8 + 136
    assert list(rows[0])[-1] == f"{SCHEME.names[67]}_y"
    centers = [float(row[f"{SCHEME.names[33]}_x"]) for row in rows]
    assert abs(centers[0] - centers[1]) > 100


def test_drawn_photos_differ_where_the_faces_are(photos, model, tmp_path):
    words = [photos / "more", photos / "none.png", "--draw", tmp_path / "drawn"]
    assert predict(model, *words).exit_code == 0
    drawn = Image.open(tmp_path / "drawn/two.png")
    changed = (np.asarray(drawn) != np.asarray(Image.open(photos / "more/two.jpg"))).any(-1)
    assert changed[:, :160].any()
    assert changed[:, 170:].any()
    assert not changed[:20].any()
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "drawn/none.png")), 0)


def test_photos_of_one_name_are_drawn_side_by_side():
    names = drawn_names(["a/x.jpg", "b/x.png", "http://host/x.jpg?size=3", "y.jpg"])
    assert names == ["x.png", "x-2.png", "x-3.png", "y.png"]


def test_drawings_differ_where_file_systems_tell_no_case_apart():
    names = drawn_names(["a/X.jpg", "b/x.jpg", "caf\u00e9.jpg", "cafe\u0301.jpg", "x-2.png"])
    assert len({unicodedata.normalize("NFC", name).casefold() for name in names}) == 5
    assert names[:2] == ["X.png", "x-2.png"]
    (long,) = drawn_names(["https://host/" + "\u00e9" * 2000])
    assert len(long.encode()) < 250


def test_a_search_leaves_out_what_was_drawn_and_says_so(photos, caplog):
    before = find_photos([str(photos)])
    save_drawing(Image.new("RGB", (8, 8)), photos / "more/one.png", "predict")
    save_drawing(Image.new("RGB", (8, 8)), photos / "worst.png", "plots")
    with caplog.at_level(logging.INFO, "kd_landmarks"):
        assert find_photos([str(photos)]) == before
    assert f"2 pictures in {photos} skipped: output of kd-landmarks itself" in caplog.text
    # Who names one means it.
    assert find_photos([str(photos / "worst.png")]) == [str(photos / "worst.png")]


def test_a_higher_score_finds_fewer(photos, model):
    assert '"faces": []' in predict(model, photos / "one.png", "--min-score", 1).stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["./nowhere.jpg"], "there is no photo or folder ./nowhere.jpg"),
        (["{empty}"], "there are no photos in"),
        (["{photo}", "--output", "points.txt"], "its name must end with .jsonl or .csv or .json"),
        (["{photo}", "--draw", "/dev/null/drawn"], "cannot write"),
        (["{photo}", "--model", "./nowhere"], "no checkpoint at ./nowhere"),
    ],
)
def test_bad_words_end_with_one_clear_message(photos, model, tmp_path, words, message):
    (tmp_path / "empty").mkdir()
    places = {"empty": tmp_path / "empty", "photo": photos / "one.png"}
    result = predict(model, *(word.format(**places) for word in words))
    if "--model" in words:
        result = CliRunner().invoke(app, ["predict", *(word.format(**places) for word in words)])
    assert result.exit_code == 2
    assert result.output.count("error: ") == 1
    assert message in result.output


def test_an_address_that_does_not_answer_once_more_fails_alone(
    photos, model, tmp_path, monkeypatch
):
    """To draw on a photo of the web it is fetched again."""
    data, asked = (photos / "one.png").read_bytes(), []

    def once(url, timeout):
        asked.append(url)
        if len(asked) > 1:
            raise OSError("gone")
        return data

    monkeypatch.setattr("kd_landmarks.imaging.photos.download", once)
    words = ("https://host/a.jpg", photos / "one.png", "--draw", tmp_path / "drawn")
    result = predict(model, *words, "--output", tmp_path / "found.jsonl")
    assert result.exit_code == 1
    assert "failed: drawing https://host/a.jpg: " in result.stderr
    assert len((tmp_path / "found.jsonl").read_text().splitlines()) == 2
    assert [file.name for file in (tmp_path / "drawn").iterdir()] == ["one.png"]


def test_find_photos_takes_files_folders_and_addresses(photos):
    found = find_photos([str(photos / "more"), "https://host/a.jpg", str(photos / "one.png")])
    assert found == [str(photos / "more/two.jpg"), "https://host/a.jpg", str(photos / "one.png")]


def test_names_that_are_not_utf8_are_told_without_loss(photos, model, tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    (photos / "one.png").rename(photos / name)
    for kind in ("csv", "jsonl", "json"):
        words = (photos / name, "--output", tmp_path / f"out.{kind}", "--draw", tmp_path / kind)
        assert predict(model, *words).exit_code == 0
        text = (tmp_path / f"out.{kind}").read_text(encoding="utf-8")
        if kind == "csv":
            (told,) = (row["image"] for row in csv.DictReader(text.splitlines()))
        else:
            found = json.loads(text)
            told = found["image"] if kind == "jsonl" else found["images"][0]["file_name"]
        assert told == str(photos / r"caf\xe9.png")
        assert path_from_text(told) == str(photos / name)
