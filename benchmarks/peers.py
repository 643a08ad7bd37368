"""The package's student next to dlib, MediaPipe and face-api: time, memory, size and error.

    bash benchmarks/peer_scripts/setup.sh
    python benchmarks/peers.py --data "$KD_LANDMARKS_DATA"

Every peer runs in a process and an environment of its own, one after the other, pinned to one core
and then to two, on the same frames of 384 x 384 pixels (faces of 300W and WFLW with what is around
them), and finds faces by its own detector. Times are medians of 120 after warm-up: of the landmark
step (from a photo and the place of a face to points), and of a whole photo of 640 x 480 pixels with
one face. Ours also gives the network alone, for one face and for 32 at once.

Errors are inter-ocular NME on 300W common and on the 106 WFLW faces. Points that are not iBUG's 68
are mapped to them by a linear map, fitted on the training faces of 300W that the peer finds, which
favors it; those of dlib and face-api are scored as they are, too. Misses are left out, and then
replaced by the mean shape in the ground-truth box; another face of the frame, or none at all, whose
box shares less than 0.3 with the true one's, is a miss, too. Beside each peer's error stands the
student's on the faces that this peer found, with the mean shape where the student missed one.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image
from record import print_table, record

from kd_landmarks import default_checkpoint, load_rows
from kd_landmarks.data.columns import point_array
from kd_landmarks.data.photos import Photos
from kd_landmarks.evaluation.metrics import bootstrap_interval, nme
from kd_landmarks.imaging.boxes import overlaps
from kd_landmarks.inference.checkpoints import INT8_FILE, ONNX_FILE
from kd_landmarks.schemes import get_scheme

SCRIPTS = Path(__file__).parent / "peer_scripts"
CACHE = SCRIPTS / ".cache"
SCHEME = get_scheme("ibug68")
SIZE = 384
SAME_FACE = 0.3
SEED = 0
SETS = (
    ("train", "300w", "train"),
    ("common", "300w", "common"),
    ("wflw", "wflw/faces.jsonl", None),
)
# Name of a peer, command before FOLDER, what its points are, and what it learned from.
PEERS: dict[str, tuple[list[str], str]] = {
    "dlib": (
        [f"{CACHE}/dlib/bin/python", "dlib_peer.py"],
        "iBUG 300W, most likely with these faces",
    ),
    "MediaPipe, 468 points": (
        [f"{CACHE}/mediapipe/bin/python", "mediapipe_peer.py"],
        "about 30,000 photos of its makers",
    ),
    "MediaPipe, 478 points": (
        [f"{CACHE}/mediapipe/bin/python", "mediapipe_peer.py", "--refine"],
        "about 30,000 photos of its makers",
    ),
    "face-api": (["node", "face_api_peer.mjs"], "about 35,000 faces, not named"),
}
OURS = "ours, "


def main(
    data: Annotated[Path, typer.Option(help="Folder with 300w/ and wflw/.")],
) -> None:
    """Write frames, run everybody, map, score, print and record."""
    folder = CACHE / "frames"
    truth = write_frames(data, folder)
    commands = ours() | {name: command for name, (command, _) in PEERS.items()}
    names = list(commands)
    times = {
        name: {str(threads): timed(commands[name], folder, threads) for threads in (1, 2)}
        for name in names
    }
    points = {name: found(name, commands[name], folder, len(truth["all"])) for name in names}
    student = f"{OURS}onnxruntime"
    scores = {name: score(points[name], points[student], truth) for name in names}
    print_times(times)
    print_errors(scores)
    learned = {name: text for name, (_, text) in PEERS.items()}
    print(record("peers", {"times": times, "errors": scores, "learned_from": learned}, SEED))


def write_frames(data: Path, folder: Path) -> dict[str, Any]:
    """All faces as raw frames of one size; returns the ground truth in their pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    truth: dict[str, Any] = {}
    everything: list[NDArray[np.float64]] = []
    with (folder / "frames.bin").open("wb") as file:
        for name, path, split in SETS:
            rows = load_rows(data / path, split, scheme=SCHEME)
            photos = Photos(rows)
            first = len(everything)
            for index, points in enumerate(point_array(rows, "landmarks")):
                photo = photos.open(index).convert("RGB")
                scale = np.array([SIZE / photo.width, SIZE / photo.height])
                photo = photo.resize((SIZE, SIZE), Image.Resampling.BICUBIC)
                file.write(np.asarray(photo).tobytes())
                everything.append((points + 0.5) * scale - 0.5)
            truth[name] = slice(first, len(everything))
    told = {"count": len(everything), "size": SIZE, "timed": truth["common"].start}
    (folder / "frames.json").write_text(json.dumps(told))
    return truth | {"all": np.stack(everything)}


