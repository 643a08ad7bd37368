"""Data sets that a stranger made: they open no files but their own, and stop with one line."""

import json
import os
import time
import tracemalloc
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from downloads import (
    FIVE,
    convert_command,
    face,
    pts,
    read_lines,
    write_lines,
    write_own,
    write_wflw,
)
from PIL import ExifTags, Image
from typer.main import get_command

from kd_landmarks.cli import app
from kd_landmarks.data import annotate
from kd_landmarks.data.convert import convert
from kd_landmarks.data.data_folder import DataFolder
from kd_landmarks.data.loading import load_rows
from kd_landmarks.data.photos import Photos
from kd_landmarks.data.picture_rows import open_data
from kd_landmarks.data.row_checks import check_rows
from kd_landmarks.data.unlabeled import load_unlabeled
from kd_landmarks.errors import KDLandmarksError
from kd_landmarks.schemes import get_scheme
from kd_landmarks.training.data import load_sets
from kd_landmarks.training.recipe import changed_values, load_recipe

pytestmark = pytest.mark.usefixtures("own_cache")

MEND = r"give --allow-outside \(in Python allow_outside=True\)"


@pytest.fixture
def own(tmp_path):
    """Five faces as JSON lines, three of them to train with."""
    return write_own(tmp_path / "own")


@pytest.fixture
def secret(tmp_path):
    """A picture beside the data."""
    path = tmp_path / "secret.png"
    Image.new("RGB", (90, 70), (1, 2, 3)).save(path)
    return path


def change(own: Path, number: int = 1, **fields) -> None:
    """Gives a line, the second of three, other fields."""
    lines = read_lines(own / "train.jsonl")
    lines[number] |= fields
    write_lines(own / "train.jsonl", lines)


def refused(load, *words, **options) -> str:
    """The one line with which data are refused, at once."""
    began = time.monotonic()
    with pytest.raises(KDLandmarksError) as caught:
        load(*words, **options)
    assert time.monotonic() - began < 20
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) <= 500
    return message


# --- JSON lines: values of any kind

LONG = "x" * 10**5
DEEP = "[" * 100_000 + "]" * 100_000
NUMBERS = [1, 2.5, 10**400, 1e300, float("nan"), "1", None, True]


@pytest.mark.parametrize(
    "fields",
    [
        {"landmarks": {"0": [1, 2]}},
        {"landmarks": [[1, 2]] * 100_000},
        {"landmarks": [[LONG, 1], [2, 3], [4, 5], [6, 7], [8, 9]]},
        {"landmarks": [[[[[1]]]]] * 5},
        {"landmarks": [[True, False]] * 5},
        {"landmarks": [[10**400, 1]] * 5},
        {"landmarks": [[1, 2], [1], [], 3, "4"]},
        {"visible": ["1"] * 5},
        {"visible": LONG},
        {"visible": {"0": 1}},
        {"attributes": {str(number): 1 for number in range(5000)}},
        {"attributes": {LONG: 1}},
        {"attributes": {"beard": 2**63}},
        {"attributes": {"beard": 1.5}},
        {"attributes": {"weights": 1}},
        {"attributes": {"_number": 1}},
        {"attributes": {"\udc80": 1}},
        {"attributes": LONG},
        {"subset": 3},
        {"subset": ["lab"]},
        {"photo": LONG},
        {"photo": {"a": 1}},
        {"photo": "\ud800"},
        {"image": LONG},
        {"image": "a/" * 50_000},
        {"image": "images/\0.png"},
        {"image": "images/\ud800.png"},
        {"image": None},
        {"image": ["images/0.png"]},
    ],
    ids=lambda fields: f"{next(iter(fields))}",
)
def test_a_line_of_odd_values_is_refused_or_left_out(own, caplog, fields):
    change(own, **fields)
    message = refused(load_rows, own, "train", scheme=FIVE)
    assert "train.jsonl:2: " in message
    rows = load_rows(own, "train", scheme=FIVE, skip_bad_rows=True)
    assert rows["source"][:] == ["train.jsonl:1", "train.jsonl:3"]
    assert "left out 1 of 3 rows:\n  train.jsonl:2: " in caplog.text


