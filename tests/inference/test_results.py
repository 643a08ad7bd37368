"""What comes out of the pipeline: mappings, pictures, tables, plain JSON, keypoints of others."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from kd_landmarks import Face, FaceLandmarkPipeline, KDLandmarksError, get_scheme
from kd_landmarks.inference.tables import PredictionWriter
from kd_landmarks.schemes.named_points import named_points
from kd_landmarks.synthetic import generate_face

SCHEME = get_scheme("ibug68")
FACE = generate_face(3, size=128)
BOX = [*FACE.landmarks.min(0), *FACE.landmarks.max(0)]
KEYS = ["keypoints", "scores", "confidence", "face_confidence", "box", "detection_score"]


@pytest.fixture(scope="module")
def detect():
    return FaceLandmarkPipeline()


@pytest.fixture
def faces(detect):
    return detect(FACE.image, boxes=[BOX, [10, 20, 90, 100]])


def test_a_face_is_a_mapping_and_an_object(faces):
    face = faces[0]
    assert list(face) == KEYS
    assert dict(face)["box"] is face["box"] is face.box
    np.testing.assert_array_equal(face["left_eye"], face.keypoints[36:42])
    with pytest.raises(KeyError, match=r"third_eye' is none of keypoints.*, left_eye"):
        face["third_eye"]
    assert "third_eye" not in face


@pytest.mark.parametrize("name", ["ibug68", "wflw98", "cofw29"])
def test_landmarks_have_common_names(name):
    """On a drawn face: the chin is lowest, eyes and corners of the mouth lie side by side."""
    scheme = get_scheme(name)
    points = generate_face(308, name, size=160).landmarks.astype(np.float32)
    face = Face(points, None, None, None, [0, 0, 1, 1], None, scheme=scheme)
    assert face.point("chin")[1] > points[:, 1].max() - 3
    across = [
        *("left_eye_outer", "left_eye_inner", "nose_tip", "right_eye_inner", "right_eye_outer")
    ]
    x = [face.point(one)[0] for one in across]
    assert x == sorted(x)
    assert face.point("left_mouth_corner")[0] < face.point("right_mouth_corner")[0]
    assert {"chin", "nose_tip"} <= named_points(scheme).keys()
    with pytest.raises(KDLandmarksError, match=r"no landmark 'third_eye': there are .*chin"):
        face.point("third_eye")


def test_the_photo_itself_is_not_replaced(detect, tmp_path):
    photo = tmp_path / "photo.png"
    Image.fromarray(FACE.image).save(photo)
    before = photo.read_bytes()
    (tmp_path / "link.png").symlink_to(photo)
    found = detect(str(photo), boxes=[BOX])
    for path in (photo, tmp_path / "link.png"):
        with pytest.raises(KDLandmarksError, match="would replace the input"):
            found.save(path)
    stored = {"bytes": None, "path": str(photo)}
    with photo.open("rb") as opened:
        unknown = detect(opened, boxes=[BOX])
    for faces, given in ((detect(stored, boxes=[BOX]), None), (unknown, photo), (unknown, stored)):
        with pytest.raises(KDLandmarksError, match="would replace the input"):
            faces.save(photo, given)
    assert photo.read_bytes() == before
    found.save(tmp_path / "drawn.png")


def test_plain_json_is_rounded_alike(faces):
    told = json.loads(json.dumps(faces.to_dict()))
    assert told["scheme"] == "ibug68"
    assert [list(face) for face in told["faces"]] == [KEYS, KEYS]
    for face, plain in zip(faces, told["faces"], strict=True):
        np.testing.assert_allclose(plain["keypoints"], face.keypoints, atol=0.0051)
        np.testing.assert_allclose(plain["box"], face.box, atol=0.0051)
        for name in ("scores", "confidence", "face_confidence"):
            np.testing.assert_allclose(plain[name], face[name], atol=0.000051)
    assert len(str(told["faces"][0]["face_confidence"])) <= 6


def test_a_table_has_a_row_for_each_face(faces):
    table = faces.to_df()
    assert table.shape == (2, 4 + 2 + 2 * 68)
    assert list(table.columns[:6]) == ["x0", "y0", "x1", "y1", "detection_score", "face_confidence"]
    plain = faces[1].to_dict()
    assert [table["jaw_0_x"][1], table["jaw_0_y"][1]] == plain["keypoints"][0]


def test_supervision_gets_its_key_points(detect, faces):
    supervision = pytest.importorskip("supervision")
    found = faces.to_supervision()
    assert isinstance(found, supervision.KeyPoints)
    np.testing.assert_array_equal(found.xy, np.stack([face.keypoints for face in faces]))
    none = detect(np.zeros((64, 64, 3), np.uint8)).to_supervision()
    assert len(none) == 0


def test_faces_are_drawn_on_their_photo(detect, faces, tmp_path):
    drawn = np.asarray(faces.plot())
    assert drawn.shape == FACE.image.shape
    assert (drawn != FACE.image).any()
    assert faces._repr_png_().startswith(b"\x89PNG")
    path = tmp_path / "photo.png"
    Image.fromarray(FACE.image).save(path)
    stream = [*detect(iter([path, FACE.image]))]
    assert stream[0].plot().size == (128, 128)  # loaded again
    with pytest.raises(KDLandmarksError, match=r"give plot\(photo\)"):
        stream[1].plot()
    assert stream[1]._repr_png_() is None
    assert stream[1].plot(FACE.image).size == (128, 128)


@pytest.mark.parametrize("name", ["drawn.png", "drawn.jpg", "points.json"])
def test_faces_are_saved_by_the_names_ending(faces, tmp_path, name):
    path = faces.save(tmp_path / name)
    if name.endswith(".json"):
        assert json.loads(path.read_text()) == faces.to_dict()
    else:
        written, drawn = (np.asarray(one, dtype=float) for one in (Image.open(path), faces.plot()))
        undrawn = np.abs(drawn - FACE.image).mean()
        assert np.abs(written - drawn).mean() < (0.5 * undrawn if name == "drawn.jpg" else 1e-9)
    with pytest.raises(KDLandmarksError, match=r"drawn\.txt: its name must end with"):
        faces.save(tmp_path / "drawn.txt")


def test_coco_key_points_count_from_pixels_corners(faces):
    text = io.StringIO()
    writer = PredictionWriter(text, ".json", SCHEME)
    writer.write("a.jpg", faces)
    writer.write("broken.jpg", KDLandmarksError("no photo"))
    writer.close()
    told = json.loads(text.getvalue())
    assert told["images"] == [{"id": 1, "file_name": "a.jpg", "width": 128, "height": 128}]
    [category] = told["categories"]
    assert category["keypoints"] == list(SCHEME.names)
    assert min(min(line) for line in category["skeleton"]) == 1
    assert max(max(line) for line in category["skeleton"]) == 68
    first = told["annotations"][0]
    assert (first["image_id"], first["category_id"], first["num_keypoints"]) == (1, 1, 68)
    points = np.reshape(first["keypoints"], (68, 3))
    np.testing.assert_allclose(points[:, :2] - 0.5, faces[0].keypoints, atol=0.011)
    assert (points[:, 2] == 2).all()
    x0, y0, x1, y1 = faces[0].box
    np.testing.assert_allclose(first["bbox"], [x0 + 0.5, y0 + 0.5, x1 - x0, y1 - y0], atol=0.011)


def test_a_face_is_itself_alone(detect, faces):
    again = detect(FACE.image, boxes=[BOX, [10, 20, 90, 100]])
    assert faces.index(faces[1]) == 1
    assert faces[0] in faces
    assert again[0] not in faces
    assert len({faces[0], faces[1], faces[0]}) == 2


def test_a_drawing_is_never_the_callers_own_photo(detect):
    photo = Image.new("RGB", (64, 64))
    nobody = detect(photo)
    assert not nobody
    assert nobody.plot() is not photo


def test_an_open_file_is_at_its_end_and_not_drawn_on(detect, tmp_path):
    Image.fromarray(FACE.image).save(tmp_path / "photo.png")
    with (tmp_path / "photo.png").open("rb") as file:
        found = detect(file, boxes=[BOX])
        with pytest.raises(KDLandmarksError, match=r"open file are not kept: give plot\(photo\)"):
            found.plot()


def test_the_home_folder_is_known_and_a_format_too_small_is_told(faces, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert faces.save("~/points.json") == tmp_path / "points.json"
    wide = Image.new("RGB", (17_000, 20))
    with pytest.raises(KDLandmarksError, match=r"wide\.webp cannot be written: .*Save it as \.png"):
        faces.save(tmp_path / "wide.webp", wide)
    assert not (tmp_path / "wide.webp").exists()


def test_the_box_of_a_turned_face_is_that_of_its_points(detect):
    turned, held = detect(FACE.image, boxes=[[*BOX, 20], [*BOX, 0]])
    corners = [*turned.keypoints.min(0), *turned.keypoints.max(0)]
    np.testing.assert_allclose(turned.box, corners, atol=1e-3)
    assert held.box == pytest.approx(BOX)
