"""Faces from frame to frame: found now and then, followed in between, and held steady."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import KDLandmarksError
from ..imaging.boxes import overlaps, tight_box
from ..imaging.photos import load_photo
from ..imaging.pixels import as_rgb
from ..utils.values import number, whole
from .pipeline import FaceLandmarkPipeline
from .results import Faces
from .smoothing import PointSmoother, Smoothing
from .upright import upright_tight_box

# A found box is a followed face's where they share this much of both together.
TRACK_OVERLAP = 0.3
# Below this the points have strayed from the face that the detector sees: they start anew there.
STRAYED = 0.6
# Mean change of a thumbnail's gray levels, 0 to 255, between two frames of different shots. Pans
# and flashes of one shot stay below.
CUT = 40.0
THUMBNAIL = (32, 18)


@dataclass
class _Track:
    number: int
    box: NDArray[np.float64]
    smoother: PointSmoother
    detection_score: float | None = None


class FaceTracker:
    """Follows the faces of a video, frame by frame.

    Every `detect_every` frames the pipeline's detector looks for faces; in between, a face's next
    box is the tight box of its last points, which costs no detection and does not jump. A face that
    the detector no longer finds is dropped, and one of less confidence than the pipeline's
    `min_confidence`. At a cut everything starts anew.

    Args:
        detect: the pipeline.
        smoothing: how steady points are held; None for not at all.
        detect_every: frames from one detection to the next, >= 1.
        most_faces: that are followed, the surest; None for all.

    Raises:
        KDLandmarksError: for a `detect_every` or `most_faces` below 1.
    """

    def __init__(
        self,
        detect: FaceLandmarkPipeline,
        smoothing: Smoothing | None = Smoothing(),  # noqa: B008 - it cannot be changed
        detect_every: int = 10,
        most_faces: int | None = None,
    ) -> None:
        whole("detect_every", detect_every)
        self.most_faces = None if most_faces is None else whole("most_faces", most_faces)
        self.detect = detect
        self.smoothing = smoothing or Smoothing(steadiness=0)
        self.detect_every = detect_every
        self._next_number = 0
        self.reset()

    def reset(self) -> None:
        """Forget all faces."""
        self._tracks: list[_Track] = []
        self._frames = 0
        self._thumbnail: NDArray[np.float64] | None = None
        self._size: tuple[int, int] | None = None
        self._time: float | None = None

    def __call__(self, frame: Any, time: float) -> Faces:
        """The faces of the next frame.

        Args:
            frame: a photo of any kind that the pipeline takes; arrays are RGB.
            time: in seconds, later than the frame before.

        Returns:
            The faces, those that have been followed longest first: `keypoints` are smoothed, and
            `track` is the same for the same face. The frame is not kept: draw with `plot(frame)`.

        Raises:
            KDLandmarksError: for a frame that is no photo, or a time that does not move on.
        """
        time = number("time", time, least=-math.inf)
        if self._time is not None and time <= self._time:
            raise KDLandmarksError(f"time={time:g}: the frame before was at {self._time:g} s")
        photo = load_photo(frame)
        self._time = time
        thumbnail = _thumbnail(photo)
        before = self._thumbnail
        cut = before is not None and np.abs(thumbnail - before).mean() > CUT
        if cut or photo.size != self._size:  # boxes are in pixels of the frame before
            self.reset()
            self._time = time
        self._thumbnail, self._size = thumbnail, photo.size
        if self._frames % self.detect_every == 0 or not self._tracks:
            boxes, scores = self.detect.find_faces(photo)
            self._match(boxes[: self.most_faces], scores[: self.most_faces])
        self._frames += 1
        scheme = self.detect.backend.description.scheme
        if not self._tracks:
            return Faces([], scheme, size=photo.size)
        found = self.detect(photo, boxes=[track.box.tolist() for track in self._tracks])
        sure = [
            (track, face)
            for track, face in zip(self._tracks, found, strict=True)
            if face.face_confidence is None or face.face_confidence >= self.detect.min_confidence
        ]
        self._tracks = [track for track, _ in sure]
        faces = []
        for track, face in sure:
            points = track.smoother(face["keypoints"], time)
            # The next box comes from the points as they are: a smoothed box would trail behind.
            track.box = upright_tight_box(face["keypoints"].astype(np.float64), face.scheme)
            faces.append(
                replace(
                    face,
                    keypoints=points.astype(np.float32),
                    box=tight_box(points).tolist(),
                    detection_score=track.detection_score,
                    track=track.number,
                )
            )
        self._tracks = [track for track in self._tracks if _can_go_on(track.box, photo)]
        return Faces(faces, scheme, size=photo.size)

    def _match(self, boxes: NDArray[np.float64], scores: list[float | None]) -> None:
        """Give found boxes to the faces that are followed, start new ones, drop the others."""
        pairs = [
            (float(share), track, index)
            for track in self._tracks
            for index, share in enumerate(overlaps(boxes, track.box))
            if share >= TRACK_OVERLAP
        ]
        # Those that fit best first: of two faces side by side none takes the other's box.
        kept: dict[int, _Track] = {}
        free = set(range(len(boxes)))
        for share, track, index in sorted(pairs, key=lambda pair: -pair[0]):
            if index not in free or track.number in kept:
                continue
            free.remove(index)
            track.detection_score = scores[index]
            if share < STRAYED:
                track.box = boxes[index]
            kept[track.number] = track
        self._tracks = [kept[number] for number in sorted(kept)]
        for index in sorted(free):
            smoother = PointSmoother(self.smoothing)
            self._tracks.append(_Track(self._next_number, boxes[index], smoother, scores[index]))
            self._next_number += 1


def _thumbnail(photo: Image.Image) -> NDArray[np.float64]:
    """A frame's gray levels, from 0 to 255, coarsely."""
    small = as_rgb(photo).convert("L").resize(THUMBNAIL, Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float64)


def _can_go_on(box: NDArray[np.float64], photo: Image.Image) -> bool:
    """Whether a face is still in the picture, and is one."""
    inside = (box[:2] < (photo.width - 1, photo.height - 1)).all() and (box[2:4] > 0).all()
    return bool(inside and (box[2:4] - box[:2]).max() >= 2)
