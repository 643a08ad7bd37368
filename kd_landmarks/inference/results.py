"""What the pipeline finds: faces, as mappings, pictures, tables and plain JSON."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import KDLandmarksError, shown
from ..imaging.drawing import draw_landmarks
from ..imaging.photos import is_stored_image, load_photo
from ..imaging.pixels import as_rgb
from ..schemes import LandmarkScheme
from ..schemes.named_points import named_points
from ..utils.environment import need_packages
from ..utils.files import check_outputs, new_file, write_json
from ..utils.values import ending
from . import measures
from .alignment import ARCFACE_SIZE
from .confidence import MIN_CONFIDENCE
from .head_pose import HeadPose

if TYPE_CHECKING:
    import pandas
    import supervision

CORNERS = ("x0", "y0", "x1", "y1")
"""What a table calls the corners of a box."""
SURENESS = ("detection_score", "face_confidence")
PICTURES = (".png", ".jpg", ".jpeg", ".webp")
"""Endings of drawn faces' files."""


@dataclass(frozen=True, eq=False)
class Face(Mapping[str, Any]):
    """What is found in one face box; `face["keypoints"]` is `face.keypoints`.

    `face["left_eye"]` are the points of a part, by the names of the scheme's outlines.

    Attributes:
        keypoints: (N, 2) float32, x and y in pixels of the upright photo, pixel centers at whole
            numbers.
        scores: (N,) float32, 0 to 1, how concentrated each point's map is; None for heads without.
        confidence: (N,) float32, 0 to 1, the probability that each point is right, which is to say
            within a share of the face box (3 %) of the truth; None for a detector that was not
            calibrated.
        face_confidence: their mean, the share of the points that is expected to be right; or None.
        box: x0, y0, x1, y1 in photo pixels, tight around the points: as given or as found; for a
            face with roll, whose detection box is rotated, the upright box of the points found.
        detection_score: how sure the face detector is, YuNet's from 0 to 1; None for given boxes.
        track: of a video's face, the same for the same face; None for photos.
        scheme: the landmarks; None for a detector that does not say. Not among the mapping's keys.
    """

    keypoints: np.ndarray
    scores: np.ndarray | None
    confidence: np.ndarray | None
    face_confidence: float | None
    box: list[float]
    detection_score: float | None
    track: int | None = None
    scheme: LandmarkScheme | None = field(default=None, repr=False)

    # A face is itself alone. Mappings are compared by their values, which for arrays is an error.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __getitem__(self, name: str) -> Any:
        if name in self._keys():
            return getattr(self, name)
        if self.scheme is not None:
            for outline in self.scheme.outlines:
                if outline.name == name:
                    return self.keypoints[list(outline.indices)]
            known = [*self._keys(), *(outline.name for outline in self.scheme.outlines)]
            raise KeyError(f"{name!r} is none of {', '.join(known)}")
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys())

    def __len__(self) -> int:
        return len(self._keys())

    def point(self, name: str) -> tuple[float, float]:
        """One landmark by its name in the scheme, or by a common one such as `chin`.

        Returns:
            x and y in photo pixels.

        Raises:
            KDLandmarksError: for an unknown name; the message lists the known ones.
        """
        scheme = self._known_scheme()
        known = named_points(scheme)
        if name not in known:
            raise KDLandmarksError(
                f"scheme {scheme.name} has no landmark {shown(name)}: there are {', '.join(known)}"
            )
        x, y = self.keypoints[known[name]].tolist()
        return x, y

    @property
    def unsure(self) -> NDArray[np.bool_]:
        """Of each landmark (N,), whether its confidence is below `MIN_CONFIDENCE`."""
        if self.confidence is None:
            return np.zeros(len(self.keypoints), dtype=bool)
        return self.confidence < MIN_CONFIDENCE

    def eye_aspect_ratio(self) -> measures.EyeAspectRatios:
        """How open the `left` and the `right` eye are: `measures.eye_aspect_ratio`.

        Raises:
            KDLandmarksError: as there; so do the methods below.
        """
        return measures.eye_aspect_ratio(self.keypoints, self._known_scheme())

    def mouth_aspect_ratio(self) -> float:
        """How open the mouth is: `measures.mouth_aspect_ratio`."""
        return measures.mouth_aspect_ratio(self.keypoints, self._known_scheme())

    def head_pose(self) -> HeadPose:
        """`yaw`, `pitch` and `roll` in degrees, 0 from the front: `measures.head_pose`."""
        return measures.head_pose(self.keypoints, self._known_scheme())

    def interocular(self) -> float:
        """Pixels between the outer corners of the eyes: `measures.interocular`."""
        return measures.interocular(self.keypoints, self._known_scheme())

    def five_points(self) -> np.ndarray:
        """(5, 2): eyes, tip of the nose, corners of the mouth: `measures.five_points`."""
        return measures.five_points(self.keypoints, self._known_scheme())

    def aligned_chip(self, photo: Any, size: int = ARCFACE_SIZE) -> Image.Image:
        """The face upright, cut from its photo for recognition: `measures.aligned_chip`."""
        return measures.aligned_chip(photo, self.keypoints, self._known_scheme(), size)

    def face_outline(self, size: tuple[int, int]) -> np.ndarray:
        """The face's pixels in a photo of width and height: `measures.face_outline`."""
        return measures.face_outline(self.keypoints, size, self._known_scheme())

    def to_dict(self, with_measures: bool = False) -> dict[str, Any]:
        """Plain JSON types: coordinates to a hundredth of a pixel, shares to four digits.

        Args:
            with_measures: with `measures`, the values of `measures.MEASURES` by name.
        """
        told = {
            "keypoints": _rounded(self.keypoints, 2),
            "scores": _rounded(self.scores, 4),
            "confidence": _rounded(self.confidence, 4),
            "face_confidence": _rounded(self.face_confidence, 4),
            "box": _rounded(self.box, 2),
            "detection_score": _rounded(self.detection_score, 4),
        }
        if with_measures:
            told["measures"] = measures.measured(self.keypoints, self._known_scheme())
        return told if self.track is None else {"track": self.track, **told}

    def _known_scheme(self) -> LandmarkScheme:
        if self.scheme is None:
            raise KDLandmarksError("the detector does not name its landmarks: use keypoints")
        return self.scheme

    def _keys(self) -> list[str]:
        names = [one.name for one in fields(self) if one.name != "scheme"]
        return [name for name in names if name != "track" or self.track is not None]


