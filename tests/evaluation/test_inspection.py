"""`kd-landmarks inspect` says what a data set is, and which labels to look at first."""

import json

import numpy as np
import pytest
from faces import rewrite_lines, write_lines
from PIL import ExifTags, Image
from typer.testing import CliRunner

from kd_landmarks import default_checkpoint
from kd_landmarks.cli import app
from kd_landmarks.data.loading import load_rows
from kd_landmarks.evaluation.inspection import facts
from kd_landmarks.schemes import get_scheme


@pytest.fixture
def folder(tmp_path):
    """Eight faces with 68 landmarks: one turned, one twice, one mislabeled, one with gaps."""
    place = tmp_path / "faces"
    lines = write_lines(place, range(8), size=150)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3
    Image.open(place / "1.png").save(place / "1.png", exif=exif)
    lines[2]["landmarks"] = (np.array(lines[2]["landmarks"]) + np.array([0, 25])).tolist()
    lines[3]["landmarks"][:4] = [None] * 4
    (place / "8.png").write_bytes((place / "7.png").read_bytes())
    lines.append({**lines[7], "image": "8.png"})
    rewrite_lines(place / "faces.jsonl", lines)
    return place


def run(*words):
    result = CliRunner().invoke(app, list(map(str, words)))
    return result.exit_code, result.output


def told(output):
    lines = [line for line in output.splitlines() if "  " in line]
    return {line.split("  ")[0]: line.partition("  ")[2].strip() for line in lines}


def test_counts_sizes_gaps_and_duplicates_are_told(folder):
    code, output = run("inspect", folder)
    assert code == 0, output
    facts = told(output)
    assert facts["faces"] == "9 in 9 photos"
    assert facts["landmarks"] == "68, scheme ibug68"
    assert facts["photos"] == "150 to 150, median 150 pixels on the longer side"
    assert facts["rotated"] == "1 photo by EXIF orientation"
    assert facts["face sizes"].endswith("pixels, 0 below 40")
    assert facts["not there"] == "0.7 % of landmarks, on 1 face"
    assert (
        "1 under several names: a random split may put copies on both sides"
        in facts["same picture"]
    )
    assert facts["same face"] == "1 labeled more than once: faces.jsonl:8 = faces.jsonl:9"


def test_a_photo_of_two_faces_is_one_photo(folder):
    lines = [json.loads(line) for line in (folder / "faces.jsonl").read_text().splitlines()]
    lines.append({**lines[1], "landmarks": lines[2]["landmarks"]})
    rewrite_lines(folder / "faces.jsonl", lines)
    found = told(run("inspect", folder)[1])
    assert (found["faces"], found["rotated"]) == ("10 in 9 photos", "1 photo by EXIF orientation")


def test_photos_that_are_gone_are_broken_and_not_the_same(folder):
    rows = load_rows(folder, scheme=get_scheme("ibug68"))
    for number in (4, 5):
        (folder / f"{number}.png").unlink()
    told, whole = facts(rows, get_scheme("ibug68"))
    assert len(whole) == 7
    told = dict(told)
    assert told["broken"].startswith("2 photos: faces.jsonl:5: there is no image file")
    assert told["same picture"].startswith("1 under several names")


def test_the_label_that_a_detector_disagrees_with_most_comes_first(folder, tmp_path):
    code, output = run("inspect", folder, "--plots", tmp_path / "plots")
    assert code == 0, output
    worst = [line.split()[-1] for line in output.splitlines() if " % of the box  " in line]
    # The one that is turned by its EXIF data has labels of the stored photo, too.
    assert set(worst[:2]) == {"faces.jsonl:2", "faces.jsonl:3"}
    for name in ("faces.png", "suspicious.png"):
        with Image.open(tmp_path / "plots" / name) as picture:
            assert picture.width > 1000


def test_landmarks_that_nobody_has_named_are_asked_for(folder):
    file = folder / "faces.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines:
        line["landmarks"] = line["landmarks"][30:37]
    rewrite_lines(file, lines)
    code, output = run("inspect", folder)
    assert code == 2
    assert "faces of 7 landmarks: name their scheme (--scheme), or make one" in output