@pytest.mark.parametrize(
    "box", [*NUMBERS, NUMBERS, [1, 2, 3], [LONG] * 4, [0, 0, 1e300, 1e301], {}]
)
def test_a_box_of_odd_values_is_refused_or_left_out(own, box):
    change(own, box=box)
    for load in (
        lambda **words: load_rows(own, "train", scheme=FIVE, box="dataset", **words),
        lambda **words: load_unlabeled(own, "train", **words),
    ):
        # The first face has no box at all: the row format refuses that, the detector finds one.
        if box is not None:
            lines = read_lines(own / "train.jsonl")
            write_lines(own / "train.jsonl", [lines[1], lines[1] | {"box": [5, 5, 80, 60]}])
            assert "train.jsonl:1: " in refused(load)
            assert len(load(skip_bad_rows=True)) == 1
            write_lines(own / "train.jsonl", lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f'{{"image": {"9" * 5000}}}', "too many digits"),
        (f'{{"image": {DEEP}}}', "nested too deeply"),
        ('{"image": "images/0.png", "image": "images/1.png"}', "the key 'image'"),
        ('{"image": "images/0.png"', "is not JSON"),
        (json.dumps(LONG), "not an object but 'xxx"),
        (b'{"image": "\xff"}', "not UTF-8 text"),
        (b"\0\0\0", "is not JSON"),
        (f'{{"image": "{"x" * 2**20}"}}', "bytes, more than 1048576: give one face a line"),
    ],
)
def test_a_line_that_cannot_be_read_is_refused_or_left_out(own, text, message):
    first, _, third = (own / "train.jsonl").read_bytes().splitlines()
    text = text if isinstance(text, bytes) else text.encode()
    (own / "train.jsonl").write_bytes(b"\n".join([first, text, third]))
    told = refused(load_rows, own, "train", scheme=FIVE)
    assert "train.jsonl:2" in told
    assert message in told
    assert len(load_rows(own, "train", scheme=FIVE, skip_bad_rows=True)) == 2


def test_a_line_without_an_end_is_not_read_to_its_end(own):
    with (own / "train.jsonl").open("ab") as stream:
        stream.truncate(20 * 2**30)  # takes no room on the disk
    tracemalloc.start()
    message = refused(load_rows, own, "train", scheme=FIVE, skip_bad_rows=True)
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
    assert "train.jsonl:4: the line does not end within" in message


def test_a_byte_order_mark_is_read_and_utf_16_is_told(own):
    file = own / "train.jsonl"
    text = file.read_text()
    file.write_text(text, encoding="utf-8-sig")
    assert len(load_rows(own, "train", scheme=FIVE)) == 3
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        file.write_text(text, encoding=encoding)
        message = refused(load_rows, own, "train", scheme=FIVE, skip_bad_rows=True)
        assert f"{file} is not UTF-8 text" in message
        assert "save it as UTF-8" in message


def test_too_many_splits_are_refused(own):
    line = read_lines(own / "train.jsonl")[0]
    write_lines(own / "train.jsonl", [line | {"split": f"s{n}"} for n in range(500)])
    (own / "test_common.jsonl").unlink()
    message = refused(convert, "own", own, own.parent / "out", scheme=FIVE)
    assert "the field 'split' has more than 100 names" in message
    assert "no split 'x'" in refused(load_rows, own, "x", scheme=FIVE)


def test_a_long_list_of_bad_rows_is_cut(own, caplog):
    text = (own / "train.jsonl").read_text()
    (own / "train.jsonl").write_text(text + "{\n" * 3000)
    assert len(load_rows(own, "train", scheme=FIVE, skip_bad_rows=True)) == 3
    assert "left out 3000 of 3003 rows" in caplog.text
    assert "… and 2000 more" in caplog.text


