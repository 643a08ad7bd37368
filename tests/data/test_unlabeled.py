"""Faces without landmarks: where they come from, and what teachers make of them."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from blobs import centroid, draw_blob
from datasets import Dataset
from faces import SCHEME, face_rows
from PIL import Image

from kd_landmarks.data.crops import LANDMARK_WEIGHTS
from kd_landmarks.data.unlabeled import load_unlabeled
from kd_landmarks.errors import KDLandmarksError
from kd_landmarks.imaging import detection
from kd_landmarks.imaging.boxes import tight_box
from kd_landmarks.imaging.crop import square_crop, to_photo_pixels
from kd_landmarks.imaging.detection import find_faces
from kd_landmarks.inference.measures import five_points
from kd_landmarks.training import pseudo_labels, views
from kd_landmarks.training.pseudo_labels import (
    agreement,
    label_faces,
    precompute_targets,
    spread,
)
from kd_landmarks.training.recipe_settings import DataSettings, UnlabeledSettings
from kd_landmarks.training.teachers import add_point_column
from kd_landmarks.training.unlabeled import (
    ORIGINS,
    add_unlabeled,
    origins_of_targets,
    unlabeled_faces,
    with_targets,
)
from kd_landmarks.training.views import View, draw_views, predict_views

SPOT = (171.3, 202.6)
DATA = DataSettings()
ONE_POINT = SimpleNamespace(name="one", num_landmarks=1, flip_permutation=(0,))


class Teacher:
    """Stands in for a FrozenTeacher: answers with the bright blob's place, for every landmark."""

    image_size = 96
    crop_margin = 1.25
    accelerator = SimpleNamespace(
        is_main_process=False, device="cpu", num_processes=1, process_index=0
    )

    def __init__(self, points=1, wander=0.0):
        self.points, self.wander = points, wander

    def __call__(self, images):
        found = torch.stack([(centroid(image) + 0.5) / self.image_size for image in images])
        offsets = torch.zeros(self.points, 2)
        if self.points > 1:
            offsets[:, 0] = torch.linspace(-0.1, 0.1, self.points)
            offsets[0, 1] = offsets[-1, 1] = 0.05
        noise = self.wander * torch.randn(len(images), self.points, 2)
        return (found[:, None].expand(-1, self.points, 2) + offsets + noise).float()


@pytest.fixture
def photo(tmp_path):
    """A photo, black but for a blob, and the box of a detector that is a little off."""
    Image.fromarray(draw_blob(*SPOT, 4.0, 400, 400)).save(tmp_path / "photo.png")
    line = {"image": "photo.png", "detector_box": [100.0, 110.0, 250.0, 290.0], "score": 0.9}
    (tmp_path / "faces.jsonl").write_text(json.dumps(line))
    return tmp_path


@pytest.fixture
def unturned(monkeypatch):
    """No turned views: teachers that stand in do not see how a face is turned."""
    monkeypatch.setattr(views, "VIEW_TURN", 0.0)


def test_every_view_leads_back_to_the_photo(photo):
    faces = load_unlabeled(photo / "faces.jsonl")
    views = draw_views(9)
    found = predict_views(faces, np.asarray(faces["box"]), Teacher(), ONE_POINT, views, "")
    # A process may have no face in its share.
    nobody = predict_views(faces.select([]), np.zeros((0, 4)), Teacher(), ONE_POINT, views, "")
    assert nobody.shape == (0, *found.shape[1:])
    assert found.shape == (1, 9, 1, 2)
    np.testing.assert_allclose(found[0, :, 0], np.tile(SPOT, (9, 1)), atol=0.1)


def test_views_are_the_plain_one_its_mirror_image_and_moved_pairs():
    views = draw_views(8)
    assert views[:2] == [View(), View(mirrored=True)]
    assert [view.mirrored for view in views] == [False, True] * 4
    assert len({view.scale for view in views}) == 4
    assert draw_views(1) == [View()]
    assert draw_views(8) == views


def test_mirrored_views_come_back_in_the_schemes_order(photo):
    """The teacher's points stand from left to right: mirrored, the scheme's last is its first."""
    faces = load_unlabeled(photo / "faces.jsonl")
    row = SimpleNamespace(flip_permutation=(2, 1, 0))
    found = predict_views(faces, np.asarray(faces["box"]), Teacher(3), row, draw_views(2), "")[0]
    np.testing.assert_allclose(found[0], found[1], atol=0.2)
    assert found[1, 0, 0] < found[1, 1, 0] < found[1, 2, 0]


