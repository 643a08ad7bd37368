"""What every peer in Python does: read frames, answer, be timed. Needs numpy alone.

python PEER.py FOLDER points OUT.npy
python PEER.py FOLDER time OUT.json
"""

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any, Protocol

import numpy as np

# Timed: so many faces, each so often; the first rounds warm up.
FACES, ROUNDS, WARM_UP = 30, 6, 2


class Peer(Protocol):
    """A detector of faces and landmarks."""

    points: int

    def find(self, photo: np.ndarray) -> "np.ndarray | None":
        """Landmarks (N, 2) of the face in an RGB photo, in its pixels; None where it finds none."""

    def face(self, photo: np.ndarray) -> Any:
        """What `step` needs to know of where the face is; None where it finds none."""

    def step(self, photo: np.ndarray, face: Any) -> Any:
        """The landmark step alone, for a face that was found."""

    def disk(self) -> int:
        """Bytes of the files of the landmark step."""


def peak_megabytes() -> float:
    """The most memory that this process has held; getrusage's includes what its parent held."""
    lines = Path("/proc/self/status").read_text().splitlines()
    [kilobytes] = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return int(kilobytes) / 1024


def run(peer: Peer) -> None:
    """Do what the command line says."""
    folder, mode, out = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    told = json.loads((folder / "frames.json").read_text())
    size = told["size"]
    frames = np.memmap(folder / "frames.bin", np.uint8, "r").reshape(-1, size, size, 3)
    if mode == "points":
        nothing = np.full((peer.points, 2), np.nan)
        answers = [peer.find(np.array(frame)) for frame in frames]
        found = [nothing if answer is None else answer for answer in answers]
        with out.open("wb") as file:
            np.save(file, np.asarray(found, dtype=np.float32))
        return
    photos = [np.array(frame) for frame in frames[told["timed"] : told["timed"] + FACES]]
    steps, whole = [], []
    for photo in photos:
        face = peer.face(photo)
        if face is None:
            continue
        for number in range(ROUNDS):
            start = time.perf_counter()
            peer.step(photo, face)
            if number >= WARM_UP:
                steps.append(1000 * (time.perf_counter() - start))
    for photo in photos:
        canvas = np.full((480, 640, 3), 128, dtype=np.uint8)
        canvas[48 : 48 + size, 128 : 128 + size] = photo
        for number in range(ROUNDS):
            start = time.perf_counter()
            peer.find(canvas)
            if number >= WARM_UP:
                whole.append(1000 * (time.perf_counter() - start))
    result = {
        "step_ms": statistics.median(steps),
        "photo_ms": statistics.median(whole),
        "timed": len(steps),
        "peak_mb": peak_megabytes(),
        "disk_mb": peer.disk() / 1e6,
    }
    out.write_text(json.dumps(result))