# --- what is not a regular file blocks nobody


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_folder(path: Path) -> None:
    path.mkdir()


def make_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


ODD = [make_pipe, make_folder, make_device]


@pytest.mark.parametrize("make", ODD)
def test_pictures_that_are_no_files_are_refused(own, make):
    make(own / "images/odd.png")
    change(own, image="images/odd.png")
    for outside in (False, True):
        message = refused(load_rows, own, "train", scheme=FIVE, allow_outside=outside)
        assert "train.jsonl:2: " in message
        assert "odd.png" in message


@pytest.mark.parametrize("make", ODD)
@pytest.mark.parametrize(
    ("name", "load"),
    [
        ("train.jsonl", lambda path: load_rows(path, scheme=FIVE)),
        ("train.jsonl", lambda path: load_rows(path.parent, "train", scheme=FIVE)),
        ("train.jsonl", lambda path: load_unlabeled(path)),
        ("COFW_train_color.mat", lambda path: load_rows(path, scheme=get_scheme("cofw29"))),
        ("COFW_train_color.mat", lambda path: load_rows(path.parent, scheme=get_scheme("cofw29"))),
        ("a.parquet", lambda path: load_rows(path, scheme=FIVE)),
        ("a.parquet", lambda path: load_rows(path.parent, scheme=FIVE)),
        ("a.parquet", lambda path: load_rows(path, scheme=FIVE, streaming=True)),
        ("a.parquet", lambda path: load_rows(path.parent, scheme=FIVE, streaming=True)),
        ("a.parquet", lambda path: open_data(str(path), "train", None, True, 1)),
    ],
)
def test_data_that_are_no_files_are_refused(tmp_path, make, name, load):
    folder = tmp_path / "data"
    folder.mkdir()
    make(folder / name)
    refused(load, folder / name)


# --- pictures outside of the data's folder


def link_file(own: Path, secret: Path) -> str:
    (own / "images/link.png").symlink_to(secret)
    return "images/link.png"


def link_folder(own: Path, secret: Path) -> str:
    (own / "elsewhere").symlink_to(secret.parent)
    return "elsewhere/secret.png"


OUTSIDE = [
    lambda own, secret: "../secret.png",
    lambda own, secret: "images/../../secret.png",
    lambda own, secret: str(secret),
    link_file,
    link_folder,
]


@pytest.mark.parametrize("name", OUTSIDE)
def test_pictures_outside_are_refused_unless_told(own, secret, name):
    image = name(own, secret)
    change(own, image=image)
    for load in (
        lambda **words: load_rows(own, "train", scheme=FIVE, **words),
        lambda **words: load_rows(own / "train.jsonl", scheme=FIVE, **words),
        lambda **words: load_unlabeled(own, "train", **words),
    ):
        message = refused(load)
        assert f"train.jsonl:2: the image '{image}' " in message
        assert MEND.replace("\\", "") in message
    kept = load_rows(own, "train", scheme=FIVE, skip_bad_rows=True)
    assert kept["source"][:] == ["train.jsonl:1", "train.jsonl:3"]
    rows = load_rows(own, "train", scheme=FIVE, allow_outside=True)
    assert Photos(rows).open(1).getpixel((0, 0)) == (1, 2, 3)


def test_pictures_inside_are_taken_however_they_are_spelled(own, tmp_path):
    (own / "again").symlink_to("images")
    (tmp_path / "link").symlink_to(own)
    for image in ("./images/1.png", "again/1.png", "images/../images/1.png"):
        change(own, image=image)
        assert len(load_rows(own, "train", scheme=FIVE)) == 3
        assert len(load_rows(tmp_path / "link", "train", scheme=FIVE)) == 3
    change(own, image=str(own / "images/1.png"))
    assert len(load_rows(tmp_path / "link", "train", scheme=FIVE)) == 3


