"""Rows: whatever they come from they look alike, and what is wrong with one is said by name."""

import io
import json
import logging
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import datasets
import numpy as np
import pytest
from downloads import FIVE
from PIL import Image

from kd_landmarks.data.loading import load_rows
from kd_landmarks.data.photo_names import photo_id
from kd_landmarks.data.row_checks import check_rows
from kd_landmarks.data.rows import COLUMNS, row_features
from kd_landmarks.data.splits import split_by_photo
from kd_landmarks.errors import KDLandmarksError
from kd_landmarks.imaging.boxes import tight_box
from kd_landmarks.schemes import get_scheme

pytestmark = pytest.mark.usefixtures("own_cache")

POINTS = [[10.5, 10.0], [30.0, 11.0], [20.0, 20.0], [12.0, 30.0], [28.0, 31.25]]


@pytest.fixture
def folder(tmp_path):
    """Six faces, as JSON lines with images beside."""
    rng = np.random.default_rng(1)
    (tmp_path / "images").mkdir()
    lines = []
    for name in ("123456_1", "123456_2", "123457_1", "image_0001", "image_0002", "image_0003"):
        pixels = rng.integers(0, 255, (40, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{name}.jpg")
        lines.append({"image": f"images/{name}.jpg", "landmarks": POINTS})
    write(tmp_path / "train.jsonl", lines)
    return tmp_path


def write(path: Path, lines: list) -> None:
    text = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text("\n".join(text) + "\n")


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def change(folder: Path, number: int, **fields) -> Path:
    """Gives line `number` (from 1) of train.jsonl other fields; `...` takes a field away."""
    lines = read(folder / "train.jsonl")
    line = lines[number - 1] | fields
    lines[number - 1] = {name: value for name, value in line.items() if value is not ...}
    write(folder / "train.jsonl", lines)
    return folder


def warning(caplog) -> str:
    (record,) = (r for r in caplog.records if r.levelno == logging.WARNING)
    assert record.name == "kd_landmarks"
    return record.getMessage()


# --- the row format


def test_json_lines_become_rows(folder):
    rows = load_rows(folder / "train.jsonl", scheme=FIVE)
    assert rows.features == row_features(FIVE)
    assert rows.column_names == list(COLUMNS)
    row = rows[1]
    assert row["image"].size == (48, 40)
    np.testing.assert_array_equal(row["landmarks"], POINTS)
    assert row["box"] == [10.5, 10.0, 30.0, 31.25]
    assert (row["scheme"], row["subset"]) == ("five", "")
    assert (row["photo"], row["source"]) == ("images/123456_2.jpg", "train.jsonl:2")


def test_optional_fields_become_columns(folder):
    lines = read(folder / "train.jsonl")
    for line in lines:
        line |= {"visible": [1, 0, 1, 1, 1], "attributes": {"make-up": 1, "blur": False}}
        line |= {"subset": "helen", "photo": "mine"}
    write(folder / "train.jsonl", lines)
    rows = load_rows(folder, scheme=FIVE)
    assert rows.features == row_features(FIVE, visible=True, attributes=("make_up", "blur"))
    row = rows.remove_columns("image")[0]
    assert row["visible"] == [1, 0, 1, 1, 1]
    assert (row["make_up"], row["blur"]) == (1, 0)
    assert (row["subset"], row["photo"]) == ("helen", "mine")


@pytest.mark.parametrize(
    "fields",
    [
        {"landmarks": [*POINTS[:4], None]},
        {"landmarks": [*POINTS[:4], [None, None]]},
        {"landmarks": POINTS, "visible": [1, 0, 1, 1, -1]},
        {"landmarks": [*POINTS[:4], None], "visible": [1, 0, 1, 1, -1]},
    ],
)
def test_a_landmark_that_is_not_there_is_no_part_of_the_box(folder, fields):
    lines = [{**line, "visible": [1] * 5} for line in read(folder / "train.jsonl")]
    if "visible" not in fields:
        lines = read(folder / "train.jsonl")
    write(folder / "train.jsonl", lines)
    change(folder, 2, **fields)
    rows = check_rows(load_rows(folder, scheme=FIVE), FIVE)
    found = np.asarray(rows["landmarks"][1])
    np.testing.assert_array_equal(np.isnan(found).all(-1), [False] * 4 + [True])
    np.testing.assert_array_equal(found[:4], np.float32(POINTS[:4]))
    assert rows["box"][1] == [10.5, 10.0, 30.0, 30.0]
    if "visible" in fields:
        assert rows["visible"][1] == fields["visible"]
    # and so it stays in Parquet
    rows.to_parquet(folder / "faces.parquet")
    again = check_rows(load_rows(folder / "faces.parquet", scheme=FIVE), FIVE)
    np.testing.assert_array_equal(again["landmarks"], rows["landmarks"])
    assert again["box"][:] == rows["box"][:]


def test_one_row_with_a_landmark_less_is_a_bad_row_in_the_first_place_too(folder):
    change(folder, 1, landmarks=POINTS[:4])
    with pytest.raises(KDLandmarksError, match=r"train.jsonl:1: 4 of 5 landmarks|train.jsonl:1: "):
        load_rows(folder, scheme=FIVE)
    assert len(load_rows(folder, scheme=FIVE, skip_bad_rows=True)) == 5


def test_a_face_without_any_landmark_is_a_bad_row(folder):
    change(folder, 2, landmarks=[None] * 5)
    with pytest.raises(KDLandmarksError, match=r"train.jsonl:2: landmarks are not finite"):
        load_rows(folder, scheme=FIVE)


def test_pictures_stay_files_and_keep_their_stored_orientation(folder):
    path = folder / "images" / "123456_1.jpg"
    exif = Image.Exif()
    exif[274] = 6  # "rotate by 90 degrees to display"
    Image.open(path).save(path, exif=exif)
    rows = load_rows(folder, scheme=FIVE)
    stored = rows.cast_column("image", datasets.Image(decode=False))[0]["image"]
    assert (stored["path"], stored["bytes"]) == (str(path), None)


def test_tight_box_goes_from_point_to_point():
    np.testing.assert_array_equal(tight_box(np.array(POINTS)), [10.5, 10, 30, 31.25])


@pytest.mark.parametrize(
    ("subset", "path", "photo"),
    [
        ("afw", "images/afw/1051618982_1.jpg", "images/afw/1051618982"),
        ("helen", "helen/trainset/2229763779_12.pts", "helen/trainset/2229763779"),
        ("HELEN", "a/../2229763779_12.jpg", "2229763779"),
        ("lfpw", "images/lfpw/test/image_0001.jpg", "images/lfpw/test/image_0001"),
        ("ibug", "ibug/image_003_1.jpg", "ibug/image_003"),
        ("ibug", "ibug/image_092 _01.jpg", "ibug/image_092"),
        ("wflw", "12--Group__12_Group_Group_12_187__0.jpg", "12--Group__12_Group_Group_12_187"),
        (None, "12--Group__12_Group_Group_12_187__10.jpg", "12--Group__12_Group_Group_12_187"),
        ("wflw", "12--Group/12_Group_Group_12_187.jpg", "12--Group/12_Group_Group_12_187"),
    ],
)
def test_faces_of_a_photo_are_known_by_their_data_set(subset, path, photo):
    assert photo_id(path, subset) == photo


@pytest.mark.parametrize("subset", [None, "", "mine", "anna", "generated"])
@pytest.mark.parametrize(
    "names",
    [
        ("20240101_01.jpg", "20240101_02.jpg"),  # a camera's day and number
        ("1051618982_1.jpg", "1051618982_2.jpg"),
        ("image_003_1.jpg", "image_003_2.jpg"),
        ("anna__1.jpg", "anna__2.jpg"),
        ("12--people__1.jpg", "12--people__2.jpg"),
        ("frame_1.png", "frame_2.png"),
        ("1.jpg", "1.png"),
        ("photo.1", "photo.2"),  # no suffixes
        ("a/1.jpg", "b/1.jpg"),
    ],
)
def test_photos_of_unknown_origin_are_never_taken_for_one(subset, names):
    assert photo_id(names[0], subset) != photo_id(names[1], subset)


def test_lines_are_of_one_photo_by_what_they_say_not_by_their_names(folder):
    lines = read(folder / "train.jsonl")
    for number, line in enumerate(lines):
        name = f"images/20240101_0{number}.jpg"
        (folder / line["image"]).rename(folder / name)
        line["image"] = name
    write(folder / "train.jsonl", lines)
    rows = load_rows(folder, scheme=FIVE)
    assert len(set(rows["photo"])) == len(rows)
    write(folder / "train.jsonl", [line | {"subset": "helen"} for line in lines])
    assert set(load_rows(folder, scheme=FIVE)["photo"]) == {"images/20240101"}


# --- where rows come from


def test_split_names_a_file_of_a_folder(folder):
    write(folder / "test_common.jsonl", read(folder / "train.jsonl")[:2])
    assert len(load_rows(folder, "train", scheme=FIVE)) == 6
    assert len(load_rows(folder, "common", scheme=FIVE)) == 2
    assert len(load_rows(folder, "test_common", scheme=FIVE)) == 2
    for split in (None, "val"):
        with pytest.raises(KDLandmarksError, match="splits there: test_common, train"):
            load_rows(folder, split, scheme=FIVE)


@pytest.mark.parametrize("name", ["test", "test_common"])
def test_a_folder_of_test_faces_alone_has_nothing_to_train_on(folder, name):
    (folder / "train.jsonl").rename(folder / f"{name}.jsonl")
    with pytest.raises(KDLandmarksError, match=f"{name}.jsonl has no split 'train'"):
        load_rows(folder, "train", scheme=FIVE)
    assert len(load_rows(folder, scheme=FIVE)) == 6
    # Whoever names the file means it.
    assert len(load_rows(folder / f"{name}.jsonl", "train", scheme=FIVE)) == 6


def test_split_picks_lines_of_one_file(folder):
    lines = read(folder / "train.jsonl")
    (folder / "train.jsonl").unlink()
    for line, split in zip(
        lines, ("train", "test", "train", "train", "test", "train"), strict=True
    ):
        line["split"] = split
    write(folder / "faces.jsonl", lines)
    rows = load_rows(folder, "test", scheme=FIVE)
    assert rows["source"][:] == ["faces.jsonl:2", "faces.jsonl:5"]
    assert len(load_rows(folder / "faces.jsonl", scheme=FIVE)) == 6
    with pytest.raises(KDLandmarksError, match=r"no split 'val'; splits there: test, train"):
        load_rows(folder, "val", scheme=FIVE)


def test_landmarks_are_chosen_by_the_scheme_and_null_is_left_out(folder, caplog):
    for number in range(1, 7):
        points = None if number in (2, 5) else POINTS
        change(folder, number, landmarks=..., landmarks_5=points, landmarks_9=[[0, 0]] * 9)
    with caplog.at_level(logging.INFO, "kd_landmarks"):
        rows = load_rows(folder, scheme=FIVE)
    assert rows["source"][:] == [f"train.jsonl:{n}" for n in (1, 3, 4, 6)]
    assert "left out 2 faces without 5 landmarks, kept 4" in caplog.text


@pytest.mark.parametrize("field", ["box", "face_box", "detector_box"])
def test_the_data_sets_own_box_is_taken_only_when_asked_for(folder, field):
    for number in range(1, 7):
        change(folder, number, **{field: [5, 6, 40, 41]})
    assert load_rows(folder, scheme=FIVE, box="gt")[0]["box"] == [10.5, 10, 30, 31.25]
    assert load_rows(folder, scheme=FIVE, box="dataset")[0]["box"] == [5, 6, 40, 41]


def test_a_missing_box_of_the_data_set_is_refused(folder):
    with pytest.raises(KDLandmarksError, match=r"train.jsonl:1: the row has no box.*box='gt'"):
        load_rows(folder, scheme=FIVE, box="dataset")


@pytest.mark.parametrize("box", ["detector", "tight"])
def test_an_unknown_box_is_refused_with_the_known_ones(folder, box):
    with pytest.raises(KDLandmarksError, match=f"box is '{box}': give 'gt'.*'dataset'"):
        load_rows(folder, scheme=FIVE, box=box)


def test_parquet_gives_back_the_rows_that_it_was_made_from(folder, tmp_path):
    for number in range(1, 7):
        change(folder, number, visible=[1, 1, 0, 1, 1], attributes={"pose": number})
    rows = load_rows(folder, scheme=FIVE)
    for name in ("soft_landmarks", "tough_landmarks"):
        feature = datasets.Features({name: rows.features["landmarks"]})
        column = datasets.Dataset.from_dict({name: rows["landmarks"][:]}, features=feature)
        rows = datasets.concatenate_datasets([rows, column], axis=1)
    parquet = tmp_path / "parquet" / "data"
    parquet.mkdir(parents=True)
    rows.to_parquet(parquet / "train-00000-of-00001.parquet")
    rows.select([4]).to_parquet(parquet / "test-00000-of-00001.parquet")
    with pytest.raises(KDLandmarksError, match=r"train.jsonl:1: the image .*123456_1.*outside"):
        load_rows(parquet.parent, "train", scheme=FIVE)
    again = load_rows(parquet.parent, "train", scheme=FIVE, allow_outside=True)
    assert again.features == rows.features
    assert again.remove_columns("image")[:] == rows.remove_columns("image")[:]
    np.testing.assert_array_equal(np.asarray(again[3]["image"]), np.asarray(rows[3]["image"]))
    file = parquet / "test-00000-of-00001.parquet"
    alone = load_rows(str(file), scheme=FIVE, allow_outside=True)
    assert alone["source"][:] == ["train.jsonl:5"]
    with pytest.raises(KDLandmarksError, match=r"'val'; splits there: (train, test|test, train)"):
        load_rows(parquet.parent, "val", scheme=FIVE)
    with pytest.raises(KDLandmarksError, match="splits there: test"):
        load_rows(file, "train", scheme=FIVE)


def test_parquet_of_others_needs_only_image_and_landmarks(folder, tmp_path):
    image = str(folder / "images" / "123456_1.jpg")
    broken = [*POINTS[:4], [float("nan"), 1.0]]
    columns = {"image": [image] * 3, "landmarks": [POINTS, broken, POINTS], "age": [1, 2, 3]}
    foreign = datasets.Dataset.from_dict(columns).cast_column("image", datasets.Image())
    path = tmp_path / "own.parquet"
    foreign.to_parquet(path)
    rows = load_rows(path, scheme=FIVE, skip_bad_rows=True)
    assert rows.features == row_features(FIVE, attributes=["age"])
    assert rows["age"][:] == [1, 3]
    assert rows["source"][:] == ["own.parquet:1", "own.parquet:3"]
    assert rows[1]["image"].size == (48, 40)
    assert len(check_rows(rows, FIVE)) == 2
    foreign.remove_columns("landmarks").to_parquet(path)
    with pytest.raises(
        KDLandmarksError, match=r"own.parquet has no column 'landmarks'.*image, age"
    ):
        load_rows(path, scheme=FIVE)


def test_a_file_that_is_no_parquet_is_refused_by_name(tmp_path):
    path = tmp_path / "own.parquet"
    path.write_text("no parquet")
    with pytest.raises(KDLandmarksError, match=r"cannot read .*own\.parquet as Parquet"):
        load_rows(path, scheme=FIVE)


@pytest.mark.parametrize(
    "source", ["./faces", "~/no/such/faces", "/no/such/faces", "faces.jsonl", "a/b/c"]
)
def test_a_missing_path_is_not_taken_for_a_hub_id(source):
    with pytest.raises(KDLandmarksError, match=f"no file or folder {source}"):
        load_rows(source, scheme=FIVE)


def test_a_hub_data_set_that_is_out_of_reach_is_refused_by_id(monkeypatch):
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(KDLandmarksError, match=r"nobody/faces is .*HF_HUB_OFFLINE"):
        load_rows("nobody/faces", scheme=FIVE)


class HubBuilder:
    """A data set on the Hub, as `datasets` loads it."""

    def __init__(self, parts, files=("hf://datasets/nobody/faces@v1/a.parquet",)):
        self.parts, self.repo_id = parts, "nobody/faces"
        self.config = SimpleNamespace(data_files={"train": list(files)})

    def download_and_prepare(self):
        pass

    def as_dataset(self):
        return self.parts


def embedded(row: dict) -> dict:
    """A row with its picture in it."""
    data = io.BytesIO()
    row["image"].save(data, "PNG")
    return {"image": {"bytes": data.getvalue(), "path": "x.png"}}


def test_a_hub_data_set_goes_the_way_of_the_rest(folder, monkeypatch):
    load_rows(folder, scheme=FIVE).map(embedded).to_parquet(folder / "stored.parquet")
    rows = datasets.Dataset.from_parquet(str(folder / "stored.parquet"))
    asked = {}

    def builder(name, **options):
        asked.update(name=name, **options)
        return HubBuilder({"train": rows, "test": rows.select([2])})

    monkeypatch.setattr(datasets, "load_dataset_builder", builder)
    loaded = load_rows("nobody/faces", "test", scheme=FIVE, revision="v1", token="secret")
    assert asked == {"name": "nobody/faces", "revision": "v1", "token": "secret"}
    assert loaded["source"][:] == ["train.jsonl:3"]
    with pytest.raises(KDLandmarksError, match=r"nobody/faces: name a split; .*train, test"):
        load_rows("nobody/faces", scheme=FIVE)
    with pytest.raises(KDLandmarksError, match="the scheme is 'five', not 'ibug68'"):
        load_rows("nobody/faces", "test", scheme=get_scheme("ibug68"))


def test_a_hub_data_set_that_does_not_exist_is_refused_by_id(monkeypatch):
    def builder(name, **options):
        raise datasets.exceptions.DatasetNotFoundError(f"Dataset '{name}' doesn't exist")

    monkeypatch.setattr(datasets, "load_dataset_builder", builder)
    with pytest.raises(KDLandmarksError, match="nobody/faces: no such data set on the Hub"):
        load_rows("nobody/faces", scheme=FIVE)


def test_a_revision_of_a_local_file_is_refused(folder):
    with pytest.raises(KDLandmarksError, match="revision 'v1' is for Hub data sets"):
        load_rows(folder, scheme=FIVE, revision="v1")


def test_a_folder_of_nothing_is_refused_with_what_is_known(tmp_path):
    with pytest.raises(
        KDLandmarksError, match=r"give \.jsonl or \.parquet files, photos with \.pts files"
    ):
        load_rows(tmp_path, scheme=FIVE)


# --- bad rows, refused by file and line, or left out


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"landmarks": POINTS[:4]}, r"landmarks are of shape \(4, 2\), but the scheme has 5"),
        ({"landmarks": [*POINTS[:4], [1]]}, "landmarks are not 5 points x, y but"),
        ({"landmarks": [*POINTS[:4], ["1", "2"]]}, "landmarks are not 5 points x, y but"),
        ({"landmarks": "here"}, "landmarks are not 5 points x, y but 'here'"),
        ({"landmarks": [*POINTS[:4], [float("nan"), 0]]}, "landmarks are not finite: point 4"),
        ({"landmarks": [*POINTS[:4], [0, float("inf")]]}, "landmarks are not finite: point 4"),
        ({"landmarks": [*POINTS[:4], [0, 1e39]]}, "landmarks are not finite: point 4"),
        ({"landmarks": [[3, 3]] * 5}, r"the box \[3.0, 3.0, 3.0, 3.0\] has no positive, finite"),
        ({"landmarks": ...}, "neither 'landmarks' nor 'landmarks_5' is among its fields"),
        ({"image": "images/none.jpg"}, r"there is no image file .*images/none\.jpg"),
        ({"image": ""}, "there is no image file"),
        ({"image": 3}, "image is 3: give a path"),
        ({"visible": [1, 1, 2, 1, 1]}, r"visible is \[1, 1, 2, 1, 1\]"),
        ({"visible": [[1], [1, 0], 1, 1, 1]}, "visible is"),
        ({"visible": 1}, "visible is 1: give 5 times 1 "),
        ({"attributes": {"pose": "left"}}, "attribute 'pose' is 'left'"),
        ({"attributes": {"box": 1}}, "attribute 'box' is 1"),
        ({"attributes": [1]}, r"attributes are \[1\]: give a mapping"),
        ({"subset": 3}, "subset is 3, not text"),
    ],
)
def test_a_bad_line_is_refused_by_file_and_line_or_left_out(folder, caplog, fields, message):
    change(folder, 3, **fields)
    with pytest.raises(KDLandmarksError, match=f"train.jsonl:3: {message}"):
        load_rows(folder, scheme=FIVE)
    rows = load_rows(folder, scheme=FIVE, skip_bad_rows=True)
    assert rows["source"][:] == [f"train.jsonl:{n}" for n in (1, 2, 4, 5, 6)]
    assert "left out 1 of 6 rows:\n  train.jsonl:3: " in warning(caplog)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ([30, 10, 10, 31], "no positive, finite width and height"),
        ([10, 10, 30, float("nan")], "no positive, finite width and height"),
        ([10, 10, 30], "not four numbers"),
        ([0, 0, 10, 10], r"landmark 4 at \[28.0, 31.25\] is more than the longer side"),
    ],
)
def test_a_bad_box_is_refused_by_file_and_line(folder, box, message):
    for number in range(1, 7):
        change(folder, number, box=box if number == 2 else [5, 5, 40, 40])
    with pytest.raises(KDLandmarksError, match=f"train.jsonl:2: .*{message}"):
        load_rows(folder, scheme=FIVE, box="dataset")


