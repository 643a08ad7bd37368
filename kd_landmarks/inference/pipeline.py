"""Landmarks of the faces in whole photos, as a pipeline of transformers."""

# transformers types its base class's hooks and flags otherwise than its own pipelines use them.
# mypy: disable-error-code="override, assignment"

import io
import os
from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import Pipeline, PreTrainedModel

from ..errors import KDLandmarksError, shown
from ..imaging.boxes import face_boxes
from ..imaging.detection import FaceDetector, YuNet, detect_faces
from ..imaging.photos import URL_TIMEOUT, load_photo
from ..models import KDLandmarksConfig, KDLandmarksImageProcessor, KDLandmarksOutput
from ..models.crops import crop_faces
from ..models.loading import check_weights, load_detector, load_processor
from ..models.modeling_kd_landmarks import KDLandmarksPreTrainedModel
from ..utils.environment import checked_device
from ..utils.values import number, one_of, whole
from .checkpoints import default_checkpoint, find_checkpoint
from .confidence import Calibration
from .inputs import PhotoInput, as_photo, is_photo, with_boxes

TASK = "keypoint-detection"
BACKENDS = ("torch", "onnxruntime", "openvino")

# A crowd does not go through the network all at once.
FACES_PER_PASS = 64


class Face(TypedDict):
    """What is found in one face box.

    keypoints: (N, 2) float32, x and y in photo pixels, pixel centers at whole numbers.
    scores: (N,) float32, 0 to 1, how concentrated each point's map is; None for heads without.
    confidence: (N,) float32, 0 to 1, the probability that each point is right, which is to say
        within a share of the face box (`config.confidence["tolerance"]`, 3 %) of the truth; None
        for a detector that was not calibrated.
    face_confidence: their mean, the share of the points that is expected to be right; or None.
    box: x0, y0, x1, y1 in photo pixels, tight around the points: as given or as found.
    detection_score: how sure the face detector is, YuNet's from 0 to 1; None for given boxes.
    """

    keypoints: np.ndarray
    scores: np.ndarray | None
    confidence: np.ndarray | None
    face_confidence: float | None
    box: list[float]
    detection_score: float | None


