"""What labeling tools write is read as they mean it: pixels, order, points that are not there."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from kd_landmarks.cli import app
from kd_landmarks.data.columns import point_array
from kd_landmarks.data.convert import convert
from kd_landmarks.data.loading import load_rows
from kd_landmarks.data.row_checks import check_rows
from kd_landmarks.errors import KDLandmarksError
from kd_landmarks.inference.measures import five_points
from kd_landmarks.schemes import LandmarkScheme, get_scheme
from kd_landmarks.synthetic import generate_face

NAMES = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
SCHEME = LandmarkScheme("mine", NAMES, (1, 0, 2, 4, 3), (0, 1))
SIDE = 96
# The tools' own order of the names, which is not the scheme's.
ORDER = ("nose", "right_eye", "left_eye", "right_mouth", "left_mouth")


@pytest.fixture(scope="module")
def faces():
    """Three photos of one face each, and the faces' points (5, 2), pixel centers at wholes."""
    drawn = [generate_face(seed, size=SIDE) for seed in range(3)]
    return SimpleNamespace(
        pictures=[Image.fromarray(face.image) for face in drawn],
        points=np.stack([five_points(face.landmarks) for face in drawn]).round(2),
    )


def named(points):
    return dict(zip(NAMES, points.tolist(), strict=True))


def coco(faces, photos):
    return {
        "images": [
            {"id": 7 + k, "file_name": f, "width": SIDE, "height": SIDE}
            for k, f in enumerate(photos)
        ],
        "categories": [{"id": 1, "name": "face", "keypoints": list(ORDER), "skeleton": []}],
        "annotations": [
            {
                "id": k,
                "image_id": 7 + k,
                "category_id": 1,
                "bbox": [10, 12, 60, 70],
                "num_keypoints": 5,
                "keypoints": [
                    value
                    for name in ORDER
                    for value in (*(np.array(named(points)[name]) + 0.5).tolist(), 2)
                ],
            }
            for k, points in enumerate(faces.points)
        ],
    }


def write_coco(folder, faces, photos):
    (folder / "person_keypoints.json").write_text(json.dumps(coco(faces, photos)))


def write_cvat(folder, faces, photos):
    images = [
        f'<image id="{k}" name="{photo}" width="{SIDE}" height="{SIDE}">'
        '<skeleton label="face" source="manual" z_order="0">'
        + "".join(
            f'<points label="{name}" source="manual" outside="0" occluded="0" '
            f'points="{named(points)[name][0] + 0.5:.2f},{named(points)[name][1] + 0.5:.2f}">'
            "</points>"
            for name in ORDER
        )
        + "</skeleton></image>"
        for k, (photo, points) in enumerate(zip(photos, faces.points, strict=True))
    ]
    text = '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>'
    (folder / "annotations.xml").write_text(f"{text}{''.join(images)}</annotations>")


def write_cvat_points(folder, faces, photos):
    """All points of a face as one shape."""
    images = [
        f'<image id="{k}" name="{photo}"><points label="face" points="'
        + ";".join(f"{x + 0.5:.2f},{y + 0.5:.2f}" for x, y in points)
        + '"></points></image>'
        for k, (photo, points) in enumerate(zip(photos, faces.points, strict=True))
    ]
    (folder / "annotations.xml").write_text(f"<annotations>{''.join(images)}</annotations>")


def write_label_studio(folder, faces, photos):
    tasks = [
        {
            "id": k,
            "data": {"img": f"/data/upload/1/0a1b2c3d-{photo}"},
            "annotations": [
                {
                    "result": [
                        {
                            "type": "keypointlabels",
                            "original_width": SIDE,
                            "original_height": SIDE,
                            "value": {
                                "x": (named(points)[name][0] + 0.5) / SIDE * 100,
                                "y": (named(points)[name][1] + 0.5) / SIDE * 100,
                                "width": 0.4,
                                "keypointlabels": [name],
                            },
                        }
                        for name in ORDER
                    ]
                }
            ],
        }
        for k, (photo, points) in enumerate(zip(photos, faces.points, strict=True))
    ]
    (folder / "project-1.json").write_text(json.dumps(tasks))