class Faces(list[Face]):
    """The faces of one photo: a list with methods to draw, save and tabulate them.

    Attributes:
        scheme: the landmarks.
        photo: what was given as the photo, to draw on; None where it was not kept.
        size: width and height of the upright photo in pixels, where they are known.
    """

    def __init__(
        self,
        faces: list[Face],
        scheme: LandmarkScheme | None = None,
        photo: Any = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(faces)
        self.scheme = scheme
        self.photo = photo
        self.size = size

    def plot(self, photo: Any = None) -> Image.Image:
        """The photo with the outlines and points of its faces, RGB.

        Args:
            photo: as the pipeline takes one; None for the one that the faces were found in, which
                is loaded again from its path or URL.

        Raises:
            KDLandmarksError: where there is no photo, as of streams and open files, or no scheme.
        """
        photo = self.photo if photo is None else photo
        if photo is None:
            raise KDLandmarksError(
                "photos of a stream or of an open file are not kept: give plot(photo)"
            )
        picture = as_rgb(load_photo(photo))
        if not self:
            return picture.copy()  # it may be the caller's own
        if self.scheme is None:
            raise KDLandmarksError("the detector does not say what its landmarks are: no outlines")
        points = [face.keypoints for face in self]
        return draw_landmarks(
            picture, points, self.scheme, unsure=[face.unsure for face in self], min_size=1
        )

    def save(self, path: str | Path, photo: Any = None) -> Path:
        """Write the drawn photo (.png, .jpg, .webp) or the points (.json), whole or not at all.

        Raises:
            KDLandmarksError: for another ending, as `plot`, where it cannot be written, and where
                the photo itself would be replaced.
        """
        path = Path(path).expanduser()
        drawn_on = [one["path"] if is_stored_image(one) else one for one in (photo, self.photo)]
        files = [os.fspath(one) for one in drawn_on if isinstance(one, str | os.PathLike)]
        check_outputs({"save": path}, files)
        if ending("save", path, (*PICTURES, ".json")) == ".json":
            write_json(path, self.to_dict())
            return path
        picture = self.plot(photo)
        try:
            with new_file(path) as partial:
                picture.save(partial)
        except ValueError as error:  # WebP and JPEG have a largest side
            raise KDLandmarksError(f"{path} cannot be written: {error}. Save it as .png") from error
        return path

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types: `scheme`, its name, and `faces`."""
        name = None if self.scheme is None else self.scheme.name
        return {"scheme": name, "faces": [face.to_dict() for face in self]}

    def to_df(self) -> pandas.DataFrame:
        """A row a face: box, scores, and x and y of each landmark by its name.

        Raises:
            KDLandmarksError: without pandas.
        """
        need_packages(None, "pandas", why="to_df()")
        import pandas

        return pandas.DataFrame(
            [table_cells(face) for face in self], columns=table_columns(self.scheme)
        )

    def to_supervision(self) -> supervision.KeyPoints:
        """The faces for roboflow's supervision.

        Raises:
            KDLandmarksError: without the package supervision.
        """
        need_packages(None, "supervision", why="to_supervision()")
        import supervision

        if not self:
            return supervision.KeyPoints.empty()
        sure = [face.scores if face.confidence is None else face.confidence for face in self]
        known = None if any(one is None for one in sure) else np.stack(sure)  # type: ignore[arg-type]
        return supervision.KeyPoints(
            xy=np.stack([face.keypoints for face in self]),
            keypoint_confidence=known,
            class_id=np.zeros(len(self), dtype=int),
        )

    def _repr_png_(self) -> bytes | None:
        """What a notebook shows; None where there is no photo to draw on."""
        if self.photo is None:
            return None
        return self.plot()._repr_png_()


def table_columns(scheme: LandmarkScheme | None, with_measures: bool = False) -> list[str]:
    """The columns of a table of faces."""
    names = () if scheme is None else scheme.names
    points = [f"{name}_{axis}" for name in names for axis in "xy"]
    return [*CORNERS, *SURENESS, *(measures.MEASURES if with_measures else ()), *points]


def table_cells(face: Face, with_measures: bool = False) -> list[Any]:
    """The cells of `table_columns`, rounded as in `Face.to_dict`."""
    told = face.to_dict(with_measures)
    points = [] if face.scheme is None else list(chain(*told["keypoints"]))
    measured = told.get("measures", {}).values()
    return [*told["box"], told["detection_score"], told["face_confidence"], *measured, *points]


def _rounded(values: Any, digits: int) -> Any:
    if values is None:
        return None
    return np.round(np.asarray(values, dtype=np.float64), digits).tolist()
