"""Landmarks with ONNX Runtime, where there is neither torch nor transformers.

Needs numpy, pillow, opencv and onnxruntime alone, and a file of `kd-landmarks export`:

    detector = OnnxDetector("mobilenetv2-300w.onnx")
    faces = detector("photo.jpg", boxes=[[210, 80, 330, 240]])
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import KDLandmarksError, shown
from ..imaging.boxes import face_boxes
from ..imaging.crop import check_crop_size, check_finite, square_crop, to_photo_pixels
from ..imaging.crop_settings import check_settings
from ..imaging.photos import load_photo
from ..imaging.pixels import cut_square
from ..utils.parsing import MOST_JSON, parse_json
from ..utils.values import whole
from .confidence import Calibration

# The key of an exported file's metadata that tells crop, normalization and landmarks, as JSON.
METADATA = "kd_landmarks"


class OnnxDetector:
    """A detector exported to ONNX.

    Attributes:
        metadata: what the file tells: `crop_margin`, `image_size`, `image_mean`, `image_std` (of
            pixels from 0 to 1), `scheme` (the landmarks), `confidence` (a calibration or None).

    Args:
        path: of the file.
        threads: of one face's computation; None leaves it to ONNX Runtime.
        providers: of ONNX Runtime, a list of names, or of names with options; None for the CPU.

    Raises:
        KDLandmarksError: without onnxruntime, for what is no file of ours or broken, and for
            providers that are not there.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        threads: int | None = None,
        providers: Sequence[str | tuple[str, dict[str, Any]]] | None = None,
    ) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise KDLandmarksError("onnxruntime is missing: pip install onnxruntime") from error
        chosen = _checked_providers(providers, onnxruntime.get_available_providers())
        if threads is not None:
            whole("threads", threads)
        path = Path(os.path.expanduser(path))
        if not os.path.isfile(path):
            raise KDLandmarksError(f"there is no file {path}: `kd-landmarks export` makes one")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what is wrong is raised: no lines of its own beside it
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=chosen)
            told = self._session.get_modelmeta().custom_metadata_map.get(METADATA)
        except Exception as error:  # onnxruntime has a family of its own
            raise KDLandmarksError(f"cannot load {path}: {error}") from error
        if told is None:
            raise KDLandmarksError(
                f"{path} is no detector of ours: its metadata have no {METADATA!r}; export one "
                "with `kd-landmarks export`"
            )
        self.metadata: dict[str, Any] = _checked_metadata(told, str(path))
        _check_network(self._session, self.metadata, str(path))
        mean, std = (np.array(self.metadata[name]) for name in ("image_mean", "image_std"))
        self._scale = (1 / (255 * std)).astype(np.float32)[:, None, None]
        self._offset = (-mean / std).astype(np.float32)[:, None, None]
        known = self.metadata.get("confidence")
        self._calibration = None if known is None else Calibration.from_dict(known)

    def __call__(self, photo: Any, boxes: Any) -> list[dict[str, Any]]:
        """The landmarks of a photo's faces.

        Args:
            photo: as `kd_landmarks.imaging.photos.load_photo` takes it.
            boxes: one box (4,) or several (faces, 4): x0, y0, x1, y1 in pixels of the upright
                photo, tight around each face's points.

        Returns:
            For each box `keypoints` (N, 2) float32 in photo pixels, `scores` (N,) from 0 to 1 or
            None, `confidence` (N,), the probability that a point is right, or None, and `box`.

        Raises:
            KDLandmarksError: for a photo that cannot be read and boxes that do not fit it, and for
                an answer that is not finite.
        """
        picture = load_photo(photo)
        try:
            found = face_boxes(boxes, picture.width, picture.height)
            squares = [square_crop(box, self.metadata["crop_margin"]) for box in found]
            for square in squares:
                check_crop_size(square, picture.width, picture.height)
        except ValueError as error:
            raise KDLandmarksError(str(error)) from error
        if not squares:
            return []
        crops = np.stack([self.crop(picture, square) for square in squares])
        outputs = self.run(crops)
        scores = outputs[1] if len(outputs) > 1 else [None] * len(squares)
        sure = self._calibration if len(outputs) > 1 else None
        with np.errstate(over="ignore"):
            keypoints = [
                to_photo_pixels(points.astype(np.float64), square).astype(np.float32)
                for points, square in zip(outputs[0], squares, strict=True)
            ]
        try:
            check_finite(crops, "the network's pixels")  # layers can hide what is not
            for numbers in (*keypoints, *outputs[1:]):
                check_finite(numbers, "the network's keypoints or scores")
        except ValueError as error:
            raise KDLandmarksError(str(error)) from error
        return [
            {
                "keypoints": points,
                "scores": score,
                "confidence": None if sure is None else sure(score),
                "box": box,
            }
            for points, score, box in zip(keypoints, scores, found.tolist(), strict=True)
        ]

    def crop(self, photo: Image.Image, square: tuple[int, int, int]) -> NDArray[np.float32]:
        """A face as the network wants it, (3, size, size): the image processor's twin in numpy."""
        size = self.metadata["image_size"]
        face = cut_square(photo, square).resize((size, size), Image.Resampling.BILINEAR)
        # Channels are put first while a value is still one byte: five times as quick as after.
        pixels = np.ascontiguousarray(np.asarray(face).transpose(2, 0, 1))
        return np.multiply(pixels, self._scale, dtype=np.float32) + self._offset

    def run(self, crops: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """The network's keypoints (faces, N, 2) in crop units, and scores (faces, N) if any.

        Raises:
            KDLandmarksError: where it cannot compute, or its numbers are not finite.
        """
        try:
            outputs = self._session.run(None, {"pixel_values": crops})
        except Exception as error:  # onnxruntime has a family of its own
            raise KDLandmarksError(f"the ONNX network cannot compute: {error}") from error
        if any(len(output) != len(crops) for output in outputs):
            raise KDLandmarksError(
                f"the ONNX network gives {[output.shape for output in outputs]} for {len(crops)} "
                "faces: export the detector anew with `kd-landmarks export`"
            )
        if not all(np.isfinite(output).all() for output in outputs):
            raise KDLandmarksError(
                "the ONNX network answers with numbers that are not finite: its weights are "
                "broken, so export the detector anew with `kd-landmarks export`"
            )
        return outputs


def _checked_metadata(told: str, path: str) -> dict[str, Any]:
    """What a file tells of its crops and landmarks.

    Raises:
        KDLandmarksError: for what `kd_landmarks.inference.export` does not write.
    """
    where = f"{METADATA!r} in the metadata of {path}"
    values = parse_json(told, where) if len(told) <= MOST_JSON else None
    needed = ("crop_margin", "image_size", "image_mean", "image_std", "scheme")
    try:
        if not isinstance(values, dict):
            raise ValueError(f"it holds {shown(values)}, no mapping of names to values")
        missing = [name for name in needed if values.get(name) is None]
        if missing:
            raise ValueError(f"it lacks {missing[0]}")
        check_settings({name: values[name] for name in needed[:-1]})
        scheme = values["scheme"]
        names = scheme.get("names") if isinstance(scheme, dict) else None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError(f"its scheme {shown(scheme)} names no landmarks")
        if values.get("confidence") is not None:
            Calibration.from_dict(values["confidence"], len(names))
    except ValueError as error:
        raise KDLandmarksError(
            f"{where} cannot be meant: {error}. Export the detector anew with `kd-landmarks export`"
        ) from error
    return values


def _check_network(session: Any, metadata: dict[str, Any], path: str) -> None:
    """Refuse a network that takes or gives something else than its metadata tell.

    Raises:
        KDLandmarksError: naming what it takes and gives.
    """
    side, count = metadata["image_size"], len(metadata["scheme"]["names"])
    wanted = {"pixel_values": [3, side, side], "keypoints": [count, 2], "scores": [count]}
    there = {one.name: one for one in (*session.get_inputs(), *session.get_outputs())}
    names = list(there)
    sound = names in (list(wanted), list(wanted)[:2]) and all(
        one.type == "tensor(float)" and list(one.shape[1:]) == wanted[name]
        for name, one in there.items()
    )
    if not sound:
        found = {name: (one.type, one.shape) for name, one in there.items()}
        raise KDLandmarksError(
            f"{path} is no detector of ours: it has {shown(found, 200)}, where its metadata need "
            f"{wanted}, floats of any number of faces"
        )


def _checked_providers(providers: Any, there: list[str]) -> list[Any]:
    """The providers to use.

    Raises:
        KDLandmarksError: for one that is not there, which ONNX Runtime would only warn of.
    """
    if providers is None:
        return ["CPUExecutionProvider"]
    given = list(providers) if isinstance(providers, list | tuple) else []
    names = [entry[0] if isinstance(entry, tuple) and entry else entry for entry in given]
    if not given or not all(isinstance(name, str) and name in there for name in names):
        raise KDLandmarksError(
            f"providers={shown(providers)}: give a list of what there is, {', '.join(there)}"
        )
    return given