def ours() -> dict[str, list[str]]:
    """The student in every backend, in the files that the package brings."""
    package = Path(default_checkpoint())
    exact, small = package / ONNX_FILE, package / INT8_FILE
    script = [sys.executable, "ours.py"]
    commands = {f"{OURS}torch": [*script, "--backend", "torch"]}
    for backend in ("onnxruntime", "openvino"):
        for name, file in (("", exact), (" int8", small)):
            words = ["--backend", backend, "--file", str(file)]
            commands[f"{OURS}{backend}{name}"] = [*script, *words]
    return commands


def timed(command: list[str], folder: Path, threads: int) -> dict[str, float]:
    """What a process measured of itself on so many cores."""
    out = CACHE / "time.json"
    run_peer(command, folder, "time", out, threads)
    return json.loads(out.read_text())


def found(name: str, command: list[str], folder: Path, count: int) -> NDArray[np.float32]:
    """The points (frames, N, 2) that a peer finds, NaN where it finds no face.

    Those of others never change, and take a quarter of an hour: they are kept in .cache.
    """
    out = CACHE / f"points of {name}"
    if name.startswith(OURS) or not out.is_file():
        run_peer(command, folder, "points", out, os.cpu_count() or 1)
    if command[0] == "node":
        return np.fromfile(out, np.float32).reshape(count, -1, 2)
    return np.load(out)


def run_peer(command: list[str], folder: Path, mode: str, out: Path, threads: int) -> None:
    """Run a peer pinned to the first cores; its own messages are shown if it fails."""
    cores = ",".join(map(str, range(threads)))
    words = [str(folder), mode, str(out)]
    if "ours.py" in command:
        words += ["--threads", str(threads)]
    elif command[0] == "node":
        words += [str(threads)]
    # Words of a peer's own stand behind those that all have.
    full = ["taskset", "-c", cores, *command[:2], *words, *command[2:]]
    variables = os.environ | {"OMP_NUM_THREADS": str(threads), "GLOG_minloglevel": "3"}
    done = subprocess.run(full, cwd=SCRIPTS, env=variables, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(full)} failed:\n{done.stderr[-2000:]}")


def score(
    points: NDArray[np.float32], student: NDArray[np.float32], truth: dict[str, Any]
) -> dict[str, Any]:
    """Errors of a peer and, on the faces that it finds, of the student."""
    everything = truth["all"]
    there = is_the_face(points, everything)
    learned = there.copy()
    learned[truth["train"].stop :] = False
    answers = {"mapped": map_points(points, there, learned, everything)}
    if points.shape[1] == SCHEME.num_landmarks:
        answers["as it is"] = points.astype(np.float64)
    mean = mean_shape(everything[truth["train"]])
    told: dict[str, Any] = {}
    for name in ("common", "wflw"):
        inside = np.arange(len(everything))[truth[name]]
        seen = inside[there[inside]]
        entry: dict[str, Any] = {"faces": len(inside), "found": len(seen)}
        for kind, answer in answers.items():
            errors = nme(answer[seen], everything[seen], SCHEME)
            filled = np.where(
                there[inside, None, None], answer[inside], fit_boxes(mean, everything[inside])
            )
            entry[kind] = {
                "nme": float(errors.mean()),
                "interval": list(bootstrap_interval(errors, seed=SEED)[1:]),
                "nme_misses_by_mean_shape": float(nme(filled, everything[inside], SCHEME).mean()),
            }
        own = np.where(
            is_the_face(student[seen], everything[seen])[:, None, None],
            student[seen],
            fit_boxes(mean, everything[seen]),
        )
        entry["student_nme_on_found"] = float(nme(own, everything[seen], SCHEME).mean())
        told[name] = entry
    return told


