"""Exported detectors answer like the one they came from, in other runtimes and without torch."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from detectors import save_detector, write_faces
from full_disk import full_disk
from PIL import Image
from small_networks import SIDE
from typer.testing import CliRunner

import kd_landmarks
from kd_landmarks import FaceLandmarkPipeline, KDLandmarksError
from kd_landmarks.cli import app
from kd_landmarks.imaging.crop import square_crop
from kd_landmarks.inference.backends.onnx import OnnxBackend
from kd_landmarks.inference.export import (
    export_onnx,
    export_openvino,
    quantize_int8,
)
from kd_landmarks.models.loading import load_detector
from kd_landmarks.schemes import get_scheme
from kd_landmarks.synthetic import generate_face

SCHEME = get_scheme("ibug68")
BOXES = [[20.0, 30.0, 90.0, 110.0], [-20.0, 60.0, 70.0, 150.0]]


@pytest.fixture(scope="module")
def detector(noise_checkpoint):
    """With weights that float16 holds exactly, as those of released checkpoints."""
    model, processor = load_detector(noise_checkpoint)
    return model.half().float(), processor


@pytest.fixture(scope="module")
def checkpoint(detector, tmp_path_factory):
    folder = tmp_path_factory.mktemp("halves") / "network"
    for part in detector:
        part.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def exported(detector, tmp_path_factory):
    return export_onnx(*detector, tmp_path_factory.mktemp("onnx") / "small.onnx")


@pytest.fixture(scope="module")
def plain(detector, tmp_path_factory):
    """With its weights as they are, to be quantized."""
    return export_onnx(*detector, tmp_path_factory.mktemp("plain") / "plain.onnx", halve=False)


@pytest.fixture(scope="module")
def photo():
    return Image.fromarray(generate_face(3, size=128).image)


def run(*words):
    return CliRunner().invoke(app, ["export", *map(str, words)])


@pytest.mark.parametrize("faces", [1, 5])
def test_any_number_of_faces_gets_the_same_answer(detector, exported, faces):
    crops = torch.randn(faces, 3, SIDE, SIDE)
    expected = detector[0](crops)
    keypoints, scores = OnnxBackend(exported).run(crops.numpy())
    np.testing.assert_allclose(keypoints, expected.keypoints.detach(), atol=1e-5)
    np.testing.assert_allclose(scores, expected.scores.detach(), atol=1e-4)


def test_the_file_knows_its_crop_and_landmarks(exported, noise_checkpoint):
    told = OnnxBackend(exported).description
    assert (told.crop_margin, told.image_size, told.scheme) == (1.3, SIDE, SCHEME)
    assert told.parameters == load_detector(noise_checkpoint)[0].num_parameters()


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_the_crop_is_the_processors_to_one_gray_level(exported, noise_checkpoint, photo, mode):
    _, processor = load_detector(noise_checkpoint)
    told = OnnxBackend(exported).description
    for size in (128, 500):  # enlarged, and shrunk
        picture = photo.resize((size, size)).convert(mode)
        boxes = np.array(BOXES) * size / 128
        expected = processor(picture, boxes=boxes, return_tensors="pt").pixel_values.numpy()
        for box, crop in zip(boxes, expected, strict=True):
            found = told.normalize(told.crop(picture, square_crop(box, 1.3)))
            levels = np.abs(found - crop) * np.reshape(processor.image_std, (3, 1, 1)) * 255
            assert levels.max() <= 1.001


def test_the_file_tells_nothing_of_the_machine_that_made_it(exported, plain):
    for file in (exported, plain):
        assert str(Path(kd_landmarks.__file__).parent).encode() not in file.read_bytes()


def test_weights_of_float16_take_half_the_room_and_lose_nothing(exported, plain):
    crops = np.random.default_rng(0).normal(size=(3, 3, SIDE, SIDE)).astype(np.float32)
    found, expected = (OnnxBackend(file).run(crops)[0] for file in (exported, plain))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert exported.stat().st_size < 0.8 * plain.stat().st_size


def test_int8_is_close_and_much_smaller(plain, tmp_path):
    import onnx

    crops = np.random.default_rng(0).normal(size=(4, 3, SIDE, SIDE)).astype(np.float32)
    small = quantize_int8(plain, tmp_path / "small.int8.onnx", crops)
    nodes = onnx.load(small).graph.node
    behind = [node.op_type for node in nodes]
    behind = behind[behind.index("Softmax") :]
    assert "QuantizeLinear" not in behind  # maps to points: in full
    keypoints = [OnnxBackend(path).run(crops)[0] for path in (plain, small)]
    assert small.stat().st_size < 0.45 * plain.stat().st_size
    assert 0 < np.abs(keypoints[0] - keypoints[1]).mean() < 0.01
    assert OnnxBackend(small).description == OnnxBackend(plain).description
    with pytest.raises(KDLandmarksError, match="int8 needs faces to calibrate on"):
        quantize_int8(plain, tmp_path / "none.onnx", crops[:0])


@pytest.mark.parametrize("room", [1000, 20_000])
def test_a_full_disk_leaves_the_earlier_files(plain, tmp_path, room):
    earlier = {name: name.encode() for name in ("a.onnx", "a.xml", "a.bin")}
    for name, content in earlier.items():
        (tmp_path / name).write_bytes(content)
    source = shutil.copy(plain, tmp_path / "source.onnx")
    earlier["source.onnx"] = plain.read_bytes()
    crops = np.zeros((2, 3, SIDE, SIDE), np.float32)
    with full_disk(room):
        with pytest.raises(KDLandmarksError, match=r"cannot write .*a\.onnx"):
            quantize_int8(source, tmp_path / "a.onnx", crops)
        with pytest.raises(KDLandmarksError, match=r"cannot write .*a\.bin"):
            export_openvino(source, tmp_path / "a.xml")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == earlier
    with pytest.raises(KDLandmarksError, match="would replace the input"):
        quantize_int8(source, source, crops)


# --- the command


@pytest.mark.parametrize("name", ["small.onnx", "small.xml"])
def test_the_command_writes_what_the_name_says(checkpoint, exported, tmp_path, name):
    result = run("--model", checkpoint, "--output", tmp_path / "made" / name)
    assert result.exit_code == 0, result.output
    crops = np.random.default_rng(0).normal(size=(3, 3, SIDE, SIDE)).astype(np.float32)
    expected = OnnxBackend(exported).run(crops)[0]
    if name.endswith(".onnx"):
        found = OnnxBackend(tmp_path / "made" / name).run(crops)[0]
    else:
        import openvino

        exact = {"INFERENCE_PRECISION_HINT": "f32"}  # some CPUs would take bfloat16
        core = openvino.Core()
        found = core.compile_model(str(tmp_path / "made" / name), "CPU", exact)(crops)[0]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_command_calibrates_on_labeled_faces(checkpoint, tmp_path):
    write_faces(tmp_path / "faces")
    words = ["--int8", "--calibration", tmp_path / "faces", "--split", "test", "--faces", 3]
    result = run("--model", checkpoint, "--output", tmp_path / "small.onnx", *words)
    assert result.exit_code == 0, result.output
    assert OnnxBackend(tmp_path / "small.onnx").description.crop_margin == 1.3
    assert b"QuantizeLinear" in (tmp_path / "small.onnx").read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--output", "a.pb"], "must end with .onnx"),
        (["--output", "a.onnx", "--int8"], "--int8 needs --calibration DATA"),
        (["--output", "/dev/null/a.onnx"], "cannot write"),
        (["--output", "a.onnx", "--model", "./nowhere"], "no checkpoint at ./nowhere"),
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
        OnnxBackend(tmp_path / "nowhere.onnx")
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(KDLandmarksError, match=r"cannot load .*text\.onnx"):
        OnnxBackend(tmp_path / "text.onnx")
    other = onnx.load(str(exported))
    del other.metadata_props[:]
    onnx.save(other, str(tmp_path / "other.onnx"))
    with pytest.raises(KDLandmarksError, match=r"other\.onnx is not a kd-landmarks detector"):
        OnnxBackend(tmp_path / "other.onnx")


SURE = {"tolerance": 0.03, "slope": -7.0, "intercepts": [-17.0] * 68}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("", "not JSON"),
        ("[" * 10**5, "nested too deeply"),
        ("[1]", r"holds \[1\], not a mapping"),
        ({"crop_margin": None}, "lacks crop_margin"),
        ({"crop_margin": "1.3"}, "crop_margin='1.3' must lie"),
        ({"crop_margin": float("nan")}, "crop_margin=nan must lie"),
        ({"image_size": 10**9}, "image_size=1000000000 must lie"),
        ({"image_size": 64.0}, "image_size=64.0 must lie"),
        ({"image_size": 96}, "it has .*pixel_values"),
        ({"image_mean": [0.5]}, "image_mean=.* three numbers"),
        ({"image_std": [0, 1, 1]}, "image_std=0 must lie"),
        ({"scheme": None}, "lacks scheme"),
        ({"scheme": []}, "a scheme is a mapping"),
        ({"scheme": {"names": 3}}, "scheme"),
        ({"scheme": get_scheme("cofw29").to_dict(), "confidence": None}, "it has .*keypoints"),
        ({"parameters": -1}, "parameters=-1 must lie"),
        ({"confidence": 3}, "is not a calibration"),
        ({"confidence": SURE | {"intercepts": []}}, "is not a calibration"),
        ({"confidence": SURE | {"intercepts": [1.0]}}, "1 intercepts for 68 landmarks"),
    ],
    ids=range(19),
)
def test_invalid_metadata_are_refused(exported, tmp_path, values, message):
    import onnx

    model = onnx.load(str(exported))
    [told] = model.metadata_props
    told.value = values if isinstance(values, str) else json.dumps(json.loads(told.value) | values)
    path = tmp_path / "hostile.onnx"
    onnx.save(model, str(path))
    with pytest.raises(KDLandmarksError, match=message) as caught:
        OnnxBackend(path)
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
        OnnxBackend(path)


def test_an_answer_that_is_not_finite_is_none(exported, photo, tmp_path):
    import onnx

    network = onnx.load(str(exported))
    for tensor in network.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) == 4:
            broken = np.full_like(onnx.numpy_helper.to_array(tensor), np.nan)
            tensor.CopyFrom(onnx.numpy_helper.from_array(broken, tensor.name))
    onnx.save(network, str(tmp_path / "broken.onnx"))
    with pytest.raises(KDLandmarksError, match="the network's keypoints are not finite"):
        FaceLandmarkPipeline(tmp_path / "broken.onnx")(photo, boxes=BOXES)


def test_the_linear_head_has_no_scores(tmp_path):
    points = np.linspace(0.3, 0.7, 136).reshape(68, 2)
    model, processor = load_detector(save_detector(tmp_path / "line", SCHEME, points))
    path = export_onnx(model, processor, tmp_path / "line.onnx")
    [face] = FaceLandmarkPipeline(path)(Image.new("RGB", (90, 90)), boxes=[10, 10, 60, 60])
    assert face["scores"] is None