def test_the_hubs_own_cache_is_one_folder(tmp_path):
    """Its snapshots are links to files beside them."""
    snapshot = tmp_path / "datasets--a--b/snapshots/123"
    write_own(snapshot)
    (tmp_path / "datasets--a--b/blobs").mkdir()
    blob = tmp_path / "datasets--a--b/blobs/456"
    (snapshot / "images/1.png").rename(blob)
    (snapshot / "images/1.png").symlink_to("../../../blobs/456")
    assert len(load_rows(snapshot, "train", scheme=FIVE)) == 3


def test_a_link_to_outside_in_a_folder_of_photos_is_refused(own, secret, caplog, monkeypatch):
    monkeypatch.setattr(
        "kd_landmarks.data.unlabeled.detect_faces", lambda *_: (np.array([[5.0, 5, 60, 60]]), None)
    )
    (own / "images/link.png").symlink_to(secret)
    message = refused(load_unlabeled, own / "images")
    assert "link.png: the image" in message
    assert "is a link out of the data's folder" in message
    assert len(load_unlabeled(own / "images", skip_bad_rows=True)) == 5
    assert len(load_unlabeled(own / "images", allow_outside=True)) == 6
    rows, pictures = open_data(str(own / "images"), "train", None, False, 1)
    outcomes = [annotate._photo(row["image"], pictures) for row in rows]
    (error,) = (found for found in outcomes if isinstance(found, KDLandmarksError))
    assert "link.png" in str(error)
    assert "--allow-outside" in str(error)
    rows, pictures = open_data(str(own / "images"), "train", None, False, 1, True)
    assert all(isinstance(annotate._photo(row["image"], pictures), Image.Image) for row in rows)


@pytest.mark.parametrize("name", ["../secret.png", "../../secret.png", "{secret}"])
def test_pictures_outside_of_wflw_are_refused(tmp_path, secret, name):
    root = write_wflw(tmp_path / "wflw")
    (root / "secret.png").write_bytes(secret.read_bytes())
    file = next(root.rglob("*_train.txt"))
    file.write_text(file.read_text().rpartition(" ")[0] + " " + name.format(secret=secret))
    if name == "../secret.png":  # out of WFLW_images, but still in the data's folder
        assert len(load_rows(root, "train", scheme=get_scheme("wflw98"))) == 1
        return
    message = refused(load_rows, root, "train", scheme=get_scheme("wflw98"))
    assert "list_98pt_rect_attr_train.txt:1: the image" in message
    assert "--allow-outside" in message
    assert len(load_rows(root, "train", scheme=get_scheme("wflw98"), allow_outside=True)) == 1


@pytest.mark.parametrize("suffix", [".png", ".pts"])
def test_links_out_of_a_folder_of_pts_files_are_refused(tmp_path, secret, suffix):
    folder = tmp_path / "faces/train"
    folder.mkdir(parents=True)
    secret.with_suffix(".pts").write_text(pts(face(5) + 1))
    for name in (".png", ".pts"):
        file = folder / f"a{name}"
        if name == suffix:
            file.symlink_to(secret.with_suffix(name))
        else:
            file.write_bytes(secret.with_suffix(name).read_bytes())
    with pytest.raises(KDLandmarksError, match=r"train/a\.pts: the .* is a link out.*"):
        convert("own", tmp_path / "faces", tmp_path / "out", scheme=FIVE)
    convert("own", tmp_path / "faces", tmp_path / "out", scheme=FIVE, allow_outside=True)