def write_labelme(folder, faces, photos):
    for photo, points in zip(photos, faces.points, strict=True):
        shapes = [
            {
                "label": name,
                "points": [[named(points)[name][0] + 0.5, named(points)[name][1] + 0.5]],
                "group_id": None,
                "shape_type": "point",
                "flags": {},
            }
            for name in ORDER
        ]
        file = {"version": "5.5.0", "shapes": shapes, "imagePath": photo, "imageData": None}
        (folder / photo).with_suffix(".json").write_text(json.dumps(file))


def write_dlib(folder, faces, photos):
    images = [
        f"<image file='{photo}'><box top='10' left='12' width='70' height='72'>"
        + "".join(f"<part name='{n:02d}' x='{x}' y='{y}'/>" for n, (x, y) in enumerate(points))
        + "</box></image>"
        for photo, points in zip(photos, faces.points, strict=True)
    ]
    text = "<?xml version='1.0' encoding='ISO-8859-1'?>\n<dataset><name>faces</name><images>"
    (folder / "training.xml").write_text(f"{text}{''.join(images)}</images></dataset>")


def write_csv(folder, faces, photos):
    columns = [f"{name}_{axis}" for name in ORDER for axis in "xy"]
    with (folder / "faces.csv").open("w", newline="", encoding="utf-8-sig") as file:
        table = csv.writer(file)
        table.writerow(["image", *columns])
        for photo, points in zip(photos, faces.points, strict=True):
            table.writerow([photo, *(value for name in ORDER for value in named(points)[name])])


def write_numbered_csv(folder, faces, photos):
    with (folder / "faces.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", *(f"{axis}{k}" for k in range(5) for axis in "xy")])
        for photo, points in zip(photos, faces.points, strict=True):
            table.writerow([photo, *points.ravel()])


WRITERS = {
    writer.__name__: writer
    for writer in (
        *(write_coco, write_cvat, write_cvat_points, write_label_studio, write_labelme),
        *(write_dlib, write_csv, write_numbered_csv),
    )
}


def write(folder, faces, writer):
    folder.mkdir()
    photos = [f"{number}.png" for number in range(len(faces.pictures))]
    for photo, picture in zip(photos, faces.pictures, strict=True):
        picture.save(folder / photo)
    writer(folder, faces, photos)
    return folder


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_a_tools_faces_are_read_in_the_schemes_order(tmp_path, faces, writer):
    rows = load_rows(write(tmp_path / "faces", faces, writer), scheme=SCHEME)
    assert len(check_rows(rows, SCHEME)) == 3
    np.testing.assert_allclose(point_array(rows, "landmarks"), faces.points, atol=0.02)


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_and_converted(tmp_path, faces, writer):
    source = write(tmp_path / "faces", faces, writer)
    conversion = convert("own", source, tmp_path / "out", scheme=SCHEME)
    assert not conversion.left_out
    rows = load_rows(tmp_path / "out", scheme=SCHEME)
    np.testing.assert_allclose(point_array(rows, "landmarks"), faces.points, atol=0.02)
    boxes = {"write_coco": [9.5, 11.5, 69.5, 81.5], "write_dlib": [12, 10, 82, 82]}
    if writer.__name__ in boxes:
        rows = load_rows(tmp_path / "out", scheme=SCHEME, box="dataset")
        np.testing.assert_allclose(rows["box"][0], boxes[writer.__name__])


def test_a_folder_of_files_is_a_split_each_and_one_of_labelme_a_split_of_all(tmp_path, faces):
    folder = write(tmp_path / "coco", faces, write_coco)
    (folder / "person_keypoints.json").rename(folder / "train.json")
    values = coco(faces, [f"{number}.png" for number in range(3)])
    values["annotations"] = values["annotations"][:1]
    (folder / "test.json").write_text(json.dumps(values))
    assert len(load_rows(folder, "train", scheme=SCHEME)) == 3
    assert len(load_rows(folder, "test", scheme=SCHEME)) == 1
    for split in ("train", "test"):
        write(tmp_path / split, faces, write_labelme)
    (tmp_path / "coco").rename(tmp_path.parent / f"{tmp_path.name}-coco")
    assert len(load_rows(tmp_path, "test", scheme=SCHEME)) == 3


