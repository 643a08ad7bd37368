"""Photos and face boxes in, square face crops out; and keypoints back to photo pixels."""

from collections.abc import Sequence
from typing import Any, Union

import numpy as np
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tvF
from transformers.image_processing_backends import TorchvisionBackend
from transformers.image_processing_utils import BatchFeature
from transformers.image_utils import ImageInput, PILImageResampling, is_valid_image
from transformers.processing_utils import ImagesKwargs, Unpack
from transformers.utils.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from ..imaging.crop import (
    Square,
    check_box,
    check_crop_size,
    check_finite,
    covering,
    square_crop,
    stacked_boxes,
    to_crop_units,
    to_photo_pixels,
)
from ..imaging.crop_settings import PROCESSOR_SETTINGS, check_settings


class KDLandmarksImageProcessorKwargs(ImagesKwargs, total=False):
    """The processor's own settings beside transformers' usual ones.

    crop_margin (`float`): side of the square crop divided by the longer side of the face box.
    """

    crop_margin: float


class KDLandmarksImageProcessor(TorchvisionBackend):
    """Cuts the square crop of each face box (black outside the photo) and normalizes it.

    The crop's margin is part of `preprocessor_config.json`: a checkpoint knows the crop that it was
    trained on.

    Example:

    ```python
    >>> import numpy as np
    >>> from kd_landmarks import KDLandmarksImageProcessor

    >>> processor = KDLandmarksImageProcessor()
    >>> photo = np.zeros((480, 640, 3), dtype=np.uint8)
    >>> inputs = processor(photo, boxes=[[200, 100, 360, 290]], return_tensors="pt")
    >>> inputs["pixel_values"].shape
    torch.Size([1, 3, 128, 128])

    ```
    """

    valid_kwargs = KDLandmarksImageProcessorKwargs
    model_input_names = ["pixel_values"]  # noqa: RUF012 - transformers' own convention

    resample = PILImageResampling.BILINEAR
    image_mean = IMAGENET_DEFAULT_MEAN
    image_std = IMAGENET_DEFAULT_STD
    size = {"height": 128, "width": 128}  # noqa: RUF012
    do_resize = True
    do_rescale = True
    do_normalize = True
    do_convert_rgb = True
    crop_margin = 1.25

    def __init__(self, **kwargs: Unpack[KDLandmarksImageProcessorKwargs]) -> None:
        check_settings(kwargs)
        super().__init__(**kwargs)  # type: ignore[misc]

    @classmethod
    def from_dict(cls, image_processor_dict: dict[str, Any], **kwargs: Any) -> Any:
        """As transformers does it, but a file sets what ours have, and neither device nor methods.

        Raises:
            ValueError: for an invalid value.
        """
        known = {
            name: value
            for name, value in image_processor_dict.items()
            if name in PROCESSOR_SETTINGS
        }
        return super().from_dict(known, **kwargs)

    def preprocess(
        self,
        images: ImageInput,
        boxes: Any = None,
        landmarks: Any = None,
        **kwargs: Unpack[KDLandmarksImageProcessorKwargs],
    ) -> BatchFeature:
        """Cut and normalize the faces of one photo or several.

        Args:
            images: a photo, or a list of photos (PIL, numpy, torch, path or URL).
            boxes: x0, y0, x1, y1 in photo pixels, and where a face is turned its roll in degrees,
                clockwise. For a single photo one box (4,) or its faces' boxes (faces, 4); for a
                list of photos a list of the same length of (faces, 4).
            landmarks: the ground truth, to train or to measure: x, y (N, 2) in photo pixels for
                each box, nested as the boxes are; NaN or None for landmarks that are not there.
            **kwargs: any setting of the processor, for this call; `return_tensors="pt"`.

        Returns:
            `BatchFeature` with `pixel_values` (faces of all photos in order, 3, size, size), and
            where there are landmarks `labels` (faces, N, 2) in crop units, which the model takes.

        Raises:
            ValueError: without boxes, for boxes or landmarks that are degenerate or do not fit the
                photos, for photos whose values are not 0 to 255 (unless `do_rescale=False`), and
                for settings out of range.
        """
        check_settings(kwargs)
        given: dict[str, Any] = {name: value for name, value in kwargs.items() if value is not None}
        if "crop_margin" in given:  # transformers takes no whole number for a float
            kwargs["crop_margin"] = float(given["crop_margin"])
        rescaled = given.get("do_rescale", self.do_rescale)
        if isinstance(images, list | tuple):
            images = [_checked_photo(image, rescaled) for image in images]
        else:
            images = _checked_photo(images, rescaled)
        photos = boxes_per_photo(images, boxes)
        inputs = super().preprocess(images, photos, **kwargs)
        if landmarks is not None:
            margin = given.get("crop_margin", self.crop_margin)
            squares = [square_crop(box, margin) for photo in photos for box in photo]
            labels = _labels(landmarks, squares)
            as_tensor = kwargs.get("return_tensors") == "pt"
            inputs["labels"] = torch.from_numpy(labels) if as_tensor else labels
        return inputs

    def fetch_images(self, image_url_or_urls: Any) -> Any:
        """Photos as they are, and those of paths and URLs opened as the package opens them.

        Raises:
            ValueError: for a path or URL that leads to no photo, and where the package is missing.
        """
        if isinstance(image_url_or_urls, list | tuple):
            return [self.fetch_images(image) for image in image_url_or_urls]
        if not isinstance(image_url_or_urls, str):
            return super().fetch_images(image_url_or_urls)
        try:  # transformers would open whatever format, of any size
            from kd_landmarks.imaging.photos import load_photo
        except ImportError:
            raise ValueError(
                "paths and URLs need the package kd-landmarks: open the photo yourself"
            ) from None
        return load_photo(image_url_or_urls)

    # The base class takes what its subclasses name: it types neither boxes nor margins.
    def _preprocess_image_like_inputs(  # type: ignore[override]
        self,
        images: ImageInput,
        boxes: list[np.ndarray],
        do_convert_rgb: bool,
        input_data_format: Any,
        device: Union[str, "torch.device", None] = None,
        **kwargs: Any,
    ) -> BatchFeature:
        photos = self._prepare_image_like_inputs(
            images=images,
            do_convert_rgb=do_convert_rgb,
            input_data_format=input_data_format,
            device=device,
        )
        return self._preprocess(photos, boxes=boxes, **kwargs)

    def _preprocess(  # type: ignore[override]
        self,
        images: list[torch.Tensor],
        boxes: list[np.ndarray],
        size: Any,
        resample: Any,
        do_rescale: bool,
        rescale_factor: float,
        do_normalize: bool,
        image_mean: Any,
        image_std: Any,
        return_tensors: Any,
        crop_margin: float,
        **kwargs: Any,
    ) -> BatchFeature:
        crops = []
        for photo, photo_boxes in zip(images, boxes, strict=True):
            for box in photo_boxes:
                crop = square_crop(box, crop_margin)
                check_crop_size(crop, width=photo.shape[-1], height=photo.shape[-2])
                around = covering(crop) if crop.roll else crop
                face = tvF.crop(photo, around.top, around.left, around.side, around.side)
                if crop.roll:
                    face = tvF.rotate(face, crop.roll, InterpolationMode.BILINEAR)
                    face = tvF.center_crop(face, [crop.side, crop.side])
                crops.append(self.resize(face, size=size, resample=resample))
        if crops:
            pixels = self.rescale_and_normalize(
                torch.stack(crops), do_rescale, rescale_factor, do_normalize, image_mean, image_std
            )
        else:
            pixels = torch.empty(0, 3, size.height, size.width)
        return BatchFeature(data={"pixel_values": pixels}, tensor_type=return_tensors)

    def post_process_keypoint_detection(
        self, outputs: Any, boxes: Any, crop_margin: float | None = None
    ) -> list[list[dict[str, Any]]]:
        """Put the detector's keypoints back into their photos.

        Args:
            outputs: `KDLandmarksOutput` for all faces of all photos in order.
            boxes: the boxes that were given to the processor (for a single photo, too).
            crop_margin: the margin given to the processor's call, where it was not the processor's.

        Returns:
            One list per photo of one dict per face: `keypoints` (N, 2) float32 tensor in photo
            pixels (pixel centers at whole numbers), `scores` (N,) or None, `box` (4,).

        Raises:
            ValueError: if there are not as many boxes as faces in `outputs`, or it has numbers that
                are not finite.
        """
        margin = self.crop_margin if crop_margin is None else crop_margin
        photos = _nested_boxes(boxes)
        count = sum(len(photo) for photo in photos)
        keypoints = outputs.keypoints.detach().float().cpu()
        if count != len(keypoints):
            raise ValueError(
                f"{count} boxes for {len(keypoints)} faces: pass the processor's boxes"
            )
        scores = [None] * count if outputs.scores is None else outputs.scores.detach().float().cpu()
        faces = iter(zip(keypoints, scores, strict=True))
        results = []
        for photo in photos:
            rows = []
            for box in photo:
                points, score = next(faces)
                # float64: a point in a 100-megapixel photo keeps its hundredths of a pixel
                pixels = to_photo_pixels(points.double(), square_crop(box, margin)).float()
                check_finite(pixels, "the network's keypoints")
                if score is not None:
                    check_finite(score, "the network's scores")
                rows.append(
                    {"keypoints": pixels, "scores": score, "box": torch.from_numpy(box).float()}
                )
            results.append(rows)
        return results


