"""Names of files as text, without loss."""

import os

import pytest

from kd_landmarks.utils.file_names import name_as_text, path_from_text

NAMES = [
    *(b"a.jpg", "é/ö.jpg".encode(), b"caf\xe9.jpg", b"caf\\xe9.jpg", b"caf\\\\xe9.jpg"),
    *(b"\\\xff\\x", b"\\x", b"\\\\", b"\\\\xZZ", b"\xc3\xa9\xe9", b"\xed\xb3\xa9"),
]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_comes_back_and_is_utf8(name):
    path = os.fsdecode(name)
    told = name_as_text(path)
    told.encode()
    assert path_from_text(told) == path


def test_no_two_names_are_told_alike():
    assert len({name_as_text(os.fsdecode(name)) for name in NAMES}) == len(NAMES)


def test_usual_names_are_themselves():
    for name in ("a.jpg", "é/ö.jpg", r"back\slash.jpg"):
        assert name_as_text(name) == name
    assert name_as_text(os.fsdecode(b"caf\xe9.jpg")) == r"caf\xe9.jpg"