def is_the_face(points: NDArray[np.floating], truth: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which of the points (faces, N, 2), NaN for none, lie on the faces (faces, 68, 2) meant."""
    boxes, true = (np.concatenate([p.min(1), p.max(1)], axis=1) for p in (points, truth))
    pairs = zip(boxes, true, strict=True)
    return np.array(
        [bool(np.isfinite(a).all()) and overlaps(a[None], b)[0] >= SAME_FACE for a, b in pairs]
    )


def map_points(
    points: NDArray[np.float32],
    there: NDArray[np.bool_],
    learned: NDArray[np.bool_],
    truth: NDArray[np.float64],
) -> NDArray[np.float64]:
    """A peer's points as iBUG's 68 by ridge regression, in the frame of the peer's own points.

    The ridge's weight is the best of five on a fifth of the training faces.
    """
    center = points.mean(axis=1, keepdims=True, dtype=np.float64)
    scale = np.sqrt(((points - center) ** 2).sum(-1, keepdims=True).mean(1, keepdims=True))
    inputs = ((points - center) / scale).reshape(len(points), -1)
    inputs = np.concatenate([inputs, np.ones((len(points), 1))], axis=1)
    wanted = ((truth - center) / scale).reshape(len(points), -1)
    rows = np.flatnonzero(learned)
    fit, held = rows[rows % 5 != 0], rows[rows % 5 == 0]
    weights = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]
    best = min(
        weights,
        key=lambda weight: np.abs(
            inputs[held] @ ridge(inputs[fit], wanted[fit], weight) - wanted[held]
        ).mean(),
    )
    answer = inputs[there] @ ridge(inputs[rows], wanted[rows], best)
    mapped = np.full((len(points), SCHEME.num_landmarks, 2), np.nan)
    mapped[there] = answer.reshape(-1, SCHEME.num_landmarks, 2) * scale[there] + center[there]
    return mapped


def ridge(inputs: NDArray, wanted: NDArray, weight: float) -> NDArray[np.float64]:
    """The linear map, with a penalty of `weight` per row on its square."""
    inner = inputs.T @ inputs + weight * len(inputs) * np.eye(inputs.shape[1])
    return np.linalg.solve(inner, inputs.T @ wanted)


def mean_shape(shapes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of shapes (faces, N, 2), each in its box, 0 to 1 on both axes."""
    low, high = shapes.min(1, keepdims=True), shapes.max(1, keepdims=True)
    return ((shapes - low) / (high - low)).mean(0)


def fit_boxes(mean: NDArray[np.float64], truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean shape in the box of each face."""
    low, high = truth.min(1, keepdims=True), truth.max(1, keepdims=True)
    return low + mean * (high - low)


def print_times(times: dict[str, dict[str, dict[str, float]]]) -> None:
    """Milliseconds, ratios to MediaPipe, memory and size; - for what only ours tells."""
    meshes = [times["MediaPipe, 478 points"], times["MediaPipe, 468 points"]]
    table = []
    for name, by_threads in times.items():
        for threads, told in by_threads.items():
            alone = [told.get(f"network_ms_batch_{batch}") for batch in (1, 32)]
            table.append(
                (
                    name,
                    threads,
                    f"{told['step_ms']:.2f}",
                    *(f"{told['step_ms'] / mesh[threads]['step_ms']:.2f}" for mesh in meshes),
                    *("-" if value is None else f"{value:.2f}" for value in alone),
                    f"{told['photo_ms']:.1f}",
                    f"{told['peak_mb']:.0f}",
                    f"{told['disk_mb']:.1f}",
                )
            )
    header = ("landmark step, ms", "to 478 points", "to 468", "network alone, ms", "32 at once")
    print_table(("", "cores", *header, "640 x 480 photo, ms", "peak MB", "MB on disk"), table)


def print_errors(scores: dict[str, dict[str, Any]]) -> None:
    """NME of everybody, and the student's on the same faces."""
    for part in ("common", "wflw"):
        print("\n300W common:\n" if part == "common" else "\nWFLW, 106 faces:\n")
        table = []
        for name, told in scores.items():
            entry = told[part]
            plain, mapped = entry.get("as it is"), entry["mapped"]
            own = name.startswith(OURS)
            chosen = plain if own else mapped
            table.append(
                (
                    name,
                    f"{entry['found']} of {entry['faces']}",
                    "-" if plain is None else f"{plain['nme']:.2f}",
                    "-" if own else f"{mapped['nme']:.2f}",
                    f"{entry['student_nme_on_found']:.2f}",
                    f"{chosen['nme_misses_by_mean_shape']:.2f}",
                )
            )
        header = ("found", "NME % as it is", "mapped", "ours on these", "misses by the mean shape")
        print_table(("", *header), table)


if __name__ == "__main__":
    typer.run(main)