def test_points_count_by_how_well_the_views_agree():
    still = np.tile(np.array([[0.0, 0.0], [100.0, 50.0]]), (1, 4, 1, 1))
    assert agreement(spread(still), 0.01).tolist() == [[1.0, 1.0]]
    wandering = still.copy()
    wandering[0, :, 1, 1] += [1, -1, 1, -1]  # 1 % of the box's longer side
    np.testing.assert_allclose(agreement(spread(wandering), 0.01), [[1.0, 0.5]])
    np.testing.assert_allclose(agreement(spread(wandering), 0.02), [[1.0, 0.8]])
    # in shares of the face, whatever the photo's resolution
    np.testing.assert_allclose(agreement(spread(7 * wandering), 0.02), [[1.0, 0.8]])


@pytest.mark.usefixtures("unturned")
def test_the_points_make_the_box(photo):
    faces = load_unlabeled(photo / "faces.jsonl")
    scheme = SimpleNamespace(flip_permutation=(2, 1, 0))
    rows = label_faces(faces, {"tough": [Teacher(3)], "tolerant": [Teacher(3)]}, scheme)
    points = np.asarray(rows["landmarks"][0])
    np.testing.assert_allclose(points[1], SPOT, atol=1.5)  # a blob as large as its face's crop
    np.testing.assert_allclose(rows["box"][0], [*points.min(0), *points.max(0)], atol=1e-4)
    assert {"tough_landmarks", "tolerant_landmarks", LANDMARK_WEIGHTS} <= set(rows.column_names)
    assert np.min(rows[LANDMARK_WEIGHTS][0]) > 0.8


@pytest.mark.usefixtures("unturned")
def test_a_face_on_which_the_views_disagree_is_left_out(photo):
    faces = load_unlabeled(photo / "faces.jsonl")
    torch.manual_seed(0)
    scheme = SimpleNamespace(flip_permutation=(2, 1, 0))
    with pytest.raises(KDLandmarksError, match=r"agree on none of 1 unlabeled faces"):
        label_faces(faces, {"tough": [Teacher(3, wander=0.1)]}, scheme)


def test_targets_are_averaged_over_the_views(photo):
    faces = load_unlabeled(photo / "faces.jsonl")
    teachers = {"tough": [Teacher(3)], "tolerant": [Teacher(3)]}
    scheme = SimpleNamespace(flip_permutation=(2, 1, 0))
    rows = precompute_targets(faces, teachers, scheme)
    views = predict_views(faces, np.asarray(faces["box"]), Teacher(3), scheme, draw_views(2), "")
    for column in ("tough_landmarks", "tolerant_landmarks"):
        np.testing.assert_allclose(rows[column][0], views[0].mean(0), atol=1e-3)


class Off(Teacher):
    """Answers beside the blob, by shares of the crop's side."""

    def __init__(self, points, offset):
        super().__init__(points)
        self.offset = torch.tensor(offset)

    def __call__(self, images):
        return super().__call__(images) + self.offset


@pytest.mark.usefixtures("unturned")
def test_of_several_teachers_the_mean_counts_and_their_spread_is_doubt(photo):
    faces = load_unlabeled(photo / "faces.jsonl")
    scheme = SimpleNamespace(flip_permutation=(2, 1, 0))
    apart = [Off(3, (0.0, 0.002)), Off(3, (0.0, -0.002))]
    alone = label_faces(faces, {"tough": [Teacher(3)]}, scheme)
    rows = label_faces(faces, {"tough": apart}, scheme)
    np.testing.assert_allclose(rows["landmarks"][0], alone["landmarks"][0], atol=1.5)
    assert np.max(rows[LANDMARK_WEIGHTS][0]) < 0.7 < np.min(alone[LANDMARK_WEIGHTS][0])


@pytest.mark.usefixtures("unturned")
def test_a_teacher_that_is_nowhere_sure_labels_where_it_is_most(photo):
    faces = load_unlabeled(photo / "faces.jsonl")
    scheme = SimpleNamespace(flip_permutation=(2, 1, 0))
    apart = [Off(3, (0.0, 0.005)), Off(3, (0.0, -0.005))]
    weights = np.array(label_faces(faces, {"tough": apart}, scheme)[LANDMARK_WEIGHTS][0])
    np.testing.assert_allclose(np.median(weights), 0.5, atol=0.01)