@pytest.mark.parametrize(
    ("text", "message"), [("{", " is not JSON"), ("[1]", ": not an object but")]
)
def test_a_line_that_is_no_json_object_is_refused_by_its_number(folder, text, message):
    lines = (folder / "train.jsonl").read_text().splitlines()
    write(folder / "train.jsonl", [lines[0], "", text, *lines[1:]])
    with pytest.raises(KDLandmarksError, match=f"train.jsonl:3{message}"):
        load_rows(folder, scheme=FIVE)
    assert len(load_rows(folder, scheme=FIVE, skip_bad_rows=True)) == 6


def test_a_column_of_some_rows_only_is_refused(folder):
    change(folder, 4, visible=[1] * 5)
    with pytest.raises(
        KDLandmarksError, match=r"only one of .*jsonl:1 and .*jsonl:4 has 'visible'"
    ):
        load_rows(folder, scheme=FIVE)


def test_nothing_but_bad_rows_or_no_rows_is_an_error(folder):
    write(folder / "train.jsonl", ["{", "["])
    with pytest.raises(KDLandmarksError, match=r"all 2 rows are bad:\n.*jsonl:1.*\n.*jsonl:2"):
        load_rows(folder, scheme=FIVE, skip_bad_rows=True)
    (folder / "train.jsonl").write_text("")
    with pytest.raises(KDLandmarksError, match="holds no labeled face"):
        load_rows(folder, scheme=FIVE)


