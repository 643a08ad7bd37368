"""The pipeline answers the same whatever computes, wherever it has got to."""

import copy
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import kd_landmarks
from kd_landmarks import FaceLandmarkPipeline, KDLandmarksError, default_checkpoint
from kd_landmarks.inference import upright
from kd_landmarks.inference.backends import BACKENDS
from kd_landmarks.inference.export import export_onnx
from kd_landmarks.models.loading import load_detector
from kd_landmarks.schemes import get_scheme
from kd_landmarks.synthetic import generate_face

BOXES = [[20.0, 30.0, 90.0, 110.0], [-20.0, 60.0, 70.0, 150.0]]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path))
    return tmp_path / "kd-landmarks"


@pytest.fixture(scope="module")
def photo():
    return generate_face(3, size=128).image


@pytest.fixture(scope="module")
def exported(noise_checkpoint, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "small.onnx"
    return export_onnx(*load_detector(noise_checkpoint), path)


def assert_same(found, expected, pixels=0.02):
    assert len(found) == len(expected)
    for face, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(face["keypoints"], other["keypoints"], atol=pixels)
        np.testing.assert_allclose(face["scores"], other["scores"], atol=1e-3)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_every_backend_finds_the_same_points(
    noise_checkpoint, own_cache, photo, backend, monkeypatch
):
    expected = FaceLandmarkPipeline(noise_checkpoint, device="cpu")
    assert expected.backend.name == "torch"
    detect = FaceLandmarkPipeline(noise_checkpoint, backend=backend)
    assert detect.backend.name == backend
    # A second look is cut by what the first one found, whose last digits differ by processor: a few
    # of its pixels may be rounded another way.
    for looks, pixels in ((upright.LOOKS, 0.1), (0, 0.02)):
        monkeypatch.setattr(upright, "LOOKS", looks)
        for boxes in (BOXES, BOXES[:1], []):
            assert_same(detect(photo, boxes=boxes), expected(photo, boxes=boxes), pixels)
    pair = detect([photo, photo], boxes=[BOXES, BOXES[:1]], batch_size=2)
    assert [len(faces) for faces in pair] == [2, 1]
    (file,) = own_cache.iterdir()
    made = file.stat().st_mtime_ns
    FaceLandmarkPipeline(noise_checkpoint, backend=backend)
    model, processor = load_detector(noise_checkpoint)
    FaceLandmarkPipeline(model.train(), processor, backend=backend)
    assert model.training  # the caller's own is left alone
    assert [other.stat().st_mtime_ns for other in own_cache.iterdir()] == [made]


def test_onnx_runtime_comes_first_where_there_is_a_file(noise_checkpoint, exported, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(noise_checkpoint, folder)
    assert FaceLandmarkPipeline(folder).backend.name == "torch"
    (folder / "onnx").mkdir()
    shutil.copy(exported, folder / "onnx/model.onnx")
    assert FaceLandmarkPipeline(folder).backend.name == "onnxruntime"
    assert FaceLandmarkPipeline(folder, device="cpu").backend.name == "onnxruntime"
    assert FaceLandmarkPipeline(folder, dtype="bfloat16").backend.name == "torch"
    assert FaceLandmarkPipeline(folder, backend="torch").backend.name == "torch"
    assert FaceLandmarkPipeline(exported).backend.name == "onnxruntime"
    assert FaceLandmarkPipeline(str(exported), backend="openvino").backend.name == "openvino"
    assert FaceLandmarkPipeline().backend.name == "onnxruntime"
    assert FaceLandmarkPipeline(dtype="int8").backend.source.endswith("model_int8.onnx")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "tensorrt"}, "backend='tensorrt': give one of onnxruntime, openvino, torch"),
        ({"backend": "onnxruntime", "dtype": "bfloat16"}, "dtype='bfloat16': onnxruntime computes"),
        ({"backend": "openvino", "dtype": "int8"}, "dtype='int8' needs ONNX Runtime"),
        ({"backend": "onnxruntime", "device": "cuda:7"}, "device='cuda:7': onnxruntime computes"),
        ({"backend": "torch", "model": "x.onnx"}, r"x\.onnx is an ONNX file, which torch cannot"),
        ({"model": "nowhere.onnx"}, r"there is no file nowhere\.onnx"),
    ],
)
def test_what_a_backend_cannot_do_is_refused(options, message):
    with pytest.raises(KDLandmarksError, match=message):
        FaceLandmarkPipeline(**options)


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_can_be_copied_and_shared_by_threads(photo, backend):
    detect = FaceLandmarkPipeline(backend=backend)
    expected = detect(photo, boxes=BOXES)
    for other in (pickle.loads(pickle.dumps(detect)), copy.deepcopy(detect)):
        assert_same(other(photo, boxes=BOXES), expected)
    with ThreadPoolExecutor(6) as pool:
        for faces in pool.map(detect, [photo] * 12):
            assert_same(faces, detect(photo))


