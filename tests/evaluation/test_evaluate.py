"""`kd-landmarks evaluate` reports what the definitions say, of every face and of groups of them."""

import json

import numpy as np
import pytest
import torch
from detectors import MARGIN, evaluate, save_detector, write_faces
from finished_runs import save_run
from PIL import Image

import kd_landmarks
from kd_landmarks.data.loading import load_rows
from kd_landmarks.errors import KDLandmarksError
from kd_landmarks.evaluation.evaluate import evaluate_detector
from kd_landmarks.evaluation.metrics import bootstrap_interval
from kd_landmarks.evaluation.predictions import predict_rows
from kd_landmarks.imaging.crop import square_crop, to_crop_units, to_photo_pixels
from kd_landmarks.imaging.drawing import REFERENCE_COLOR
from kd_landmarks.models.loading import load_detector
from kd_landmarks.schemes import get_scheme
from kd_landmarks.synthetic import generate_face

SCHEME = get_scheme("ibug68")
SUBSETS = ("east", "west", "west", None)
ATTRIBUTES = [
    {"pose": pose, "make-up": 0, "age": 20 + 7 * number} for number, pose in enumerate((1, 0, 1, 0))
]


def crop_of(points, margin=MARGIN):
    return square_crop([*points.min(0), *points.max(0)], margin)


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """A folder of faces with subsets and attributes, and their points."""
    folder = tmp_path_factory.mktemp("faces")
    return folder, write_faces(folder, subset=SUBSETS, attributes=ATTRIBUTES)


@pytest.fixture(scope="module")
def answer(truth):
    """The answer of the detector, in crop units: the first face."""
    return to_crop_units(truth[1][0], crop_of(truth[1][0])).astype(np.float32)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, answer):
    return save_detector(tmp_path_factory.mktemp("model") / "same", SCHEME, answer)


@pytest.fixture(scope="module")
def errors(truth, answer):
    """Each face's NME in percent, by hand."""
    by_hand = []
    for points in truth[1]:
        left, top, side, _ = crop_of(points)
        predicted = answer * side - 0.5 + [left, top]
        distance = np.hypot(*(predicted - points).T).mean()
        by_hand.append(100 * distance / np.hypot(*(points[36] - points[45])))
    return np.array(by_hand)


def scores_of(*words, folder):
    """The JSON of a run that ends well."""
    result = evaluate(*words, "--json", folder / "made/scores.json")
    assert result.exit_code == 0, result.output
    return json.loads((folder / "made/scores.json").read_text())


# --- figures


def test_the_scores_are_those_computed_by_hand(truth, checkpoint, errors, tmp_path):
    scores = scores_of("--data", truth[0], "--model", checkpoint, folder=tmp_path)
    assert scores["nme"] == pytest.approx(errors.mean(), abs=1e-4)
    for threshold in (8, 10):
        failures = 100 * np.mean(errors > threshold)
        area = np.mean(np.clip(1 - errors / threshold, 0, None))
        assert scores[f"failure_rate_{threshold}"] == pytest.approx(failures)
        assert scores[f"auc_{threshold}"] == pytest.approx(area, abs=1e-4)
    assert [face["nme"] for face in scores["errors"]] == pytest.approx(errors, abs=1e-4)
    assert [face["source"] for face in scores["errors"]] == [f"test.jsonl:{n}" for n in range(1, 5)]
    assert [face["subset"] for face in scores["errors"]] == ["east", "west", "west", ""]
    assert scores["interval"] == pytest.approx(bootstrap_interval(errors)[1:], abs=1e-4)
    said = {
        "faces": 4,
        "normalizer": "inter_ocular",
        "box": "gt",
        "scheme": "ibug68",
        "crop_margin": MARGIN,
        "model": str(checkpoint),
        "data": str(truth[0]),
        "split": None,
        "revision": None,
        "seed": 0,
    }
    assert {name: scores[name] for name in said} == said
    model, _ = load_detector(checkpoint)
    assert scores["parameters"] == sum(value.numel() for value in model.parameters())
    assert {"python", "torch", "timm", "kd-landmarks"} <= scores["versions"].keys()


