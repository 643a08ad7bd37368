"""What a detector's files tell of it: crop, normalization, landmarks and calibration."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import shown
from ..imaging.crop import Square, check_crop_size, square_crop
from ..imaging.crop_settings import check_settings, check_whole
from ..imaging.pixels import cut_square
from ..schemes import LandmarkScheme
from .confidence import Calibration

_NEEDED = ("crop_margin", "image_size", "image_mean", "image_std", "scheme")


@dataclass(frozen=True)
class Description:
    """What has to be known to feed a network and to read its answers.

    Attributes:
        crop_margin: side of the square crop divided by the longer side of the face box.
        image_size: side of the network's input in pixels.
        image_mean: of red, green and blue from 0 to 1, subtracted.
        image_std: of the same, divided by.
        scheme: the landmarks; None for a network that does not say.
        calibration: turns scores into probabilities; None without.
        parameters: of the network; None where the files do not say.
        face_box: where the landmarks' box lies in the face detector's; None for all of it.
    """

    crop_margin: float
    image_size: int
    image_mean: tuple[float, ...]
    image_std: tuple[float, ...]
    scheme: LandmarkScheme | None
    calibration: Calibration | None = None
    parameters: int | None = None
    face_box: tuple[float, ...] | None = None

    @classmethod
    def from_dict(cls, values: Any) -> "Description":
        """As `to_dict` writes it.

        Raises:
            ValueError: naming what is missing or invalid.
        """
        if not isinstance(values, Mapping):
            raise ValueError(f"it holds {shown(values)}, not a mapping of names to values")
        missing = [name for name in _NEEDED if values.get(name) is None]
        if missing:
            raise ValueError(f"it lacks {missing[0]}")
        check_settings({name: values.get(name) for name in (*_NEEDED[:-1], "face_box")})
        scheme = LandmarkScheme.from_dict(values["scheme"])  # a text could name any file
        confidence, face_box = values.get("confidence"), values.get("face_box")
        parameters = values.get("parameters")
        if parameters is not None:
            check_whole("parameters", parameters, 1, 10**12)
        return cls(
            crop_margin=float(values["crop_margin"]),
            image_size=int(values["image_size"]),
            image_mean=tuple(map(float, values["image_mean"])),
            image_std=tuple(map(float, values["image_std"])),
            scheme=scheme,
            calibration=(
                None
                if confidence is None
                else Calibration.from_dict(confidence, scheme.num_landmarks)
            ),
            parameters=parameters,
            face_box=None if face_box is None else tuple(map(float, face_box)),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, for the metadata of an exported file."""
        return {
            "crop_margin": self.crop_margin,
            "image_size": self.image_size,
            "image_mean": list(self.image_mean),
            "image_std": list(self.image_std),
            "scheme": None if self.scheme is None else self.scheme.to_dict(),
            "parameters": self.parameters,
            "confidence": None if self.calibration is None else self.calibration.to_dict(),
            "face_box": None if self.face_box is None else list(self.face_box),
        }

    def squares(self, boxes: NDArray[np.float64], photo: Image.Image) -> list[Square]:
        """The square crops of face boxes (faces, 4) in a photo.

        Raises:
            ValueError: for one that is absurdly larger than the photo.
        """
        squares = [square_crop(box, self.crop_margin) for box in boxes]
        for square in squares:
            check_crop_size(square, photo.width, photo.height)
        return squares

    def crop(self, photo: Image.Image, square: Square) -> NDArray[np.uint8]:
        """A square of an upright photo, black outside of it, as uint8 (3, size, size)."""
        side = (self.image_size, self.image_size)
        face = cut_square(photo, square).resize(side, Image.Resampling.BILINEAR)
        # Channels are put first while a value is still one byte: five times as quick as after.
        return np.ascontiguousarray(np.asarray(face).transpose(2, 0, 1))

    def normalize(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Crops (faces, 3, size, size) to the network's input, float32."""
        mean, std = (
            np.array(values, dtype=np.float64)[:, None, None]
            for values in (self.image_mean, self.image_std)
        )
        scale, offset = (1 / (255 * std)).astype("f4"), (-mean / std).astype("f4")
        return np.multiply(crops, scale, dtype=np.float32) + offset
