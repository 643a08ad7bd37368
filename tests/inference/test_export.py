"""Exported detectors answer like the one they came from, in other runtimes and without torch."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from detectors import save_detector, write_faces
from full_disk import full_disk
from PIL import Image
from small_networks import SIDE
from typer.testing import CliRunner

from kd_landmarks import FaceLandmarkPipeline, KDLandmarksError
from kd_landmarks.cli import app
from kd_landmarks.data.loading import load_rows
from kd_landmarks.imaging.crop import square_crop
from kd_landmarks.inference.export import (
    export_onnx,
    export_openvino,
    processed_crops,
    quantize_int8,
)
from kd_landmarks.inference.onnx import OnnxDetector
from kd_landmarks.models.loading import load_detector
from kd_landmarks.schemes import get_scheme
from kd_landmarks.synthetic import generate_face

SCHEME = get_scheme("ibug68")
BOXES = [[20.0, 30.0, 90.0, 110.0], [-20.0, 60.0, 70.0, 150.0]]


@pytest.fixture(scope="module")
def exported(noise_checkpoint, tmp_path_factory):
    model, processor = load_detector(noise_checkpoint)
    return export_onnx(model, processor, tmp_path_factory.mktemp("onnx") / "small.onnx")


@pytest.fixture(scope="module")
def photo():
    return Image.fromarray(generate_face(3, size=128).image)


def run(*words):
    return CliRunner().invoke(app, ["export", *map(str, words)])


@pytest.mark.parametrize("faces", [1, 5])
def test_any_number_of_faces_gets_the_same_answer(noise_checkpoint, exported, faces):
    crops = torch.randn(faces, 3, SIDE, SIDE)
    expected = load_detector(noise_checkpoint)[0](crops)
    keypoints, scores = OnnxDetector(exported).run(crops.numpy())
    np.testing.assert_allclose(keypoints, expected.keypoints.detach(), atol=1e-5)
    np.testing.assert_allclose(scores, expected.scores.detach(), atol=1e-4)


def test_the_file_knows_its_crop_and_landmarks(exported):
    told = OnnxDetector(exported).metadata
    assert (told["crop_margin"], told["image_size"]) == (1.3, SIDE)
    assert get_scheme(told["scheme"]) == SCHEME


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_the_crop_is_the_processors_to_one_gray_level(exported, noise_checkpoint, photo, mode):
    _, processor = load_detector(noise_checkpoint)
    detector = OnnxDetector(exported)
    for size in (128, 500):  # enlarged, and shrunk
        picture = photo.resize((size, size)).convert(mode)
        boxes = np.array(BOXES) * size / 128
        expected = processor(picture, boxes=boxes, return_tensors="pt").pixel_values.numpy()
        for box, crop in zip(boxes, expected, strict=True):
            found = detector.crop(picture, square_crop(box, 1.3))
            levels = np.abs(found - crop) * np.reshape(processor.image_std, (3, 1, 1)) * 255
            assert levels.max() <= 1.001


def test_photos_and_boxes_lead_to_the_pipelines_points(exported, noise_checkpoint, photo):
    expected = FaceLandmarkPipeline(noise_checkpoint, device="cpu")(photo, boxes=BOXES)
    found = OnnxDetector(exported)(photo, BOXES)
    for face, other in zip(found, expected, strict=True):
        assert face["keypoints"].dtype == np.float32
        assert np.abs(face["keypoints"] - other["keypoints"]).max() < 0.5
        assert face["box"] == other["box"]
    assert OnnxDetector(exported)(photo, []) == []


def test_int8_is_close_and_a_third_of_the_size(exported, noise_checkpoint, tmp_path):
    write_faces(tmp_path / "faces", numbers=range(6))
    _, processor = load_detector(noise_checkpoint)
    crops = processed_crops(load_rows(tmp_path / "faces", scheme=SCHEME), processor, 4)
    assert crops.shape == (4, 3, SIDE, SIDE)
    small = quantize_int8(exported, tmp_path / "small.int8.onnx", crops)
    keypoints = [OnnxDetector(path).run(crops)[0] for path in (exported, small)]
    assert 0 < np.abs(keypoints[0] - keypoints[1]).mean() < 0.05
    assert OnnxDetector(small).metadata == OnnxDetector(exported).metadata
    with pytest.raises(KDLandmarksError, match="int8 needs faces to calibrate on"):
        quantize_int8(exported, tmp_path / "none.onnx", crops[:0])


@pytest.mark.parametrize("room", [1000, 20_000])
def test_a_full_disk_leaves_the_earlier_files(exported, tmp_path, room):
    earlier = {name: name.encode() for name in ("a.onnx", "a.xml", "a.bin")}
    for name, content in earlier.items():
        (tmp_path / name).write_bytes(content)
    source = shutil.copy(exported, tmp_path / "source.onnx")
    earlier["source.onnx"] = exported.read_bytes()
    crops = np.zeros((2, 3, SIDE, SIDE), np.float32)
    with full_disk(room):
        with pytest.raises(KDLandmarksError, match=r"cannot write .*a\.onnx"):
            quantize_int8(source, tmp_path / "a.onnx", crops)
        with pytest.raises(KDLandmarksError, match=r"cannot write .*a\.bin"):
            export_openvino(source, tmp_path / "a.xml")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == earlier
    with pytest.raises(KDLandmarksError, match="would replace the input"):
        quantize_int8(source, source, crops)


WITHOUT_TORCH = """
import sys
sys.modules |= dict.fromkeys(["torch", "torchvision", "transformers", "timm", "datasets", "yaml"])
import json
from kd_landmarks.inference.onnx import OnnxDetector
[face] = OnnxDetector(sys.argv[1])(sys.argv[2], [20, 30, 90, 110])
print(json.dumps(face["keypoints"].tolist()))
"""


def test_it_runs_where_torch_and_transformers_cannot_be_imported(exported, photo, tmp_path):
    photo.save(tmp_path / "photo.png")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, str(exported), str(tmp_path / "photo.png")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    [expected] = OnnxDetector(exported)(photo, BOXES[0])
    np.testing.assert_allclose(json.loads(done.stdout), expected["keypoints"], atol=1e-3)


# --- the command


@pytest.mark.parametrize("name", ["small.onnx", "small.xml"])
def test_the_command_writes_what_the_name_says(noise_checkpoint, exported, tmp_path, name):
    result = run("--model", noise_checkpoint, "--out", tmp_path / "made" / name)
    assert result.exit_code == 0, result.output
    crops = np.random.default_rng(0).normal(size=(3, 3, SIDE, SIDE)).astype(np.float32)
    expected = OnnxDetector(exported).run(crops)[0]
    if name.endswith(".onnx"):
        found = OnnxDetector(tmp_path / "made" / name).run(crops)[0]
    else:
        import openvino

        exact = {"INFERENCE_PRECISION_HINT": "f32"}  # some CPUs would take bfloat16
        core = openvino.Core()
        found = core.compile_model(str(tmp_path / "made" / name), "CPU", exact)(crops)[0]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_command_calibrates_on_labeled_faces(noise_checkpoint, tmp_path):
    write_faces(tmp_path / "faces")
    words = ["--int8", "--calibration", tmp_path / "faces", "--split", "test", "--faces", 3]
    result = run("--model", noise_checkpoint, "--out", tmp_path / "small.onnx", *words)
    assert result.exit_code == 0, result.output
    assert OnnxDetector(tmp_path / "small.onnx").metadata["crop_margin"] == 1.3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "a.pb"], "must end with .onnx"),
        (["--out", "a.onnx", "--int8"], "--int8 and --calibration go together"),
        (["--out", "/dev/null/a.onnx"], "cannot write"),
        (["--out", "a.onnx", "--model", "./nowhere"], "no checkpoint at ./nowhere"),
    ],
)
def test_bad_words_end_with_one_clear_message(noise_checkpoint, words, message):
    given = words if "--model" in words else [*words, "--model", noise_checkpoint]
    result = run(*given)
    assert result.exit_code == 2
    assert result.output.count("error: ") == 1
    assert message in result.output


def test_files_that_are_not_ours_are_refused(exported, tmp_path):
    import onnx

    with pytest.raises(KDLandmarksError, match="there is no file"):
        OnnxDetector(tmp_path / "nowhere.onnx")
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(KDLandmarksError, match=r"cannot load .*text\.onnx"):
        OnnxDetector(tmp_path / "text.onnx")
    other = onnx.load(str(exported))
    del other.metadata_props[:]
    onnx.save(other, str(tmp_path / "other.onnx"))
    with pytest.raises(KDLandmarksError, match=r"other\.onnx is no detector of ours"):
        OnnxDetector(tmp_path / "other.onnx")


SURE = {"tolerance": 0.03, "slope": -7.0, "intercepts": [-17.0] * 68}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("", "not JSON"),
        ("[" * 10**5, "nested too deeply"),
        ("[1]", r"holds \[1\], no mapping"),
        ({"crop_margin": None}, "lacks crop_margin"),
        ({"crop_margin": "1.3"}, "crop_margin='1.3' must lie"),
        ({"crop_margin": float("nan")}, "crop_margin=nan must lie"),
        ({"image_size": 10**9}, "image_size=1000000000 must lie"),
        ({"image_size": 64.0}, "image_size=64.0 must lie"),
        ({"image_size": 96}, "it has .*pixel_values"),
        ({"image_mean": [0.5]}, "image_mean=.* three numbers"),
        ({"image_std": [0, 1, 1]}, "image_std=0 must lie"),
        ({"scheme": None}, "lacks scheme"),
        ({"scheme": []}, "names no landmarks"),
        ({"scheme": {"names": 3}}, "names no landmarks"),
        ({"scheme": {"names": ["x"] * 5}}, "it has .*keypoints"),
        ({"confidence": 3}, "is no calibration"),
        ({"confidence": SURE | {"intercepts": []}}, "is no calibration"),
        ({"confidence": SURE | {"intercepts": [1.0]}}, "1 intercepts for 68 landmarks"),
    ],
    ids=range(18),
)
def test_metadata_that_cannot_be_meant_are_refused(exported, tmp_path, values, message):
    import onnx

    model = onnx.load(str(exported))
    [told] = model.metadata_props
    told.value = values if isinstance(values, str) else json.dumps(json.loads(told.value) | values)
    path = tmp_path / "hostile.onnx"
    onnx.save(model, str(path))
    with pytest.raises(KDLandmarksError, match=message) as caught:
        OnnxDetector(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) <= 510


@pytest.mark.parametrize("location", ["../secret.bin", "{folder}/secret.bin", "link.bin"])
def test_a_model_reads_no_weights_outside_of_its_folder(exported, tmp_path, location):
    import onnx

    (tmp_path / "secret.bin").write_bytes(bytes(10**6))
    (tmp_path / "model").mkdir()
    (tmp_path / "model/link.bin").symlink_to(tmp_path / "secret.bin")
    model = onnx.load(str(exported))
    tensor = max(model.graph.initializer, key=lambda one: len(one.raw_data))
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location.format(folder=tmp_path))
    path = tmp_path / "model/hostile.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(KDLandmarksError, match=r"cannot load .*hostile\.onnx"):
        OnnxDetector(path)


def test_an_answer_that_is_not_finite_is_none(exported, photo, tmp_path):
    import onnx

    network = onnx.load(str(exported))
    for tensor in network.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) == 4:
            broken = np.full_like(onnx.numpy_helper.to_array(tensor), np.nan)
            tensor.CopyFrom(onnx.numpy_helper.from_array(broken, tensor.name))
    onnx.save(network, str(tmp_path / "broken.onnx"))
    with pytest.raises(KDLandmarksError, match="answers with numbers that are not finite"):
        OnnxDetector(tmp_path / "broken.onnx")(photo, BOXES)


def test_the_linear_head_has_no_scores(tmp_path):
    points = np.linspace(0.3, 0.7, 136).reshape(68, 2)
    model, processor = load_detector(save_detector(tmp_path / "line", SCHEME, points))
    path = export_onnx(model, processor, tmp_path / "line.onnx")
    [face] = OnnxDetector(path)(Image.new("RGB", (90, 90)), [10, 10, 60, 60])
    assert face["scores"] is None
