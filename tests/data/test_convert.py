"""`kd-landmarks convert`: what is on disk becomes Parquet and a card; nothing changes or hides."""

import io
import json
import shutil
from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
from downloads import (
    FIVE,
    WFLW_ATTRIBUTES,
    WFLW_LISTS,
    convert_command,
    face,
    files_of,
    picture,
    pts,
    read_lines,
    write_300w,
    write_cofw_folder,
    write_lines,
    write_own,
    write_wflw,
)
from full_disk import full_disk
from huggingface_hub import DatasetCard
from PIL import Image

from kd_landmarks.data import convert_rows, known_data_sets
from kd_landmarks.data.columns import point_array
from kd_landmarks.data.convert import convert
from kd_landmarks.data.crops import cut_crop
from kd_landmarks.data.known_data_sets import PUBLISHED, Part
from kd_landmarks.data.loading import load_rows
from kd_landmarks.data.photos import Photos
from kd_landmarks.data.row_checks import check_rows
from kd_landmarks.data.rows import row_features
from kd_landmarks.errors import KDLandmarksError
from kd_landmarks.imaging.crop import square_crop
from kd_landmarks.schemes import get_scheme

pytestmark = pytest.mark.usefixtures("own_cache")

IBUG, WFLW, COFW = (get_scheme(name) for name in ("ibug68", "wflw98", "cofw29"))


@pytest.fixture
def root_300w(tmp_path):
    return write_300w(tmp_path / "300W")


@pytest.fixture
def root_wflw(tmp_path):
    return write_wflw(tmp_path / "WFLW")


@pytest.fixture
def root_cofw(tmp_path):
    return write_cofw_folder(tmp_path / "COFW")


@pytest.fixture
def own_lines(tmp_path):
    return write_own(tmp_path / "own")


def counted(monkeypatch, name: str, **faces: int | tuple[int, ...]) -> None:
    """Lets the official numbers of a data set be these, for tests with few faces."""
    splits = {
        split: tuple(
            Part(part.path, number)
            for part, number in zip(
                parts,
                faces[split] if isinstance(faces[split], tuple) else (faces[split],),
                strict=True,
            )
        )
        for split, parts in PUBLISHED[name].splits.items()
    }
    small = known_data_sets.PublishedSet(**vars(PUBLISHED[name]) | {"splits": splits})
    monkeypatch.setattr("kd_landmarks.data.convert.PUBLISHED", {name: small})


def undecoded(rows: datasets.Dataset) -> list[dict]:
    return rows.cast_column("image", datasets.Image(decode=False))["image"][:]


def assert_same_rows(ours: datasets.Dataset, theirs: datasets.Dataset) -> None:
    """Two data sets agree in everything, and their photos in every byte."""
    assert ours.features == theirs.features
    assert ours.remove_columns("image")[:] == theirs.remove_columns("image")[:]
    for our, their in zip(undecoded(ours), undecoded(theirs), strict=True):
        data = their["bytes"] if their["bytes"] is not None else Path(their["path"]).read_bytes()
        assert our["bytes"] == data
        assert our["path"] == Path(their["path"]).name


# --- the rows are those of the source


@pytest.mark.parametrize("split", ["train", "common", "challenging", "full"])
def test_300w_converted_gives_the_rows_of_the_download(root_300w, tmp_path, split):
    convert("300w", root_300w, tmp_path / "out")
    rows = load_rows(tmp_path / "out", split, scheme=IBUG)
    assert_same_rows(rows, load_rows(root_300w, split, scheme=IBUG))
    assert len(check_rows(rows, IBUG)) == len(rows)


def test_full_of_300w_is_common_and_challenging_stored_once(root_300w, tmp_path):
    convert("300w", root_300w, tmp_path / "out")
    splits = {file.partition("-")[0] for file in files_of(tmp_path / "out" / "data")}
    assert splits == {"train", "common", "challenging"}
    full = datasets.load_dataset(str(tmp_path / "out"), split="full")
    assert full["subset"][:] == ["helen", "lfpw", "lfpw", "ibug"]


