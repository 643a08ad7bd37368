"""How strongly training crops are varied; the transforms are in `augmentation`."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field


class AugmentationSettings(BaseModel):
    """How strongly training crops are varied; the defaults are the 300W recipe's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rotation: float = Field(30.0, ge=0, le=180, description="up to this many degrees either way")
    scale: float = Field(
        1.2, ge=1, le=4, description="from 1/scale to scale, even in the logarithm"
    )
    stretch: float = Field(
        1.1, ge=1, le=2, description="height to width, from 1/stretch to stretch"
    )
    shift: float = Field(0.05, ge=0, le=1, description="each way, in sides of the face box")
    blur: float = Field(0.1, ge=0, le=1, description="probability of a Gaussian blur")
    low_resolution: float = Field(0.1, ge=0, le=1, description="probability of a coarser picture")
    occlusion: float = Field(0.4, ge=0, le=1, description="probability of one covering patch")

    # The same in every recipe: no choice of them was ever worth a difference.
    flip: ClassVar[float] = 0.5
    """Probability of mirroring."""
    brightness: ClassVar[float] = 0.3
    contrast: ClassVar[float] = 0.3
    saturation: ClassVar[float] = 0.3
    gray: ClassVar[float] = 0.15
    """Probability."""
    occlusion_size: ClassVar[tuple[float, float]] = (0.1, 0.4)
    """Side of the patch, smallest and largest, in sides of the crop."""
