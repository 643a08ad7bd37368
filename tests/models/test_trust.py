"""Checkpoints from anybody: nothing is unpickled or run, absurd ones are refused at once."""

import json
import pickle
import resource

import numpy as np
import pytest
import torch
from fake_hub.store import Blob, Edit
from finished_runs import change_json
from huggingface_hub import HfApi
from PIL import Image
from safetensors.torch import load_file, save_file
from small_networks import assert_same_network, save_small
from transformers import AutoImageProcessor, AutoModelForKeypointDetection

from kd_landmarks import FaceLandmarkPipeline, KDLandmarksError, KDLandmarksForKeypointDetection
from kd_landmarks.hub.card_facts import read_checkpoint
from kd_landmarks.models.loading import load_detector
from kd_landmarks.schemes import get_scheme

REPO = "ada/student"
IBUG = get_scheme("ibug68").to_dict()
SURE = {"tolerance": 0.03, "slope": -7.0, "intercepts": [-17.0] * 68}
MEGABYTE = 2**20


class Trap:
    """Leaves a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.fixture
def folder(tmp_path):
    return save_small(tmp_path / "network")


def put(hub, folder, **more):
    """The files of a folder, and others, as a repository on the Hub."""
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    HfApi().create_repo(REPO, exist_ok=True)
    edits = [Edit(name, Blob(data)) for name, data in {**files, **more}.items()]
    return hub.repository(REPO).commit(edits, "ada", "fill")


def refused(source, message, **options):
    with pytest.raises(KDLandmarksError, match=message) as caught:
        load_detector(source, **options)
    assert len(str(caught.value)) <= 510
    assert "\n" not in str(caught.value)


def nested(depth):
    return json.loads("[" * depth + "]" * depth)


def pixels():
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


# --- what is sound loads as transformers loads it


@pytest.mark.parametrize("head", ["integral", "linear"])
def test_it_is_the_network_that_transformers_loads(tmp_path, head):
    folder = save_small(tmp_path / head, head=head)
    model, processor = load_detector(folder)
    expected = KDLandmarksForKeypointDetection.from_pretrained(folder)
    assert_same_network(model, expected, pixels())
    assert model.config.to_diff_dict().keys() <= expected.config.to_diff_dict().keys() | {"dtype"}
    assert model.config.id2label == expected.config.id2label
    assert (processor.crop_margin, model.training) == (1.3, False)
    assert model.name_or_path == str(folder)


def test_loading_draws_no_random_numbers(folder):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_detector(folder)
    assert torch.equal(torch.rand(3), expected)


# --- no pickles


def pickled(folder, trap):
    """Weights as PyTorch pickled them, and beside them a trap."""
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    (folder / "trap.bin").write_bytes(pickle.dumps(Trap(trap)))


def test_pickled_weights_are_refused_in_words(hub, folder, tmp_path):
    pickled(folder, tmp_path / "ran")
    for load in (load_detector, FaceLandmarkPipeline):
        with pytest.raises(KDLandmarksError, match=r"no model.safetensors, and pytorch_model.bin"):
            load(folder)
    put(hub, folder)
    refused(REPO, "pytorch_model.bin is not loaded, since unpickling it may run code")
    assert not any("pytorch_model" in asked.path for asked in hub.requests)


@pytest.mark.parametrize("weights", ["pytorch_model.bin", "model.bin"])
def test_no_way_of_loading_unpickles(hub, folder, tmp_path, weights, monkeypatch):
    monkeypatch.setenv("DISABLE_SAFETENSORS_CONVERSION", "1")  # asks another server for help
    (folder / "model.safetensors").unlink()
    (folder / weights).write_bytes(pickle.dumps(Trap(tmp_path / "ran")))
    put(hub, folder)
    for source in (str(folder), REPO):
        for loader in (KDLandmarksForKeypointDetection, AutoModelForKeypointDetection):
            with pytest.raises(OSError, match="safetensors"):
                loader.from_pretrained(source)
            with pytest.raises(ValueError, match="use_safetensors=False would unpickle"):
                loader.from_pretrained(source, use_safetensors=False)
        refused(source, "has no model.safetensors")
    assert not (tmp_path / "ran").exists()


def test_other_files_beside_the_weights_are_left_alone(hub, folder, tmp_path):
    trap = pickle.dumps(Trap(tmp_path / "ran"))
    (folder / "pytorch_model.bin").write_bytes(trap)
    (folder / ".metadata").write_bytes(trap)  # of a distributed checkpoint
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "eve/evil"}')
    (folder / "modeling_evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    put(hub, folder)
    for source in (folder, REPO):
        load_detector(source)
    read = {asked.path.split("/")[-1] for asked in hub.requests if "/resolve/" in asked.path}
    assert read == {"config.json", "preprocessor_config.json", "model.safetensors"}
    assert not (tmp_path / "ran").exists()


# --- no other code, no other models


@pytest.mark.parametrize(
    ("file", "values", "message"),
    [
        ("config.json", {"model_type": "superpoint"}, "its model_type is 'superpoint', not"),
        ("config.json", {"model_type": None}, "its model_type is None"),
        (
            "config.json",
            {"auto_map": {"AutoModelForKeypointDetection": "modeling_evil.Evil"}},
            "asks for code of its own, 'modeling_evil.Evil'",
        ),
        (
            "config.json",
            {"auto_map": {"AutoConfig": "eve/evil--configuration_kd_landmarks.KDLandmarksConfig"}},
            "asks for code of its own, 'eve/evil--",
        ),
        ("config.json", {"auto_map": ["evil.Evil"]}, "asks for code of its own"),
        (
            "preprocessor_config.json",
            {"image_processor_type": "ViTImageProcessor"},
            "its image_processor_type is 'ViTImageProcessor'",
        ),
        (
            "preprocessor_config.json",
            {"auto_map": {"AutoImageProcessor": "evil.Evil"}},
            "asks for code of its own, 'evil.Evil'",
        ),
    ],
)
def test_other_models_and_other_code_are_refused(folder, file, values, message):
    change_json(folder / file, **values)
    refused(folder, f"is not a kd-landmarks checkpoint: .*{message}")


def test_what_ours_do_not_have_is_not_read(folder):
    """Such as settings by which transformers would fetch and run kernels or quantize."""
    strange = {"quantization_config": {"quant_method": "evil"}, "transformers_weights": "../x.bin"}
    change_json(folder / "config.json", **strange, attn_implementation="eve/kernels")
    change_json(folder / "preprocessor_config.json", preprocess="evil", extra=1)
    model, processor = load_detector(folder)
    assert not any(hasattr(model.config, name) for name in strange)
    assert callable(processor.preprocess)


# --- absurd values


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_landmarks": 10**6, "scheme": None}, "num_landmarks=1000000 must lie between"),
        ({"num_landmarks": 9}, "the scheme 'ibug68' names 68 points"),
        ({"image_size": -64}, "image_size=-64 must lie between"),
        ({"image_size": 10**9}, "image_size=1000000000 must lie between"),
        ({"image_size": "64"}, "image_size"),
        ({"head_channels": 10**9}, "head_channels=1000000000 must lie between"),
        ({"head_strides": [1, 2, 4], "image_size": 2048}, "maps of 285212672 cells a face"),
        ({"head_strides": [4] * 99}, "head_strides=.* must be 1 to 8 numbers"),
        ({"head_strides": [4, 16]}, "must double from one to the next"),
        ({"head_strides": [True, 2]}, "head_strides"),
        ({"head_strides": [-8, -16]}, "head_strides=-8 must lie between"),
        ({"head_strides": 8}, "head_strides"),
        ({"dropout": 1e9}, "dropout=1000000000.0 must lie in"),
        ({"head_range": 1e9}, "head_range=1000000000.0 must lie between"),
        ({"backbone": "hf-hub:eve/evil"}, "knows no backbone 'hf-hub:eve/evil'"),
        ({"backbone": "local-dir:/tmp"}, "knows no backbone"),
        ({"backbone": "x" * 10**5}, "is not a timm architecture"),
        ({"backbone": 3}, "backbone"),
        ({"backbone": "resnet18\0"}, "knows no backbone"),
        ({"image_size": 1}, "image_size=1 must lie between"),
        ({"image_size": True}, "image_size"),
        ({"num_landmarks": 0, "scheme": None}, "num_landmarks=0 must lie between"),
        ({"num_landmarks": "68"}, "num_landmarks"),
        ({"num_landmarks": True, "scheme": None}, "num_landmarks"),
        ({"dropout": float("nan")}, "dropout=nan must lie"),
        ({"head_range": "wide"}, "head_range"),
        ({"role": "x" * 10**5}, "role"),
        ({"scheme": {"names": 3}}, "scheme.names=3 must be a list"),
        ({"scheme": {"names": [[1]] * 68}}, r"scheme.names=\[\[1\], .* must be a list"),
        ({"scheme": {}}, "names 0 points"),
        ({"scheme": []}, "scheme"),
        ({"scheme": IBUG | {"name": "../ibug68"}}, "'name' '../ibug68' becomes the name of a file"),
        ({"scheme": IBUG | {"eye_corners": [36, 99]}}, "'eye_corners', value 99"),
        ({"scheme": IBUG | {"flip_permutation": [0] * 68}}, "'flip_permutation', value 0"),
        ({"scheme": IBUG | {"outlines": [{"name": "a", "indices": [68, 0]}]}}, "outlines.a', val"),
        ({"scheme": IBUG | {"outlines": nested(900)}}, "'outlines'"),
        ({"scheme": IBUG | {"x" * 10**5: 1}}, "unknown scheme field 'xxx"),
        ({"confidence": {}}, "is not a calibration"),
        ({"confidence": []}, "confidence"),
        ({"confidence": SURE | {"tolerance": "0.03"}}, "is not a calibration"),
        ({"confidence": SURE | {"slope": float("nan")}}, "is not a calibration"),
        ({"confidence": SURE | {"slope": 1.0}}, "slope 1.0: it needs"),
        ({"confidence": SURE | {"intercepts": [1.0] * 67 + [10**400]}}, "is not a calibration"),
        ({"confidence": SURE | {"intercepts": [1.0] * 5}}, "5 intercepts for 68 landmarks"),
    ],
)
def test_configs_that_cannot_be_meant_are_refused(folder, values, message):
    change_json(folder / "config.json", **values)
    refused(folder, message)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        *[
            ({"size": size}, "size")
            for size in (
                {"height": 10**6, "width": 10**6},
                {"height": 0, "width": 64},
                {"height": -64, "width": -64},
                {"height": 1, "width": 1},
                {"height": 64.0, "width": 64},
                {"height": True, "width": True},
                {"height": "64", "width": "64"},
                {"height": 64},
                {"shortest_edge": 64},
                {"longest_edge": 64, "height": 64, "width": 64},
                {"height": 64, "width": 64, "x": 1},
                {},
                "vast",
                "64",
                [64, 64],
                64.5,
                nested(900),
            )
        ],
        ({"size": {"height": 96, "width": 96}}, "size.height is 96, where the network .* needs 64"),
        ({"size": 32}, "size.height is 32, where the network .* needs 64"),
        ({"crop_margin": 1e9}, "crop_margin=1000000000.0 must lie between"),
        ({"crop_margin": "1.4"}, "crop_margin='1.4' must lie"),
        ({"crop_margin": float("nan")}, "crop_margin=nan must lie"),
        ({"crop_margin": 10**4000}, "crop_margin=1000"),
        ({"image_std": [0.2, 0.0, 0.2]}, "image_std=0.0 must lie"),
        ({"image_std": [0.2, 1e-30, 0.2]}, "image_std=1e-30 must lie"),
        ({"image_mean": [0.2, float("nan"), 0.2]}, "image_mean=nan must lie"),
        ({"image_mean": [0.2, "0.2", 0.2]}, "image_mean='0.2' must lie"),
        ({"image_mean": [0.2]}, "image_mean=.* must be three numbers"),
        ({"image_mean": 0.5}, "image_mean=0.5 must be three numbers"),
        ({"image_mean": {"r": 1}}, "image_mean=.* must be three numbers"),
        *[
            ({"rescale_factor": factor}, "rescale_factor=")
            for factor in (0, -1, "1/255", 1e300, float("inf"), float("nan"), True, [1])
        ],
        ({"rescale_factor": 0.5}, "rescale_factor is .*, where the network of config.json needs"),
        *[({"resample": kind}, "resample=") for kind in (99, -1, "bicubic", 2.0, True, [2], 4)],
        ({"resample": 3}, "resample is 3, where the network of config.json needs 2"),
        *[
            ({name: value}, message)
            for name in ("do_resize", "do_rescale", "do_normalize", "do_convert_rgb")
            for value, message in (
                (False, f"{name} is False, where"),
                ("yes", f"{name}='yes' must"),
            )
        ],
    ],
)
def test_processors_that_cannot_be_meant_are_refused(folder, values, message):
    change_json(folder / "preprocessor_config.json", **values)
    refused(folder, f"preprocessor_config.json of .* is invalid: .*{message}")
    if " is " not in message:  # what is wrong with any network is transformers' to refuse, too
        with pytest.raises(ValueError, match=message.rstrip("=")):
            AutoImageProcessor.from_pretrained(folder)


def test_a_file_chooses_no_device_and_nothing_else_of_this_machine(folder):
    strange = {
        "device": "cuda:9",
        "return_tensors": "evil",
        "input_data_format": "evil",
        "data_format": "evil",
        "crop_size": -1,
        "pad_size": 10**9,
        "disable_grouping": "evil",
        "default_to_square": "evil",
        "preprocess": "evil",
        "_valid_kwargs_names": ["evil"],
    }
    change_json(folder / "preprocessor_config.json", **strange)
    photo = Image.fromarray(np.full((90, 120, 3), 100, np.uint8))
    box = [20, 10, 80, 70]
    for processor in (load_detector(folder)[1], AutoImageProcessor.from_pretrained(folder)):
        found = processor(photo, boxes=box, return_tensors="pt")["pixel_values"]
        assert found.shape == (1, 3, 64, 64)
        assert processor.device is None
    [face] = FaceLandmarkPipeline(folder, device="cpu")(photo, boxes=[box])
    assert np.isfinite(face["keypoints"]).all()


@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not JSON that can be read: .* in line 1, column 1"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"[]", "no mapping of names to values"),
        (b"[" * 10**6, "is not JSON that can be read: it is nested too deeply"),
        (b'{"crop_margin": ' + b"9" * 5000 + b"}", "a number has too many digits"),
        (b" " * 5 * MEGABYTE, "has 5242880 bytes, where 4194304 would be plenty"),
    ],
)
def test_files_that_are_no_json_are_refused(folder, file, content, message):
    (folder / file).write_bytes(content)
    refused(folder, message)


@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json", "model.safetensors"])
def test_a_missing_file_is_named(folder, file):
    (folder / file).unlink()
    refused(folder, "no checkpoint at" if file == "config.json" else f"it has no {file}")


# --- weights that do not fit


def test_weights_of_another_network_are_refused(folder):
    weights = folder / "model.safetensors"
    sound = load_file(weights)
    name = "head.maps.weight"
    changes = {
        "it lacks 1 of its tensors, such as head.maps.weight": {name: None},
        r"head.maps.weight is \(3, 4\) and should be \(68, 96, 1, 1\)": {name: torch.zeros(3, 4)},
        r"evil is \(5,\) and should be absent": {"evil": torch.zeros(5)},
    }
    for message, change in changes.items():
        tensors = {key: value for key, value in {**sound, **change}.items() if value is not None}
        save_file(tensors, weights)
        refused(folder, message)
    weights.write_bytes(weights.read_bytes()[:-100])
    refused(folder, "cannot read model.safetensors")
    weights.write_bytes(b"\xff" * 1000)
    refused(folder, "cannot read model.safetensors")


def test_a_giant_network_is_refused_before_it_takes_memory(folder):
    change_json(folder / "config.json", backbone="vit_giant_patch14_224", head="linear")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(folder, "lacks .* of its tensors")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 300 * 1024  # kilobytes; its weights have 4 million


# --- on the Hub


def test_files_that_are_too_large_are_not_downloaded(hub, folder):
    put(hub, folder, **{"model.safetensors": bytes(30 * MEGABYTE)})
    refused(REPO, f"model.safetensors of {REPO} has 31457280 bytes, where")
    put(hub, folder, **{"config.json": bytes(5 * MEGABYTE)})
    refused(REPO, f"config.json of {REPO} has 5242880 bytes, where")
    large = [asked for asked in hub.requests if asked.method == "GET" and "resolve" in asked.path]
    assert {asked.path.split("/")[-1] for asked in large} == {
        "config.json",
        "preprocessor_config.json",
    }


def test_a_detector_is_asked_for_once_and_kept(hub, folder):
    first = put(hub, folder)
    assert_same_network(load_detector(REPO)[0], load_detector(folder)[0], pixels())
    hub.requests.clear()
    load_detector(REPO)
    asked = [(request.method, request.path.split("/")[-1]) for request in hub.requests]
    assert asked == [("GET", "main"), ("HEAD", "config.json")]
    change_json(folder / "preprocessor_config.json", crop_margin=1.6)
    put(hub, folder)
    assert load_detector(REPO)[1].crop_margin == 1.6
    assert load_detector(REPO, first.oid)[1].crop_margin == 1.3


def test_without_the_hub_the_cache_serves_at_once_or_the_message_comes_at_once(hub, folder):
    put(hub, folder)
    HfApi().create_tag(REPO, tag="v1")
    refused(REPO, r"no such model on the Hub, .*and the revision 'v2'", revision="v2")
    load_detector(REPO)
    for outage in (hub.down, lambda: hub.use(HF_HUB_OFFLINE="1")):
        outage()
        load_detector(REPO)
        refused("ada/other", "ada/other is neither here nor in the Hub's cache, and the Hub cannot")
        refused(REPO, "neither here nor in the Hub's cache", revision="v1")
    assert hub.waits == []


def test_a_busy_hub_is_asked_again_a_broken_one_replaced_by_the_cache(hub, folder):
    put(hub, folder)
    hub.fail_next("/api/models/", status=429, retry_after=2)
    load_detector(REPO)
    assert len(hub.waits) == 1
    hub.fail_next("/api/models/", status=503, times=3)
    load_detector(REPO)
    assert not hub.unused_faults
    hub.fail_next("/api/models/", status=503, times=3)
    refused("ada/other", "neither here nor in the Hub's cache.*503")


def test_what_one_may_not_see_is_as_good_as_absent(hub, folder, tmp_path):
    put(hub, folder)
    HfApi().update_repo_settings(REPO, private=True)
    for token in (None, hub.stranger_token, "hf_nobody"):
        hub.use(token=token, cache=tmp_path / "fresh")
        with pytest.raises(KDLandmarksError, match="or no access to it") as caught:
            load_detector(REPO)
        assert not token or token not in str(caught.value)
    hub.use(token=hub.read_token, cache=tmp_path / "fresh")
    load_detector(REPO)


@pytest.mark.parametrize(
    "name", ["ada/stu dent", "ada\\student", "-", "http:x", "x" * 300, "a\0b", "\x1b[2J"]
)
def test_what_is_neither_folder_nor_id_is_refused(name):
    refused(name, "is neither a folder nor a Hub id")


@pytest.mark.parametrize("path", ["./" + "x" * 300, "a/" * 3000, "~nobody/x", "./a\0b"])
def test_paths_that_lead_nowhere_are_told(path):
    refused(path, "no checkpoint at ")
    with pytest.raises(KDLandmarksError, match="is not a folder"):
        read_checkpoint(path)


def test_the_pipeline_takes_what_the_hub_has(hub, folder):
    put(hub, folder)
    photo = Image.fromarray(np.full((90, 120, 3), 100, np.uint8))
    [face] = FaceLandmarkPipeline(REPO, device="cpu")(photo, boxes=[[20, 10, 80, 70]])
    assert face["keypoints"].shape == (68, 2)