def test_what_is_converted_from_outside_is_counted(own, secret, tmp_path):
    change(own, image=str(secret))
    words = ["own", own, "--scheme", "ibug68"]
    done = convert("own", own, tmp_path / "without", scheme=FIVE)
    assert done.faces == 4
    assert "Left out: 1\n  train.jsonl:2: the image" in done.text()
    assert "--allow-outside" in (tmp_path / "without/missing.txt").read_text()
    done = convert("own", own, tmp_path / "with", scheme=FIVE, allow_outside=True)
    assert done.faces == 5
    told = "Pictures from outside of the source's folder: 1\n  train.jsonl:2: secret.png"
    assert told in done.text()
    assert told in (tmp_path / "with/missing.txt").read_text()
    card = (tmp_path / "with/README.md").read_text()
    assert "The pictures of 1 faces came from outside of the folder" in card
    assert "unrecognized" not in convert_command(*words, "--help").output
    assert str(tmp_path) not in card + (tmp_path / "with/missing.txt").read_text()
    # Also of a photo that its EXIF data turn, and the labels do not.
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.open(secret).save(secret, exif=exif)
    options = {"scheme": FIVE, "allow_outside": True, "orientation": "stored"}
    assert told in convert("own", own, tmp_path / "turned", **options).text()


@pytest.mark.parametrize(
    "command", ["annotate", "calibrate", "convert", "evaluate", "export", "train"]
)
def test_commands_have_the_option(command):
    options = [word for option in get_command(app).commands[command].params for word in option.opts]
    assert "--allow-outside" in options


def test_a_recipe_takes_pictures_from_outside(own, secret):
    change(own, image=str(secret))
    plain = load_recipe("300w", {"data.source": str(own)})
    allowed = load_recipe("300w", {"data.source": str(own), "data.allow_outside": "true"})
    assert changed_values(plain, allowed) == []  # where faces lie does not matter, as data.source
    settings = {"validation_faces": 0, "test_split": "common"}
    one = SimpleNamespace(main_process_first=nullcontext)
    with pytest.raises(KDLandmarksError, match=MEND):
        load_sets(one, plain.data.model_copy(update=settings), FIVE, 0)
    assert len(load_sets(one, allowed.data.model_copy(update=settings), FIVE, 0).train) == 3


# --- Parquet


PLACE = "parquet-row:0:0:{}"


@pytest.fixture
def parquet(own, tmp_path):
    """The faces as a file of Parquet, three rows with their pictures in them."""
    change(own, 0, box=[5, 5, 80, 60])
    convert("own", own, tmp_path / "converted", scheme=FIVE)
    (tmp_path / "stored").mkdir()
    file = tmp_path / "converted/data/train-00000-of-00001.parquet"
    return file.rename(tmp_path / "stored/train.parquet")


def rewrite(file: Path, metadata: dict | None = None, **columns) -> None:
    """Gives the file other columns (`None` takes one away) and no types of `datasets`."""
    table = pq.read_table(file)
    values = {name: table[name] for name in table.column_names} | columns
    values = {name: value for name, value in values.items() if value is not None}
    pq.write_table(pa.table(values).replace_schema_metadata(metadata), file)


def images(file: Path, **second) -> pa.Array:
    """The column of pictures, the second one's `bytes` or `path` replaced."""
    cells = pq.read_table(file)["image"].to_pylist()
    cells[1] |= second
    return pa.array(cells, pa.struct({"bytes": pa.binary(), "path": pa.string()}))


def every_load(file: Path, **words):
    """All ways to read the file's pictures, each to its end."""

    def rows(streaming: bool) -> int:
        found = load_rows(file, scheme=FIVE, streaming=streaming, **words)
        return len(check_rows(found, FIVE, skip_bad_rows=words.get("skip_bad_rows", False)))

    return [lambda: rows(False), lambda: rows(True), lambda: len(load_unlabeled(file, **words))]