def test_subsets_and_attributes_have_scores_of_their_own(truth, checkpoint, errors, tmp_path):
    scores = scores_of("--data", truth[0], "--model", checkpoint, folder=tmp_path)
    groups = {"subsets": {"east": [0], "west": [1, 2]}, "attributes": {"pose": [0, 2]}}
    for kind, members in groups.items():
        # an attribute that no face has, and whole numbers that are no flags, make no group
        assert scores[kind].keys() == members.keys()
        for name, rows in members.items():
            assert scores[kind][name]["nme"] == pytest.approx(errors[rows].mean(), abs=1e-4)
            assert scores[kind][name]["faces"] == len(rows)
            failures = 100 * np.mean(errors[rows] > 8)
            assert scores[kind][name]["failure_rate_8"] == pytest.approx(failures)


def test_a_detector_that_answers_the_ground_truth_has_no_error(checkpoint, tmp_path):
    write_faces(tmp_path, numbers=(0, 0, 0))
    words = ("--data", tmp_path, "--model", checkpoint, "--plots", tmp_path / "plots")
    scores = scores_of(*words, folder=tmp_path)
    assert scores["nme"] == pytest.approx(0, abs=1e-3)
    assert (scores["failure_rate_8"], scores["auc_10"]) == (0, pytest.approx(1, abs=1e-3))
    assert scores["subsets"] == scores["attributes"] == {}
    # and drawn, it covers the ground truth
    sheet = np.asarray(Image.open(tmp_path / "plots/worst.png"))
    assert not (sheet == REFERENCE_COLOR).all(-1).any()


def test_one_call_of_python_measures_as_the_command(truth, checkpoint, errors):
    found = kd_landmarks.evaluate(checkpoint, truth[0], "test")
    assert found.result.nme == pytest.approx(errors.mean(), abs=1e-4)
    assert set(found.subsets) == {"east", "west"}
    with pytest.raises(KDLandmarksError, match="box='face'"):
        kd_landmarks.evaluate(checkpoint, truth[0], box="face")