def _checked_photo(image: Any, rescaled: bool) -> Any:
    """A photo or a batch of them; gray (height, width), which transformers refuses, gets a channel.

    Raises:
        ValueError: for values in another range than 0 to 255, if they are to be `rescaled` from it.
    """
    if str(getattr(image, "mode", "")).startswith("I;16"):
        raise ValueError("a photo has 16 bits a pixel (mode I;16): convert it to 8 bits first")
    kind = str(getattr(image, "dtype", "uint8")).removeprefix("torch.")
    if rescaled and kind != "uint8" and 0 not in image.shape:
        low, high = float(image.min()), float(image.max())
        # Resizing makes floats overshoot a little.
        most = 1 if "float" in kind else 0
        if kind == "bool" or not (-most <= low and high <= 255 + most):  # which refuses NaN
            raise ValueError(
                f"a photo's values are {low:g} to {high:g} ({kind}): give values from 0 to 255"
            )
        if "float" in kind and 0 < high <= 1:
            raise ValueError(
                f"a photo's values are {low:g} to {high:g} ({kind}): multiply them by 255, or pass "
                "do_rescale=False"
            )
    if kind == "float64":  # which networks do not take
        image = image.float() if isinstance(image, torch.Tensor) else image.astype(np.float32)
    return image[None] if getattr(image, "ndim", 3) == 2 else image


