"""The pipeline answers the same whatever computes."""

import numpy as np
import pytest

from kd_landmarks import FaceLandmarkPipeline, KDLandmarksError
from kd_landmarks.inference import backends
from kd_landmarks.synthetic import generate_face

BOXES = [[20.0, 30.0, 90.0, 110.0], [-20.0, 60.0, 70.0, 150.0]]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(backends, "HF_HOME", str(tmp_path))
    return tmp_path / "kd-landmarks"


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_every_backend_finds_the_same_points(noise_checkpoint, own_cache, backend):
    photo = generate_face(3, size=128).image
    expected = FaceLandmarkPipeline(noise_checkpoint, device="cpu")
    detect = FaceLandmarkPipeline(noise_checkpoint, backend=backend)
    for boxes in (BOXES, BOXES[:1], []):
        found, truth = (made(photo, boxes=boxes) for made in (detect, expected))
        assert len(found) == len(boxes)
        for face, other in zip(found, truth, strict=True):
            np.testing.assert_allclose(face["keypoints"], other["keypoints"], atol=0.02)
            np.testing.assert_allclose(face["scores"], other["scores"], atol=1e-3)
    pair = detect([photo, photo], boxes=[BOXES, BOXES[:1]], batch_size=2)
    assert [len(faces) for faces in pair] == [2, 1]
    (file,) = own_cache.iterdir()
    made = file.stat().st_mtime_ns
    FaceLandmarkPipeline(noise_checkpoint, backend=backend)
    assert [other.stat().st_mtime_ns for other in own_cache.iterdir()] == [made]


def test_an_unknown_backend_is_refused(noise_checkpoint):
    with pytest.raises(KDLandmarksError, match="backend='tensorrt': give one of torch, onnxr"):
        FaceLandmarkPipeline(noise_checkpoint, backend="tensorrt")