@pytest.mark.parametrize(
    "columns",
    [
        {"image": pa.array(["x"] * 3)},
        {"image": pa.array([1] * 3)},
        {"image": pa.array([[1, 2]] * 3)},
        {"image": pa.array([{"a": 1}] * 3)},
        {"image": pa.nulls(3)},
        {"image": None},
        {"landmarks": None},
        {"landmarks": pa.array([LONG] * 3)},
        {"landmarks": pa.array([{"a": 1}] * 3)},
        {"landmarks": pa.array([[1.0, 2.0]] * 3)},
        {"landmarks": pa.array([[["1", "2"]] * 5] * 3)},
        {"landmarks": pa.nulls(3, pa.list_(pa.list_(pa.float32())))},
        {"source": pa.array([1] * 3)},
        {"source": pa.array(["x" * 10**6] * 3)},
        {"photo": pa.array([[1]] * 3)},
        {"subset": pa.array([1.5] * 3)},
        {"scheme": pa.array([2] * 3)},
        {"scheme": pa.array([LONG] * 3)},
        {"visible": pa.array(["yes"] * 3)},
        {"beard": pa.array([2**63] * 3, pa.uint64())},
        {"beard": pa.array([1, None, 2])},
        {f"n{number}": pa.array([1] * 3) for number in range(300)},
        {f"n{number}": pa.array(["x"] * 3) for number in range(1100)},
    ],
    ids=lambda columns: next(iter(columns)),
)
def test_other_columns_are_refused(parquet, columns):
    rewrite(parquet, **columns)
    for load in every_load(parquet)[:2]:
        assert "train" in refused(load)


@pytest.mark.parametrize(
    "box", [pa.array([[1.0, 2.0, 3.0]] * 3), pa.array(["x"] * 3), pa.array([{"a": 1}] * 3)]
)
def test_other_boxes_are_refused(parquet, box):
    rewrite(parquet, box=box)
    assert "box" in refused(load_rows, parquet, scheme=FIVE, box="dataset")
    assert "box" in refused(load_unlabeled, parquet)
    assert len(load_rows(parquet, scheme=FIVE)) == 3


def test_a_name_beside_stored_bytes_is_not_opened(parquet, secret):
    """`datasets` takes the file that the name leads to, where it makes rows of such cells."""
    rewrite(parquet, image=images(parquet, path=str(secret)))
    stored = images(parquet)[1].as_py()["bytes"]
    for rows in (load_rows(parquet, scheme=FIVE), load_unlabeled(parquet)):
        assert Photos(rows)[1]["bytes"] == stored


@pytest.mark.parametrize(
    "features",
    [
        "{",
        '{"info": 1}',
        '{"info": {"features": 1}}',
        '{"info": {"features": {"image": {"_type": "Nobodys"}}}}',
        "[" * 100_000,
    ],
)
def test_crafted_types_are_refused(parquet, features):
    rewrite(parquet, metadata={"huggingface": features})
    for load in every_load(parquet)[:2]:
        assert "train.parquet" in refused(load)


def test_a_column_that_would_open_files_is_not_opened(parquet, secret):
    """Of pictures other than `image`, which datasets itself would decode and write to new files."""
    picture = {"_type": "Image"}
    types = {
        name: picture if name in ("landmarks", "box", "photo", "other") else None
        for name in (*pq.read_table(parquet).column_names, "other")
    }
    types["image"] = picture
    kinds = {name: kind or {"dtype": "string", "_type": "Value"} for name, kind in types.items()}
    column = pa.array([{"bytes": None, "path": str(secret)}] * 3, images(parquet).type)
    text = pa.array(["a"] * 3)
    rewrite(
        parquet,
        metadata={"huggingface": json.dumps({"info": {"features": kinds}})},
        **dict.fromkeys(("landmarks", "box", "photo", "other"), column),
        **{n: text for n in kinds if n not in ("landmarks", "box", "photo", "other", "image")},
    )
    for streaming in (False, True):
        message = refused(load_rows, parquet, scheme=FIVE, streaming=streaming)
        assert "the column 'landmarks' holds Image(" in message
        rows, _ = open_data(str(parquet), "train", None, streaming, 1)
        assert not {"landmarks", "box", "photo", "other"} & set(rows.features)
        assert len(list(rows)) == 3