def test_300w_has_no_box_to_be_taken_for_its_own(root_300w, tmp_path):
    conversion = convert("300w", root_300w, tmp_path / "out")
    assert "box" not in conversion.info.features
    with pytest.raises(KDLandmarksError, match=r"123456_1\.pts: the row has no box of its own"):
        load_rows(tmp_path / "out", "train", scheme=IBUG, box="dataset")


@pytest.mark.parametrize("box", ["gt", "dataset"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_wflw_converted_gives_the_rows_of_the_download(root_wflw, tmp_path, split, box):
    convert("wflw", root_wflw, tmp_path / "out")
    rows = load_rows(tmp_path / "out", split, scheme=WFLW, box=box)
    assert_same_rows(rows, load_rows(root_wflw, split, scheme=WFLW, box=box))
    assert set(WFLW_ATTRIBUTES) < set(rows.column_names)


@pytest.mark.parametrize("box", ["gt", "dataset"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_cofw_converted_gives_the_rows_of_the_download(root_cofw, tmp_path, split, box):
    convert("cofw", root_cofw, tmp_path / "out")
    rows = load_rows(tmp_path / "out", split, scheme=COFW, box=box)
    assert_same_rows(rows, load_rows(root_cofw, split, scheme=COFW, box=box))
    assert "visible" in rows.column_names


def test_a_box_that_cannot_be_right_is_no_box(root_wflw, tmp_path):
    file = root_wflw / WFLW_LISTS / "list_98pt_rect_attr_test.txt"
    file.write_text(file.read_text().replace("18 12 64 49", "64 12 18 49", 1))
    conversion = convert("wflw", root_wflw, tmp_path / "out")
    assert len(conversion.boxless) == 1
    assert conversion.boxless[0].startswith("list_98pt_rect_attr_test.txt:1: the box [64.0")
    rows = load_rows(tmp_path / "out", "test", scheme=WFLW)
    assert_same_rows(rows, load_rows(root_wflw, "test", scheme=WFLW))
    with pytest.raises(KDLandmarksError, match=r"test\.txt:1: the row has no box of its own"):
        load_rows(tmp_path / "out", "test", scheme=WFLW, box="dataset")


@pytest.mark.parametrize(("name", "scheme"), [("300W", IBUG), ("WFLW", WFLW)])
def test_real_downloads_convert_to_their_rows(data_root, tmp_path, name, scheme):
    source = data_root / "official_layout" / name
    conversion = convert(name.lower(), source, tmp_path / "out")
    assert not conversion.left_out
    assert not conversion.unlabeled
    for split in conversion.info.splits:
        rows = load_rows(tmp_path / "out", split, scheme=scheme)
        assert_same_rows(rows, load_rows(source, split, scheme=scheme))
        assert len(check_rows(rows, scheme)) == len(rows)


# --- the same input gives the same bytes


def test_the_same_input_gives_the_same_bytes_wherever_it_lies(root_300w, tmp_path):
    (root_300w / "afw" / "123456_1.pts").write_text("no points")
    moved = shutil.copytree(root_300w, tmp_path / "elsewhere" / "copy")
    convert("300w", root_300w, tmp_path / "one", crop_margin=1.2)
    convert("300w", moved, tmp_path / "far" / "two", crop_margin=1.2)
    files = files_of(tmp_path / "one")
    assert {"README.md", "missing.txt", "data/train-00000-of-00001.parquet"} < set(files)
    assert files == files_of(tmp_path / "far" / "two")
    for file in (tmp_path / "one").rglob("*.*"):
        assert str(tmp_path).encode() not in file.read_bytes()


def test_shards_follow_from_the_faces_and_keep_their_order(root_300w, tmp_path, monkeypatch):
    monkeypatch.setattr(convert_rows, "SHARD_FACES", 3)
    monkeypatch.setattr(convert_rows, "GROUP_FACES", 2)
    conversion = convert("300w", root_300w, tmp_path / "out")
    files = sorted((tmp_path / "out" / "data").glob("train-*"))
    assert [file.name for file in files] == [f"train-0000{n}-of-00002.parquet" for n in (0, 1)]
    groups = pq.ParquetFile(files[0]).metadata
    assert [groups.row_group(n).num_rows for n in range(groups.num_row_groups)] == [2, 1]
    assert conversion.info.splits["train"].num_examples == 4
    rows = load_rows(tmp_path / "out", "train", scheme=IBUG)
    assert_same_rows(rows, load_rows(root_300w, "train", scheme=IBUG))


def test_shards_end_before_they_are_too_large(root_300w, tmp_path, monkeypatch):
    size = (root_300w / "afw" / "123456_1.jpg").stat().st_size  # of three photos; PNG is smaller
    monkeypatch.setattr(convert_rows, "SHARD_BYTES", 2 * size)
    monkeypatch.setattr(convert_rows, "GROUP_BYTES", size)
    convert("300w", root_300w, tmp_path / "out")
    assert len(list((tmp_path / "out/data").glob("train-*"))) == 2
    metadata = pq.read_metadata(tmp_path / "out/data/train-00000-of-00002.parquet")
    assert metadata.num_row_groups == 2


def test_files_of_the_working_folder_are_not_taken_for_photos(own_lines, tmp_path, monkeypatch):
    """`datasets` leaves bytes away where their name is that of a file."""
    monkeypatch.chdir(own_lines / "images")
    convert("own", own_lines, tmp_path / "out", scheme=FIVE)
    rows = load_rows(tmp_path / "out", "train", scheme=FIVE)
    assert_same_rows(rows, load_rows(own_lines, "train", scheme=FIVE))


def test_pictures_of_cofw_are_its_own(root_cofw, tmp_path, monkeypatch):
    expected = undecoded(load_rows(root_cofw, "train", scheme=COFW))
    (tmp_path / expected[0]["path"]).write_bytes(b"no picture")
    monkeypatch.chdir(tmp_path)
    assert undecoded(load_rows(root_cofw, "train", scheme=COFW)) == expected


# --- what is missing is said


def test_official_numbers_are_those_of_the_literature():
    faces = {
        (name, split): sum(part.faces for part in parts)
        for name, known in PUBLISHED.items()
        for split, parts in known.splits.items()
    }
    assert faces == {
        ("300w", "train"): 3148,
        ("300w", "common"): 554,
        ("300w", "challenging"): 135,
        ("wflw", "train"): 7500,
        ("wflw", "test"): 2500,
        ("cofw", "train"): 1345,
        ("cofw", "test"): 507,
    }
    for parts in PUBLISHED["300w"].splits.values():
        assert all(len(part.stems) in (0, part.faces) for part in parts)


def test_official_names_of_lfpw_are_those_of_real_faces(data_root):
    lines = (data_root / "300w" / "test_common.jsonl").read_text().splitlines()
    lines += (data_root / "300w" / "train.jsonl").read_text().splitlines()
    images = [Path(json.loads(line)["image"]) for line in lines]
    train, test = PUBLISHED["300w"].splits["train"][2], PUBLISHED["300w"].splits["common"][1]
    assert {file.stem for file in images if file.parts[-3:-1] == ("lfpw", "test")} == set(
        test.stems
    )
    assert {file.stem for file in images if file.parts[-3:-1] == ("lfpw", "train")} < set(
        train.stems
    )


def test_what_is_missing_is_counted_and_listed_by_name(root_300w, tmp_path):
    (root_300w / "afw" / "123456_2.JPG").unlink()
    picture(root_300w / "helen" / "trainset" / "55555_1.jpg")
    shutil.rmtree(root_300w / "ibug")
    photo = root_300w / "helen" / "testset" / "296814969_3.jpg"
    photo.write_bytes(photo.read_bytes()[:300])
    conversion = convert("300w", root_300w, tmp_path / "out")
    assert not conversion.whole
    assert conversion.faces == 5
    lines = [line.split() for line in conversion.table().splitlines()]
    assert ["train", "afw", "1", "337"] in lines
    assert ["train", "helen/trainset", "1", "2000"] in lines
    assert ["common", "helen/testset", "0", "330"] in lines
    assert ["challenging", "0", "135"] in lines
    assert ["full", "common", "+", "challenging", "2", "689"] in lines
    listed = (tmp_path / "out" / "missing.txt").read_text()
    assert listed == conversion.lacks() + "\n"
    assert "\n  lfpw/testset/image_0003.pts\n" in listed
    assert "testset/image_0010.pts" not in listed  # no such face in LFPW's test set
    assert "\n  lfpw/trainset/image_0871.pts\n" in listed
    assert "\n  ibug\n" in listed
    assert "Left out: 2\n  afw/123456_2.pts: there is no image 123456_2.jpg" in listed
    assert "  helen/testset/296814969_3.pts: the image 296814969_3.jpg cannot be decoded" in listed
    assert "Photos without landmarks: 1\n  helen/trainset/55555_1.jpg\n" in listed
    assert "… and 1029 more in missing.txt" in conversion.lacks(limit=4)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| train | afw | 1 | 337 |" in card
    assert "not exactly the official faces" in card
    assert "`missing.txt`" in card
    # A full set without the challenging faces would be another name for the common ones.
    assert set(datasets.load_dataset(str(tmp_path / "out"))) == {"train", "common"}


def test_a_whole_data_set_has_nothing_to_tell(root_300w, tmp_path, monkeypatch):
    counted(monkeypatch, "300w", train=(2, 1, 1), common=(1, 2), challenging=1)
    conversion = convert("300w", root_300w, tmp_path / "out", strict=True)
    assert conversion.whole
    assert conversion.lacks() == ""
    assert "README.md" in files_of(tmp_path / "out")
    assert "missing.txt" not in files_of(tmp_path / "out")
    assert "not exactly" not in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ((3, 1, 1), r"300W: train, afw, has 2 faces, officially 3"),
        ((1, 1, 1), r"300W: train, afw, has 2 faces, officially 1"),
    ],
)
def test_strict_refuses_other_than_official_numbers(
    root_300w, tmp_path, monkeypatch, train, message
):
    counted(monkeypatch, "300w", train=train, common=(1, 2), challenging=1)
    with pytest.raises(KDLandmarksError, match=message):
        convert("300w", root_300w, tmp_path / "out", strict=True)
    assert [file.name for file in tmp_path.iterdir()] == ["300W"]
    assert not convert("300w", root_300w, tmp_path / "out").whole


def test_strict_refuses_a_face_that_cannot_be_taken(root_wflw, tmp_path):
    (root_wflw / "WFLW_images/1--Ball/1_Ball_2.jpg").unlink()
    with pytest.raises(
        KDLandmarksError,
        match=r"WFLW, train: list_98pt_rect_attr_train\.txt:1: there is no image file WFLW_images",
    ):
        convert("wflw", root_wflw, tmp_path / "out", strict=True)
    assert [file.name for file in tmp_path.iterdir()] == ["WFLW"]


# --- crops


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_crops_hold_what_training_looks_at(tmp_path, rng, suffix):
    """Cut once for storage and again for the network, by either box, is cut once."""
    pixels = rng.integers(0, 255, (16, 20, 3), dtype=np.uint8)
    photo = Image.fromarray(pixels).resize((200, 160), Image.Resampling.BICUBIC)
    (tmp_path / "own").mkdir()
    photo.save(tmp_path / "own" / f"photo{suffix}", quality=95)
    shapes = [face(5) + offset for offset in ((40, 30), (-15, -12), (140, 100))]
    boxes = [[70, 30, 110, 90], [0, 0, 60, 60], [150, 90, 230, 190]]
    lines = [
        {"image": f"photo{suffix}", "landmarks": shape.tolist(), "box": box}
        for shape, box in zip(shapes, boxes, strict=True)
    ]
    write_lines(tmp_path / "own" / "faces.jsonl", lines)
    convert("own", tmp_path / "own", tmp_path / "out", scheme=FIVE, crop_margin=1.8)
    for box in ("gt", "dataset"):
        whole = load_rows(tmp_path / "own", scheme=FIVE, box=box)
        cut = load_rows(tmp_path / "out", scheme=FIVE, box=box)
        for before, after in zip(whole, cut, strict=True):
            assert after["image"].width * after["image"].height < 200 * 160
            offset = np.subtract(before["landmarks"], after["landmarks"])
            np.testing.assert_allclose(offset, np.tile(offset[0].round(), (5, 1)), atol=1e-4)
            crops = [square_crop(row["box"], 1.8) for row in (before, after)]
            pairs = [
                cut_crop(row["image"], crop, crop[2]).numpy().astype(int)
                for row, crop in zip((before, after), crops, strict=True)
            ]
            difference = np.abs(pairs[0] - pairs[1])
            assert difference.max() == 0 if suffix == ".png" else difference.mean() < 1.5
            assert (after["photo"], after["source"]) == (before["photo"], before["source"])
    formats = {Image.open(io.BytesIO(image["bytes"])).format for image in undecoded(cut)}
    assert formats == {{".png": "PNG", ".jpg": "JPEG"}[suffix]}
    assert {Path(image["path"]).suffix for image in undecoded(cut)} == {suffix}


def test_a_photo_that_is_all_face_is_kept_as_it_is(root_cofw, tmp_path):
    convert("cofw", root_cofw, tmp_path / "out", crop_margin=9)
    rows = load_rows(tmp_path / "out", "train", scheme=COFW)
    assert_same_rows(rows, load_rows(root_cofw, "train", scheme=COFW))


def test_crops_of_odd_pictures_show_what_the_processor_shows(tmp_path, rng):
    (tmp_path / "own").mkdir()
    pixels = rng.integers(0, 255, (70, 90, 4), dtype=np.uint8)
    modes = {"a": "RGBA", "b": "P", "c": "L", "d": "CMYK"}
    lines = []
    for name, mode in modes.items():
        picture = Image.fromarray(pixels).convert("RGB" if mode in ("P", "CMYK") else mode)
        file = f"{name}{'.tif' if mode == 'CMYK' else '.png'}"
        picture.convert(mode).save(tmp_path / "own" / file)
        lines.append({"image": file, "landmarks": (face(5) / 2 + 10).tolist()})
    write_lines(tmp_path / "own" / "faces.jsonl", lines)
    convert("own", tmp_path / "own", tmp_path / "out", scheme=FIVE, crop_margin=1.3)
    whole = load_rows(tmp_path / "own", scheme=FIVE)
    for before, after in zip(whole, load_rows(tmp_path / "out", scheme=FIVE), strict=True):
        crops = [square_crop(row["box"], 1.3) for row in (before, after)]
        one, two = (
            cut_crop(row["image"], crop, 32).numpy()
            for row, crop in zip((before, after), crops, strict=True)
        )
        np.testing.assert_array_equal(one, two)


def test_a_face_outside_its_photo_is_left_out(own_lines, tmp_path):
    lines = read_lines(own_lines / "train.jsonl")
    lines[1]["landmarks"] = (face(5) + 900).tolist()
    del lines[1]["box"]
    write_lines(own_lines / "train.jsonl", lines)
    conversion = convert("own", own_lines, tmp_path / "out", scheme=FIVE, crop_margin=1.2)
    assert len(conversion.left_out) == 1
    told = "train.jsonl:2: 5 of 5 landmarks lie outside of the photo of 90 x 70"
    assert conversion.left_out[0] == told


# --- data of one's own


def test_own_json_lines_convert_to_their_rows(own_lines, tmp_path):
    conversion = convert("own", own_lines, tmp_path / "out", scheme=FIVE)
    assert list(conversion.info.splits) == ["train", "common"]
    for split in ("train", "common"):
        rows = load_rows(tmp_path / "out", split, scheme=FIVE)
        assert rows.features == row_features(FIVE, visible=True, attributes=["beard"])
        assert_same_rows(rows, load_rows(own_lines, split, scheme=FIVE))
    boxes = load_rows(tmp_path / "out", "common", scheme=FIVE, box="dataset")
    assert_same_rows(boxes, load_rows(own_lines, "common", scheme=FIVE, box="dataset"))
    with pytest.raises(KDLandmarksError, match=r"train\.jsonl:1: the row has no box of its own"):
        load_rows(tmp_path / "out", "train", scheme=FIVE, box="dataset")


def test_a_scheme_of_ones_own_comes_along(own_lines, tmp_path):
    convert("own", own_lines, tmp_path / "out", scheme=FIVE)
    assert get_scheme(tmp_path / "out" / "scheme.yaml") == FIVE
    assert 'get_scheme("scheme.yaml")' in (tmp_path / "out" / "README.md").read_text()


def test_splits_of_one_file_stand_in_its_lines(own_lines, tmp_path):
    lines = read_lines(own_lines / "train.jsonl")
    for line, split in zip(lines, ("val", "train", "val"), strict=True):
        line["split"] = split
    (own_lines / "train.jsonl").unlink()
    (own_lines / "test_common.jsonl").unlink()
    write_lines(own_lines / "faces.jsonl", lines)
    for number, source in enumerate((own_lines, own_lines / "faces.jsonl")):
        conversion = convert("own", source, tmp_path / f"out{number}", scheme=FIVE)
        assert {name: split.num_examples for name, split in conversion.info.splits.items()} == {
            "train": 1,
            "val": 2,
        }
        rows = load_rows(tmp_path / f"out{number}", "val", scheme=FIVE)
        assert rows["source"][:] == ["faces.jsonl:1", "faces.jsonl:3"]


def test_own_photos_with_landmark_files_convert(tmp_path):
    names = ("train/1.jpg", "train/lab/old/2.png", "test/street/3.JPG")
    for shift, name in enumerate(names):
        picture(tmp_path / "own" / name)
        (tmp_path / "own" / name).with_suffix(".pts").write_text(pts(face(68, shift)))
    picture(tmp_path / "own" / "test" / "4.jpg")
    (tmp_path / "own" / "unrelated").mkdir()
    conversion = convert("own", tmp_path / "own", tmp_path / "out", scheme=IBUG)
    assert conversion.unlabeled == ("test/4.jpg",)
    assert "box" not in conversion.info.features
    train = load_rows(tmp_path / "out", "train", scheme=IBUG)
    assert train["subset"][:] == ["", "lab"]
    assert train["source"][:] == ["train/1.pts", "train/lab/old/2.pts"]
    np.testing.assert_array_equal(train[1]["landmarks"], np.float32(face(68, 1) - 1))
    assert load_rows(tmp_path / "out", "test", scheme=IBUG)["subset"][:] == ["street"]
    # One split alone needs no folder of its own.
    convert("own", tmp_path / "own" / "train", tmp_path / "alone", scheme=IBUG)
    assert load_rows(tmp_path / "alone", "train", scheme=IBUG)["source"][:] == [
        "1.pts",
        "lab/old/2.pts",
    ]


def test_bad_own_faces_are_left_out_by_name(own_lines, tmp_path):
    lines = read_lines(own_lines / "train.jsonl")
    lines[2]["landmarks"] = lines[2]["landmarks"][:4]
    write_lines(own_lines / "train.jsonl", lines)
    conversion = convert("own", own_lines, tmp_path / "out", scheme=FIVE)
    assert conversion.left_out[0].startswith("train.jsonl:3: landmarks are of shape (4, 2)")
    assert "Some faces could not be taken" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize("file", ["train.jsonl", "test_common.jsonl"])
def test_a_column_of_some_faces_only_is_refused(own_lines, tmp_path, file):
    lines = read_lines(own_lines / file)
    del lines[1]["visible"]
    write_lines(own_lines / file, lines)
    with pytest.raises(KDLandmarksError, match=rf"{file}:2 lacks 'visible'"):
        convert("own", own_lines, tmp_path / "out", scheme=FIVE)


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (("train", None, "val"), "faces.jsonl:2: the field 'split' is None"),
        (("train", ["val"], "val"), r"faces.jsonl:2: the field 'split' is \['val'\]"),
        (("a-b", "val", "val"), "a split cannot be called 'a-b'"),
    ],
)
def test_splits_that_cannot_be_told_apart_are_refused(own_lines, tmp_path, splits, message):
    lines = read_lines(own_lines / "train.jsonl")
    write_lines(
        own_lines / "faces.jsonl",
        [line | {"split": split} for line, split in zip(lines, splits, strict=True)],
    )
    with pytest.raises(KDLandmarksError, match=message):
        convert("own", own_lines / "faces.jsonl", tmp_path / "out", scheme=FIVE)