@pytest.mark.parametrize("writer", [write_coco, write_cvat, write_label_studio, write_labelme])
def test_points_are_one_landmark_by_their_name_whatever_order_a_file_has(
    tmp_path, faces, writer, monkeypatch
):
    first = write(tmp_path / "first", faces, writer)
    monkeypatch.setitem(globals(), "ORDER", NAMES[::-1])
    second = write(tmp_path / "second", faces, writer)
    words = ["scheme", "new", str(first), "--output", str(tmp_path / "guessed.yaml")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    scheme = get_scheme(str(tmp_path / "guessed.yaml"))
    assert sorted(scheme.names) == sorted(NAMES)
    one, other = (load_rows(place, scheme=scheme) for place in (first, second))
    np.testing.assert_allclose(
        point_array(one, "landmarks"), point_array(other, "landmarks"), atol=0.02
    )
    # Five landmarks as well, and nobody knows which is which.
    others = LandmarkScheme("others", ("a", "b", "c", "d", "e"), (0, 1, 2, 3, 4))
    for folder in (first, second):
        with pytest.raises(KDLandmarksError, match="is no landmark of the scheme others, which"):
            load_rows(folder, scheme=others)


def test_numbers_behind_a_word_count_up(tmp_path, faces, monkeypatch):
    called = {name: f"point {number}" for number, name in enumerate(NAMES, start=7)}
    monkeypatch.setitem(globals(), "ORDER", tuple(called[name] for name in ORDER))
    monkeypatch.setitem(globals(), "NAMES", tuple(called.values()))
    folder = write(tmp_path / "faces", faces, write_labelme)
    rows = load_rows(folder, scheme=SCHEME)
    np.testing.assert_allclose(point_array(rows, "landmarks"), faces.points, atol=0.02)


def test_names_that_begin_as_numbered_ones_do_stay(tmp_path, faces, monkeypatch):
    called = {name: f"point_{name}" for name in NAMES}
    monkeypatch.setitem(globals(), "ORDER", tuple(called[name] for name in ORDER))
    monkeypatch.setitem(globals(), "NAMES", tuple(called.values()))
    folder = write(tmp_path / "faces", faces, write_labelme)
    words = ["scheme", "new", str(folder), "--output", str(tmp_path / "guessed.yaml")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "keep its names" in result.output
    scheme = get_scheme(str(tmp_path / "guessed.yaml"))
    assert sorted(scheme.names) == sorted(called.values())
    assert len(load_rows(folder, scheme=scheme)) == 3


def test_covered_points_that_nobody_has_placed_are_not_there(tmp_path, faces):
    folder = write(tmp_path / "coco", faces, write_coco)
    file = folder / "person_keypoints.json"
    values = json.loads(file.read_text())
    values["annotations"][0]["keypoints"][:3] = [0, 0, 1]
    file.write_text(json.dumps(values))
    other = write(tmp_path / "cvat", faces, write_cvat)
    file = other / "annotations.xml"
    head, _, rest = file.read_text().partition('occluded="0" points="')
    file.write_text(f'{head}occluded="1" points="0.0,0.0"{rest.partition(chr(34))[2]}')
    for place in (folder, other):
        rows = load_rows(place, scheme=SCHEME)
        points = point_array(rows, "landmarks")
        assert np.isnan(points[0, 2]).all()
        assert rows["visible"][0] == [1, 1, -1, 1, 1]
        np.testing.assert_allclose(rows["box"][0][:2], np.nanmin(points[0], axis=0), atol=0.01)


def test_a_name_that_a_category_has_twice_is_refused(tmp_path, faces):
    folder = write(tmp_path / "coco", faces, write_coco)
    twice_coco(folder)
    with pytest.raises(KDLandmarksError, match="'nose' is there twice: give the category's keyp"):
        load_rows(folder, scheme=SCHEME)


def test_a_shape_of_covered_points_is_covered(tmp_path, faces):
    folder = write(tmp_path / "cvat", faces, write_cvat_points)
    file = folder / "annotations.xml"
    file.write_text(file.read_text().replace('label="face"', 'label="face" occluded="1"', 1))
    rows = load_rows(folder, scheme=SCHEME)
    assert rows["visible"][:2] == [[0] * 5, [1] * 5]


def test_rows_say_nothing_of_the_folders_place(tmp_path, faces):
    folder = write(tmp_path / "coco", faces, write_coco)
    assert not any(str(tmp_path) in photo for photo in load_rows(folder, scheme=SCHEME)["photo"])


def test_points_that_are_not_there_stay_out(tmp_path, faces):
    folder = write(tmp_path / "coco", faces, write_coco)
    values = json.loads((folder / "person_keypoints.json").read_text())
    values["annotations"][0]["keypoints"][:3] = [0, 0, 0]  # the nose
    values["annotations"][1]["keypoints"][2] = 1
    del values["annotations"][2]["keypoints"]  # a face with a box alone
    # As COCO itself says of one.
    unlabeled = values["annotations"][1] | {"keypoints": [0] * 15, "num_keypoints": 0}
    values["annotations"].append(unlabeled)
    (folder / "person_keypoints.json").write_text(json.dumps(values))
    rows = load_rows(folder, scheme=SCHEME, box="dataset")
    assert len(rows) == 2
    assert np.isnan(point_array(rows, "landmarks")[0, 2]).all()
    assert rows["visible"][0] == [1, 1, -1, 1, 1]
    assert rows["visible"][1] == [1, 1, 0, 1, 1]
    np.testing.assert_allclose(rows["box"][0], [9.5, 11.5, 69.5, 81.5])


def test_several_faces_of_a_photo_are_told_apart(tmp_path, faces):
    folder = write(tmp_path / "labelme", faces, write_labelme)
    file = folder / "0.json"
    values = json.loads(file.read_text())
    values["shapes"] = [
        {**shape, "group_id": group} for group in (1, 2) for shape in values["shapes"]
    ]
    values["shapes"].append({"label": "hair", "points": [[1, 2], [3, 4]], "shape_type": "polygon"})
    file.write_text(json.dumps(values))
    rows = load_rows(folder, scheme=SCHEME)
    assert len(rows) == 4
    assert rows["photo"][0] == rows["photo"][1]


def twice_labelme(folder):
    file = folder / "0.json"
    values = json.loads(file.read_text())
    file.write_text(json.dumps(values | {"shapes": values["shapes"] * 2}))


def twice_label_studio(folder):
    tasks = json.loads((folder / "project-1.json").read_text())
    tasks[0]["annotations"][0]["result"] *= 2
    (folder / "project-1.json").write_text(json.dumps(tasks))


def replace_in(name, old, new):
    def change(folder):
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return change


def twice_coco(folder):
    values = json.loads((folder / "person_keypoints.json").read_text())
    values["categories"][0]["keypoints"][1] = "nose"
    (folder / "person_keypoints.json").write_text(json.dumps(values))


def one_point_less(folder):
    """The last of the first face's points, which have no names."""
    text = (folder / "annotations.xml").read_text()
    head, _, tail = text.partition('"></points>')
    (folder / "annotations.xml").write_text(head.rpartition(";")[0] + '"></points>' + tail)


def short_coco(folder):
    values = json.loads((folder / "person_keypoints.json").read_text())
    del values["annotations"][0]["keypoints"][-3:]
    (folder / "person_keypoints.json").write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("writer", "change", "message"),
    [
        (write_labelme, twice_labelme, "'nose' is there twice: give the points of each face a gr"),
        (write_label_studio, twice_label_studio, "'nose' is there twice: draw each face's points"),
        (write_cvat, replace_in("annotations.xml", '"left_eye"', '"nose"'), "'nose' is there tw"),
        (write_dlib, replace_in("training.xml", "name='01'", "name='00'"), "'00' is there twice"),
        (write_coco, short_coco, "keypoints are 12 numbers, not 5 times x, y, v"),
        (write_cvat_points, one_point_less, "it has 4 points, and most faces have 5"),
        (
            write_coco,
            replace_in("person_keypoints.json", '"image_id": 7', '"image_id": 77'),
            "its image_id 77 is none of the images",
        ),
        (
            write_cvat_points,
            replace_in("annotations.xml", ";", '"></points><points label="b" points="'),
            "it has shapes of one point each: use a skeleton",
        ),
    ],
)
def test_a_face_whose_labels_cannot_be_meant_is_named_and_may_be_left_out(
    tmp_path, faces, writer, change, message
):
    folder = write(tmp_path / "faces", faces, writer)
    change(folder)
    with pytest.raises(KDLandmarksError, match=message):
        load_rows(folder, scheme=SCHEME)
    if "one point each" not in message:  # which has become two shapes
        assert len(load_rows(folder, scheme=SCHEME, skip_bad_rows=True)) == 2


def test_a_skipped_answer_and_a_caption_are_no_labels(tmp_path, faces):
    folder = write(tmp_path / "faces", faces, write_label_studio)
    file = folder / "project-1.json"
    tasks = json.loads(file.read_text())
    for task in tasks:
        skipped = json.loads(json.dumps(task["annotations"][0] | {"was_cancelled": True}))
        for result in skipped["result"]:
            result["value"]["x"] = 1.0
        task["annotations"].insert(0, skipped)
        task["data"] = {"caption": "a photo of one", **task["data"]}
    file.write_text(json.dumps(tasks))
    rows = load_rows(folder, scheme=SCHEME)
    np.testing.assert_allclose(point_array(rows, "landmarks"), faces.points, atol=0.02)


@pytest.mark.parametrize("writer", [write_dlib, write_csv, write_numbered_csv])
def test_minus_one_is_not_there_where_a_format_has_no_other_word(tmp_path, faces, writer):
    points = faces.points.copy()
    points[1, 2] = -1
    folder = write(tmp_path / "faces", SimpleNamespace(**vars(faces) | {"points": points}), writer)
    rows = load_rows(folder, scheme=SCHEME)
    assert np.argwhere(np.isnan(point_array(rows, "landmarks")[..., 0])).tolist() == [[1, 2]]
    assert min(rows["box"][1]) > 0


def test_boxes_that_dlib_ignores_are_no_faces(tmp_path, faces):
    folder = write(tmp_path / "faces", faces, write_dlib)
    replace_in("training.xml", "<box ", "<box ignore='1' ")(folder)
    assert len(load_rows(folder, scheme=SCHEME)) == 2


@pytest.mark.parametrize("between", [", ", ";", "; "])
def test_csv_of_spreadsheets(tmp_path, faces, between):
    folder = write(tmp_path / "faces", faces, write_csv)
    file = folder / "faces.csv"
    file.write_text(file.read_text(encoding="utf-8-sig").replace(",", between))
    rows = load_rows(folder, scheme=SCHEME)
    np.testing.assert_allclose(point_array(rows, "landmarks"), faces.points, atol=0.02)


def test_a_folder_of_annotations_may_have_its_photos_beside(tmp_path, faces):
    (tmp_path / "faces").mkdir()
    write(tmp_path / "faces/annotations", faces, write_cvat)
    rows = load_rows(tmp_path / "faces", scheme=SCHEME)
    np.testing.assert_allclose(point_array(rows, "landmarks"), faces.points, atol=0.02)


def test_photos_and_annotations_may_lie_as_coco_and_cvat_lay_them(tmp_path, faces):
    folder = write(tmp_path / "faces", faces, write_coco)
    for name, place in (("person_keypoints.json", "annotations"), ("0.png", "images/default")):
        (folder / place).mkdir(parents=True)
        (folder / name).rename(folder / place / name)
    for number in (1, 2):
        (folder / f"{number}.png").rename(folder / f"images/default/{number}.png")
    rows = load_rows(folder, scheme=SCHEME)
    np.testing.assert_allclose(point_array(rows, "landmarks"), faces.points, atol=0.02)
    # Which of two is meant nobody knows.
    (folder / "images/other").mkdir()
    faces.pictures[1].save(folder / "images/other/0.png")
    with pytest.raises(KDLandmarksError, match="there is no image file"):
        load_rows(folder, scheme=SCHEME)


def test_the_packages_own_tables_come_back(tmp_path, faces):
    """`predict --output faces.json` is COCO, `.csv` has a column a coordinate."""
    folder = tmp_path / "faces"
    folder.mkdir()
    generate = generate_face(3, size=320)
    Image.fromarray(generate.image).save(folder / "0.png")
    found = {}
    for ending in ("json", "csv"):
        file = folder / f"found.{ending}"
        words = ["predict", str(folder / "0.png"), "--output", str(file), "--min-score", "0.2"]
        assert CliRunner().invoke(app, words).exit_code == 0
        rows = load_rows(file, scheme=get_scheme("ibug68"))
        found[ending] = point_array(rows, "landmarks")
    np.testing.assert_allclose(found["json"], found["csv"], atol=0.02)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", '{"hello": 1}', "has no known label format: give COCO keypoints"),
        ("a.json", "{", "is not JSON that can be read"),
        ("a.xml", "<annotations>", "is not XML that can be read"),
        ("a.xml", '<!DOCTYPE a [<!ENTITY b "c">]><annotations/>', "defines entities"),
        ("a.xml", "<pascal/>", "has no known label format"),
        ("a.csv", "image,left,right\n", "has the columns 'image, left, right': give a column"),
        ("a.csv", "image,a_x,a_y\n1.png,left,3\n", "a.csv:2: 'left' is not a number"),
        ("a.json", '{"images": 1, "annotations": []}', "a.json: images is 1, not a list"),
        ("a.json", '[{"data": 3}]', "a.json:task 1: data is 3, not a mapping"),
        ("a.json", '[{"image": "1.png"}]', "task 1 has no data: export as JSON, not as JSON-MIN"),
        ("a.xml", "<annotations><track/></annotations>", "is of a video: export as CVAT for ima"),
    ],
)
def test_what_is_no_tools_file_is_refused_by_name(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(KDLandmarksError, match=message):
        load_rows(tmp_path / name, scheme=SCHEME)


def test_a_photo_that_is_not_there_is_named(tmp_path, faces):
    folder = write(tmp_path / "faces", faces, write_cvat)
    (folder / "1.png").unlink()
    with pytest.raises(KDLandmarksError, match=r"annotations.xml:1.png: there is no image file"):
        load_rows(folder, scheme=SCHEME)
    assert len(load_rows(folder, scheme=SCHEME, skip_bad_rows=True)) == 2


def test_boxes_of_files_in_a_folder_per_split_stay(tmp_path, faces):
    (tmp_path / "faces").mkdir()
    for split in ("train", "test"):
        write(tmp_path / "faces" / split, faces, write_dlib)
    convert("own", tmp_path / "faces", tmp_path / "out", scheme=SCHEME)
    rows = load_rows(tmp_path / "out", "train", scheme=SCHEME, box="dataset")
    np.testing.assert_allclose(rows["box"][0], [12, 10, 82, 82])


@pytest.mark.parametrize(
    "change",
    [
        lambda values: values["annotations"][0]["keypoints"].__setitem__(2, 1e999),
        lambda values: values["annotations"][0].__setitem__("category_id", [1]),
        lambda values: values["categories"][0].__setitem__("keypoints", 5),
        lambda values: values["images"][0].__setitem__("id", []),
    ],
)
def test_a_value_that_no_tool_writes_is_one_clear_line(tmp_path, faces, change):
    folder = write(tmp_path / "coco", faces, write_coco)
    values = json.loads((folder / "person_keypoints.json").read_text())
    change(values)
    (folder / "person_keypoints.json").write_text(json.dumps(values))
    with pytest.raises(KDLandmarksError, match=r"person_keypoints\.json.*cannot be understood"):
        load_rows(folder, scheme=SCHEME)


def test_two_eyes_on_a_level_line_are_a_face(tmp_path, faces):
    scheme = LandmarkScheme("eyes", ("left", "right"), (1, 0))
    folder = tmp_path / "eyes"
    folder.mkdir()
    Image.new("RGB", (120, 90)).save(folder / "0.png")
    line = {"image": "0.png", "landmarks": [[30, 40], [80, 40]]}
    (folder / "train.jsonl").write_text(json.dumps(line) + "\n")
    rows = check_rows(load_rows(folder, scheme=scheme), scheme)
    assert rows["box"][0] == [30, 39.5, 80, 40.5]