@pytest.mark.usefixtures("unturned")
def test_landmarks_that_are_not_there_can_be_the_teachers(photo):
    points = np.array([[[150.0, 200.0], [np.nan, np.nan], [190.0, 200.0]]])
    faces = add_point_column(load_unlabeled(photo / "faces.jsonl"), "landmarks", points)
    scheme = SimpleNamespace(flip_permutation=(2, 1, 0))
    stale = add_point_column(faces, "tolerant_landmarks", points)
    rows = precompute_targets(stale, {"tough": [Teacher(3)]}, scheme)
    assert "tolerant_landmarks" not in rows.column_names  # nobody listens to that teacher
    assert np.isnan(rows["landmarks"][0][1]).all()
    assert LANDMARK_WEIGHTS not in rows.column_names
    apart = [Off(3, (0.0, 0.002)), Off(3, (0.0, -0.002))]
    rows = precompute_targets(faces, {"tough": apart}, scheme, fill_gaps=True)
    np.testing.assert_allclose(rows["landmarks"][0][1], SPOT, atol=1.5)
    np.testing.assert_array_equal(np.array(rows["landmarks"][0])[[0, 2]], points[0, [0, 2]])
    assert rows[LANDMARK_WEIGHTS][0][0] == rows[LANDMARK_WEIGHTS][0][2] == 1
    assert 0.2 < rows[LANDMARK_WEIGHTS][0][1] < 1


@pytest.mark.parametrize(("away", "kept"), [(0.0, True), (0.06, True), (0.1, False)])
def test_points_that_miss_the_five_known_ones_are_left_out(
    labeled, tmp_path, monkeypatch, caplog, away, kept
):
    """Of two faces, the one whose five points fit stays; the other one's are `away` from them."""
    monkeypatch.setattr(pseudo_labels, "TOLERANCE", 1.0)
    monkeypatch.setattr(pseudo_labels, "VIEWS_OF_UNLABELED", 2)
    found = Steady()(torch.zeros(1, 3, 8, 8))[0].double().numpy()
    lines = []
    for number, offset in enumerate((0.0, away)):
        labeled[number]["image"].save(tmp_path / f"{number}.png")
        box = [20.0, 20.0, 70.0, 70.0]
        for _ in range(3):  # as pseudo-labels find the box
            points = to_photo_pixels(found, square_crop(box, Teacher.crop_margin))
            box = tight_box(points).tolist()
        points = to_photo_pixels(found, square_crop(box, Teacher.crop_margin))
        five = five_points(points, SCHEME)
        five = five + offset * np.linalg.norm(five[0] - five[1]) * np.array([0.6, 0.8])
        line = {"image": f"{number}.png", "box": [20, 20, 70, 70], "points5": five.tolist()}
        lines.append(json.dumps(line))
    (tmp_path / "faces.jsonl").write_text("\n".join(lines))
    faces = load_unlabeled(tmp_path)
    rows = label_faces(faces, {"tough": [Steady()]}, SCHEME)
    assert len(rows) == 1 + kept
    # Landmarks that have no five points are not compared, with a line.
    unnamed = replace(SCHEME, pupils=None, names=tuple(f"p{n}" for n in range(68)))
    assert len(label_faces(faces, {"tough": [Steady()]}, unnamed)) == 2
    assert "points5 are not looked at: scheme ibug68 has no landmark" in caplog.text


def test_five_points_must_be_five_and_tell_whose_they_are(photo):
    line = json.loads((photo / "faces.jsonl").read_text())
    for change, complaint in (
        ({"points5": [[1, 2]] * 4}, "points5 are of shape"),
        ({"points5": [[1, 2]] * 5, "detector_box": None}, "points5 without a box"),
    ):
        (photo / "faces.jsonl").write_text(json.dumps(line | change))
        with pytest.raises(KDLandmarksError, match=complaint):
            load_unlabeled(photo / "faces.jsonl")


class Steady(Teacher):
    """Knows where a generated face's points roughly are: in its middle."""

    derived_from = ("mobilenetv2-300w",)

    def __call__(self, images):
        line = torch.linspace(0.2, 0.8, 68)
        mirrored = line[list(SCHEME.flip_permutation)]
        symmetric = torch.stack([(line + 1 - mirrored) / 2, (line + mirrored) / 2], -1)
        return symmetric.expand(len(images), -1, -1)


