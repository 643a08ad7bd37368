"""Wheels of this package that tests change, and Python where it is not installed."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

DEMO = "kd_landmarks/demo/app.py"
TELLS = """
import kd_landmarks

def main(checkpoints):
    for told in (kd_landmarks.__version__, kd_landmarks.default_checkpoint(), checkpoints):
        print(told)
"""


def changed(wheel: Path, folder: Path, version: str, tells: bool = False) -> Path:
    """A copy of a wheel as another version; one that tells has an app that says what it finds."""
    named = f"kd_landmarks-{version}"
    target = folder / f"{named}-py3-none-any.whl"
    apps = {"kd_landmarks/demo/__init__.py": "", DEMO: TELLS} if tells else {}
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith(".dist-info/METADATA"):
                data = re.sub(rb"(?m)^Version: .*$", f"Version: {version}".encode(), data)
            if name not in apps:
                new.writestr(re.sub(r"^kd_landmarks-[^/]*(?=\.dist-info/)", named, name), data)
        for name, text in apps.items():
            new.writestr(name, text)
    return target


def run_uninstalled(*words: object, folder: Path, path: list[object]) -> tuple[int, str, str]:
    """Run Python in a folder with a path that editable installs do not add to.

    Returns:
        Exit code, what it printed, and its errors.
    """
    done = subprocess.run(
        [sys.executable, "-S", "-P", *map(str, words)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path))},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr
