"""Official downloads: 300W's .pts, WFLW's lists and COFW's .mat files become the same rows."""

import json
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
from downloads import WFLW_ATTRIBUTES, face, picture, pts, wflw_line, write_300w, write_cofw
from PIL import Image

from kd_landmarks.data.loading import load_rows
from kd_landmarks.data.official import read_pts
from kd_landmarks.data.row_checks import check_rows
from kd_landmarks.data.rows import row_features
from kd_landmarks.errors import KDLandmarksError
from kd_landmarks.schemes import get_scheme

IBUG, WFLW, COFW = (get_scheme(name) for name in ("ibug68", "wflw98", "cofw29"))
load_300w, load_wflw, load_cofw = (
    partial(load_rows, scheme=scheme) for scheme in (IBUG, WFLW, COFW)
)


# --- 300W


@pytest.fixture
def root_300w(tmp_path):
    return write_300w(tmp_path)


@pytest.mark.parametrize(
    ("split", "subsets"),
    [
        ("train", ["afw", "afw", "helen", "lfpw"]),
        ("common", ["helen", "lfpw", "lfpw"]),
        ("challenging", ["ibug"]),
        ("full", ["helen", "lfpw", "lfpw", "ibug"]),
    ],
)
def test_300w_has_the_splits_of_the_literature(root_300w, split, subsets):
    rows = load_300w(root_300w, split)
    assert rows["subset"][:] == subsets
    assert check_rows(rows, IBUG) is rows


def test_300w_counts_pixels_from_one_and_rows_from_zero(root_300w):
    rows = load_300w(root_300w, "train")
    assert rows.features == row_features(IBUG)
    np.testing.assert_array_equal(rows[0]["landmarks"], np.float32(face(68) - 1))
    np.testing.assert_array_equal(
        rows[0]["box"], np.float32([*(face(68) - 1).min(0), *(face(68) - 1).max(0)])
    )
    assert rows["photo"][:2] == ["afw/123456"] * 2
    assert rows["source"][3] == "lfpw/trainset/image_0001.pts"
    assert rows[1]["image"].size == (90, 70)


def test_300w_without_a_folder_says_so(root_300w, caplog):
    (root_300w / "afw").rename(root_300w / "elsewhere")
    assert len(load_300w(root_300w, "train")) == 2
    assert "split 'train' is not whole: no folder afw" in caplog.text
    (root_300w / "ibug").rename(root_300w / "elsewhere" / "ibug")
    with pytest.raises(KDLandmarksError, match=r"no split 'challenging'; .*: train, common, full"):
        load_300w(root_300w, "challenging")


def test_300w_has_no_boxes(root_300w):
    with pytest.raises(KDLandmarksError, match=r"ibug/image_092 _01\.pts: the row has no box"):
        load_300w(root_300w, "challenging", box="dataset")


def test_a_pts_file_without_an_image_is_refused_or_left_out(root_300w):
    (root_300w / "afw" / "123456_2.JPG").unlink()
    with pytest.raises(KDLandmarksError, match=r"afw/123456_2\.pts: there is no image 123456_2"):
        load_300w(root_300w, "train")
    assert len(load_300w(root_300w, "train", skip_bad_rows=True)) == 3


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("60.000000 30.000000", "60.000000", r"\.pts:4: '60.000000' is not a point"),
        ("60.000000 30.000000", "60.0 30.0 1.0", r"\.pts:4: '60.0 30.0 1.0' is not a point"),
        ("60.000000 30.000000", "60.000000 left", r"\.pts:4: .* is not a point"),
        ("60.000000 30.000000\n", "", "n_points is 68, but there are 67 points"),
        ("n_points:  68", "n_points:  many", r"\.pts:2: 'n_points:  many'"),
        ("}", "", "ends before the closing brace"),
        (pts(face(68)), pts(face(51)), r"landmarks are of shape \(51, 2\)"),
    ],
)
def test_a_corrupt_pts_file_is_refused_by_file_and_line(root_300w, old, new, message):
    path = root_300w / "afw" / "123456_1.pts"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(KDLandmarksError, match=rf"123456_1.*{message}"):
        load_300w(root_300w, "train")
    assert len(load_300w(root_300w, "train", skip_bad_rows=True)) == 3