@pytest.fixture
def labeled():
    return face_rows().remove_columns(["soft_landmarks", "tolerant_landmarks"])


def test_labeled_and_unlabeled_faces_train_side_by_side(labeled, tmp_path, monkeypatch):
    monkeypatch.setattr(pseudo_labels, "TOLERANCE", 0.1)
    source = tmp_path / "photos"
    source.mkdir()
    lines = []
    for number in range(3):
        labeled[number]["image"].save(source / f"{number}.png")
        lines.append(json.dumps({"image": f"{number}.png", "box": labeled[number]["box"]}))
    (source / "faces.jsonl").write_text("\n".join(lines))
    settings = UnlabeledSettings(source=str(source))
    folder = tmp_path / "unlabeled"
    faces = unlabeled_faces(settings, DATA, SCHEME, folder)
    targets = with_targets(faces, {"tough": [Steady()]}, SCHEME, folder)
    assert origins_of_targets(folder) == {"mobilenetv2-300w"}
    rows = add_unlabeled(labeled, targets, folder, SCHEME, DATA.box)
    weights = np.asarray(rows[LANDMARK_WEIGHTS])
    assert len(rows) == 9
    assert (weights[:6] == 1).all()
    assert ((weights[6:] > 0) & (weights[6:] <= 1)).all()
    assert weights[6:].min() < 1
    np.testing.assert_array_equal(rows["landmarks"][:6], labeled["landmarks"])
    np.testing.assert_array_equal(rows["landmarks"][6:], rows["tough_landmarks"][6:])

    # kept for the run's continuation, and for other runs: nobody is asked again
    other = UnlabeledSettings(targets=str(folder))

    def stored(settings, measured=()):
        faces = unlabeled_faces(settings, DATA, SCHEME, folder, measured)
        return with_targets(faces, {}, SCHEME, folder)

    # Of another run's those that are measured on here stay out, and are not counted.
    clean = stored(other, [load_unlabeled(source / "faces.jsonl").select([1])])
    assert len(clean) == 2
    assert len(add_unlabeled(labeled, clean, folder, SCHEME, DATA.box)) == len(rows) - 1
    for again in (settings, other):
        repeated = add_unlabeled(labeled, stored(again), folder, SCHEME, DATA.box)
        np.testing.assert_array_equal(repeated["landmarks"], rows["landmarks"])
        np.testing.assert_array_equal(repeated[LANDMARK_WEIGHTS], rows[LANDMARK_WEIGHTS])

    both = labeled.add_column("tolerant_landmarks", labeled["tough_landmarks"][:])
    with pytest.raises(KDLandmarksError, match=r"no tolerant_landmarks: they were made by other"):
        add_unlabeled(both, stored(other), folder, SCHEME, DATA.box)


@pytest.mark.parametrize("names", ['{"a": 1}', "[1]", "[", '"name"'])
def test_origins_of_targets_are_names_or_nothing(names, tmp_path):
    assert origins_of_targets(tmp_path) == set()
    (tmp_path / ORIGINS).write_text(names)
    with pytest.raises(KDLandmarksError, match=ORIGINS):
        origins_of_targets(tmp_path)


def test_targets_that_are_none_are_refused(labeled, tmp_path):
    settings = UnlabeledSettings(targets=str(tmp_path))
    with pytest.raises(KDLandmarksError, match=r"name the folder `unlabeled` of an earlier run"):
        unlabeled_faces(settings, DATA, SCHEME, tmp_path / "unlabeled")
    labeled.save_to_disk(tmp_path / "others")
    settings = UnlabeledSettings(targets=str(tmp_path / "others"))
    with pytest.raises(KDLandmarksError, match="have 68 landmarks, one has 1"):
        unlabeled_faces(settings, DATA, ONE_POINT, tmp_path / "unlabeled")


def test_without_a_teacher_nobody_labels(photo):
    faces = load_unlabeled(photo / "faces.jsonl")
    with pytest.raises(KDLandmarksError, match="unlabeled faces need a teacher"):
        label_faces(faces, {}, ONE_POINT)


# --- where they come from


