"""What it costs to install the package, to start it and to have it answer, beside MediaPipe.

    bash benchmarks/peer_scripts/setup.sh
    python benchmarks/light.py --data "$KD_LANDMARKS_DATA"

Run by a Python with `kd-landmarks[train]`. The base install and MediaPipe (478 points) are in fresh
environments of their own, in .cache. Everything is pinned to one core, each process alone:

- install: megabytes of what pip installs beside itself; of `[train]`, of its packages here;
- import: `import kd_landmarks`, and what the pipeline or MediaPipe's FaceMesh imports;
- first answer: CPU seconds and peak memory of a fresh process that finds the face of one photo in
  Python, the median of five;
- landmark step: from a photo and the place of a face to points, the median of 120 after warm-up.
"""

import json
import os
import re
import statistics
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from typing import Annotated, Any

import typer
from peers import CACHE, SCRIPTS, timed, write_frames
from record import print_table, record

from kd_landmarks import default_checkpoint
from kd_landmarks.inference.checkpoints import INT8_FILE

REPOSITORY = Path(__file__).parent.parent
PHOTO = REPOSITORY / "kd_landmarks/demo/examples/astronaut.jpg"
ROUNDS = 5
# Tells what the process has cost when it ends, getrusage's memory would include its parent's.
TELL = """
import atexit, json, sys, time
def tell():
    lines = open("/proc/self/status").read().splitlines()
    [peak] = [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")]
    print(json.dumps({"cpu_s": time.process_time(), "peak_mb": peak}), file=sys.stderr)
atexit.register(tell)
"""
FLOAT = """
from kd_landmarks import FaceLandmarkPipeline
assert FaceLandmarkPipeline()(PHOTO)
"""
INT8 = """
from kd_landmarks import FaceLandmarkPipeline
assert FaceLandmarkPipeline(dtype="int8")(PHOTO)
"""
TORCH = """
from kd_landmarks import FaceLandmarkPipeline
assert FaceLandmarkPipeline(backend="torch", device="cpu")(PHOTO)
"""
FACE_MESH = """
import cv2
from mediapipe.python.solutions.face_mesh import FaceMesh
mesh = FaceMesh(static_image_mode=True, max_num_faces=1, refine_landmarks=True)
assert mesh.process(cv2.cvtColor(cv2.imread(PHOTO), cv2.COLOR_BGR2RGB)).multi_face_landmarks
"""
IMPORTS = {
    "base": "from kd_landmarks import FaceLandmarkPipeline",
    "base, int8": "from kd_landmarks import FaceLandmarkPipeline",
    "[train], torch": "import kd_landmarks.models",
    "MediaPipe": "from mediapipe.python.solutions.face_mesh import FaceMesh",
}


def main(data: Annotated[Path, typer.Option(help="Folder with 300w/ and wflw/.")]) -> None:
    """Install, measure, print and record."""
    base = CACHE / "base"
    if not base.is_dir():
        subprocess.run([sys.executable, "-m", "venv", base], check=True)
    subprocess.run(
        [base / "bin/pip", "install", "--quiet", "--force-reinstall", "--no-deps", REPOSITORY],
        check=True,
    )
    subprocess.run([base / "bin/pip", "install", "--quiet", REPOSITORY], check=True)
    int8 = str(Path(default_checkpoint()) / INT8_FILE)
    light, media = str(base / "bin/python"), str(CACHE / "mediapipe/bin/python")
    folder = CACHE / "frames"
    write_frames(data, folder)
    measured: dict[str, dict[str, Any]] = {}
    for name, python, first, words in (
        ("base", light, FLOAT, ["ours.py", "--backend", "onnxruntime"]),
        ("base, int8", light, INT8, ["ours.py", "--backend", "onnxruntime", "--file", int8]),
        ("[train], torch", sys.executable, TORCH, ["ours.py", "--backend", "torch"]),
        ("MediaPipe", media, FACE_MESH, ["mediapipe_peer.py", "--refine"]),
    ):
        known = timed([python, *words], folder, threads=1)
        measured[name] = {
            "install_mb": train_megabytes() if python == sys.executable else venv_megabytes(python),
            "import_cpu_s": fresh(python, IMPORTS[name])["cpu_s"],
            **fresh(python, first),
            "step_ms": known["step_ms"],
        }
    header = ("", "install MB", "import s", "first answer s", "peak MB", "landmark step ms")
    rows = [
        (
            name,
            f"{told['install_mb']:.0f}",
            f"{told['import_cpu_s']:.2f}",
            f"{told['cpu_s']:.2f}",
            f"{told['peak_mb']:.0f}",
            f"{told['step_ms']:.2f}",
        )
        for name, told in measured.items()
    ]
    print_table(header, rows)
    print(record("light", measured, seed=0))


def fresh(python: str, code: str) -> dict[str, float]:
    """CPU seconds and peak megabytes of a process of its own, on one core; medians."""
    program = f"{TELL}\nPHOTO = {str(PHOTO)!r}\n{code}"
    told = []
    for _ in range(ROUNDS):
        done = subprocess.run(
            [python, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            cwd=SCRIPTS,
            preexec_fn=lambda: os.sched_setaffinity(0, {0}),
        )
        told.append(json.loads(done.stderr.splitlines()[-1]))
    return {name: statistics.median(one[name] for one in told) for name in told[0]}


def venv_megabytes(python: str) -> float:
    """Of the packages in an environment, but for pip and setuptools."""
    [packages] = Path(python).parents[1].glob("lib/python*/site-packages")
    return (
        sum(
            file.stat().st_size
            for file in packages.rglob("*")
            if file.is_file()
            and not file.relative_to(packages).parts[0].startswith(("pip", "setuptools"))
        )
        / 1e6
    )


def train_megabytes() -> float:
    """Of the packages that `kd-landmarks[train]` needs, as they are installed here."""
    wanted, seen = ["kd-landmarks[train]"], set[tuple[str, tuple[str, ...]]]()
    total = 0
    while wanted:
        need = wanted.pop()
        name = re.split(r"[^\w.-]", need)[0]
        extras = re.findall(r"\[(.+?)\]", need)
        if (name, tuple(extras)) in seen:
            continue
        try:
            found = distribution(name)
        except ImportError:  # for another system
            continue
        if not any(name == other for other, _ in seen):
            files = [Path(str(found.locate_file(file))) for file in found.files or ()]
            total += sum(file.stat().st_size for file in files if file.is_file())
        seen.add((name, tuple(extras)))
        for line in found.requires or ():
            package, _, marker = line.partition(";")
            extra = re.search(r"extra == ['\"](.*?)['\"]", marker)
            if extra is None or extra[1] in "".join(extras).split(","):
                wanted.append(package.strip())
    own = sum(file.stat().st_size for file in (REPOSITORY / "kd_landmarks").rglob("*.*"))
    return (total + own) / 1e6


if __name__ == "__main__":
    typer.run(main)