def test_a_pts_file_that_is_no_text_or_not_there_is_refused(tmp_path):
    path = tmp_path / "face.pts"
    with pytest.raises(KDLandmarksError, match=r"cannot read .*face\.pts"):
        read_pts(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(KDLandmarksError, match=r"face\.pts is not UTF-8 text"):
        read_pts(path)


# --- WFLW


@pytest.fixture
def root_wflw(tmp_path):
    lists = tmp_path / "WFLW_annotations" / "list_98pt_rect_attr_train_test"
    lists.mkdir(parents=True)
    names = ("0--Parade/0_Parade_1.jpg", "0--Parade/0_Parade_1.jpg", "1--Ball/1_Ball_2.jpg")
    for name in names:
        picture(tmp_path / "WFLW_images" / name)
    lines = [wflw_line(face(98, shift), name) for shift, name in enumerate(names)]
    (lists / "list_98pt_rect_attr_test.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_wflw_lines_become_rows(root_wflw):
    rows = load_wflw(root_wflw, "test")
    assert rows.features == row_features(WFLW, attributes=WFLW_ATTRIBUTES)
    assert [rows[1][name] for name in WFLW_ATTRIBUTES] == [1, 0, 1, 0, 0, 1]
    np.testing.assert_array_equal(rows[1]["landmarks"], np.float32(face(98, 1)))
    assert rows["photo"][:] == ["0--Parade/0_Parade_1"] * 2 + ["1--Ball/1_Ball_2"]
    assert rows["source"][2] == "list_98pt_rect_attr_test.txt:3"
    assert rows[0]["image"].size == (90, 70)
    assert check_rows(rows, WFLW) is rows
    assert load_wflw(root_wflw, "test", box="dataset")[2]["box"] == [18, 12, 64, 49]


def test_wflw_lists_the_splits_that_are_there(root_wflw):
    with pytest.raises(KDLandmarksError, match="no split 'train'; splits there: test"):
        load_wflw(root_wflw, "train")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1.0 2.0 face.jpg", "3 values, not 207"),
        (wflw_line(face(98), "2--None/none.jpg"), r"there is no image file .*2--None/none\.jpg"),
        (wflw_line(face(98), "a.jpg").replace("60.000000", "x", 1), "could not convert.*'x'"),
        (
            wflw_line(face(98), "1--Ball/1_Ball_2.jpg").replace("60.000000", "nan", 1),
            "landmarks are not finite",
        ),
        (wflw_line(face(98), "a.jpg").replace(" 1 a.jpg", " nan a.jpg"), "invalid literal.*'nan'"),
    ],
)
def test_a_bad_line_of_wflw_is_refused_by_its_number(root_wflw, line, message):
    path = next(root_wflw.rglob("list_98pt_rect_attr_test.txt"))
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(KDLandmarksError, match=rf"list_98pt_rect_attr_test\.txt:4: .*{message}"):
        load_wflw(root_wflw, "test")
    assert len(load_wflw(root_wflw, "test", skip_bad_rows=True)) == 3


# --- COFW


@pytest.fixture
def root_cofw(tmp_path, rng):
    gray = rng.integers(0, 255, (70, 90), dtype=np.uint8)
    color = rng.integers(0, 255, (60, 100, 3), dtype=np.uint8)
    occluded = np.zeros(29)
    occluded[[0, 7]] = 1
    write_cofw(tmp_path / "COFW_train_color.mat", "Tr", [gray, color], occluded)
    write_cofw(tmp_path / "COFW_test_color.mat", "T", [color], occluded)
    return tmp_path, gray, color


def test_cofw_becomes_rows_with_their_pictures(root_cofw):
    root, gray, color = root_cofw
    rows = load_cofw(root, "train")
    assert rows.features == row_features(COFW, visible=True)
    np.testing.assert_array_equal(np.asarray(rows[0]["image"]), gray)
    np.testing.assert_array_equal(np.asarray(rows[1]["image"]), color)
    np.testing.assert_array_equal(rows[1]["landmarks"], np.float32(face(29, 1)))
    assert rows[0]["visible"] == [int(i not in (0, 7)) for i in range(29)]
    assert rows["source"][:] == ["COFW_train_color.mat:1", "COFW_train_color.mat:2"]
    assert len(set(rows["photo"])) == 2
    assert check_rows(rows, COFW) is rows
    boxes = load_cofw(root, "train", box="dataset")["box"][:]
    assert boxes == [[10, 5, 70, 55]] * 2


