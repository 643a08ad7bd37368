"""Files that are whole under their name or not there, and outputs that are no inputs."""

import os
import stat
from pathlib import Path

import pytest

from kd_landmarks.errors import KDLandmarksError
from kd_landmarks.utils.files import check_outputs, check_writable, new_file, new_folder, write_json


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write_half(opened):
    with opened as partial:
        (partial / "a" if partial.is_dir() else partial).write_text("half")
        raise RuntimeError


def test_a_file_that_fails_leaves_the_earlier_one(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("earlier")

    def refuse(path):
        assert path.read_text() == "half"
        raise KDLandmarksError("not what it should be")

    with pytest.raises(RuntimeError):
        write_half(new_file(file))
    with pytest.raises(KDLandmarksError, match="not what"), new_file(file, refuse) as partial:
        partial.write_text("half")
    assert file.read_text() == "earlier"
    assert names(tmp_path) == ["a.txt"]


def test_a_full_disk_is_told_with_the_path(tmp_path):
    with (
        pytest.raises(KDLandmarksError, match=r"a\.txt.*No space left"),
        new_file(tmp_path / "a.txt"),
    ):
        raise OSError(28, "No space left on device")
    assert names(tmp_path) == []


def test_a_file_keeps_its_link_and_its_mode(tmp_path):
    real = tmp_path / "real.json"
    real.write_text("{}")
    real.chmod(0o640)
    link = tmp_path / "link.json"
    link.symlink_to(real)
    write_json(link, {"a": 1})
    assert link.is_symlink()
    assert '"a": 1' in real.read_text()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    write_json(tmp_path / "new" / "b.json", [])
    assert stat.S_IMODE((tmp_path / "new" / "b.json").stat().st_mode) == 0o666 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_long_name_is_written(tmp_path):
    write_json(tmp_path / ("n" * 250 + ".json"), 1)
    assert len(names(tmp_path)) == 1


def test_a_device_is_written_to_directly():
    check_writable(Path(os.devnull))
    write_json(os.devnull, 1)
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_a_folder_is_whole_or_absent(tmp_path):
    with pytest.raises(RuntimeError):
        write_half(new_folder(tmp_path / "run"))
    assert names(tmp_path) == []
    with new_folder(tmp_path / "run") as partial:
        (partial / "a").write_text("x")
    assert names(tmp_path / "run") == ["a"]
    with pytest.raises(KDLandmarksError, match="run"), new_folder(tmp_path / "run"):
        pass
    assert names(tmp_path / "run") == ["a"]


def test_a_file_where_a_folder_is_needed_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    for path, folder in (("file/a/b.csv", False), ("file", True), ("file/a", True)):
        with pytest.raises(KDLandmarksError) as told:
            check_writable(tmp_path / path, folder=folder)
        told = str(told.value)
        assert f"cannot write {tmp_path / path}: {tmp_path / 'file'} is a file. Give ano" in told
        assert "disk space" not in told


def test_no_output_is_an_input_or_another_output(tmp_path, monkeypatch):
    file = tmp_path / "a.mp4"
    file.write_text("x")
    (tmp_path / "link.mp4").symlink_to(file)
    os.link(file, tmp_path / "hard.mp4")
    (tmp_path / "folder").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    here = Path()
    for spelled in ("a.mp4", "./a.mp4", "link.mp4", "hard.mp4", "folder/a.mp4"):
        with pytest.raises(KDLandmarksError, match=r"--json .* would replace the input"):
            check_outputs({"--json": here / spelled}, [file])
    for one, other in (("b", "./b"), ("b", "folder/b"), ("a.mp4", "link.mp4")):
        with pytest.raises(KDLandmarksError, match="--json and OUT are the same file"):
            check_outputs({"OUT": here / one, "--json": here / other})
    check_outputs({"OUT": here / "b", "--json": here / "c"}, [file, "https://a/b"])
    (tmp_path / "data").mkdir()
    for name in ("labels.json", "labels.xml", "labels.csv", "faces.jsonl"):
        (tmp_path / "data" / name).write_text("x")
        with pytest.raises(KDLandmarksError, match="would replace a file of the data"):
            check_outputs({"--json": tmp_path / "data" / name}, [tmp_path / "data"])