def test_a_file_that_is_named_after_one_of_its_splits_is_refused(own_lines, tmp_path):
    lines = read_lines(own_lines / "train.jsonl")
    splits = ("train", "test", "test")
    told = [line | {"split": split} for line, split in zip(lines, splits, strict=True)]
    write_lines(own_lines / "train.jsonl", told)
    for path in (own_lines, own_lines / "train.jsonl"):
        with pytest.raises(KDLandmarksError, match="and its own name is one of them"):
            load_rows(path, "train", scheme=FIVE)
    with pytest.raises(KDLandmarksError, match="and its own name is one of them"):
        convert("own", own_lines / "train.jsonl", tmp_path / "out", scheme=FIVE)


# --- what is refused


def test_a_folder_in_use_is_left_alone(root_300w, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(KDLandmarksError, match="out is not an empty folder: name a new one"):
        convert("300w", root_300w, tmp_path / "out")
    assert list(files_of(tmp_path / "out")) == ["mine.txt"]
    (tmp_path / "out" / "mine.txt").unlink()
    convert("300w", root_300w, tmp_path / "out")
    assert "README.md" in files_of(tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "source", "scheme", "message"),
    [
        ("aflw", "300W", None, "no data set 'aflw': give 300w, wflw, cofw, or own"),
        ("300w", "nowhere", None, "there is no file or folder .*nowhere"),
        ("300w", "empty", None, "empty is not 300W: it needs the folders afw, helen"),
        ("wflw", "300W", None, "300W is not WFLW: it needs the folders WFLW_annotations"),
        ("cofw", "300W", None, "300W is not COFW: it needs COFW_train_color.mat"),
        ("300w", "300W", IBUG, "300W has the scheme ibug68: give none"),
        ("own", "300W", None, "data of your own need a landmark scheme"),
        ("own", "empty", IBUG, "empty holds no faces of your own: give a .jsonl file"),
        ("own", "300W", COFW, r"no face could be taken:\n  afw/123456_1\.pts: landmarks are of sh"),
    ],
)
def test_what_cannot_be_converted_is_refused(root_300w, tmp_path, name, source, scheme, message):
    (tmp_path / "empty").mkdir()
    with pytest.raises(KDLandmarksError, match=message):
        convert(name, tmp_path / source, tmp_path / "out", scheme=scheme)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("margin", [0.5, -1.0, float("nan"), float("inf")])