# --- check_rows


def test_good_rows_pass_the_check_unchanged(folder):
    rows = load_rows(folder, scheme=FIVE)
    assert check_rows(rows, FIVE) is rows


@pytest.mark.parametrize("embedded", [False, True])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[: len(data) // 2], "cannot be decoded: .*truncated"),
        (lambda data: b"no picture", "cannot be decoded"),
        (lambda data: b"", "cannot be decoded"),
    ],
)
def test_a_damaged_picture_is_found(folder, caplog, damage, message, embedded):
    path = folder / "images" / "123457_1.jpg"
    path.write_bytes(damage(path.read_bytes()))
    rows = load_rows(folder, scheme=FIVE)
    if embedded:
        rows.to_parquet(folder / "own.parquet")
        rows = datasets.Dataset.from_parquet(str(folder / "own.parquet"))
    with pytest.raises(KDLandmarksError, match=f"train.jsonl:3: the image .* {message}"):
        check_rows(rows, FIVE)
    kept = check_rows(rows, FIVE, skip_bad_rows=True)
    assert kept["source"][:] == [f"train.jsonl:{n}" for n in (1, 2, 4, 5, 6)]
    assert "left out 1 of 6 rows:\n  train.jsonl:3: the image" in warning(caplog)


def test_a_picture_that_went_away_is_found(folder):
    rows = load_rows(folder, scheme=FIVE)
    (folder / "images" / "image_0003.jpg").unlink()
    with pytest.raises(
        KDLandmarksError, match=r"train.jsonl:6: there is no image file .*0003\.jpg"
    ):
        check_rows(rows, FIVE)


