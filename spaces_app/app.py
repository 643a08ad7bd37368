"""The Space: the package's demo, as Hugging Face starts it."""

import atexit
import sys
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent


def unpack_package() -> None:
    """Take the package from the wheel beside this file where it is not installed.

    A Space installs requirements.txt before it has its other files, the wheel among them.
    """
    if find_spec("kd_landmarks") is not None:
        return
    wheels = sorted(HERE.glob("kd_landmarks-*-none-any.whl"))
    if not wheels:
        sys.exit("kd-landmarks is not installed: in a clone, pip install -e '.[space]'")
    folder = tempfile.TemporaryDirectory()  # elsewhere may not be for us to write
    atexit.register(folder.cleanup)
    with zipfile.ZipFile(wheels[-1]) as wheel:
        wheel.extractall(folder.name)
    sys.path.insert(0, folder.name)


def find_checkpoints() -> Path | None:
    """The checkpoints to compare: beside this file in a Space, one level up in a clone."""
    places = (HERE / "checkpoints", HERE.parent / "checkpoints")
    return next((place for place in places if place.is_dir()), None)


if __name__ == "__main__":
    unpack_package()
    from kd_landmarks.demo.app import main

    main(checkpoints=find_checkpoints())
