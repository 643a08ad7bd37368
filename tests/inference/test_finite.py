"""Numbers that are not finite, in weights or on the way to points: an error and no answer."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from detectors import save_detector, write_faces
from PIL import Image
from safetensors.torch import load_file, save_file
from small_networks import save_small

from kd_landmarks import FaceLandmarkPipeline, KDLandmarksError
from kd_landmarks.data.loading import load_rows
from kd_landmarks.evaluation.predictions import predict_rows
from kd_landmarks.inference.tracking import FaceTracker
from kd_landmarks.models.loading import load_detector
from kd_landmarks.schemes import get_scheme

SCHEME = get_scheme("ibug68")
BOX = [20, 20, 80, 80]
PHOTO = Image.linear_gradient("L").resize((100, 100))
BROKEN = [float("nan"), float("inf"), float("-inf")]
BACKENDS = ["torch", "onnxruntime", "openvino"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_small(tmp_path_factory.mktemp("finite") / "network")


@pytest.fixture
def detector(folder):
    return load_detector(folder)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    place = str(tmp_path_factory.getbasetemp() / "cache")
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", place)


def break_processor(processor, value):
    """It keeps its settings and yields other numbers."""
    honest = processor.preprocess

    def preprocess(*args, **kwargs):
        batch = honest(*args, **kwargs)
        batch["pixel_values"][..., 0, 0] = value
        return batch

    processor.preprocess = preprocess
    return processor


@pytest.mark.parametrize("value", BROKEN)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("kind", ["weight", "running_var", "bias"])
def test_weights_are_looked_at_when_they_are_loaded(tmp_path, value, dtype, kind):
    """An infinite variance would be hidden: whatever is divided by it is 0."""
    file = save_small(tmp_path / "network") / "model.safetensors"
    weights = load_file(file)
    name = next(name for name in weights if name.endswith(kind))
    weights[name] = weights[name].to(dtype)
    weights[name].view(-1)[-1] = value
    save_file(weights, file, {"format": "pt"})
    message = f"the weights of .*network are broken: {name} has numbers that are not finite"
    with pytest.raises(KDLandmarksError, match=message):
        load_detector(tmp_path / "network")
    with pytest.raises(KDLandmarksError, match=message):
        FaceLandmarkPipeline(str(tmp_path / "network"))


@pytest.mark.parametrize("backend", BACKENDS)
def test_weights_of_a_loaded_network_are_looked_at(detector, backend):
    model, processor = detector
    norm = next(part for part in model.modules() if isinstance(part, torch.nn.BatchNorm2d))
    norm.running_var[0] = float("inf")
    with pytest.raises(KDLandmarksError, match=r"running_var has numbers that are not finite"):
        FaceLandmarkPipeline(model, processor, backend=backend, device="cpu")


def test_weights_that_a_dtype_cannot_hold(detector):
    model, processor = detector
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] = 1e6
    with pytest.raises(KDLandmarksError, match="not finite"):
        FaceLandmarkPipeline(model, processor, dtype="float16", device="cpu")


@pytest.mark.parametrize("value", BROKEN)
@pytest.mark.parametrize("backend", BACKENDS)
def test_pixels_of_such_numbers_give_no_answer(detector, backend, value):
    detect = FaceLandmarkPipeline(*detector, backend=backend, device="cpu")
    assert np.isfinite(detect(PHOTO, boxes=BOX)[0]["keypoints"]).all()
    detect.backend.description = replace(detect.backend.description, image_mean=(0.5, value, 0.5))
    with pytest.raises(KDLandmarksError, match="the network's pixels are not finite"):
        detect(PHOTO, boxes=BOX)
    with pytest.raises(KDLandmarksError, match="the network's pixels are not finite"):
        detect([PHOTO], boxes=[BOX])
    with pytest.raises(KDLandmarksError, match="not finite"):
        FaceTracker(detect)(find_a_face(detect, PHOTO), 0.0)


def find_a_face(detect, photo):
    detect.detector = lambda _: np.array([BOX])
    return photo


@pytest.mark.parametrize(
    ("output", "value"),
    [(output, value) for output in ("keypoints", "scores") for value in BROKEN]
    + [("keypoints", 1e38)],  # which is none in pixels
)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_network_of_such_answers_gives_none(detector, backend, output, value):
    detect = FaceLandmarkPipeline(*detector, backend=backend, device="cpu")
    run = detect.backend.run

    def broken(pixels):
        answer = dict(zip(("keypoints", "scores"), map(np.array, run(pixels)), strict=True))
        answer[output][:, 3] = value
        return answer["keypoints"], answer["scores"]

    detect.backend.run = broken
    with pytest.raises(KDLandmarksError, match="not finite"):
        detect([PHOTO, PHOTO], boxes=[[], [BOX]], batch_size=2)
    with pytest.raises(KDLandmarksError, match="not finite"):
        FaceTracker(detect)(find_a_face(detect, PHOTO), 0.0)


@pytest.fixture
def rows(tmp_path):
    write_faces(tmp_path)
    return load_rows(tmp_path, scheme=SCHEME)


@pytest.mark.parametrize("where", ["processor", "network"])
def test_no_such_number_gets_into_predictions_of_rows(rows, tmp_path, where):
    folder = save_detector(tmp_path / "model", SCHEME, np.full((68, 2), 0.5))
    model, processor = load_detector(folder)
    assert np.isfinite(predict_rows(model, processor, rows).points).all()
    if where == "processor":
        processor.image_std = [0.2, 0.0, 0.2]
    else:
        model.head.linear.bias.data[0] = float("nan")
    with pytest.raises(KDLandmarksError, match="not finite"):
        predict_rows(model, processor, rows)