def with_cells(rows: datasets.Dataset, name: str, cells: list) -> datasets.Dataset:
    """The rows with another column of whatever type the cells have."""
    column = datasets.Dataset.from_dict({name: cells})
    return datasets.concatenate_datasets([rows.remove_columns(name), column], axis=1)


@pytest.mark.parametrize(
    ("name", "cell", "message"),
    [
        ("landmarks", POINTS[:3], r"of shape \(3, 2\), but the scheme has 5"),
        ("landmarks", [*POINTS[:4], [float("nan"), 0.0]], "not finite: point 4"),
        ("landmarks", [*POINTS[:4], [-10.0, 53.0]], "landmark 4 .* more than the longer side"),
        ("box", [10.0, 10.0, 10.0, 30.0], "no positive, finite width"),
        ("scheme", "ibug68", "the scheme is 'ibug68', not 'five'"),
    ],
)
def test_bad_cells_are_found_and_left_out(folder, caplog, name, cell, message):
    rows = load_rows(folder, scheme=FIVE)
    cells = rows[name][:]
    cells[1] = cell
    broken = with_cells(rows, name, cells)
    with pytest.raises(KDLandmarksError, match=f"train.jsonl:2: .*{message}"):
        check_rows(broken, FIVE)
    kept = check_rows(broken, FIVE, skip_bad_rows=True)
    assert kept["source"][:] == [f"train.jsonl:{n}" for n in (1, 3, 4, 5, 6)]
    assert dict(kept.features) == dict(rows.features)
    assert "train.jsonl:2: " in warning(caplog)