def test_cofw_is_read_from_one_file_too(root_cofw):
    root, _, color = root_cofw
    rows = load_cofw(root / "COFW_test_color.mat", None)
    np.testing.assert_array_equal(np.asarray(rows[0]["image"]), color)
    assert len(load_cofw(root / "COFW_test_color.mat", "test")) == 1
    with pytest.raises(KDLandmarksError, match="no split 'train'; splits there: test"):
        load_cofw(root / "COFW_test_color.mat", "train")
    with pytest.raises(KDLandmarksError, match="name a split; splits there: train, test"):
        load_cofw(root, None)


def test_a_file_that_is_not_cofws_is_refused_by_name(tmp_path, rng):
    path = tmp_path / "COFW_train_color.mat"
    path.write_bytes(b"MATLAB 5.0 MAT-file, Platform: GLNXA64")
    with pytest.raises(KDLandmarksError, match=r"color\.mat is a MATLAB 5 file.*-v7\.3"):
        load_cofw(path, "train")
    path.write_bytes(b"no HDF5 at all")
    with pytest.raises(KDLandmarksError, match=r"cannot read .*color\.mat as a MATLAB 7\.3"):
        load_cofw(path, "train")
    with h5py.File(path, "w") as file:
        file["other"] = 1
    with pytest.raises(KDLandmarksError, match="has the variables other, not IsTr"):
        load_cofw(path, "train")
    write_cofw(path, "Tr", [np.zeros((70, 90), np.uint8)] * 2, np.zeros(28))
    with pytest.raises(KDLandmarksError, match=r"phisTr is \(2, 86\)"):
        load_cofw(path, "train")
    write_cofw(path, "Tr", [np.zeros((70, 90), np.uint8), np.zeros((70, 90))], np.zeros(29))
    with pytest.raises(KDLandmarksError, match=r"color\.mat:2: the image is float64 \(70, 90\)"):
        load_cofw(path, "train")
    assert len(load_cofw(path, "train", skip_bad_rows=True)) == 1


def damaged(path, change) -> None:
    """A file of two gray faces, changed by hand."""
    write_cofw(path, "Tr", [np.zeros((70, 90), np.uint8)] * 2, np.zeros(29))
    with h5py.File(path, "r+") as file:
        change(file)


def replaced(name, *words, **options):
    """A change that puts another data set in a variable's place."""

    def change(file):
        del file[name]
        file.create_dataset(name, *words, **options)

    return change


def grouped(file):
    del file["phisTr"]
    file.create_group("phisTr")


def linked(kind):
    def change(file):
        del file["phisTr"]
        file["phisTr"] = kind

    return change


def external(file):
    del file["phisTr"]
    file.create_dataset("phisTr", (87, 2), "f8", external=[("/etc/passwd", 0, 87 * 2 * 8)])


def virtual(file):
    del file["phisTr"]
    layout = h5py.VirtualLayout((87, 2), "f8")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (87, 2))
    file.create_virtual_dataset("phisTr", layout)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (grouped, "phisTr is not an array"),
        (linked(h5py.ExternalLink("/etc/passwd", "/x")), "phisTr is a link to somewhere else"),
        (linked(h5py.SoftLink("/bboxesTr")), "phisTr is a link to somewhere else"),
        (external, "phisTr has its values in other files"),
        (virtual, "phisTr has its values in other files"),
        (replaced("phisTr", (87, 10**9), "f8", chunks=(87, 100)), "too large"),
        (replaced("phisTr", (87, 2), "S8"), "phisTr is |S8, not numbers"),
        (replaced("phisTr", data=h5py.Empty("f8")), "phisTr is not an array"),
        (replaced("IsTr", (1, 2), "f8"), "IsTr is float64, not references"),
        (replaced("IsTr", (1, 2), h5py.regionref_dtype), "not references"),
        (replaced("IsTr", (10**6, 10**6), h5py.ref_dtype, chunks=(1, 1)), "too large"),
        (lambda file: file.pop("bboxesTr"), "has no variable bboxesTr"),
    ],
)
def test_a_crafted_file_of_cofw_is_refused_whole(tmp_path, change, message):
    path = tmp_path / "COFW_train_color.mat"
    damaged(path, change)
    for skip in (False, True):
        with pytest.raises(KDLandmarksError) as caught:
            load_cofw(path, "train", skip_bad_rows=skip)
        assert message in str(caught.value)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def second(make):
    """A change of what the second picture's reference leads to."""

    def change(file):
        cells = file["IsTr"][()]
        cells[0, 1] = make(file)
        file["IsTr"][...] = cells

    return change