class FaceLandmarkPipeline(Pipeline):
    """Finds the landmarks of the faces in photos.

    Photos are paths, URLs, PIL pictures, numpy arrays or torch tensors
    (`kd_landmarks.imaging.photos.load_photo` has the details), boxes and points are in the pixels
    of the **upright** photo: what people see, after its EXIF orientation has been applied. Arrays
    are taken as they are, in RGB (OpenCV's are BGR: pass `photo[..., ::-1]`).

    `pipeline("keypoint-detection", model=...)` makes one, too, once `kd_landmarks` is imported.

    Example:

    ```python
    >>> from kd_landmarks import FaceLandmarkPipeline

    >>> detect = FaceLandmarkPipeline()
    >>> faces = detect("photo.jpg")  # or with boxes=[[210, 80, 330, 240]]
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
        detector: FaceDetector | None = None,
        backend: str = "torch",
        dtype: str | torch.dtype | None = None,
        task: str = TASK,
        **kwargs: Any,
    ) -> None:
        """Load the detector, unless it is loaded.

        Args:
            model: a folder, a Hub id or a loaded detector; None for the student that comes with the
                package.
            image_processor: the same; None takes it from where the model came from.
            detector: finds the faces of photos that come without boxes; None for
                `kd_landmarks.imaging.detection.YuNet()`. Any callable will do, see
                `FaceDetector` there. Upright faces are found, upside-down ones are not.
            backend: what computes: `torch`, or `onnxruntime` or `openvino`, which are quicker on a
                CPU. The first use of a detector there exports it, which takes some seconds, and
                keeps the file in Hugging Face's cache.
            dtype: the floats that the network computes with. None or "auto": float32, whatever the
                files have; a loaded model stays as it is.
            task: its name among transformers' pipelines.
            **kwargs: of every pipeline: `device` (the first accelerator, else the CPU),
                `batch_size` (photos that go through the network together, 1), `num_workers`
                (processes that decode photos ahead); and `timeout`, see `__call__`.

        Raises:
            KDLandmarksError: if there is no such checkpoint, or it is no detector of ours; for a
                device that is not there, and other values that cannot be meant.
        """
        # Before the work of loading anything.
        one_of("backend", backend, BACKENDS)
        kwargs["device"] = checked_device(kwargs.get("device"))
        _check_numbers(kwargs)
        floats = None if dtype is None or dtype == "auto" else _as_dtype(dtype)
        network: Any = model
        if model is None or isinstance(model, str | os.PathLike):
            source = default_checkpoint() if model is None else os.fspath(model)
            network, own = load_detector(source)
            # Convolutions on CPUs take a seventh less time for one face so, a third for many.
            network.to(memory_format=torch.channels_last)
            image_processor = own if image_processor is None else image_processor
        kind = getattr(getattr(network, "config", None), "model_type", type(network).__name__)
        if kind != KDLandmarksConfig.model_type:
            raise KDLandmarksError(
                f"model is a {kind}: give a detector of kd_landmarks, its folder or its Hub id"
            )
        if floats is not None:
            network.to(floats)
        check_weights(network.state_dict(), network.name_or_path or "the model")
        if detector is not None and not callable(detector):
            raise KDLandmarksError(
                f"detector is a {type(detector).__name__}: give a callable, photo in, boxes out"
            )
        self.detector: FaceDetector = YuNet() if detector is None else detector
        processor = _load_processor(image_processor, network)
        told = network.config.confidence
        self.calibration = (
            None if told is None else Calibration.from_dict(told, network.config.num_landmarks)
        )
        if backend != "torch":
            from .backends import RuntimeDetector

            network = RuntimeDetector(network.eval(), processor, backend)
            kwargs["device"] = "cpu"
        super().__init__(network.eval(), image_processor=processor, task=task, **kwargs)

    def __call__(self, image: Any, boxes: Any = None, **kwargs: Any) -> Any:
        """Find the landmarks of the faces in photos, or in the given face boxes.

        Args:
            image: a photo; a list of photos; a dict `{"image": photo, "boxes": boxes}`, a list of
                them, or anything else that yields them (a generator, a data set), however long.
            boxes: x0, y0, x1, y1 in pixels of the upright photo, tight around the face's points:
                one box (4,) or the photo's (faces, 4), possibly none at all. For a list of photos a
                list of the same length. Dicts bring their own. None: the detector looks for faces.
            **kwargs: `batch_size` and `num_workers` for this call; `timeout`, seconds that the
                server of a URL may stay silent (30, None for ever).

        Returns:
            For a photo the list of its faces, one `Face` per box, in the boxes' order or the surest
            first, and empty where there is none; for a list of photos a list of such lists; for a
            generator or data set an iterator over them.

        Raises:
            KDLandmarksError: for photos that cannot be read, and boxes that do not fit; it says
                which.
        """
        _check_numbers(kwargs)
        if is_photo(image):
            return super().__call__(PhotoInput(image, boxes), **kwargs)
        if isinstance(image, list | tuple):
            photos = with_boxes(image, boxes)
            return super().__call__(photos, **kwargs) if photos else []
        streams = isinstance(image, Iterable) and not isinstance(image, bytes | io.IOBase)
        if not (streams or isinstance(image, Dataset | Mapping)):
            return super().__call__(PhotoInput(image, boxes), **kwargs)  # says what a photo is
        if boxes is not None:
            raise KDLandmarksError(
                "boxes goes with photos; dicts, generators and data sets bring each photo's own: "
                '{"image": photo, "boxes": boxes}'
            )
        if streams and not isinstance(image, Dataset | Mapping):
            image = (as_photo(item, f"photo {index}: ") for index, item in enumerate(image))
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
        item = as_photo(input_)
        where = item.where
        try:
            photo = load_photo(item.image, timeout)
            if isinstance(item.image, str | os.PathLike):  # load_photo has told it already
                where = f"{where}{os.fspath(item.image)}: "
            boxes, found = item.boxes, None
            if boxes is None:
                boxes, found = detect_faces(photo, self.detector)
            boxes = face_boxes(boxes, photo.width, photo.height)
            crops = crop_faces(photo, boxes, self.image_processor)
        except ValueError as error:
            raise KDLandmarksError(f"{where}{error}") from error
        return {"photo": {"pixel_values": crops, "boxes": boxes, "found": found, "where": where}}

    def _forward(self, model_inputs: dict[str, Any]) -> dict[str, Any]:
        """One photo, or a list of photos where transformers has put a batch together."""
        batch = model_inputs["photo"]
        photos = batch if isinstance(batch, list) else [batch]
        pixels = torch.cat([photo["pixel_values"] for photo in photos]).to(self.dtype)
        passes = [self.model(pixel_values=faces) for faces in pixels.split(FACES_PER_PASS)]
        _check_finite(passes)
        counts = [len(photo["boxes"]) for photo in photos]
        keypoints = torch.cat([output.keypoints for output in passes]).split(counts)
        scores: Any = [None] * len(photos)
        if passes[0].scores is not None:
            scores = torch.cat([output.scores for output in passes]).split(counts)
        answers = [
            {**photo, "pixel_values": None, "keypoints": points, "scores": score}
            for photo, points, score in zip(photos, keypoints, scores, strict=True)
        ]
        return {"photo": answers if isinstance(batch, list) else answers[0]}

    def postprocess(self, model_outputs: dict[str, Any]) -> list[Face]:
        """Crop units to photo pixels."""
        answer = model_outputs["photo"]
        boxes = answer["boxes"]
        found = answer["found"] or [None] * len(boxes)
        outputs = KDLandmarksOutput(keypoints=answer["keypoints"], scores=answer["scores"])
        try:
            [faces] = self.image_processor.post_process_keypoint_detection(outputs, boxes)
        except ValueError as error:
            raise KDLandmarksError(f"{answer['where']}{error}") from error
        return [
            _face(face["keypoints"].numpy(), face["scores"], self.calibration, box, score)
            for face, box, score in zip(faces, boxes.tolist(), found, strict=True)
        ]


def _check_finite(passes: list[Any]) -> None:
    """Refuse what is no answer: of broken weights, or of crops that are no pictures.

    Raises:
        KDLandmarksError: saying so.
    """
    answers = [answer for output in passes for answer in (output.keypoints, output.scores)]
    if not all(answer is None or answer.isfinite().all() for answer in answers):
        raise KDLandmarksError(
            "the detector answers with numbers that are not finite: its weights, its image "
            "processor or its dtype are to blame, so give another"
        )


def _face(
    keypoints: np.ndarray,
    scores: Tensor | None,
    calibration: Calibration | None,
    box: list[float],
    detection_score: float | None,
) -> Face:
    values = None if scores is None else scores.numpy()
    confidence = None if values is None or calibration is None else calibration(values)
    return Face(
        keypoints=keypoints,
        scores=values,
        confidence=confidence,
        face_confidence=None if confidence is None else float(confidence.mean()),
        box=box,
        detection_score=detection_score,
    )


def _check_numbers(options: dict[str, Any]) -> None:
    """Refuse numbers of a call that cannot be meant; make plain ones of numpy's."""
    for name, least in (("batch_size", 1), ("num_workers", 0)):
        if options.get(name) is not None:
            options[name] = whole(name, options[name], least)
    if options.get("timeout") is not None:
        options["timeout"] = number("timeout", options["timeout"])


def _as_dtype(dtype: str | torch.dtype) -> torch.dtype:
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not (isinstance(found, torch.dtype) and found.is_floating_point):
        raise KDLandmarksError(
            f"dtype={shown(dtype)} is no type of floats: give torch.float32, torch.float16, "
            "torch.bfloat16 or a name of them"
        )
    return found


def _load_processor(
    given: str | os.PathLike[str] | KDLandmarksImageProcessor | None,
    model: KDLandmarksPreTrainedModel,
) -> KDLandmarksImageProcessor:
    """The given image processor, or the one that lies where the model came from."""
    source = model.name_or_path if given is None else given
    if not source:
        raise KDLandmarksError("image_processor is missing: the model came from no checkpoint")
    if isinstance(source, str | os.PathLike):
        return load_processor(find_checkpoint(os.fspath(source)), model.config)
    if not hasattr(source, "crop_margin"):
        raise KDLandmarksError(
            f"image_processor is a {type(source).__name__}: give a KDLandmarksImageProcessor"
        )
    return source