def test_a_folder_of_photos_is_searched_for_faces(tmp_path, monkeypatch):
    (tmp_path / "a/b").mkdir(parents=True)
    Image.new("L", (60, 40)).save(tmp_path / "a/b/two.png")
    Image.new("RGB", (50, 50)).save(tmp_path / "one.jpg")
    (tmp_path / "notes.txt").write_text("no photo")
    found = {40: [[1, 2, 30, 32], [3, 4, 13, 14]], 50: []}

    def find(photo, min_score, smallest_face):
        boxes = np.array(found[len(photo)]).reshape(-1, 4)
        return np.pad(boxes, ((0, 0), (0, 1))), np.ones(len(found[len(photo)]))

    monkeypatch.setattr(detection, "find_faces", find)
    faces = load_unlabeled(tmp_path)
    assert faces["box"][:] == [[1, 9.5, 30, 32], [3, 6.5, 13, 14]]  # from the brows down
    assert faces["photo"][:] == ["a/b/two.png"] * 2
    assert faces[0]["image"].size == (60, 40)


def test_photos_of_a_turned_camera_are_stored_upright(tmp_path, monkeypatch):
    """Nothing refers to the stored pixels yet, and networks want upright faces."""
    spot = draw_blob(*SPOT, 9.0, 400, 300)
    exif = Image.Exif()
    exif[0x0112] = 6  # upright after a quarter turn to the right
    Image.fromarray(np.rot90(spot)).save(tmp_path / "phone.jpg", exif=exif)
    seen = []

    def find(photo, min_score, smallest_face):
        seen.append(photo)
        return np.array([[9.0, 9.0, 99.0, 99.0, 0.0]]), np.ones(1)

    monkeypatch.setattr(detection, "find_faces", find)
    (face,) = load_unlabeled(tmp_path)
    assert face["image"].size == (400, 300)
    np.testing.assert_allclose(seen[0], spot, atol=12)
    np.testing.assert_allclose(np.asarray(face["image"]), spot, atol=12)


def test_stored_faces_come_with_their_boxes(tmp_path):
    rows = face_rows().select_columns(["image", "box", "photo", "source"])
    rows.to_parquet(tmp_path / "train-0.parquet")
    faces = load_unlabeled(tmp_path)
    np.testing.assert_allclose(faces["box"][:], rows["box"][:])
    assert faces["photo"][:] == rows["photo"][:]
    rows.select_columns(["image", "box"]).to_parquet(tmp_path / "train-0.parquet")
    assert len(set(load_unlabeled(tmp_path / "train-0.parquet")["photo"])) == len(rows)
    Dataset.from_dict({"picture": [1]}).to_parquet(tmp_path / "train-0.parquet")
    with pytest.raises(KDLandmarksError, match=r"no column 'image' .*picture"):
        load_unlabeled(tmp_path)


def test_bad_faces_are_named_or_left_out(photo, caplog):
    good = json.loads((photo / "faces.jsonl").read_text())
    (photo / "cut.png").write_bytes((photo / "photo.png").read_bytes()[:300])
    bad = [good | {"detector_box": [5, 5, 5, 9]}, good | {"image": "cut.png"}, {"box": None}]
    (photo / "faces.jsonl").write_text("\n".join(map(json.dumps, [good, *bad])))
    with pytest.raises(
        KDLandmarksError, match=r"faces.jsonl:2: the box .* no positive, finite width"
    ):
        load_unlabeled(photo)
    assert len(load_unlabeled(photo, skip_bad_rows=True)) == 1
    for complaint in ("faces.jsonl:2", "faces.jsonl:3", "cannot be decoded", "faces.jsonl:4"):
        assert complaint in caplog.text
    with pytest.raises(KDLandmarksError, match="there is no file or folder"):
        load_unlabeled(photo / "nowhere")


def test_faces_of_real_photos_are_found_where_they_are(data_root):
    """The detector's faces in whole photos lie around the official landmarks."""
    from kd_landmarks import load_rows

    rows = load_rows(data_root / "official_layout/300W", "common", scheme=SCHEME)
    for row in rows.select(range(0, len(rows), 3)):
        boxes, scores = find_faces(np.array(row["image"].convert("RGB")))
        assert (np.diff(scores) <= 0).all()
        middle = np.asarray(row["landmarks"]).mean(0)
        inside = (boxes[:, :2] < middle).all(1) & (middle < boxes[:, 2:4]).all(1)
        assert inside.any()


def test_no_face_is_found_where_none_is():
    boxes, scores = find_faces(np.zeros((3000, 40, 3), np.uint8))
    assert boxes.shape == (0, 5)
    assert scores.shape == (0,)