FORK = """
import os, sys
import numpy as np
from kd_landmarks import FaceLandmarkPipeline
detect = FaceLandmarkPipeline(backend=sys.argv[2])
before = detect(sys.argv[1])  # also finds faces, which OpenCV does
child = os.fork()
if child == 0:
    try:
        [after], [face] = detect(sys.argv[1]), before
        os._exit(0 if np.abs(after.keypoints - face.keypoints).max() < 0.02 else 3)
    finally:
        os._exit(4)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_can_be_used_after_a_fork(backend, tmp_path):
    photo = Path(kd_landmarks.__file__).parent / "demo/examples/astronaut.jpg"
    words = [sys.executable, "-c", FORK, str(photo), backend]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


WITHOUT_TORCH = """
import sys
heavy = ["torch", "torchvision", "transformers", "timm", "datasets", "accelerate", "scipy",
         "matplotlib", "pydantic", "safetensors", "pandas"]
sys.modules |= dict.fromkeys(heavy)
import json
import os
from kd_landmarks import FaceLandmarkPipeline, KDLandmarksError
detect = FaceLandmarkPipeline(*sys.argv[2:])
[face] = detect(sys.argv[1], boxes=[20, 30, 90, 110])
detect(sys.argv[1]).plot()
try:
    FaceLandmarkPipeline(backend="torch")
except KDLandmarksError as error:
    print(json.dumps([face["keypoints"].tolist(), str(error)]))
"""


def test_it_runs_where_torch_and_transformers_cannot_be_imported(photo, tmp_path):
    Image.fromarray(photo).save(tmp_path / "photo.png")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, str(tmp_path / "photo.png")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    points, refusal = json.loads(done.stdout)
    [expected] = FaceLandmarkPipeline()(photo, boxes=BOXES[0])
    np.testing.assert_allclose(points, expected["keypoints"], atol=1e-3)
    assert "torch" in refusal
    assert "pip install 'kd-landmarks[train]'" in refusal


def test_the_packages_onnx_file_is_its_checkpoint(data_root):
    """To a hundredth of a pixel on real faces, and the 8-bit one to a pixel in the mean."""
    from kd_landmarks.data.loading import load_rows

    rows = load_rows(data_root / "300w", "common", scheme=get_scheme("ibug68"))
    rows = rows.select(range(0, 500, 25))
    onnx, small, torch = (
        FaceLandmarkPipeline(**words)
        for words in ({}, {"dtype": "int8"}, {"backend": "torch", "device": "cpu"})
    )
    assert onnx.backend.description == torch.backend.description
    for row in rows:
        [[face], [rough], [expected]] = (
            detect(row["image"], boxes=row["box"]) for detect in (onnx, small, torch)
        )
        assert np.abs(face.keypoints - expected.keypoints).max() < 0.01
        box = np.asarray(row["box"])
        side = (box[2:] - box[:2]).max()
        assert np.abs(rough.keypoints - expected.keypoints).mean() < min(1.5, 0.01 * side)


@pytest.mark.parametrize("form", ["bytes", "memory", "file", "stored", "stored path", "batch"])
def test_new_forms_of_photos(photo, tmp_path, form):
    detect = FaceLandmarkPipeline()
    picture = tmp_path / "photo.png"
    Image.fromarray(photo).save(picture)
    data = picture.read_bytes()
    forms = {
        "bytes": data,
        "memory": io.BytesIO(data),
        "file": picture.open("rb"),
        "stored": {"bytes": data, "path": "of the archive.png"},
        "stored path": {"bytes": None, "path": str(picture)},
        "batch": np.stack([photo, photo]),
    }
    expected = detect(photo, boxes=BOXES)
    if form == "batch":
        for faces in detect(forms[form], boxes=[BOXES, BOXES]):
            assert_same(faces, expected)
        return
    assert_same(detect(forms[form], boxes=BOXES), expected)
    assert default_checkpoint() == str(detect.backend.source).removesuffix("/onnx/model.onnx")


LEFT_IN_A_THREAD = """
import gc, signal, sys, threading
from kd_landmarks import FaceLandmarkPipeline

