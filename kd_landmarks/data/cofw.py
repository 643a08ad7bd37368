"""COFW's `.mat` files: MATLAB 7.3, which is HDF5, a format with many ways out of a file.

Objects can be links to other files, or have their values in other files, or be declared far larger
than they are stored. So each is looked at before it is read: what it is, and of which size.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image

from ..errors import KDLandmarksError, reason
from ..imaging.formats import max_megapixels
from .rows import RawRow
from .splits import chosen_split

COFW_SUFFIXES = {"train": "Tr", "test": "T"}
"""Of the variables' names: IsTr, phisTr, bboxesTr; IsT, phisT, bboxesT."""
MOST_FACES = 20_000
"""COFW has 1,345 and 507."""


def cofw_faces(path: Path, split: str | None) -> Iterator[RawRow]:
    """The faces of a file.

    Args:
        path: of a regular file.
        split: "train" or "test"; None for the one that it holds.

    Raises:
        KDLandmarksError: it is not such a file, or does not hold the split.
    """
    try:
        with _opened(path) as file:
            held = [name for name, suffix in COFW_SUFFIXES.items() if _has(file, f"phis{suffix}")]
            if not held:
                raise KDLandmarksError(
                    f"{path} has the variables {', '.join(islice(file, 20))}, not IsTr, phisTr, "
                    "bboxesTr or IsT, phisT, bboxesT"
                )
            wanted = chosen_split(held, split or held[0], path)
            yield from _faces(file, path, wanted)
    except KDLandmarksError:
        raise
    except Exception as error:  # h5py raises whatever broken files lead it to
        raise KDLandmarksError(
            f"cannot read {path} as a MATLAB 7.3 (HDF5) file of COFW: {reason(error)}"
        ) from error


def _opened(path: Path) -> h5py.File:
    with path.open("rb") as stream:
        start = stream.read(19)
    if start.startswith(b"MATLAB 5.0 MAT-file"):
        raise KDLandmarksError(
            f"{path} is a MATLAB 5 file; COFW's is MATLAB 7.3: save it in MATLAB with -v7.3"
        )
    return h5py.File(path, "r")


def _has(file: h5py.File, name: str) -> bool:
    """Whether a name stands in the file itself; links to other files are not followed."""
    return file.get(name, getlink=True) is not None


def _faces(file: h5py.File, path: Path, split: str) -> Iterator[RawRow]:
    """The faces of an open file; MATLAB stores by columns, so that every array is transposed."""
    suffix = COFW_SUFFIXES[split]
    images, labels, boxes = (
        _variable(file, f"{name}{suffix}", path) for name in ("Is", "phis", "bboxes")
    )
    count = int(np.prod(images.shape))
    if labels.shape != (87, count) or boxes.shape != (4, count) or count > MOST_FACES:
        raise KDLandmarksError(
            f"{path}: phis{suffix} is {labels.shape[::-1]} and bboxes{suffix} "
            f"{boxes.shape[::-1]} for {count} images, not (images, 87) and (images, 4), of up to "
            f"{MOST_FACES} images"
        )
    if h5py.check_ref_dtype(images.dtype) is not h5py.Reference:
        raise KDLandmarksError(f"{path}: Is{suffix} is {images.dtype}, not references to images")
    for name, values in ((f"phis{suffix}", labels), (f"bboxes{suffix}", boxes)):
        if values.dtype.kind not in "iuf":
            raise KDLandmarksError(f"{path}: {name} is {values.dtype}, not numbers")
    faces = zip(images[()].ravel(), labels[()].T, boxes[()].T, strict=True)
    for index, (reference, label, (x, y, width, height)) in enumerate(faces):
        source, photo = f"{path.name}:{index + 1}", f"cofw_{split}_{index + 1:04d}"
        try:
            pixels = _pixels(file, reference)
        except KDLandmarksError as error:
            yield KDLandmarksError(f"{source}: {error}")
            continue
        except Exception as error:  # as above
            yield KDLandmarksError(f"{source}: the image cannot be read: {reason(error)}")
            continue
        yield {
            "image": {"bytes": _png(pixels), "path": f"{photo}.png"},
            "landmarks": label[:58].reshape(2, 29).T - 1,
            "visible": (label[58:] < 0.5).astype(int),
            "box": np.array([x - 1, y - 1, x - 1 + width, y - 1 + height]),
            "photo": photo,
            "source": source,
        }


def _variable(file: h5py.File, name: str, path: Path) -> h5py.Dataset:
    """A variable of the file, its values not read yet."""
    link = file.get(name, getlink=True)
    if link is None:
        raise KDLandmarksError(f"{path} has no variable {name}")
    if not isinstance(link, h5py.HardLink):
        raise KDLandmarksError(f"{path}: {name} is a link to somewhere else")
    found = file[name]
    problem = _problem(found, 87 * 8 * MOST_FACES)
    if problem:
        raise KDLandmarksError(f"{path}: {name} {problem}")
    return found


def _problem(found: Any, most_bytes: float) -> str | None:
    """What keeps an object from being an array whose values are in this very file; or None."""
    if not isinstance(found, h5py.Dataset) or found.shape is None:
        return "is not an array"
    if found.external or found.is_virtual:
        return "has its values in other files"
    # Compressed pieces are taken apart whole; a declared size costs nothing to write.
    pieces = np.prod(found.chunks, dtype=float) * found.dtype.itemsize if found.chunks else 0
    stored = found.id.get_storage_size()
    largest = max(np.prod(found.shape, dtype=float) * found.dtype.itemsize, pieces, stored)
    if largest > most_bytes:
        return f"is {found.dtype} {found.shape[::-1]}, {largest / 1e6:.0f} MB: too large"
    return None


def _pixels(file: h5py.File, reference: Any) -> np.ndarray:
    """An image (height, width) or (height, width, 3), uint8.

    Raises:
        KDLandmarksError: it is none; names no row.
    """
    if not reference:
        raise KDLandmarksError("it refers to no image")
    found = file[reference]
    problem = _problem(found, max_megapixels() * 3e6)
    if problem:
        raise KDLandmarksError(f"the image {problem}")
    shape = found.shape[::-1]
    if found.dtype != np.uint8 or not (len(shape) == 2 or shape[2:] == (3,)) or 0 in shape:
        raise KDLandmarksError(f"the image is {found.dtype} {shape}, not uint8 gray or RGB")
    return found[()].T


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