@pytest.mark.parametrize("damage", ["text", "cut", "footer", "empty", "zeros"])
def test_damaged_parquet_is_refused(parquet, damage):
    data = parquet.read_bytes()
    parquet.write_bytes(
        {
            "text": b"no Parquet",
            "cut": data[: len(data) // 2],
            "footer": data[:-60] + b"\xff" * 40 + data[-20:],
            "empty": b"",
            "zeros": bytes(len(data)),
        }[damage]
    )
    for load in every_load(parquet):
        assert "train.parquet" in refused(load)


def test_a_folder_with_other_columns_in_another_file_is_refused(parquet):
    other = parquet.with_name("train-2.parquet")
    other.write_bytes(parquet.read_bytes())
    rewrite(other, landmarks=pa.array(["x"] * 3))
    for load in every_load(parquet.parent)[:2]:
        assert str(parquet.parent) in refused(load)


@pytest.mark.parametrize(
    "image", ["{}", PLACE, "parquet-row:0:0:hf://datasets/a/b/c", "../secret.png"]
)
def test_a_row_of_parquet_names_no_other_files(parquet, secret, image):
    path = image.format(secret)
    rewrite(parquet, image=images(parquet, bytes=None, path=path))
    message = refused(load_rows, parquet, scheme=FIVE)
    assert "train.jsonl:2: " in message
    for load in every_load(parquet, skip_bad_rows=True):
        assert load() == 2


def test_a_place_beside_bytes_is_none(parquet, secret):
    """Such a path would be asked for the sizes of its row groups."""
    rewrite(parquet, image=images(parquet, path=PLACE.format(secret)))
    rows = load_rows(parquet, scheme=FIVE, skip_bad_rows=True)
    assert len(rows) == 2
    streamed = Photos(load_rows(parquet, scheme=FIVE, streaming=True))
    assert streamed[1]["bytes"]
    assert streamed[1]["path"] is None


def test_pictures_beside_parquet_are_taken(parquet, secret):
    inside = parquet.with_name("inside.png")
    inside.write_bytes(secret.read_bytes())
    for path in (str(inside), "inside.png"):
        rewrite(parquet, image=images(parquet, bytes=None, path=path))
        assert Photos(load_rows(parquet, scheme=FIVE)).open(1).getpixel((0, 0)) == (1, 2, 3)
    rewrite(parquet, image=images(parquet, bytes=None, path=str(secret)))
    rows = load_rows(parquet, scheme=FIVE, allow_outside=True)
    assert Photos(rows).open(1).getpixel((0, 0)) == (1, 2, 3)


def test_streamed_rows_hold_their_pictures(parquet):
    rewrite(parquet, image=pa.array([{"bytes": None, "path": "a.png"}] * 3, images(parquet).type))
    message = refused(load_rows, parquet, scheme=FIVE, streaming=True)
    assert "does not hold them: leave streaming out" in message


@pytest.mark.parametrize("name", ["{}", "../stored/train.parquet", "hf://datasets/a/b/c.parquet"])
def test_a_card_names_no_other_files(own, tmp_path, parquet, name):
    folder = tmp_path / "card"
    folder.mkdir()
    (folder / "own.parquet").write_bytes(parquet.read_bytes())
    pattern = name.format(parquet)
    (folder / "README.md").write_text(
        f"---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: "
        f"{pattern}\n---\n"
    )
    for streaming in (False, True):
        message = refused(load_rows, folder, "train", scheme=FIVE, streaming=streaming)
        assert "README.md names" in message
        assert "--allow-outside" in message
    if "hf:" not in name:
        assert len(load_rows(folder, "train", scheme=FIVE, allow_outside=True)) == 3


def test_a_card_full_of_aliases_is_refused(tmp_path, parquet):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 11)]
    text = "\n".join(lines)
    (parquet.parent / "README.md").write_text(f"---\n{text}\n---\n")
    assert "README.md" in refused(load_rows, parquet.parent, scheme=FIVE)


