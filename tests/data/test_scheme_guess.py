"""A scheme for landmarks that nobody has named is guessed from faces, drawn, and works as it is."""

import re

import numpy as np
import pytest
from faces import write_lines
from PIL import Image
from typer.testing import CliRunner

from kd_landmarks.cli import app
from kd_landmarks.data.scheme_guess import guess_scheme, mean_shape
from kd_landmarks.errors import KDLandmarksError
from kd_landmarks.evaluation.metrics import nme
from kd_landmarks.inference.measures import five_points
from kd_landmarks.schemes import SCHEMES, LandmarkScheme, get_scheme
from kd_landmarks.synthetic import generate_face


def drawn(scheme, count=12):
    return np.stack([generate_face(seed, scheme).landmarks for seed in range(count)])


@pytest.mark.parametrize("name", SCHEMES)
def test_what_a_mirror_swaps_is_found(name):
    guessed = guess_scheme(drawn(name), "mine")
    assert guessed.flip_permutation == get_scheme(name).flip_permutation
    left, right = guessed.eye_corners
    assert guessed.flip_permutation[left] == right
    mean = mean_shape(drawn(name))
    assert mean[left, 0] < mean[right, 0]
    assert guessed.names[left][4:] == guessed.names[right][5:]


def test_the_five_points_of_face_recognition_get_their_names():
    shapes = np.stack([five_points(shape) for shape in drawn("ibug68")])
    guessed = guess_scheme(shapes, "five")
    assert guessed.names[2] == "nose_tip"
    assert guessed.flip_permutation == (1, 0, 2, 4, 3)
    assert guessed.eye_corners == (0, 1)
    np.testing.assert_allclose(five_points(shapes[0], guessed), shapes[0])


def test_what_is_not_symmetric_is_left_as_it_is():
    rng = np.random.default_rng(0)
    hand = rng.normal(0, 1, (21, 2)) + rng.normal(0, 0.02, (6, 21, 2))
    guessed = guess_scheme(hand, "hand")
    assert guessed.flip_permutation == tuple(range(21))
    assert guessed.eye_corners is None
    assert guessed.normalizer == "box"
    side = np.sqrt(np.prod(np.ptp(hand[0], axis=0)))
    assert nme(hand[0] + [side, 0], hand[0], guessed) == pytest.approx(100)
    with pytest.raises(KDLandmarksError, match="scheme hand has no eye_corners: take 'box'"):
        nme(hand, hand, guessed, "inter_ocular")
    with pytest.raises(KDLandmarksError, match="no face with all of its landmarks"):
        guess_scheme(hand[:0], "hand")


def test_a_scheme_needs_neither_eye_corners_nor_pupils(tmp_path):
    path = tmp_path / "cat.yaml"
    path.write_text("name: cat\nnames: [left_ear, right_ear, nose]\nflip_pairs: [[0, 1]]\n")
    scheme = get_scheme(path)
    assert scheme == LandmarkScheme.from_dict(scheme.to_dict())
    assert scheme.normalizer == "box"
    for nonsense in ("eye_corners: 0", "eye_corners: false", "pupils: ''", "pupils: 3"):
        path.write_text(f"name: cat\nnames: [a, b]\nflip_pairs: [[0, 1]]\n{nonsense}\n")
        with pytest.raises(KDLandmarksError, match=r"scheme field '(eye_corners|pupils)' is"):
            get_scheme(path)
    with pytest.raises(KDLandmarksError, match="scheme cat has no pupils"):
        nme(np.ones((3, 2)), np.eye(3)[:, :2], scheme, "inter_pupil")


def run(*words):
    result = CliRunner().invoke(app, list(map(str, words)))
    return result.exit_code, " ".join(result.output.split())


def test_the_command_writes_what_training_takes(tmp_path):
    faces = tmp_path / "faces"
    write_lines(faces, range(12), points=five_points)
    file = tmp_path / "mine.yaml"
    code, output = run("scheme", "new", faces, "--output", file)
    assert code == 0, output
    assert "5 landmarks, guessed from 12 faces" in output
    assert "swapped by a mirror: [0, 1], [3, 4]" in output
    assert "divided by: the distance of 0 and 1" in output
    scheme = get_scheme(file)
    assert scheme.name == "mine"
    assert scheme.flip_permutation == (1, 0, 2, 4, 3)
    with Image.open(tmp_path / "mine.png") as picture:
        assert picture.size == (720, 720)
    before = file.read_bytes()
    code, output = run("scheme", "new", faces, "--output", file)
    assert code == 2
    assert re.search(r"mine.yaml is there already: give another --output", output)
    assert file.read_bytes() == before


def test_a_photo_that_cannot_be_drawn_on_leaves_no_scheme_behind(tmp_path):
    faces = tmp_path / "faces"
    write_lines(faces, range(8), points=five_points)
    whole = {file: file.read_bytes() for file in faces.glob("*.png")}
    for file, content in whole.items():
        file.write_bytes(content[:100])
    words = ("scheme", "new", faces, "--output", tmp_path / "mine.yaml")
    assert run(*words)[0] == 2
    assert not (tmp_path / "mine.yaml").exists()
    for file, content in whole.items():
        file.write_bytes(content)
    assert run(*words)[0] == 0


def test_landmark_files_beside_photos_will_do(tmp_path):
    folder = tmp_path / "faces"
    folder.mkdir()
    for seed in range(8):
        face = generate_face(seed, "cofw29", size=96)
        ending = "webp" if seed % 2 else "png"
        Image.fromarray(face.image).save(folder / f"{seed}.{ending}")
        listed = "\n".join(f"{x + 1} {y + 1}" for x, y in face.landmarks)
        text = f"version: 1\nn_points: 29\n{{\n{listed}\n}}\n"
        (folder / f"{seed}.pts").write_text(text)
    code, output = run("scheme", "new", folder, "--output", tmp_path / "mine.yaml")
    assert code == 0, output
    guessed = get_scheme(tmp_path / "mine.yaml")
    assert guessed.flip_permutation == get_scheme("cofw29").flip_permutation


@pytest.mark.parametrize(
    ("name", "message"), [("mine.txt", "a name that ends with .yaml"), (".yaml", "ends with .yaml")]
)
def test_bad_names_are_refused(tmp_path, name, message):
    code, output = run("scheme", "new", tmp_path, "--output", tmp_path / name)
    assert code == 2
    assert message in output
