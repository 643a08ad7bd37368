"""Whole photos in, faces out: who finds them, and what the pipeline makes of that."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from detectors import evaluate, save_detector, write_faces
from PIL import Image, ImageOps

from kd_landmarks import (
    FaceLandmarkPipeline,
    KDLandmarksConfig,
    KDLandmarksError,
    KDLandmarksForKeypointDetection,
    KDLandmarksImageProcessor,
)
from kd_landmarks.data.detector_boxes import with_detected_boxes
from kd_landmarks.data.loading import load_rows
from kd_landmarks.imaging.boxes import overlaps, tight_box
from kd_landmarks.imaging.detection import YuNet, detect_faces, points_boxes
from kd_landmarks.imaging.yunet import find_faces
from kd_landmarks.schemes import get_scheme
from kd_landmarks.synthetic import generate_face

SCHEME = get_scheme("ibug68")


@pytest.fixture(scope="module")
def crowd():
    """A photo of six drawn faces, and the tight boxes of their points."""
    photo, boxes = Image.new("RGB", (640, 430), (90, 120, 90)), []
    for number in range(6):
        face = generate_face(number, size=200)
        corner = np.array([210 * (number % 3), 215 * (number // 3)])
        photo.paste(Image.fromarray(face.image), tuple(corner.tolist()))
        boxes.append(tight_box(face.landmarks + corner))
    return photo, np.stack(boxes)


@pytest.fixture(scope="module")
def detect():
    torch.manual_seed(0)
    config = KDLandmarksConfig(backbone="test_efficientnet", image_size=64, scheme=SCHEME.to_dict())
    processor = KDLandmarksImageProcessor(size={"height": 64, "width": 64})
    return FaceLandmarkPipeline(KDLandmarksForKeypointDetection(config), processor, device="cpu")


def overlap(box, other):
    """Shared area over joint area."""
    return overlaps(np.asarray(box)[None], np.asarray(other))[0]


def matched(found, boxes):
    """The overlap of each box with the one found nearest to it."""
    return np.array([max(overlap(box, other) for other in found) for box in boxes])


def in_order(faces):
    return [face["box"] for face in sorted(faces, key=lambda face: face["box"])]


# --- boxes


def test_threads_find_what_one_finds(crowd):
    photo, _ = crowd
    photos = [np.asarray(photo.crop((0, 0, side, 430))) for side in range(220, 640, 30)]
    alone = [find_faces(one)[0] for one in photos]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(find_faces, photos * 4))
    for number, (boxes, _) in enumerate(together):
        np.testing.assert_array_equal(boxes, alone[number % len(photos)])


def test_every_face_is_found_with_the_box_of_its_points(crowd):
    photo, boxes = crowd
    found, scores = detect_faces(photo, YuNet())
    assert len(found) == len(boxes)
    assert matched(found, boxes).min() > 0.6
    assert scores == sorted(scores, reverse=True)
    assert 0.6 < scores[-1] <= scores[0] <= 1
    # The detector's own boxes hold the forehead too.
    raw = find_faces(np.asarray(photo))[0]
    assert matched(found, boxes).mean() > matched(raw, boxes).mean() + 0.05
    np.testing.assert_array_equal(points_boxes(raw), found)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "CMYK"])
def test_the_kind_of_picture_does_not_matter(crowd, mode):
    photo, boxes = crowd
    found = detect_faces(photo.convert(mode), YuNet())[0]
    assert len(found) == len(boxes)
    assert matched(found, boxes).min() > 0.6


@pytest.mark.parametrize("times", [0.5, 5])
def test_the_size_of_the_photo_does_not_matter(crowd, times):
    photo, boxes = crowd
    size = (round(photo.width * times), round(photo.height * times))
    found = detect_faces(photo.resize(size), YuNet())[0]
    assert matched(found / times, boxes).min() > 0.6


def test_a_higher_least_score_finds_fewer(crowd):
    scores = detect_faces(crowd[0], YuNet())[1]
    middle = (scores[2] + scores[3]) / 2
    assert min(detect_faces(crowd[0], YuNet(min_score=middle))[1]) >= middle
    assert detect_faces(crowd[0], YuNet(min_score=0.99))[1] == []
    with pytest.raises(KDLandmarksError, match=r"min_score=1\.5"):
        YuNet(min_score=1.5)


def test_a_face_cut_off_by_the_border_leads_to_no_error(crowd, detect):
    photo, _ = crowd
    for cut in ((0, 0, 120, 430), (0, 0, 640, 110), (120, 0, 640, 430), (0, 90, 640, 430)):
        found = detect(photo.crop(cut))
        assert found
        assert all(np.isfinite(face["keypoints"]).all() for face in found)


def test_boxes_that_cannot_be_a_face_of_the_photo_are_dropped():
    boxes = [[10, 10, 50, 50], [90, 10, 150, 60], [-50, 0, -1, 40], [20, 20, 21, 60]]
    detector = lambda photo: (boxes[:1] * 3, [0.3, 0.9, 0.5])  # noqa: E731
    assert detect_faces(Image.new("RGB", (80, 80)), detector)[1] == [0.9, 0.5, 0.3]
    found, scores = detect_faces(Image.new("RGB", (80, 80)), lambda photo: (boxes, [4, 3, 2, 1]))
    assert found.tolist() == boxes[:1]
    assert scores == [4]


# --- in the pipeline


def test_without_boxes_the_pipeline_looks_for_faces(crowd, detect):
    photo, boxes = crowd
    faces = detect(photo)
    assert matched([np.array(face["box"]) for face in faces], boxes).min() > 0.6
    assert [face["detection_score"] for face in faces] == detect_faces(photo, YuNet())[1]
    # The same boxes, given, lead to the same points.
    again = detect(photo, boxes=[face["box"] for face in faces])
    for face, other in zip(faces, again, strict=True):
        np.testing.assert_array_equal(face["keypoints"], other["keypoints"])
        assert other["detection_score"] is None


def test_where_there_is_no_face_there_is_no_result(crowd, detect):
    plain = Image.new("RGB", (300, 200), (90, 120, 90))
    assert detect(plain) == []
    mixed = detect([plain, crowd[0], plain], batch_size=3)
    assert [len(faces) for faces in mixed] == [0, 6, 0]


def test_boxes_are_in_the_upright_photo(crowd, detect, tmp_path):
    photo, boxes = crowd
    exif = Image.Exif()
    exif[0x0112] = 6  # upright after a quarter turn to the right
    photo.rotate(90, expand=True).save(tmp_path / "phone.jpg", exif=exif, quality=95)
    assert ImageOps.exif_transpose(Image.open(tmp_path / "phone.jpg")).size == photo.size
    faces = detect(tmp_path / "phone.jpg")
    assert matched([np.array(face["box"]) for face in faces], boxes).min() > 0.6


def test_any_callable_may_find_the_faces(crowd, detect):
    photo, boxes = crowd
    seen = []

    def oracle(pixels):
        seen.append(pixels)
        return boxes[:2]

    mine = FaceLandmarkPipeline(detect.backend, detector=oracle)
    faces = mine(photo.convert("RGBA"))
    np.testing.assert_array_equal(seen[0], np.asarray(photo))
    assert [face["box"] for face in faces] == boxes[:2].tolist()
    assert [face["detection_score"] for face in faces] == [None, None]
    with pytest.raises(KDLandmarksError, match="detector is a str: give a callable"):
        FaceLandmarkPipeline(detect.backend, detector="yunet")


@pytest.mark.parametrize(
    "answer",
    [[[1, 2, 3]], "face", ([[1, 2, 3, 4]], [1, 2]), [[1, 2, float("nan"), 4]], ([[0] * 4], ["x"])],
)
def test_a_detector_that_answers_nonsense_is_refused(answer):
    with pytest.raises(KDLandmarksError, match="the face detector"):
        detect_faces(Image.new("RGB", (80, 80)), lambda photo: answer)


def test_a_face_is_the_same_alone_and_in_a_batch(crowd, detect):
    photo, _ = crowd
    alone = detect(photo)
    for faces in detect([photo] * 4, batch_size=4):
        assert in_order(faces) == in_order(alone)
        for face, other in zip(faces, alone, strict=True):
            side = max(np.ptp(np.reshape(face["box"], (2, 2)), axis=0))
            assert np.abs(face["keypoints"] - other["keypoints"]).max() < 1e-4 * side


# --- of labeled faces


@pytest.fixture(scope="module")
def labeled(tmp_path_factory):
    """Four faces of which one cannot be found."""
    folder = tmp_path_factory.mktemp("faces")
    points = write_faces(folder)
    Image.new("RGB", (96, 96)).save(folder / "images/2.png")
    return folder, points


def test_labeled_faces_get_the_detectors_boxes(labeled):
    folder, points = labeled
    rows = load_rows(folder, scheme=SCHEME)
    found, missed = with_detected_boxes(rows)
    assert missed == ["test.jsonl:3"]
    assert found["source"][:] == [f"test.jsonl:{line}" for line in (1, 2, 4)]
    boxes = np.array(found["box"][:])
    assert all(
        overlap(box, tight_box(points[i])) > 0.6 for box, i in zip(boxes, (0, 1, 3), strict=True)
    )


def test_of_several_boxes_that_of_the_labeled_face_is_taken(labeled):
    folder, points = labeled
    rows = load_rows(folder, scheme=SCHEME).select([0])
    right = tight_box(points[0])
    found, _ = with_detected_boxes(rows, lambda photo: [right - 30, right + 1, right + 40])
    np.testing.assert_allclose(found["box"][0], [*(right + 1), 0], rtol=1e-6)
    with pytest.raises(KDLandmarksError, match="finds none of the 1 faces"):
        with_detected_boxes(rows, lambda photo: [right + 60])


def test_scores_with_the_detectors_boxes_name_what_it_missed(labeled, tmp_path):
    folder, _ = labeled
    model = save_detector(tmp_path / "model", SCHEME, np.full((68, 2), 0.5))
    words = ["--data", folder, "--model", model, "--box", "detector"]
    result = evaluate(*words, "--json", tmp_path / "scores.json")
    assert result.exit_code == 0, result.output
    assert "Missed by the detector, not scored: 1 of 4 faces\n  test.jsonl:3\n" in result.output
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["missed"] == ["test.jsonl:3"]
    assert (scores["box"], scores["faces"]) == ("detector", 3)


# --- huge photos

HUGE = """
import resource, sys
from kd_landmarks import FaceLandmarkPipeline
faces = FaceLandmarkPipeline(sys.argv[1], device="cpu")(sys.argv[2])
print(len(faces), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_photo_of_100_megapixels_takes_less_than_2_gigabytes(tmp_path, orientation):
    face = Image.fromarray(generate_face(1, size=400).image).resize((4000, 4000))
    photo = Image.new("RGB", (11600, 8600), (90, 120, 90))
    photo.paste(face.rotate(90 if orientation == 6 else 0), (3000, 2000))
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo.save(tmp_path / "huge.jpg", exif=exif)
    model = save_detector(tmp_path / "model", SCHEME, np.full((68, 2), 0.5))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", HUGE, str(model), str(tmp_path / "huge.jpg")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "KD_LANDMARKS_MAX_MEGAPIXELS": "100"},
    )
    assert done.returncode == 0, done.stderr
    faces, kilobytes = map(int, done.stdout.split())
    assert faces == 1
    assert kilobytes < 2e6


def test_beyond_the_limit_a_photo_is_refused(detect, tmp_path):
    Image.new("1", (8000, 8000)).save(tmp_path / "bomb.png")
    with pytest.raises(KDLandmarksError, match=r"bomb\.png: the picture has 64 megapixels, more"):
        detect(tmp_path / "bomb.png")