def test_a_link_to_parquet_elsewhere_is_refused(tmp_path, parquet):
    folder = tmp_path / "links"
    folder.mkdir()
    (folder / "train.parquet").symlink_to(parquet)
    assert "--allow-outside" in refused(load_rows, folder, scheme=FIVE)
    assert len(load_rows(folder, scheme=FIVE, allow_outside=True)) == 3
    assert len(load_rows(folder / "train.parquet", scheme=FIVE)) == 3  # named by the user


# --- the Hub


def on_hub(monkeypatch, rows, *files):
    """Data set a/b, as `datasets` would load it."""
    files = files or ("hf://datasets/a/b@123/train.parquet",)
    builder = SimpleNamespace(
        repo_id="a/b",
        config=SimpleNamespace(data_files={"train": files}),
        download_and_prepare=lambda: None,
        as_dataset=lambda: {"train": rows},
    )
    monkeypatch.setattr(datasets, "load_dataset_builder", lambda *_, **__: builder)


def test_a_data_set_on_the_hub_names_no_local_files(own, secret, monkeypatch, tmp_path):
    monkeypatch.setattr(
        "kd_landmarks.data.data_folder.constants.HF_HUB_CACHE", str(tmp_path / "hub")
    )
    cached = tmp_path / "hub/datasets--a--b/snapshots/123/1.png"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(secret.read_bytes())
    other = tmp_path / "hub/datasets--c--d/1.png"
    other.parent.mkdir(parents=True)
    other.write_bytes(secret.read_bytes())
    for path, taken in (
        (cached, True),
        (secret, False),
        (other, False),
        (own / "images/0.png", False),
    ):
        cells = {"image": [str(path)], "landmarks": [face(5).tolist()]}
        rows = datasets.Dataset.from_dict(cells).cast_column("image", datasets.Image())
        on_hub(monkeypatch, rows)
        for outside in (False, True):
            if taken:
                assert len(load_rows("a/b", scheme=FIVE, allow_outside=outside)) == 1
            else:
                message = refused(load_rows, "a/b", scheme=FIVE, allow_outside=outside)
                assert "a/b:1: the image is the path" in message
                assert "open no files of this machine" in message


@pytest.mark.parametrize(
    "file", ["/etc/passwd", "hf://datasets/c/d@1/x.parquet", "https://example.com/x.parquet"]
)
def test_a_data_set_on_the_hub_has_files_of_its_own(monkeypatch, file):
    on_hub(monkeypatch, None, file)
    message = refused(load_rows, "a/b", scheme=FIVE)
    assert f"its card names '{file}'" in message


# --- the one function


def test_a_data_folder_finds_files_and_nothing_else(tmp_path, secret):
    folder = DataFolder(tmp_path / "data")
    folder.path.mkdir()
    (folder.path / "a.png").write_bytes(b"x")
    assert folder.picture("a.png") == str(folder.path / "a.png")
    assert not folder.holds(tmp_path / "data2")
    (tmp_path / "data2").mkdir()
    (tmp_path / "data2/a.png").write_bytes(b"x")
    with pytest.raises(KDLandmarksError, match="lies outside"):
        folder.picture("../data2/a.png")
    with (folder.path / "a.png").open("ab") as stream:
        stream.truncate(2**40)
    with pytest.raises(KDLandmarksError, match=r"a\.png has 1099512 MB, more than 200"):
        folder.picture("a.png")


def test_a_read_that_meets_paths_gives_none(parquet, secret):
    """The last line: whatever a footer says, a fetched row opens no path."""
    rewrite(parquet, image=images(parquet, bytes=None, path=str(secret)))
    rows = load_rows(parquet, scheme=FIVE, streaming=True)
    assert Photos(rows)[1] == {"bytes": None, "path": None}