def test_points_near_the_box_are_good(folder):
    """Within one longer side of the box on every side: points of detector boxes do lie outside."""
    rows = load_rows(folder, scheme=FIVE)
    near = [[15.0, 15.0], [30.0, 11.0], [20.0, 20.0], [1.0, 1.0], [39.0, 39.0]]
    cells = [near, *rows["landmarks"][1:]]
    boxes = [[15.0, 15.0, 25.0, 25.0 + 4.0], *rows["box"][1:]]
    assert (
        len(check_rows(with_cells(with_cells(rows, "landmarks", cells), "box", boxes), FIVE)) == 6
    )


def test_targets_are_checked_like_landmarks(folder):
    rows = load_rows(folder, scheme=FIVE)
    cells = [POINTS] * 5 + [[[float("nan")] * 2] * 5]
    column = datasets.Dataset.from_dict({"tough_landmarks": cells})
    rows = datasets.concatenate_datasets([rows, column], axis=1)
    with pytest.raises(KDLandmarksError, match=r"train\.jsonl:6: tough_landmarks are not finite"):
        check_rows(rows, FIVE)


def test_a_data_set_without_rows_or_columns_is_refused(folder):
    rows = load_rows(folder, scheme=FIVE)
    with pytest.raises(KDLandmarksError, match="empty"):
        check_rows(rows.select([]), FIVE)
    with pytest.raises(KDLandmarksError, match="no column 'box'"):
        check_rows(rows.remove_columns("box"), FIVE)
    with pytest.raises(KDLandmarksError, match="all 6 rows are bad"):
        check_rows(rows, get_scheme("cofw29"), skip_bad_rows=True)


