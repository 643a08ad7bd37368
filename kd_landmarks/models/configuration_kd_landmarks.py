"""Configuration of a facial landmark detector."""

import re
from itertools import pairwise
from typing import Any, Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from ..imaging.crop_settings import MAX_IMAGE_SIZE, MIN_IMAGE_SIZE, check_settings, check_whole

# Far beyond any landmark scheme or face crop in use; a config over these is broken or hostile, and
# is refused before memory is spent on it.
MAX_LANDMARKS = 2048
MAX_HEAD_CHANNELS = 4096
# The landmark maps of one face; 478 landmarks on maps of 128 cells a side have 8 million.
MAX_MAP_CELLS = 2**24
MAX_STRIDES = 8
MAX_NAME_LENGTH = 128
MAX_ORIGINS = 64


@strict
class KDLandmarksConfig(PreTrainedConfig):
    r"""Everything that shapes a `KDLandmarksForKeypointDetection`.

    Args:
        backbone (`str`, defaults to `"mobilenetv2_100"`):
            Any timm architecture name; `head="integral"` needs one that gives feature maps at the
            strides `head_strides`.
        role (`str`, defaults to `"student"`):
            `student`, `tough_teacher` (learned the ground truth) or `tolerant_teacher` (learned
            Soft-landmarks).
        head (`str`, defaults to `"integral"`):
            `linear`: global average pooling, dropout, one linear layer (the paper's, section 3).
            `integral`: one map per landmark, softmax, expected coordinate (soft-argmax; Sun et al.,
            Integral Human Pose Regression, ECCV 2018).
        image_size (`int`, defaults to 128): side of the square input in pixels.
        num_landmarks (`int`, defaults to 68): N.
        scheme (`dict`, *optional*):
            The landmark scheme as `LandmarkScheme.to_dict()` gives it: names, flip pairs,
            normalizer points, outlines. Its number of names must be `num_landmarks`.
        dropout (`float`, defaults to 0.0): before the linear head's layer, 0 to 1 (the paper: 0.5).
        head_channels (`int`, defaults to 96): width of the integral head.
        head_strides (`list[int]`, defaults to `[8, 16, 32]`):
            Strides of the feature maps that the integral head merges, finest first; its landmark
            maps have `image_size / head_strides[0]` cells a side.
        head_range (`float`, defaults to 1.1):
            The landmark maps span this many crop sides around the crop's center, so that points
            just outside the crop can be reached.
        refinement (`bool`, defaults to `False`):
            Whether the integral head corrects its points by one another: a linear map of their
            deviations from the mean face, in the face's own frame (an active shape model's idea,
            Cootes et al., CVIU 61, 1995, as a layer).
        confidence (`dict`, *optional*):
            What turns the integral head's scores into probabilities of being right, as
            `kd_landmarks.inference.confidence.Calibration.to_dict()` gives it.
        face_box (`list[float]`, *optional*):
            Where the box of the landmarks lies in a face detector's box, from the brows to the chin
            and from ear to ear: x0, y0, x1, y1, which are 0, 0, 1, 1 for all of it. None for that.
        derived_from (`list[str]`, defaults to `[]`):
            The released networks of kd-landmarks that the weights are, started from or learned
            from: their license holds for these weights, too.
    """

    model_type = "kd_landmarks"

    backbone: str = "mobilenetv2_100"
    role: Literal["student", "tough_teacher", "tolerant_teacher"] = "student"
    head: Literal["linear", "integral"] = "integral"
    image_size: int = 128
    num_landmarks: int = 68
    scheme: dict[str, Any] | None = None
    dropout: float = 0.0
    head_channels: int = 96
    head_strides: list[int] | tuple[int, ...] = (8, 16, 32)
    head_range: float = 1.1
    refinement: bool = False
    confidence: dict[str, Any] | None = None
    face_box: list[float] | tuple[float, ...] | None = None
    derived_from: list[str] | tuple[str, ...] = ()

    def __post_init__(self, **kwargs: Any) -> None:
        """Derive the label names from the scheme, as other models on the Hub carry them."""
        if isinstance(self.head_strides, tuple):
            self.head_strides = list(self.head_strides)
        self.derived_from = list(self.derived_from)
        names = self.scheme.get("names") if isinstance(self.scheme, dict) else None
        if names is not None:
            if not isinstance(names, list | tuple) or not all(map(_is_label, names)):
                raise ValueError(
                    f"scheme.names={names!r:.80} must be a list of texts of 1 to {MAX_NAME_LENGTH} "
                    "characters"
                )
            self.id2label = dict(enumerate(names))
            self.label2id = {name: index for index, name in enumerate(names)}
        super().__post_init__(**kwargs)

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """As transformers does it, but values given beside the file's are checked with them.

        Names, calibration and box of the file's landmarks are dropped where others are asked for.

        Raises:
            ValueError: for values that do not go together.
        """
        given = {name: kwargs.pop(name) for name in cls.__annotations__ if name in kwargs}
        if given.keys() & {"num_landmarks", "scheme"}:
            unknown = ("confidence", "face_box", "id2label", "label2id")
            given = dict.fromkeys(unknown) | given
        return super().from_dict(config_dict | given, **kwargs)

    def validate_sizes(self) -> None:
        """Refuse invalid sizes.

        Raises:
            ValueError: naming the field and its value.
        """
        check_whole("image_size", self.image_size, MIN_IMAGE_SIZE, MAX_IMAGE_SIZE)
        check_whole("num_landmarks", self.num_landmarks, 1, MAX_LANDMARKS)
        check_settings({"face_box": self.face_box})
        check_whole("head_channels", self.head_channels, 1, MAX_HEAD_CHANNELS)
        if len(self.backbone) > MAX_NAME_LENGTH:
            raise ValueError(f"backbone={self.backbone[:32]!r}… is not a timm architecture")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout} must lie in 0 (included) to 1 (excluded)")
        if not 0.5 <= self.head_range <= 4:
            raise ValueError(f"head_range={self.head_range} must lie between 0.5 and 4")
        if self.refinement and self.head != "integral":
            raise ValueError(f"refinement=True needs head='integral', not {self.head!r}")

    def validate_strides(self) -> None:
        """Refuse head strides that do not double, an input that they do not divide, vast maps.

        Raises:
            ValueError: naming the field and its value.
        """
        strides = self.head_strides
        if not 1 <= len(strides) <= MAX_STRIDES:
            raise ValueError(f"head_strides={strides!r:.80} must be 1 to {MAX_STRIDES} numbers")
        for stride in strides:
            check_whole("head_strides", stride, 1, MAX_IMAGE_SIZE)
        doubling = all(coarse == 2 * fine for fine, coarse in pairwise(strides))
        if not doubling:
            raise ValueError(f"head_strides={strides} must double from one to the next")
        if self.head == "integral" and self.image_size % strides[-1]:
            raise ValueError(
                f"image_size={self.image_size} must be a multiple of the coarsest of "
                f"head_strides={strides}"
            )
        cells = self.num_landmarks * (self.image_size // strides[0]) ** 2
        if self.head == "integral" and cells > MAX_MAP_CELLS:
            raise ValueError(
                f"image_size={self.image_size}, num_landmarks={self.num_landmarks} and "
                f"head_strides={strides} make landmark maps of {cells} cells a face: they may have "
                f"{MAX_MAP_CELLS}"
            )

    def validate_origin(self) -> None:
        """Refuse what cannot be names of networks.

        Raises:
            ValueError: naming the field and its value.
        """
        names = self.derived_from
        if len(names) > MAX_ORIGINS or not all(map(_is_network, names)):
            raise ValueError(
                f"derived_from={names!r:.80} must be up to {MAX_ORIGINS} names of networks"
            )

    def validate_scheme(self) -> None:
        """Refuse a scheme whose points are not `num_landmarks`.

        Raises:
            ValueError: naming both counts.
        """
        names = () if self.scheme is None else self.scheme.get("names") or ()
        if self.scheme is not None and len(names) != self.num_landmarks:
            raise ValueError(
                f"num_landmarks={self.num_landmarks}, but the scheme "
                f"{self.scheme.get('name', '?')!r:.80} names {len(names)} points: give both"
            )


def _is_label(name: object) -> bool:
    return isinstance(name, str) and 1 <= len(name) <= MAX_NAME_LENGTH


def _is_network(name: str) -> bool:
    """Cards print it: nothing in it may be Markdown's."""
    return bool(re.fullmatch(rf"[A-Za-z0-9.-]{{1,{MAX_NAME_LENGTH}}}", name))


__all__ = ["KDLandmarksConfig"]
