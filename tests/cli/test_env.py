"""`kd-landmarks env`: what a bug report needs, and nothing that is nobody's business."""

from importlib.metadata import version

from typer.testing import CliRunner

from kd_landmarks.cli import app


def test_versions_and_settings_are_told_and_no_secrets(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    result = CliRunner().invoke(app, ["env"])
    assert result.exit_code == 0
    told = dict(line.split(maxsplit=1) for line in result.output.splitlines())
    assert told["kd-landmarks"] == version("kd-landmarks")
    assert told["OMP_NUM_THREADS"] == "3"
    assert "cpu" in told["accelerators"]
    assert "hf_secret" not in result.output


def test_a_torch_that_does_not_load_is_told(monkeypatch):
    def broken():
        raise OSError("libcudart.so is missing")

    monkeypatch.setattr("kd_landmarks.utils.environment.devices", broken)
    assert "libcudart.so is missing" in CliRunner().invoke(app, ["env"]).output


def test_the_shell_can_complete():
    result = CliRunner().invoke(app, ["--help"])
    assert "--install-completion" in result.output