# --- split_by_photo


def photos(*counts: int) -> datasets.Dataset:
    names = [f"photo{i}" for i, count in enumerate(counts) for _ in range(count)]
    return datasets.Dataset.from_dict(
        {"photo": names, "source": [str(i) for i in range(len(names))]}
    )


def test_a_split_keeps_photos_whole_and_hits_the_number():
    rows = photos(*[1, 3, 2, 1, 5, 1, 1, 4, 2] * 10)
    train, validation = split_by_photo(rows, 50, seed=0)
    assert (len(train), len(validation)) == (150, 50)
    assert not set(train["photo"]) & set(validation["photo"])
    assert sorted([*train["source"], *validation["source"]]) == sorted(rows["source"])
    assert list(map(int, validation["source"])) == sorted(map(int, validation["source"]))


def test_a_split_depends_on_the_seed_and_not_on_the_order_of_rows():
    rows = photos(*[1, 2, 3] * 20)
    chosen = set(split_by_photo(rows, 30, seed=3)[1]["photo"])
    backwards = rows.select(range(len(rows) - 1, -1, -1))
    assert set(split_by_photo(backwards, 30, seed=3)[1]["photo"]) == chosen
    assert set(split_by_photo(rows, 30, seed=4)[1]["photo"]) != chosen


