"""Landmarks of the faces in whole photos."""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import KDLandmarksError, in_our_words
from ..imaging.boxes import face_boxes, tight_box
from ..imaging.crop import check_finite
from ..imaging.detection import FaceDetector, YuNet, detect_faces
from ..imaging.photos import URL_TIMEOUT, load_photo
from ..schemes import LandmarkScheme
from ..utils.values import number, whole
from .backends import open_backend
from .confidence import MIN_CONFIDENCE
from .inputs import PhotoInput, as_photo, is_photo, stream_photos, with_boxes
from .results import Face, Faces
from .upright import Look, look_upright

# A crowd does not go through the network all at once.
FACES_PER_PASS = 64


@dataclass(frozen=True)
class _Prepared:
    """A photo's faces, cut, and where they were."""

    item: PhotoInput
    where: str
    boxes: NDArray[np.float64]
    detection_scores: list[float | None]
    looks: list[Look]
    size: tuple[int, int]


class FaceLandmarkPipeline:
    """Finds the landmarks of the faces in photos.

    Photos are paths, URLs, bytes, open files, PIL pictures, numpy arrays or torch tensors
    (`kd_landmarks.imaging.photos.load_photo` has the details), boxes and points are in the pixels
    of the **upright** photo: what people see, after its EXIF orientation has been applied. Arrays
    are taken as they are, in RGB (OpenCV's are BGR: pass `photo[..., ::-1]`).

    It can be pickled and copied, shared by threads, and used in forked processes.

    Example:

    ```python
    >>> from kd_landmarks import FaceLandmarkPipeline

    >>> detect = FaceLandmarkPipeline()
    >>> faces = detect("photo.jpg")  # or with boxes=[[210, 80, 330, 240]]
    >>> faces[0]["keypoints"].shape
    (68, 2)

    ```
    """

    def __init__(
        self,
        model: Any = None,
        image_processor: Any = None,
        *,
        detector: FaceDetector | None = None,
        smallest_face: float | None = None,
        min_confidence: float = MIN_CONFIDENCE,
        backend: str | None = None,
        device: Any = None,
        dtype: Any = None,
        batch_size: int = 1,
        num_workers: int = 0,
        timeout: float | None = URL_TIMEOUT,
    ) -> None:
        """Load the detector, unless it is loaded.

        Args:
            model: an ONNX file of `kd-landmarks export`, a checkpoint's folder, a Hub id, a loaded
                detector or a backend (`kd_landmarks.inference.backends`); None for the student
                that comes with the package.
            image_processor: of a loaded detector, or the folder or Hub id of one; None takes it
                from where the model came from.
            detector: finds the faces of photos that come without boxes; None for
                `kd_landmarks.imaging.detection.YuNet()`. Any callable will do, see `FaceDetector`
                there.
            smallest_face: longer side in pixels of the smallest faces that YuNet looks for
                everywhere in the photo, which costs time; None for those of 10 % of the photo's
                longer side, and for smaller ones where there is a hint of them.
            min_confidence: found faces of less `face_confidence` are left out, 0 to 1; faces in
                given boxes are all answered.
            backend: what computes: `onnxruntime`, `openvino` or `torch`. None is ONNX Runtime where
                the model is an ONNX file or has one, else torch. A checkpoint without one is
                exported for the other two on its first use, which takes some seconds and needs
                torch; the file is kept in Hugging Face's cache.
            device: of torch: the first accelerator by default, else the CPU.
            dtype: the floats that torch computes with: float32 by default, whatever the files have;
                a loaded model stays as it is. `int8` takes a checkpoint's 8-bit ONNX file.
            batch_size: photos that go through the network together.
            num_workers: threads that load photos ahead.
            timeout: seconds that the server of a URL may stay silent; None for ever.

        Raises:
            KDLandmarksError: if there is no such checkpoint, or it is not a kd-landmarks one; for
                packages that are missing, a device that is not there, and other invalid values.
        """
        self._options = _checked(batch_size, num_workers, timeout)
        if detector is not None and not callable(detector):
            raise KDLandmarksError(
                f"detector is a {type(detector).__name__}: give a callable, photo in, boxes out"
            )
        if detector is not None and smallest_face is not None:
            raise KDLandmarksError(
                f"smallest_face={smallest_face} is for YuNet: leave it out, or the detector"
            )
        self.detector: FaceDetector = detector or YuNet(smallest_face=smallest_face)
        self.min_confidence = number("min_confidence", min_confidence, most=1)
        self.backend = open_backend(
            model, image_processor, backend=backend, device=device, dtype=dtype
        )

    @property
    def scheme(self) -> LandmarkScheme:
        """The landmarks that it finds.

        Raises:
            KDLandmarksError: for a detector that does not say.
        """
        scheme = self.backend.description.scheme
        if scheme is None:
            raise KDLandmarksError(
                f"{self.backend.source} does not say what its landmarks are: set config.scheme = "
                "get_scheme(NAME).to_dict() and save it again"
            )
        return scheme

    def __call__(
        self,
        image: Any,
        boxes: Any = None,
        *,
        batch_size: int | None = None,
        num_workers: int | None = None,
        timeout: float | str | None = "as made",
    ) -> Any:
        """Find the landmarks of the faces in photos, or in the given face boxes.

        Args:
            image: a photo; a list of photos; an array (photos, height, width, 3) or a tensor
                (photos, 3, height, width); a dict `{"image": photo, "boxes": boxes}`, a list of
                them, or anything else that yields them (a generator, a data set), however long.
            boxes: x0, y0, x1, y1 in pixels of the upright photo, tight around the face's points:
                one box (4,) or the photo's (faces, 4), possibly none at all. For a list of photos a
                list of the same length. Dicts bring their own. None: the detector looks for faces.
            batch_size: for this call, as when it is made; so are the next two.
            num_workers: threads that load photos ahead.
            timeout: seconds that the server of a URL may stay silent.

        Returns:
            For a photo its `Faces`, a list with one `Face` per box, in the boxes' order or the
            surest first, and empty where there is none; for a list of photos a list of them; for a
            generator or data set an iterator over them.

        Raises:
            KDLandmarksError: for photos that cannot be read, and boxes that do not fit; it says
                which.
        """
        size, workers, silence = self._options
        options = _checked(
            size if batch_size is None else batch_size,
            workers if num_workers is None else num_workers,
            silence if timeout == "as made" else timeout,
        )
        if is_photo(image):
            return self._one(PhotoInput(image, boxes), options)
        if getattr(image, "ndim", 0) == 4:
            image = list(image)
        if isinstance(image, list | tuple):
            return list(self._stream(iter(with_boxes(image, boxes)), options))
        indexed = hasattr(image, "__getitem__") and hasattr(image, "__len__")
        if not (isinstance(image, Iterable) or indexed):
            return self._one(PhotoInput(image, boxes), options)  # says what a photo is
        if boxes is not None:
            raise KDLandmarksError(
                "boxes goes with photos; dicts, generators and data sets bring each photo's own: "
                '{"image": photo, "boxes": boxes}'
            )
        if isinstance(image, Mapping):
            return self._one(as_photo(image), options)
        return self._stream(stream_photos(image), options)

    def _one(self, item: PhotoInput, options: tuple[int, int, float | None]) -> Faces:
        [faces] = self._answers([self._prepare(item, options[2])])
        return faces

    def _stream(
        self, items: Iterator[PhotoInput], options: tuple[int, int, float | None]
    ) -> Iterator[Faces]:
        """The faces of one photo after another, no more of them in memory than a few batches."""
        batch_size, workers, timeout = options
        prepared = self._prepared(items, workers, batch_size, timeout)
        while batch := list(islice(prepared, batch_size)):
            yield from self._answers(batch)

    def _prepared(
        self, items: Iterator[PhotoInput], workers: int, batch_size: int, timeout: float | None
    ) -> Iterator[_Prepared]:
        if workers == 0:
            yield from (self._prepare(item, timeout) for item in items)
            return
        # OpenCV and Pillow let other threads run while they decode, detect and resize.
        with ThreadPoolExecutor(workers) as pool:
            ahead: deque[Future[_Prepared]] = deque()
            try:
                for item in items:
                    ahead.append(pool.submit(self._prepare, item, timeout))
                    if len(ahead) > workers + batch_size:
                        yield ahead.popleft().result()
                while ahead:
                    yield ahead.popleft().result()
            finally:
                for waiting in ahead:
                    waiting.cancel()

    def _prepare(self, item: PhotoInput, timeout: float | None) -> _Prepared:
        """Load a photo, find its faces unless they are given, and cut them."""
        where = item.where
        try:
            photo = load_photo(item.image, timeout)
            if isinstance(item.image, str | os.PathLike):  # load_photo has told it already
                where = f"{where}{os.fspath(item.image)}: "
            boxes, found = item.boxes, None
            if boxes is None:
                boxes, found = self.find_faces(photo)
            boxes = face_boxes(boxes, photo.width, photo.height)
            description = self.backend.description
            looks = [
                Look(photo, square, description.crop(photo, square))
                for square in description.squares(boxes, photo)
            ]
        except ValueError as error:
            raise KDLandmarksError(f"{where}{error}") from error
        scores = found or [None] * len(boxes)
        return _Prepared(item, where, boxes, scores, looks, photo.size)

    def find_faces(self, photo: Image.Image) -> tuple[NDArray[np.float64], list[float | None]]:
        """The boxes of the landmarks of a photo's faces, and scores; see `detect_faces`."""
        return detect_faces(photo, self.detector, self.backend.description.face_box)

    def _answers(self, photos: list[_Prepared]) -> list[Faces]:
        """What the network says of photos, which it sees together."""
        looks = [one for photo in photos for one in photo.looks]
        answers = iter(look_upright(looks, self.backend.description, self._network))
        return [self._faces(photo, answers) for photo in photos]

    def _network(
        self, crops: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        points, scores = [], []
        for start in range(0, len(crops), FACES_PER_PASS):
            keypoints, sure = self.backend.run(self._pixels(crops[start : start + FACES_PER_PASS]))
            with in_our_words():
                check_finite(keypoints, "the network's keypoints")
                check_finite([] if sure is None else sure, "the network's scores")
            points.append(keypoints)
            scores += [] if sure is None else [sure]
        return np.concatenate(points), np.concatenate(scores) if scores else None

    def _pixels(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        with np.errstate(all="ignore"):
            pixels = self.backend.description.normalize(crops)
        with in_our_words():
            check_finite(pixels, "the network's pixels")  # layers can hide what is not
        return pixels

    def _faces(self, photo: _Prepared, answers: Iterator[Look]) -> Faces:
        """A photo's faces."""
        scheme = self.backend.description.scheme
        faces = []
        for box, score in zip(photo.boxes, photo.detection_scores, strict=True):
            seen = next(answers)
            if photo.item.boxes is None and seen.sure < self.min_confidence:
                continue
            with np.errstate(over="ignore"):
                pixels = np.asarray(seen.points, dtype=np.float32)
            with in_our_words(photo.where):
                check_finite(pixels, "the network's keypoints")
            faces.append(
                Face(
                    keypoints=pixels,
                    scores=seen.scores,
                    confidence=seen.confidence,
                    face_confidence=None if seen.confidence is None else seen.sure,
                    box=(tight_box(pixels) if box[4:].any() else box[:4]).tolist(),
                    detection_score=score,
                    scheme=scheme,
                )
            )
        # An open file is at its end by now.
        lasting = photo.item.kept and not hasattr(photo.item.image, "read")
        return Faces(faces, scheme, photo.item.image if lasting else None, photo.size)


def _checked(batch_size: Any, num_workers: Any, timeout: Any) -> tuple[int, int, float | None]:
    """Options as plain numbers.

    Raises:
        KDLandmarksError: naming one that is invalid.
    """
    return (
        whole("batch_size", batch_size, 1),
        whole("num_workers", num_workers, 0),
        None if timeout is None else number("timeout", timeout),
    )
