"""Landmarks of the faces in whole photos, as a pipeline of transformers."""

# transformers types its base class's hooks and flags otherwise than its own pipelines use them.
# mypy: disable-error-code="override, assignment"

import io
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from transformers import Pipeline, PreTrainedModel

from ..detectors import load_detector
from ..errors import KDLandmarksError
from ..models import KDLandmarksConfig, KDLandmarksImageProcessor, KDLandmarksOutput
from ..weights import default_checkpoint
from .boxes import face_boxes
from .photos import URL_TIMEOUT, load_photo

TASK = "keypoint-detection"

# A crowd does not go through the network all at once.
FACES_PER_PASS = 64


class Face(TypedDict):
    """What is found in one face box.

    keypoints: (N, 2) float32, x and y in photo pixels, pixel centers at whole numbers.
    scores: (N,) float32, 0 to 1, not calibrated; None where the head has none.
    box: x0, y0, x1, y1 in photo pixels, as given.
    """

    keypoints: np.ndarray
    scores: np.ndarray | None
    box: list[float]


@dataclass(frozen=True)
class _Photo:
    image: Any
    boxes: Any
    where: str = ""  # starts messages about it


class FaceLandmarkPipeline(Pipeline):
    """Finds the landmarks of the faces in photos.

    Photos are paths, URLs, PIL pictures, numpy arrays or torch tensors
    (`kd_landmarks.inference.photos.load_photo` has the details), boxes and points are in the pixels
    of the **upright** photo: what people see, after its EXIF orientation has been applied. Arrays
    are taken as they are, in RGB (OpenCV's are BGR: pass `photo[..., ::-1]`).

    `pipeline("keypoint-detection", model=...)` makes one, too, once `kd_landmarks` is imported.

    Example:

    ```python
    >>> from kd_landmarks import FaceLandmarkPipeline

    >>> detect = FaceLandmarkPipeline()
    >>> faces = detect("photo.jpg", boxes=[[210, 80, 330, 240]])
    >>> faces[0]["keypoints"].shape
    (68, 2)

    ```
    """

    model: Any
    image_processor: Any

    # Ours to load: transformers would do so for a checkpoint's name alone.
    _load_image_processor = None
    _load_processor = False
    _load_video_processor = False
    _load_feature_extractor = False
    _load_tokenizer = False

    def __init__(
        self,
        model: str | os.PathLike[str] | PreTrainedModel | None = None,
        image_processor: str | os.PathLike[str] | KDLandmarksImageProcessor | None = None,
        *,
        dtype: str | torch.dtype | None = None,
        task: str = TASK,
        **kwargs: Any,
    ) -> None:
        """Load the detector, unless it is loaded.

        Args:
            model: a folder, a Hub id or a loaded detector; None for the student that comes with the
                package.
            image_processor: the same; None takes it from where the model came from.
            dtype: the floats that the network computes with. None or "auto": float32, whatever the
                files have; a loaded model stays as it is.
            task: its name among transformers' pipelines.
            **kwargs: of every pipeline: `device` (the first accelerator, else the CPU),
                `batch_size` (photos that go through the network together, 1), `num_workers`
                (processes that decode photos ahead); and `timeout`, see `__call__`.

        Raises:
            KDLandmarksError: if there is no such checkpoint, or it is no detector of ours.
        """
        detector: Any = model
        if model is None or isinstance(model, str | os.PathLike):
            source = default_checkpoint() if model is None else os.fspath(model)
            detector, own = load_detector(source)
            image_processor = own if image_processor is None else image_processor
        kind = getattr(getattr(detector, "config", None), "model_type", type(detector).__name__)
        if kind != KDLandmarksConfig.model_type:
            raise KDLandmarksError(
                f"model is a {kind}: give a detector of kd_landmarks, its folder or its Hub id"
            )
        if dtype is not None and dtype != "auto":
            detector.to(_as_dtype(dtype))
        processor = _load_processor(image_processor, detector)
        super().__init__(detector.eval(), image_processor=processor, task=task, **kwargs)

    def __call__(self, image: Any, boxes: Any = None, **kwargs: Any) -> Any:
        """Find the landmarks in the given face boxes.

        Args:
            image: a photo; a list of photos; a dict `{"image": photo, "boxes": boxes}`, a list of
                them, or anything else that yields them (a generator, a data set), however long.
            boxes: x0, y0, x1, y1 in pixels of the upright photo, tight around the face's points:
                one box (4,) or the photo's (faces, 4), possibly none at all. For a list of photos a
                list of the same length. Dicts bring their own.
            **kwargs: `batch_size` and `num_workers` for this call; `timeout`, seconds that the
                server of a URL may stay silent (30, None for ever).

        Returns:
            For a photo the list of its faces, one `Face` per box, in the boxes' order; for a list
            of photos a list of such lists; for a generator or data set an iterator over them.

        Raises:
            KDLandmarksError: for photos that cannot be read, and boxes that are missing or do not
                fit; it says which.
        """
        if _is_photo(image):
            return super().__call__(_Photo(image, boxes), **kwargs)
        if isinstance(image, list | tuple):
            photos = _with_boxes(image, boxes)
            return super().__call__(photos, **kwargs) if photos else []
        streams = isinstance(image, Iterable) and not isinstance(image, bytes | io.IOBase)
        if not (streams or isinstance(image, Dataset | Mapping)):
            return super().__call__(_Photo(image, boxes), **kwargs)  # says what a photo is
        if boxes is not None:
            raise KDLandmarksError(
                "boxes goes with photos; dicts, generators and data sets bring each photo's own: "
                '{"image": photo, "boxes": boxes}'
            )
        if streams and not isinstance(image, Dataset | Mapping):
            image = (_as_photo(item, f"photo {index}: ") for index, item in enumerate(image))
        return super().__call__(image, **kwargs)

    def _sanitize_parameters(self, **parameters: Any) -> tuple[dict, dict, dict]:
        unknown = set(parameters) - {"timeout"}
        if unknown:
            raise KDLandmarksError(
                f"the pipeline knows no {', '.join(sorted(unknown))}: there are boxes, batch_size, "
                "num_workers and timeout, and device and dtype when it is made"
            )
        return parameters, {}, {}

    def preprocess(self, input_: Any, timeout: float | None = URL_TIMEOUT) -> dict[str, Any]:
        """A photo to its faces' crops; "photo" makes one entry of it, however many faces it has."""
        item = _as_photo(input_)
        where = item.where
        try:
            photo = load_photo(item.image, timeout)
            if isinstance(item.image, str | os.PathLike):  # load_photo has told it already
                where = f"{where}{os.fspath(item.image)}: "
            boxes = face_boxes(item.boxes, photo.width, photo.height)
            inputs = self.image_processor(photo, boxes=boxes, return_tensors="pt")
        except ValueError as error:
            raise KDLandmarksError(f"{where}{error}") from error
        return {"photo": {"pixel_values": inputs["pixel_values"], "boxes": boxes}}

    def _forward(self, model_inputs: dict[str, Any]) -> dict[str, Any]:
        """One photo, or a list of photos where transformers has put a batch together."""
        batch = model_inputs["photo"]
        photos = batch if isinstance(batch, list) else [batch]
        pixels = torch.cat([photo["pixel_values"] for photo in photos]).to(self.dtype)
        passes = [self.model(pixel_values=faces) for faces in pixels.split(FACES_PER_PASS)]
        counts = [len(photo["boxes"]) for photo in photos]
        keypoints = torch.cat([output.keypoints for output in passes]).split(counts)
        scores: Any = [None] * len(photos)
        if passes[0].scores is not None:
            scores = torch.cat([output.scores for output in passes]).split(counts)
        answers = [
            {"keypoints": points, "scores": score, "boxes": photo["boxes"]}
            for photo, points, score in zip(photos, keypoints, scores, strict=True)
        ]
        return {"photo": answers if isinstance(batch, list) else answers[0]}

    def postprocess(self, model_outputs: dict[str, Any]) -> list[Face]:
        """Crop units to photo pixels."""
        answer = model_outputs["photo"]
        boxes = answer["boxes"]
        outputs = KDLandmarksOutput(keypoints=answer["keypoints"], scores=answer["scores"])
        [faces] = self.image_processor.post_process_keypoint_detection(outputs, boxes)
        return [
            Face(
                keypoints=face["keypoints"].numpy(),
                scores=None if face["scores"] is None else face["scores"].numpy(),
                box=box,
            )
            for face, box in zip(faces, boxes.tolist(), strict=True)
        ]