def test_a_conversion_can_be_looked_at(folder, tmp_path):
    words = ("convert", "own", folder, "--scheme", "ibug68", "--output", tmp_path / "out")
    code, output = run(*words, "--preview", tmp_path / "faces.png")
    assert code == 0, output
    assert "Some faces of faces, drawn" in output
    with Image.open(tmp_path / "faces.png") as picture:
        assert picture.width > 1000
    code, output = run(*words[:-1], tmp_path / "again", "--preview", folder / "0.png")
    assert code == 2
    assert not (tmp_path / "again").exists()


def test_faces_that_training_refuses_are_told(folder):
    lines = [json.loads(line) for line in (folder / "faces.jsonl").read_text().splitlines()]
    lines[5]["landmarks"] = (np.array(lines[5]["landmarks"]) + np.array([140, 0])).tolist()
    rewrite_lines(folder / "faces.jsonl", lines)
    code, output = run("inspect", folder)
    assert code == 0, output
    refused = told(output)["refused"]
    assert refused.startswith("1 face: faces.jsonl:6: ")
    assert refused.endswith("of 68 landmarks lie outside of the photo of 150 x 150")


def test_a_flat_face_is_named_and_the_others_are_looked_at(folder):
    lines = [json.loads(line) for line in (folder / "faces.jsonl").read_text().splitlines()]
    lines[5]["landmarks"] = [[x, 75] for x, _ in lines[5]["landmarks"]]
    rewrite_lines(folder / "faces.jsonl", lines)
    code, output = run("inspect", folder)
    assert code == 0, output
    assert "faces.jsonl:6: the normalizer 'box' of the face is 0: its target points" in output
    assert output.count("faces.jsonl:6") == 1
    assert output.count("% of the box") == 5


def test_landmarks_in_a_field_of_their_number_are_counted(folder):
    lines = [json.loads(line) for line in (folder / "faces.jsonl").read_text().splitlines()]
    for line in lines:
        line["landmarks_68"] = line.pop("landmarks")
    rewrite_lines(folder / "faces.jsonl", lines)
    (folder / "0.png").unlink()  # the first row, which tells nothing
    code, output = run("inspect", folder)
    assert code == 0, output
    assert told(output)["landmarks"] == "68, scheme ibug68"
    for line in lines:  # of two kinds that of the scheme is taken
        line["landmarks"] = line["landmarks_68"][:29]
    rewrite_lines(folder / "faces.jsonl", lines)
    code, output = run("inspect", folder, "--scheme", "ibug68")
    assert (code, told(output)["faces"]) == (0, "8 in 8 photos")


def test_every_bad_row_is_named_where_training_stops_at_the_first(folder, caplog):
    lines = [json.loads(line) for line in (folder / "faces.jsonl").read_text().splitlines()]
    lines[0]["landmarks"] = (np.array(lines[0]["landmarks"]) / 150).tolist()
    rewrite_lines(folder / "faces.jsonl", lines)
    (folder / "4.png").unlink()
    code, output = run("inspect", folder)
    assert code == 0, output
    assert told(output)["faces"] == "7 in 7 photos"
    assert "left out 2 of 9 rows" in caplog.text
    assert "faces.jsonl:1: " in caplog.text
    assert "faces.jsonl:5: there is no image file" in caplog.text
    code, output = run("inspect", folder, "--scheme", "wflw98")
    assert code == 2
    assert "landmarks are of shape (68, 2), but the scheme has 98" in output


def test_a_broken_photo_is_told_and_left_out_of_drawings(folder, tmp_path):
    (folder / "4.png").write_bytes((folder / "4.png").read_bytes()[:200])
    code, output = run("inspect", folder, "--plots", tmp_path / "plots")
    assert code == 0, output
    assert told(output)["broken"].startswith("1 photo: faces.jsonl:5")
    assert (tmp_path / "plots/suspicious.png").is_file()
    for photo in folder.glob("*.png"):
        photo.write_bytes(b"no picture")
    code, output = run("inspect", folder)
    assert (code, "can be decoded: fix the photos or their paths" in output) == (2, True)


def test_a_scheme_that_is_not_the_models_is_refused(folder):
    code, output = run("inspect", folder, "--model", default_checkpoint(), "--scheme", "wflw98")
    assert code == 2
    assert "detects the landmarks of ibug68, not of wflw98" in output