def boxes_per_photo(images: Any, boxes: Any) -> list[np.ndarray]:
    """Boxes as one (faces, 4) float64 array per photo; see `KDLandmarksImageProcessor.preprocess`.

    Raises:
        ValueError: for missing, degenerate or miscounted boxes.
    """
    if boxes is None:
        raise ValueError(
            "boxes is missing: pass each photo's face boxes as x0, y0, x1, y1 in pixels, or "
            "[[0, 0, width, height]] where the picture is itself a tight face crop"
        )
    single = isinstance(images, str) or (is_valid_image(images) and getattr(images, "ndim", 3) < 4)
    photos = _nested_boxes(boxes)
    count = 1 if single else len(images)
    if len(photos) != count:
        raise ValueError(
            f"boxes for {len(photos)} photos, but {count} photos: for a list of photos give a list "
            "of the same length, each item the (faces, 4) boxes of its photo"
        )
    return photos


def _labels(landmarks: Any, squares: list[Square]) -> np.ndarray:
    """Landmarks of each square's face in its crop units: (faces, N, 2) float32.

    Raises:
        ValueError: for what is not one (N, 2) per square.
    """
    gap = (np.nan, np.nan)
    try:
        if not squares and not any(map(np.size, landmarks)):
            return np.empty((0, 0, 2), np.float32)
        points = np.array(
            [
                [gap if one is None or one[0] is None else tuple(map(float, one)) for one in face]
                for face in _one_by_one(landmarks, _depth(landmarks))
            ],
            np.float64,
        )
    except (TypeError, ValueError, IndexError):
        points = np.empty(0)
    if points.ndim != 3 or points.shape[-1] != 2 or len(points) != len(squares):
        raise ValueError(
            f"landmarks do not fit {len(squares)} boxes: give x, y (N, 2) in photo pixels for each "
            "box, nested as the boxes are"
        )
    crops = [to_crop_units(face, square) for face, square in zip(points, squares, strict=True)]
    return np.stack(crops).astype(np.float32)


def _depth(landmarks: Any) -> int:
    """How deep numbers lie: 1 for a point, 2 for a face, 3 for a photo's faces, 4 for photos."""
    if hasattr(landmarks, "ndim"):
        return int(landmarks.ndim)
    if isinstance(landmarks, str) or not isinstance(landmarks, Sequence):
        return 0
    return 1 + max(map(_depth, landmarks), default=0)


def _one_by_one(landmarks: Any, depth: int) -> list[Any]:
    """The faces of landmarks nested so deep, N points each; photos may be without faces."""
    if depth <= 2:
        return [landmarks]
    return [face for part in landmarks for face in _one_by_one(part, depth - 1)]


def _nested_boxes(boxes: Any) -> list[np.ndarray]:
    """(4,) or (faces, 4) for one photo, (photos, faces, 4) for several, to an array per photo."""
    if isinstance(boxes, np.ndarray | torch.Tensor):
        boxes = boxes.tolist()
    boxes = [box.tolist() if isinstance(box, np.ndarray | torch.Tensor) else box for box in boxes]
    if boxes and not isinstance(boxes[0], Sequence | np.ndarray):
        boxes = [boxes]
    flat = all(
        len(box) in (4, 5) and not isinstance(box[0], Sequence | np.ndarray) for box in boxes
    )
    photos = [boxes] if flat else boxes
    return [
        stacked_boxes([check_box(box, f"photo {number}: ") for box in photo])
        for number, photo in enumerate(photos)
    ]


__all__ = ["KDLandmarksImageProcessor", "boxes_per_photo"]