def removed(file):
    """The reference to an object that is gone."""
    gone = file.create_dataset("gone", (3, 3), "u1").ref
    del file["gone"]
    return gone


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda file: h5py.Reference(), "it refers to no image"),
        (removed, ""),
        (lambda file: file.create_group("group").ref, "the image is not an array"),
        (lambda file: file.create_dataset("t", data="text").ref, "the image is object ()"),
        # 2.7 GB, of which nothing is stored; and one with pieces that are larger than itself.
        (
            lambda file: file.create_dataset("v", (3, 30000, 30000), "u1", chunks=(1, 99, 99)).ref,
            "the image is uint8 (30000, 30000, 3), 2700 MB: too large",
        ),
        (
            lambda file: (
                file.create_dataset(
                    "v", (9, 9), "u1", chunks=(40000, 40000), maxshape=(None, None)
                ).ref
            ),
            "1600 MB: too large",
        ),
        (lambda file: file.create_dataset("v", (9, 9, 9), "u1").ref, "not uint8 gray or RGB"),
        (lambda file: file.create_dataset("v", (0, 9), "u1").ref, "not uint8 gray or RGB"),
        (
            lambda file: (
                file.create_dataset("v", (9, 9), "u1", external=[("/etc/passwd", 0, 81)]).ref
            ),
            "the image has its values in other files",
        ),
    ],
)
def test_a_crafted_picture_of_cofw_is_refused_or_left_out(tmp_path, make, message):
    path = tmp_path / "COFW_train_color.mat"
    damaged(path, second(make))
    with pytest.raises(KDLandmarksError) as caught:
        load_cofw(path, "train")
    assert f"{path.name}:2: " in str(caught.value)
    assert message in str(caught.value)
    assert len(load_cofw(path, "train", skip_bad_rows=True)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "n_points: 2\n{\n1 2\nnan 4\n}\n",
        "n_points: 2\n{\n1 2\n1e999 4\n}\n",
        f"n_points: {'9' * 5000}\n{{\n1 2\n}}\n",
        f"n_points: 1\n{{\n{'x' * 10**5} 2\n}}\n",
        "n_points: 1000000\n{\n" + "1 2\n" * 10**6 + "}\n",
        "\0" * 1000,
    ],
)
def test_a_crafted_pts_file_is_refused_or_left_out(root_300w, text):
    (root_300w / "afw/123456_1.pts").write_text(text)
    with pytest.raises(KDLandmarksError) as caught:
        load_300w(root_300w, "train")
    assert "afw/123456_1.pts" in str(caught.value)
    assert len(str(caught.value)) <= 500
    assert len(load_300w(root_300w, "train", skip_bad_rows=True)) == 3


@pytest.mark.parametrize("cells", ["nan", "x", "9" * 5000, "1 " * 200, "1 " * 10**6, "\0"])
def test_a_crafted_line_of_wflw_is_refused_or_left_out(root_wflw, cells):
    file = next(root_wflw.rglob("*_test.txt"))
    first, second, *_ = file.read_text().splitlines()
    file.write_text(f"{first}\n{cells} {second.partition(' ')[2]}\n")
    with pytest.raises(KDLandmarksError) as caught:
        load_wflw(root_wflw, "test")
    assert f"{file.name}:2" in str(caught.value)
    assert len(str(caught.value)) <= 500
    assert len(load_wflw(root_wflw, "test", skip_bad_rows=True)) == 1


# --- found by load_rows