held = [FaceLandmarkPipeline(sys.argv[1], backend="openvino")]
received = []
signal.signal(signal.SIGINT, lambda *_: received.append(True))
last = threading.Thread(target=lambda: (held.clear(), gc.collect()))
last.start()
last.join()
signal.raise_signal(signal.SIGINT)
assert received
"""


def test_a_signal_is_received_after_openvino_was_left_in_another_thread(exported):
    """In a process of its own, which would end in a segmentation fault."""
    words = [sys.executable, "-c", LEFT_IN_A_THREAD, str(exported)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_nothing_is_written_to_the_home_folder(exported, photo, tmp_path, backend):
    """ONNX Runtime keeps a number for the machine there, with which it reports its use."""
    Image.fromarray(photo).save(tmp_path / "photo.png")
    (tmp_path / "home").mkdir()
    program = "import sys, kd_landmarks as kd\nkd.FaceLandmarkPipeline(%r, backend=%r)(%r)"
    words = (str(exported), backend, str(tmp_path / "photo.png"))
    unset = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "HF_HOME", "ORT_DISABLE_TELEMETRY")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    subprocess.run(
        [sys.executable, "-c", program % words],
        env=environment | {"HOME": str(tmp_path / "home")},
        check=True,
    )
    assert not list((tmp_path / "home").rglob("*"))


@pytest.mark.parametrize("kind", ["series", "filtered", "temporary file", "upload"])
def test_columns_of_tables_and_files_of_any_class(photo, tmp_path, kind):
    import tempfile

    import pandas

    detect = FaceLandmarkPipeline()
    for side in (96, 128):
        Image.fromarray(photo).resize((side, side)).save(tmp_path / f"{side}.png")
    column = pandas.Series([str(tmp_path / f"{side}.png") for side in (96, 128, 96)])
    if kind == "series":
        sizes = [faces.size[0] for faces in detect(column.sort_values(ascending=False))]
        assert sizes == [96, 96, 128]
    elif kind == "filtered":
        assert [faces.size[0] for faces in detect(column[column.index > 0])] == [128, 96]
    else:
        data = (tmp_path / "128.png").read_bytes()
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.seek(0)
            upload = type("Upload", (), {"read": staticmethod(file.read)})()
            given = file if kind == "temporary file" else upload
            assert_same(detect(given, boxes=BOXES), detect(data, boxes=BOXES))


THREADS = """
import pickle, sys
import torch
torch.set_num_threads(3)
with open(sys.argv[1], "rb") as file:
    detect = pickle.load(file)
detect(sys.argv[2], boxes=[20, 30, 90, 110])
print(torch.get_num_threads())
"""


def test_a_pickled_pipeline_leaves_the_threads_of_its_new_process_alone(
    noise_checkpoint, photo, tmp_path
):
    Image.fromarray(photo).save(tmp_path / "photo.png")
    detect = FaceLandmarkPipeline(noise_checkpoint, device="cpu")
    (tmp_path / "detect.pkl").write_bytes(pickle.dumps(detect))
    words = [sys.executable, "-c", THREADS, tmp_path / "detect.pkl", tmp_path / "photo.png"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "3"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": {"height": 96, "width": 96}}, "size.height is 96"),
        ({"do_rescale": False}, "do_rescale is False"),
        ({"resample": 0}, "resample is 0"),
    ],
)
def test_a_processor_that_makes_other_pictures_is_refused(noise_checkpoint, settings, message):
    model, processor = load_detector(noise_checkpoint)
    other = type(processor)(**{"size": processor.size, **settings})
    with pytest.raises(KDLandmarksError, match=f"image_processor does not fit: its {message}"):
        FaceLandmarkPipeline(model, other)