def _is_photo(image: Any) -> bool:
    return isinstance(image, str | os.PathLike | Image.Image | np.ndarray | Tensor)


def _as_photo(item: Any, where: str = "") -> _Photo:
    if isinstance(item, _Photo):
        return item
    if not isinstance(item, Mapping):
        return _Photo(item, None, where)
    if "image" not in item:
        raise KDLandmarksError(
            f"{where}there is no image among {', '.join(map(str, item))}: a photo's dict is "
            '{"image": photo, "boxes": boxes}'
        )
    return _Photo(item["image"], item.get("boxes"), where)


def _with_boxes(photos: list | tuple, boxes: Any) -> list[_Photo]:
    """Put each photo together with its own boxes."""
    places = [f"photo {index}: " for index in range(len(photos))]
    if boxes is None:
        return [_as_photo(photo, where) for photo, where in zip(photos, places, strict=True)]
    boxes = boxes.tolist() if hasattr(boxes, "tolist") else boxes
    if not isinstance(boxes, list | tuple) or len(boxes) != len(photos):
        count = f"for {len(boxes)}" if isinstance(boxes, list | tuple) else repr(boxes)
        raise KDLandmarksError(
            f"{len(photos)} photos, but boxes {count}: give a list of the same length, each item "
            "the (faces, 4) boxes of its photo"
        )
    if any(isinstance(photo, Mapping) for photo in photos):
        raise KDLandmarksError("dicts bring their own boxes: leave the list of boxes out")
    return [_Photo(*item) for item in zip(photos, boxes, places, strict=True)]


def _as_dtype(dtype: str | torch.dtype) -> torch.dtype:
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not (isinstance(found, torch.dtype) and found.is_floating_point):
        raise KDLandmarksError(
            f"dtype={dtype!r} is no type of floats: give torch.float32, torch.float16, "
            "torch.bfloat16 or a name of them"
        )
    return found


def _load_processor(
    given: str | os.PathLike[str] | KDLandmarksImageProcessor | None, model: PreTrainedModel
) -> KDLandmarksImageProcessor:
    """The given image processor, or the one that lies where the model came from."""
    source = model.name_or_path if given is None else given
    if not source:
        raise KDLandmarksError("image_processor is missing: the model came from no checkpoint")
    if isinstance(source, str | os.PathLike):
        try:
            return KDLandmarksImageProcessor.from_pretrained(source)
        except Exception as error:
            raise KDLandmarksError(
                f"cannot load the image processor from {os.fspath(source)!r}: {error}"
            ) from error
    if not hasattr(source, "crop_margin"):
        raise KDLandmarksError(
            f"image_processor is a {type(source).__name__}: give a KDLandmarksImageProcessor"
        )
    return source