def test_load_rows_knows_the_official_folders(root_300w, root_wflw, root_cofw):
    """All fixtures share one folder; each data set is moved to one of its own."""
    root, _, _ = root_cofw
    folders = {name: root / name for name in ("300W", "WFLW", "COFW")}
    for name, patterns in (
        ("300W", ("afw", "helen", "lfpw", "ibug")),
        ("WFLW", ("WFLW_*",)),
        ("COFW", ("COFW_*.mat",)),
    ):
        files = [file for pattern in patterns for file in root.glob(pattern)]
        folders[name].mkdir()
        for file in files:
            file.rename(folders[name] / file.name)
    assert len(load_rows(folders["300W"], "full", scheme=IBUG)) == 4
    assert len(load_rows(folders["WFLW"], "test", scheme=WFLW, box="dataset")) == 3
    assert len(load_rows(folders["COFW"], "train", scheme=COFW)) == 2
    assert len(load_rows(folders["COFW"] / "COFW_test_color.mat", scheme=COFW)) == 1
    with pytest.raises(KDLandmarksError, match="has the scheme wflw98, not 'ibug68'"):
        load_rows(folders["WFLW"], "test", scheme=IBUG)
    with pytest.raises(KDLandmarksError, match="name a split; splits there: train, common, chall"):
        load_rows(folders["300W"], scheme=IBUG)


# --- real files


def fit_similarity(points: np.ndarray, onto: np.ndarray) -> tuple[complex, complex]:
    """Factor and offset, in the complex plane, that carry points nearest onto others."""
    p, q = (xy[:, 0] + 1j * xy[:, 1] for xy in (points, onto))
    factor = np.vdot(p - p.mean(), q - q.mean()) / np.vdot(p - p.mean(), p - p.mean())
    return factor, q.mean() - factor * p.mean()


def crops_of_300w(data_root: Path) -> dict[str, dict]:
    """The published crops by the path of their official `.pts` file."""
    crops = {}
    for name in ("train.jsonl", "test_common.jsonl"):
        for line in (data_root / "300w" / name).read_text().splitlines():
            row = json.loads(line)
            stem = row["image"].removeprefix("images/").rsplit(".", 1)[0]
            stem = stem.replace("/train/", "/trainset/").replace("/test/", "/testset/")
            crops[f"{stem}.pts"] = row
    return crops


def test_official_300w_agrees_with_its_published_crops(data_root):
    crops = crops_of_300w(data_root)
    unscaled = 0
    for split in ("train", "common"):
        rows = load_300w(data_root / "official_layout" / "300W", split)
        assert check_rows(rows, IBUG) is rows
        for row in rows:
            crop = crops[row["source"]]
            ours, theirs = np.array(row["landmarks"]), np.array(crop["landmarks"])
            factor, offset = fit_similarity(ours, theirs)
            moved = factor * (ours[:, 0] + 1j * ours[:, 1]) + offset
            assert np.abs(moved - (theirs[:, 0] + 1j * theirs[:, 1])).max() < 2e-3
            if abs(factor - 1) > 1e-4:
                continue
            # Cut without scaling: the photo's own pixels show whether the points count from 0.
            unscaled += 1
            x, y = (theirs - ours).mean(0).round().astype(int)
            photo = np.asarray(row["image"].convert("RGB"), float)
            with Image.open(data_root / "300w" / crop["image"]) as image:
                cut = np.asarray(image.convert("RGB"), float)
            x0, y0, x1, y1 = np.array(row["box"]).astype(int)
            window = photo[max(y0, 0) : y1, max(x0, 0) : x1]
            top, left = max(y0, 0) + y, max(x0, 0) + x
            errors = {
                (dx, dy): np.abs(
                    cut[top + dy :, left + dx :][: window.shape[0], : window.shape[1]] - window
                ).mean()
                for dx in (-1, 0, 1)
                for dy in (-1, 0, 1)
            }
            assert min(errors, key=errors.get) == (0, 0)
    assert unscaled >= 2


def test_official_wflw_agrees_with_its_published_crops(data_root):
    rows = load_wflw(data_root / "official_layout" / "WFLW", "test", box="dataset")
    assert check_rows(rows, WFLW) is rows
    published = [
        np.array(row["landmarks_98"])
        for row in map(json.loads, (data_root / "wflw" / "faces.jsonl").read_text().splitlines())
        if row["landmarks_98"] is not None
    ]
    for row in rows.remove_columns("image"):
        ours = np.array(row["landmarks"])
        distances = []
        for theirs in published:
            factor, offset = fit_similarity(ours, theirs)
            moved = factor * (ours[:, 0] + 1j * ours[:, 1]) + offset
            distances.append(np.abs(moved - (theirs[:, 0] + 1j * theirs[:, 1])).max())
        assert min(distances) < 2e-3
