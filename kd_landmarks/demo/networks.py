"""The detectors that the demo shows, loaded when they are first asked for."""

import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

from PIL import Image

from ..errors import KDLandmarksError
from ..inference.pipeline import FaceLandmarkPipeline
from ..inference.results import Face
from ..schemes import LandmarkScheme
from ..utils.environment import MissingPackageError, checked_device

MOST_FACES = 8
"""That are compared, or followed by the camera and in a clip."""
TIMED_RUNS = 7
"""The first one warms up."""


@dataclass(frozen=True)
class Entry:
    """A detector of the Compare tab.

    Attributes:
        title: what it is called there.
        source: its folder or Hub id; None for the package's own student.
        learned: in a few words, how it was trained.
    """

    title: str
    source: str | None
    learned: str


@dataclass(frozen=True)
class Answer:
    """What a detector finds in a photo, in how many milliseconds a face, and how large it is."""

    faces: list[Face]
    milliseconds: float
    parameters: int
    input_side: int


def compared(
    checkpoints: Path | None, baseline: str | None = None, teacher: str | None = None
) -> list[Entry]:
    """The three detectors that are compared.

    Args:
        checkpoints: folder of the released checkpoints, such as the repository's `checkpoints/`.
        baseline: another student without teachers: a folder or Hub id.
        teacher: another teacher.
    """
    # As a whole path: CHECKPOINTS/NAME could be an id, and the Hub would be asked for it.
    folder = (Path("checkpoints") if checkpoints is None else checkpoints).resolve()
    return [
        Entry("Student with KD-Loss", None, "teachers assist it"),
        Entry(
            "The same student, alone",
            baseline or str(folder / "mobilenetv2-300w-no-teachers"),
            "the same labeled faces, about as many steps, no teacher",
        ),
        Entry(
            "Tough-Teacher",
            teacher or str(folder / "tough-teacher-300w"),
            "a larger network at a larger input",
        ),
    ]


class Networks:
    """Pipelines by their source, each loaded once.

    Args:
        device: as the pipeline takes it; None for the first accelerator, else the CPU.

    Raises:
        KDLandmarksError: if it is not there.
    """

    def __init__(self, device: str | None = None) -> None:
        self._device = checked_device(device)
        self._loaded: dict[str | None, FaceLandmarkPipeline] = {}
        self._locks: defaultdict[str | None, Lock] = defaultdict(Lock)

    def get(self, source: str | None = None) -> FaceLandmarkPipeline:
        """The pipeline of a source; None is the package's own student.

        Raises:
            KDLandmarksError: if there is no such checkpoint.
        """
        # Each source has its own, so that no visitor waits for what another one loads.
        with self._locks[source]:
            if source not in self._loaded:
                self._loaded[source] = FaceLandmarkPipeline(source, device=self._device)
            return self._loaded[source]

    @cached_property
    def scheme(self) -> LandmarkScheme:
        """The landmarks of the package's own student."""
        return self.get().scheme

    def timed(self, source: str | None, photo: Image.Image, boxes: Sequence[Any]) -> Answer:
        """Landmarks in given boxes, and the median time from photo and box to points.

        Raises:
            KDLandmarksError: if there is no such checkpoint.
        """
        detect = self.get(source)
        faces: list[Face] = []
        times = []
        for _ in range(TIMED_RUNS if len(boxes) else 0):
            start = time.perf_counter()
            faces = detect(photo, boxes=list(boxes))
            times.append(1000 * (time.perf_counter() - start) / len(boxes))
        return Answer(
            faces=faces,
            milliseconds=statistics.median(times[1:]) if times else 0.0,
            parameters=detect.backend.description.parameters or 0,
            input_side=detect.backend.description.image_size,
        )


def how_to_get(error: KDLandmarksError) -> str:
    """What to tell where a detector is absent, or what it needs."""
    if isinstance(error, MissingPackageError):
        return f"Not available: {error}, and start the demo again."
    return (
        f"Not available: {error}. Its weights are in the folder checkpoints/ of the project's "
        "repository: start the demo there or with --checkpoints, or name another one with "
        "--baseline or --teacher."
    )
