"""What `kd-landmarks info` reads from a checkpoint's files, without torch."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from kd_landmarks import KDLandmarksError, default_checkpoint
from kd_landmarks.cli import app
from kd_landmarks.inference.checkpoints import find_checkpoint
from kd_landmarks.inference.facts import read_facts
from kd_landmarks.models.loading import load_detector


@pytest.fixture
def folder(noise_checkpoint, tmp_path):
    return shutil.copytree(noise_checkpoint, tmp_path / "network")


def test_facts_are_the_networks(noise_checkpoint):
    for source in (noise_checkpoint, default_checkpoint()):
        model, processor = load_detector(source)
        found = read_facts(find_checkpoint(source))
        assert found.parameters == model.num_parameters()
        assert found.crop_margin == processor.crop_margin
    assert found.precision == "float16"


def test_the_command_prints_them():
    result = CliRunner().invoke(app, ["info"])
    assert result.exit_code == 0
    for told in ("mobilenetv2_100", "1.89 M parameters", "ibug68", "float16", "300W common"):
        assert told in result.output
    assert "weights: non-commercial-research (https://" in result.output


@pytest.mark.parametrize(
    ("card", "told"),
    [
        (None, None),
        ("notes of my own", None),
        ("---\nlicense: [1]\n---\n", None),
        ("---\nlicense: {\n---\n", None),
        ("---\nlicense: mit\n---\n", "mit"),
        ("---\nlicense: other\nlicense_name: mine\nlicense_link: LICENSE\n---\n", "mine (LICENSE)"),
    ],
)
def test_the_license_of_weights_is_the_cards(folder, card, told):
    if card is not None:
        (folder / "README.md").write_text(card)
    assert read_facts(find_checkpoint(folder)).license == told


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", {"model_type": "superpoint"}, "model_type is 'superpoint'"),
        ("preprocessor_config.json", {"crop_margin": 99}, "crop_margin=99 must lie"),
        ("preprocessor_config.json", {}, "no crop_margin"),
        ("metrics.json", {"tests": {"a": {"nme": "x"}}}, "invalid figures"),
        ("metrics.json", {"tests": [1]}, "invalid figures"),
        ("model.safetensors", b"", "cannot read .*model.safetensors"),
        ("model.safetensors", b"\xff" * 16, "its header has"),
        ("model.safetensors", (8).to_bytes(8, "little") + b"nonsense", "header of .* not JSON"),
        ("model.safetensors", (3).to_bytes(8, "little") + b"[1]", "cannot read"),
    ],
)
def test_broken_files_end_with_one_clear_message(folder, file, content, message):
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    (folder / file).write_bytes(data)
    with pytest.raises(KDLandmarksError, match=message):
        read_facts(find_checkpoint(folder)).rows()
    assert CliRunner().invoke(app, ["info", str(folder)]).exit_code == 2