@pytest.mark.parametrize(
    ("counts", "faces", "got"),
    [((4, 3, 3), 6, 6), ((4, 4, 4), 6, 4), ((4, 4, 4), 7, 8), ((9, 1), 5, 1), ((3, 3), 5, 3)],
)
def test_a_split_comes_as_near_as_whole_photos_allow(counts, faces, got):
    for seed in range(10):
        assert len(split_by_photo(photos(*counts), faces, seed)[1]) == got


@pytest.mark.parametrize("faces", [0, -1, 6, 7])
def test_a_split_that_leaves_a_side_empty_is_refused(faces):
    with pytest.raises(KDLandmarksError, match=f"cannot take {faces} of 6 faces.*1 to 5"):
        split_by_photo(photos(1, 2, 3), faces, seed=0)


def test_one_photo_cannot_be_split():
    with pytest.raises(KDLandmarksError, match="all 4 faces are of one photo, 'photo0'"):
        split_by_photo(photos(4), 2, seed=0)


# --- real faces


def test_real_300w_loads_checks_and_splits(data_root):
    scheme = get_scheme("ibug68")
    train = load_rows(data_root / "300w", "train", scheme=scheme, box="dataset")
    assert Counter(train["subset"]) == {"helen": 870, "lfpw": 805, "afw": 337}
    assert check_rows(train, scheme) is train
    rest, validation = split_by_photo(train, 300, seed=0)
    assert (len(rest), len(validation)) == (1712, 300)
    assert not set(rest["photo"]) & set(validation["photo"])
    assert len(load_rows(data_root / "300w", "common", scheme=scheme)) == 554


@pytest.mark.parametrize(
    ("name", "split", "scheme", "count", "optional"),
    [
        ("wflw", None, "wflw98", 87, {"pose", "make_up"}),
        ("wflw", None, "ibug68", 106, {"pose", "make_up"}),
        ("lfpw29", "train", "cofw29", 148, {"visible"}),
        ("lfpw29", "test", "cofw29", 73, {"visible"}),
        ("cofw_sample", None, "cofw29", 2, {"visible"}),
    ],
)
def test_real_faces_of_other_sets_load_and_pass(
    data_root, tmp_path, name, split, scheme, count, optional
):
    (tmp_path / "faces").symlink_to(data_root)  # in a folder of another name they are the same
    outside = name == "lfpw29"  # its pictures are those of 300W
    rows = load_rows(
        tmp_path / "faces" / name, split, scheme=get_scheme(scheme), allow_outside=outside
    )
    assert len(check_rows(rows, get_scheme(scheme))) == count
    assert optional <= set(rows.column_names)
