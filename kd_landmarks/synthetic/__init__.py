"""Generated faces: drawn by a program, for trying, testing and teaching.

No photo and no landmark file goes into them: every curve comes from one parametric face with
round generic proportions, and a seed. Those proportions, the spreads and the colors were set by
hand, and checked against summary figures (mean shape, spread, brightness) of the 300W training
faces. They make a package that works offline, tests with exact points and lessons without
licenses; they do **not** replace photos for training: a detector that has seen nothing else finds
real faces only roughly.
"""

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import KDLandmarksError
from .drawing import draw_face
from .landmarks import SCHEME_SIZES
from .processes import FACES_PER_PROCESS, faces_drawn_by

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["GeneratedFace", "generate_face", "generated_dataset"]

SMALLEST, LARGEST = 32, 1024
# Data set `seed` holds the faces seed * FACES_PER_SEED + 0, 1, 2, …
FACES_PER_SEED = 10_000_000
# Data sets store a face's seed in 64 bits.
MOST_SEEDS = 2**63 // FACES_PER_SEED - 1


@dataclass(frozen=True, eq=False)
class GeneratedFace:
    """One generated face.

    Attributes:
        image: (size, size, 3) uint8, RGB.
        landmarks: (N, 2) float32, pixels of the image, x then y, pixel centers at whole numbers.
        visible: (N,) uint8, 0 where hair, glasses, an object or the head itself hides the point.
    """

    image: npt.NDArray[np.uint8]
    landmarks: npt.NDArray[np.float32]
    visible: npt.NDArray[np.uint8]


def generate_face(
    seed: int, scheme: str = "ibug68", size: int = 160, head_turned: bool = False
) -> GeneratedFace:
    """Draw the face of a seed: the same seed and size give the same picture, whatever the scheme.

    The box of the landmarks takes about 1/1.8 of the picture's side, so that there is room to
    rotate, shift and scale before cropping.

    Args:
        seed: whole number >= 0.
        scheme: "ibug68", "wflw98" or "cofw29".
        size: side of the square picture in pixels, 32 to 1024.
        head_turned: turn the head by 25 to 75 degrees to one side, rather than mostly to the
            camera.

    Raises:
        KDLandmarksError: for an unknown scheme, a negative seed or a size out of range.
    """
    seed, size = _checked(seed, scheme, size)
    drawing = draw_face(seed, size, head_turned=head_turned)
    return GeneratedFace(drawing.image, drawing.landmarks[scheme], drawing.visible[scheme])


def generated_dataset(
    count: int,
    seed: int = 0,
    scheme: str = "ibug68",
    size: int = 160,
    num_proc: int | None = None,
    cache: bool = True,
    heads_turned: bool = False,
) -> "Dataset":
    """Draw a data set of faces in the package's row format.

    Row k is face `seed * 10_000_000 + k`, whatever the number of processes. Columns: `image`
    (stored as PNG, so exactly what `generate_face` draws), `landmarks` (N, 2), `box` (the tight
    box of the landmarks: x0, y0, x1, y1), `scheme`, `subset` ("generated"), `photo` (one per
    face), `source` ("generated:" and the face's seed) and `visible` (N of 0 or 1).

    Args:
        count: number of faces, 1 to 10 million.
        seed: which faces; data sets of different seeds share none.
        scheme: "ibug68", "wflw98" or "cofw29".
        size: side of the square pictures in pixels, 32 to 1024.
        num_proc: processes to draw with, at most one for 100 faces; None draws in this one. A
            script that gives it starts its work under `if __name__ == "__main__":`.
        cache: keep the drawn faces in the cache folder of `datasets` and read them from there the
            next time, until the drawing program changes.
        heads_turned: as `generate_face`'s `head_turned`, for every face.

    Raises:
        KDLandmarksError: for a value out of range, by name.
    """
    from datasets import Array2D, Dataset, Features, Image, List, Value

    seed, size = _checked(seed, scheme, size, MOST_SEEDS)
    if not _is_whole(count) or not 1 <= count <= FACES_PER_SEED:
        raise KDLandmarksError(
            f"count={count!r}: give a whole number of faces from 1 to {FACES_PER_SEED}"
        )
    if num_proc is not None and (not _is_whole(num_proc) or num_proc < 1):
        raise KDLandmarksError(f"num_proc={num_proc!r}: give a whole number >= 1, or None")
    points = SCHEME_SIZES[scheme]
    request = f"{scheme}-{size}-{seed}-{count}{'-turned' if heads_turned else ''}"
    features = Features(
        {
            "image": Image(),
            "landmarks": Array2D((points, 2), "float32"),
            "box": List(Value("float32"), length=4),
            "scheme": Value("string"),
            "subset": Value("string"),
            "photo": Value("string"),
            "source": Value("string"),
            "visible": List(Value("int8"), length=points),
        }
    )
    first, count = seed * FACES_PER_SEED, int(count)
    seeds = Dataset.from_dict({"face_seed": list(range(first, first + count))})
    processes = max(1, min(num_proc or 1, count // FACES_PER_PROCESS))
    draw = partial(_row, scheme=scheme, size=size, head_turned=heads_turned)
    with faces_drawn_by(processes, draw) as columns:
        return seeds.map(
            columns,
            input_columns="face_seed",
            batched=True,
            batch_size=processes * FACES_PER_PROCESS,
            remove_columns=["face_seed"],
            features=features,
            load_from_cache_file=cache,
            cache_file_name=_cache_file(request) if cache else None,
            # The default would hash this module's functions alone, not what they call.
            new_fingerprint=_program_digest(request),
            desc="Generating faces",
        )


def _program_digest(request: str) -> str:
    """What is asked for and the program that draws it, as a fingerprint."""
    digest = hashlib.sha256(request.encode())
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:32]


def _cache_file(request: str) -> str | None:
    """Where these faces are kept between runs; None where nothing can be written."""
    from datasets.config import HF_DATASETS_CACHE

    folder = Path(HF_DATASETS_CACHE) / "kd_landmarks_generated"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return str(folder / f"{request}-{_program_digest(request)}.arrow")


def _row(seed: int, scheme: str, size: int, head_turned: bool) -> dict[str, Any]:
    face = generate_face(seed, scheme, size, head_turned)
    _, code = cv2.imencode(".png", face.image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
    box = np.concatenate([face.landmarks.min(axis=0), face.landmarks.max(axis=0)])
    return {
        "image": {"bytes": code.tobytes(), "path": None},
        "landmarks": face.landmarks,
        "box": box,
        "scheme": scheme,
        "subset": "generated",
        "photo": f"generated-{seed}",
        "source": f"generated:{seed}",
        "visible": face.visible,
    }


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _checked(seed: int, scheme: str, size: int, most: int = 2**63 - 1) -> tuple[int, int]:
    """Seed and size as Python's numbers, since numpy's have an end."""
    if not _is_whole(seed) or not 0 <= seed <= most:
        raise KDLandmarksError(f"seed={seed!r}: give a whole number from 0 to {most}")
    if scheme not in SCHEME_SIZES:
        known = ", ".join(SCHEME_SIZES)
        raise KDLandmarksError(f"scheme={scheme!r}: faces can be generated with {known}")
    if not _is_whole(size) or not SMALLEST <= size <= LARGEST:
        raise KDLandmarksError(f"size={size!r}: give a side of {SMALLEST} to {LARGEST} pixels")
    return int(seed), int(size)
