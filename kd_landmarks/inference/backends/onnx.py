"""An exported detector on ONNX Runtime."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ...errors import KDLandmarksError, shown
from ...utils.parsing import MOST_JSON, parse_json
from ...utils.values import whole
from ..description import Description
from . import PerProcess

METADATA = "kd_landmarks"
"""The key of an exported file's metadata that holds its `Description`, as JSON."""
MEND = "export the detector anew with `kd-landmarks export`"


class OnnxBackend:
    """See `Backend`.

    Args:
        path: of a file of `kd-landmarks export`.
        threads: of one computation; None leaves it to ONNX Runtime.

    Raises:
        KDLandmarksError: for a file that is missing, broken or not a kd-landmarks detector.
    """

    name = "onnxruntime"

    def __init__(self, path: Path, threads: int | None = None) -> None:
        self.source = str(path)
        self._threads = None if threads is None else whole("threads", threads)
        session = self._open()
        stored = session.get_modelmeta().custom_metadata_map.get(METADATA)
        self.description = _parsed(stored, self.source)
        _check_network(session, self.description, self.source)
        self._session: PerProcess[Any] = PerProcess(self._open, session)

    def run(
        self, pixels: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """See `Backend.run`."""
        try:
            outputs = self._session.get().run(None, {"pixel_values": pixels})
        except KDLandmarksError:
            raise
        except Exception as error:  # onnxruntime has a family of its own
            raise KDLandmarksError(f"ONNX Runtime cannot compute {self.source}: {error}") from error
        return checked_outputs(outputs, len(pixels), self.source)

    def _open(self) -> Any:
        path = os.path.expanduser(self.source)
        if not os.path.isfile(path):
            raise KDLandmarksError(
                f"there is no file {self.source}: `kd-landmarks export` makes one"
            )
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what is wrong is raised: no lines of its own beside it
        if self._threads is not None:
            options.intra_op_num_threads = self._threads
        try:
            return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has a family of its own
            raise KDLandmarksError(f"cannot load {self.source}: {error}") from error


def checked_outputs(
    outputs: list[Any], faces: int, source: str
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Keypoints and scores, or None, of so many faces.

    Raises:
        KDLandmarksError: for another number of faces.
    """
    if any(len(output) != faces for output in outputs):
        raise KDLandmarksError(
            f"{source} gives {[output.shape for output in outputs]} for {faces} faces: {MEND}"
        )
    return outputs[0], outputs[1] if len(outputs) > 1 else None


def _parsed(stored: str | None, path: str) -> Description:
    if stored is None:
        raise KDLandmarksError(
            f"{path} is not a kd-landmarks detector: its metadata have no {METADATA!r}; {MEND}"
        )
    where = f"{METADATA!r} in the metadata of {path}"
    try:
        values = parse_json(stored, where) if len(stored) <= MOST_JSON else None
        return Description.from_dict(values)
    except ValueError as error:
        raise KDLandmarksError(f"{where} is invalid: {error}; {MEND}") from error


def _check_network(session: Any, description: Description, path: str) -> None:
    """Refuse a network that takes or gives something else than its metadata tell.

    Raises:
        KDLandmarksError: naming what it takes and gives.
    """
    assert description.scheme is not None, "metadata without a scheme are refused"
    side, count = description.image_size, description.scheme.num_landmarks
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
            f"{path} is not a kd-landmarks detector: it has {shown(found, 200)}, where its "
            f"metadata need {wanted}, floats of any number of faces"
        )
