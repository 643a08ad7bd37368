"""The package's student, exported, on ONNX Runtime or OpenVINO, or in torch.

    python ours.py FOLDER points|time OUT --file student.onnx --backend onnxruntime --threads 1

--backend torch takes the package's checkpoint. Beside what `harness.py` measures, the time of the
network alone, for one face and for 32 at once.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from harness import run
from PIL import Image

from kd_landmarks import FaceLandmarkPipeline, default_checkpoint
from kd_landmarks.imaging.detection import detect_faces
from kd_landmarks.inference.backends.onnx import OnnxBackend
from kd_landmarks.inference.checkpoints import ONNX_FILE

PASSES, WARM_UP, BATCH = 120, 20, 32


class Ours:
    """The pipeline, on one of its backends."""

    points = 68

    def __init__(self, file: Path | None, backend: str, threads: int) -> None:
        import cv2

        cv2.setNumThreads(threads)
        network = "model.safetensors" if backend == "torch" else ONNX_FILE
        self.file = file or Path(default_checkpoint()) / network
        made = OnnxBackend(self.file, threads=threads) if backend == "onnxruntime" else file
        self.pipeline = FaceLandmarkPipeline(made, backend=backend)
        if backend == "torch":
            import torch

            torch.set_num_threads(threads)

    def find(self, photo: np.ndarray) -> "np.ndarray | None":
        """Detection and landmarks."""
        faces = self.pipeline(photo)
        return faces[0]["keypoints"] if faces else None

    def face(self, photo: np.ndarray) -> "np.ndarray | None":
        """The surest box."""
        boxes, _ = detect_faces(Image.fromarray(photo), self.pipeline.detector)
        return boxes[0] if len(boxes) else None

    def step(self, photo: np.ndarray, face: np.ndarray) -> np.ndarray:
        """Crop, network, and back to the photo."""
        return self.pipeline(photo, boxes=face)[0]["keypoints"]

    def disk(self) -> int:
        """Bytes of the network's file."""
        return self.file.stat().st_size

    def network(self, crops: np.ndarray) -> Any:
        """The network alone."""
        return self.pipeline.backend.run(crops)


def network_times(peer: Ours, size: int) -> dict[str, float]:
    """Median milliseconds per face of the network alone."""
    rng = np.random.default_rng(0)
    found = {}
    for batch, passes in ((1, PASSES), (BATCH, PASSES)):
        crops = rng.normal(size=(batch, 3, size, size)).astype(np.float32)
        times = []
        for _ in range(passes):
            start = time.perf_counter()
            peer.network(crops)
            times.append(1000 * (time.perf_counter() - start) / batch)
        found[f"network_ms_batch_{batch}"] = statistics.median(times[WARM_UP:])
    return found


def main() -> None:
    """Read the words, run, and add the network's own times."""
    words = argparse.ArgumentParser()
    words.add_argument("folder")
    words.add_argument("mode")
    words.add_argument("out", type=Path)
    words.add_argument("--file", type=Path)
    words.add_argument("--backend", default="onnxruntime")
    words.add_argument("--threads", type=int, default=1)
    given = words.parse_args()
    peer = Ours(given.file, given.backend, given.threads)
    sys.argv[1:] = [given.folder, given.mode, str(given.out)]
    run(peer)
    if given.mode == "time":
        told = json.loads(given.out.read_text())
        given.out.write_text(json.dumps(told | network_times(peer, 128)))


if __name__ == "__main__":
    main()