def test_a_margin_that_cuts_into_the_face_is_refused(root_300w, tmp_path, margin):
    with pytest.raises(KDLandmarksError, match="give 1 or more box sides"):
        convert("300w", root_300w, tmp_path / "out", crop_margin=margin)


def test_a_folder_that_cannot_be_written_is_named(root_300w):
    with pytest.raises(KDLandmarksError, match="cannot write /dev/null/out"):
        convert("300w", root_300w, "/dev/null/out")


def test_nothing_is_left_of_what_finds_no_room_and_nothing_is_written_elsewhere(
    own_lines, tmp_path, capsys
):
    for room in (100, 40_000):
        with full_disk(room), pytest.raises(KDLandmarksError, match=r"cannot write .*out"):
            convert("own", own_lines, tmp_path / "out", scheme=FIVE)
    convert("own", own_lines, tmp_path / "out", scheme=FIVE)
    assert {file.name for file in tmp_path.iterdir()} == {"own", "out"}
    assert not any(".parquet" not in name for name in files_of(tmp_path / "out/data"))
    assert not any(Path(datasets.config.HF_DATASETS_CACHE).iterdir())
    assert "Traceback" not in capsys.readouterr().err


# --- the card


def test_the_card_says_what_the_hub_wants_to_know(root_wflw, tmp_path):
    convert("wflw", root_wflw, tmp_path / "out")
    card = DatasetCard.load(tmp_path / "out" / "README.md")
    data = card.data.to_dict()
    assert data["license"] == "other"
    assert data["license_link"] == PUBLISHED["wflw"].homepage
    assert data["task_categories"] == ["keypoint-detection"]
    assert data["size_categories"] == ["n<1K"]
    assert "facial-landmarks" in data["tags"]
    (config,) = data["configs"]
    assert config["data_files"] == [
        {"split": "train", "path": ["data/train-*"]},
        {"split": "test", "path": ["data/test-*"]},
    ]
    features = datasets.Features._from_yaml_list(data["dataset_info"]["features"])
    assert features == row_features(WFLW, attributes=WFLW_ATTRIBUTES)
    examples = {split["name"]: split["num_examples"] for split in data["dataset_info"]["splits"]}
    assert examples == {"train": 1, "test": 2}
    assert "non-commercial research only" in card.text
    assert PUBLISHED["wflw"].citation in card.text


