"""Well-known landmarks by one name in every built-in scheme."""

from . import LandmarkScheme, get_scheme

_COMMON = (
    "chin",
    "nose_tip",
    "left_eye_outer",
    "left_eye_inner",
    "right_eye_inner",
    "right_eye_outer",
    "left_mouth_corner",
    "right_mouth_corner",
)
# Left and right are those of the picture. cofw29 has these names for its own points.
_INDICES = {"ibug68": (8, 30, 36, 39, 42, 45, 48, 54), "wflw98": (16, 54, 60, 64, 68, 72, 76, 82)}


def named_points(scheme: LandmarkScheme) -> dict[str, int]:
    """Indices by name: the scheme's own names, and for built-in schemes common ones."""
    named = {name: index for index, name in enumerate(scheme.names)}
    if scheme.name in _INDICES and scheme.names == get_scheme(scheme.name).names:
        named |= dict(zip(_COMMON, _INDICES[scheme.name], strict=True))
    return named