def test_a_head_with_maps_scores_its_points(truth, noise_checkpoint):
    rows = load_rows(truth[0], scheme=SCHEME)
    model, processor = load_detector(noise_checkpoint)
    drawn = torch.get_rng_state()
    every = predict_rows(model, processor, rows, batch_size=3)
    assert torch.equal(torch.get_rng_state(), drawn)  # validating changes no training
    some = predict_rows(model, processor, rows.select([2]))
    assert every.points.shape == (4, 68, 2)
    assert ((every.scores >= 0) & (every.scores <= 1)).all()
    np.testing.assert_allclose(some.points[0], every.points[2], atol=1e-3)
    np.testing.assert_allclose(some.scores[0], every.scores[2], atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_size_of_batches_changes_nothing(truth, checkpoint, errors, batch_size):
    rows = load_rows(truth[0], scheme=SCHEME)
    model, processor = load_detector(checkpoint)
    found = evaluate_detector(model, processor, rows, SCHEME, batch_size=batch_size)
    assert found.result.errors == pytest.approx(errors, abs=1e-4)
    assert found.points.shape == (4, 68, 2)
    assert found.worst(2) == np.argsort(-errors)[:2].tolist()


def test_errors_are_divided_by_what_was_asked_for(truth, checkpoint, errors, tmp_path):
    words = ("--data", truth[0], "--model", checkpoint, "--normalizer", "box")
    scores = scores_of(*words, folder=tmp_path)
    assert scores["normalizer"] == "box"
    eyes = np.linalg.norm(truth[1][:, 36] - truth[1][:, 45], axis=1)
    sides = np.sqrt(np.ptp(truth[1], axis=1).prod(1))
    by_hand = errors * eyes / sides
    assert [face["nme"] for face in scores["errors"]] == pytest.approx(by_hand, abs=1e-4)


def test_the_datas_own_box_places_the_crop(checkpoint, answer, tmp_path):
    boxes = [[10, 12, 80, 90], [5, 5, 85, 85]]
    points = write_faces(tmp_path, numbers=(1, 2), box=boxes)
    words = ("--data", tmp_path, "--model", checkpoint, "--box", "dataset")
    scores = scores_of(*words, folder=tmp_path)
    predicted = [to_photo_pixels(answer, square_crop(box, MARGIN)) for box in boxes]
    by_hand = 100 * np.linalg.norm(np.stack(predicted) - points, axis=-1).mean(1)
    by_hand /= np.linalg.norm(points[:, 36] - points[:, 45], axis=1)
    assert [face["nme"] for face in scores["errors"]] == pytest.approx(by_hand, abs=1e-3)
    assert scores["box"] == "dataset"


def test_the_detectors_scheme_chooses_the_labels(checkpoint, tmp_path):
    scheme = get_scheme("wflw98")
    other = save_detector(tmp_path / "model98", scheme, np.full((98, 2), 0.5, np.float32))
    points = [generate_face(number, scheme="wflw98", size=96).landmarks for number in range(4)]
    labels = {"landmarks_98": [*(face.tolist() for face in points[:3]), None]}
    write_faces(tmp_path / "faces", **labels)
    lines = [json.loads(line) for line in (tmp_path / "faces/test.jsonl").open()]
    for line in lines:
        line["landmarks_68"] = line.pop("landmarks")
    (tmp_path / "faces/test.jsonl").write_text("\n".join(map(json.dumps, lines)))
    for model, name, faces in ((checkpoint, "ibug68", 4), (other, "wflw98", 3)):
        scores = scores_of("--data", tmp_path / "faces", "--model", model, folder=tmp_path)
        assert (scores["scheme"], scores["faces"]) == (name, faces)


def test_faces_that_a_network_has_learned_from_are_told(truth, tmp_path, caplog):
    run = save_run(tmp_path / "run", stages=("student",), source=str(truth[0]))
    known = ("--model", run / "student", "--data")
    evaluate(*known, truth[0])
    assert f"{run}/student was trained on faces of {truth[0]}: errors on new faces" in caplog.text
    assert f"{run}/metrics.json has its errors" in caplog.text
    caplog.clear()
    others = tmp_path / "others"
    write_faces(others)
    for words in ((others,), (truth[0], "--split", "test")):
        assert evaluate(*known, *words).exit_code == 0
    assert not caplog.text


def test_weights_of_half_the_size_run_in_float32(truth, answer, errors, tmp_path):
    folder = save_detector(tmp_path / "half", SCHEME, answer, dtype=torch.float16)
    assert json.loads((folder / "config.json").read_text())["dtype"] == "float16"
    model, _ = load_detector(folder)
    floating = [value for value in model.state_dict().values() if value.is_floating_point()]
    assert {value.dtype for value in floating} == {torch.float32}
    scores = scores_of("--data", truth[0], "--model", folder, folder=tmp_path)
    assert scores["nme"] == pytest.approx(errors.mean(), abs=0.2)


# --- what is printed and drawn


def test_the_table_has_a_line_for_each_group_and_names_the_worst(truth, checkpoint, errors):
    result = evaluate("--data", truth[0] / "test.jsonl", "--model", checkpoint)
    assert result.exit_code == 0, result.output
    assert "ibug68, inter_ocular, box: gt, crop margin 1.4" in result.output
    for name, rows in (("all faces", [0, 1, 2, 3]), ("west", [1, 2]), ("pose", [0, 2])):
        line = next(line for line in result.output.splitlines() if line.startswith(name))
        assert line.removeprefix(name).split()[:2] == [str(len(rows)), f"{errors[rows].mean():.2f}"]
    listed = result.output.split("Worst faces:")[1].splitlines()[1:5]
    order = np.argsort(-errors)
    assert [line.split() for line in listed] == [
        [f"{errors[row]:.2f}", "%", f"test.jsonl:{row + 1}"] for row in order
    ]


def test_pictures_show_the_worst_faces_first_and_a_sample_in_order(
    truth, checkpoint, errors, tmp_path
):
    words = ("--data", truth[0], "--model", checkpoint, "--plots", tmp_path / "new/plots")
    assert evaluate(*words).exit_code == 0
    assert sorted(path.name for path in (tmp_path / "new/plots").iterdir()) == [
        "ced.png",
        "sample.png",
        "worst.png",
    ]
    worst, sample = (
        np.split(np.asarray(Image.open(tmp_path / f"new/plots/{name}.png")), [260, 520, 780], 1)
        for name in ("worst", "sample")
    )
    for place, row in enumerate(np.argsort(-errors)):
        np.testing.assert_array_equal(worst[place][:, :256], sample[row][:, :256])
    assert (sample[1] == REFERENCE_COLOR).all(-1).any()


def test_without_a_model_the_packages_own_is_measured(truth, checkpoint, monkeypatch, tmp_path):
    monkeypatch.setattr(kd_landmarks, "default_checkpoint", lambda: checkpoint, raising=False)
    scores = scores_of("--data", truth[0], folder=tmp_path)
    assert scores["model"] == "same"  # its name, not where it is installed


# --- broken rows, real faces


def test_bad_rows_stop_or_are_left_out(truth, checkpoint, errors, tmp_path):
    write_faces(tmp_path, subset=SUBSETS)
    (tmp_path / "images/1.png").write_bytes(b"no picture")
    result = evaluate("--data", tmp_path, "--model", checkpoint, "--json", tmp_path / "a.json")
    assert result.exit_code == 2
    assert "test.jsonl:2" in result.output
    assert not (tmp_path / "a.json").exists()
    words = ("--data", tmp_path, "--model", checkpoint, "--skip-bad-rows")
    scores = scores_of(*words, folder=tmp_path)
    assert scores["nme"] == pytest.approx(errors[[0, 2, 3]].mean(), abs=1e-4)


def test_real_faces(data_root, tmp_path):
    for name, source, faces in (
        ("ibug68", "300w --split common", {"helen": 330, "lfpw": 224}),
        ("ibug68", "official_layout/300W --split common", None),
        ("ibug68", "wflw/faces.jsonl", 106),
        ("wflw98", "wflw/faces.jsonl", 87),
        ("wflw98", "official_layout/WFLW --split test", None),
    ):
        scheme = get_scheme(name)
        data, *split = source.split()
        model = tmp_path / name
        if not model.exists():
            save_detector(model, scheme, np.full((scheme.num_landmarks, 2), 0.5, np.float32))
        words = ("--data", data_root / data, "--model", model, *split)
        scores = scores_of(*words, folder=tmp_path)
        # all points in the middle of the crop: far off, but by what a face measures
        assert 50 < scores["nme"] < 150, source
        if isinstance(faces, dict):
            assert {name: part["faces"] for name, part in scores["subsets"].items()} == faces
        elif faces:
            assert scores["faces"] == faces
        if "wflw" in data.lower():
            assert {"pose", "blur", "occlusion"} <= scores["attributes"].keys()


def test_a_turned_face_is_measured_upright(tmp_path):
    """The network sees the face as if it had not been turned."""
    write_faces(tmp_path / "straight", numbers=range(3))
    lines = (tmp_path / "straight/test.jsonl").read_text().splitlines()
    (tmp_path / "turned/images").mkdir(parents=True)
    turned = []
    for line in map(json.loads, lines):
        photo = Image.open(tmp_path / "straight" / line["image"])
        # A quarter clockwise: what was on the left is at the top.
        photo.transpose(Image.Transpose.ROTATE_270).save(tmp_path / "turned" / line["image"])
        points = [[photo.height - 1 - y, x] for x, y in line["landmarks"]]
        turned.append(json.dumps(line | {"landmarks": points}))
    (tmp_path / "turned/test.jsonl").write_text("\n".join(turned))
    straight, right, gt = (
        kd_landmarks.evaluate(None, tmp_path / name, "test", box=box).result.nme
        for name, box in (("straight", "upright"), ("turned", "upright"), ("turned", "gt"))
    )
    assert right == pytest.approx(straight, rel=0.1)
    assert gt > 2 * right