def test_the_card_of_ones_own_data_claims_no_license(own_lines, tmp_path):
    convert("own", own_lines, tmp_path / "out", scheme=FIVE)
    card = DatasetCard.load(tmp_path / "out" / "README.md")
    assert card.data.license is None
    assert "None is stated" in card.text
    convert("own", own_lines, tmp_path / "licensed", scheme=FIVE, license_id="cc-by-4.0")
    assert DatasetCard.load(tmp_path / "licensed" / "README.md").data.license == "cc-by-4.0"


def test_the_cards_snippet_runs(root_300w, tmp_path):
    convert("300w", root_300w, tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    snippet = card.partition("```python\n")[2].partition("```")[0]
    known: dict = {}
    exec(snippet.replace('"…"', repr(str(tmp_path / "out"))), known)
    assert len(known["faces"]) == 4


# --- the command


def test_the_command_writes_and_tells(root_300w, tmp_path):
    result = convert_command(
        "300w", root_300w, "--output", tmp_path / "out", "--crop-margin", "1.8"
    )
    assert result.exit_code == 0, result.output
    assert "300W, ibug68: 8 faces" in result.output
    assert "lfpw/testset" in result.output
    assert "more in missing.txt" in result.output
    assert f"Written to {tmp_path / 'out'}" in result.output
    assert len(load_rows(tmp_path / "out", "full", scheme=IBUG)) == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("300w",), "give a destination: --output DIR, --push NAMESPACE/NAME, or both"),
        (("300w", "--output", "o", "--public"), "--public needs --i-have-the-rights"),
        (("300w", "--output", "o", "--license", "mit"), "--license needs --i-have-the-rights"),
        (("own", "--output", "o", "--i-have-the-rights"), "give --public"),
        (("own", "--output", "o", "--scheme", "six"), "six"),
        (("300w", "--output", "o", "--strict"), "has 2 faces, officially 337"),
    ],
)
def test_the_command_refuses_with_one_line(root_300w, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    result = convert_command(words[0], root_300w, *words[1:])
    assert result.exit_code == 2, result.output
    assert result.output.count("error: ") == 1
    assert message in result.output
    assert not (tmp_path / "o").exists()


def test_crops_keep_what_is_not_there(tmp_path):
    (tmp_path / "own").mkdir()
    Image.new("RGB", (300, 200)).save(tmp_path / "own" / "photo.png")
    shape = (face(5) + 80).tolist()
    lines = [
        {"image": "photo.png", "landmarks": [gap, *shape[1:]], "visible": [-1, 1, 1, 1, 1]}
        for gap in (None, [0, 0])
    ]
    write_lines(tmp_path / "own" / "faces.jsonl", lines)
    convert("own", tmp_path / "own", tmp_path / "out", scheme=FIVE, crop_margin=1.8)
    rows = load_rows(tmp_path / "out", scheme=FIVE)
    points = point_array(rows, "landmarks")
    assert rows["image"][0].width < 300
    assert np.isnan(points[:, 0]).all()
    assert np.isfinite(points[:, 1:]).all()


def test_gray_photos_of_16_bits_are_scaled(tmp_path, rng):
    (tmp_path / "own").mkdir()
    gray = rng.integers(0, 255, (150, 200), dtype=np.uint8)
    for name, values in (("8", gray), ("16", gray.astype(np.uint16) * 257)):
        Image.fromarray(values).save(tmp_path / "own" / f"{name}.png")
    lines = [{"image": f"{n}.png", "landmarks": (face(5) + 60).tolist()} for n in ("8", "16")]
    write_lines(tmp_path / "own" / "faces.jsonl", lines)
    convert("own", tmp_path / "own", tmp_path / "out", scheme=FIVE, crop_margin=1.8)
    one, two = load_rows(tmp_path / "out", scheme=FIVE)["image"]
    np.testing.assert_array_equal(np.asarray(one), np.asarray(two))
    photos = Photos(load_rows(tmp_path / "own", scheme=FIVE))
    np.testing.assert_array_equal(*(np.asarray(photos.open(row)) for row in range(2)))
