"""What a detector's files may say of its crops: types and ranges, checked in one place.

Beyond them a file is broken or hostile. This file imports nothing of ours, numpy or torch, so that
deployments without torch can use it.
"""

from collections.abc import Callable, Mapping
from typing import Any

MIN_IMAGE_SIZE = 16
MAX_IMAGE_SIZE = 2048

# Pillow's numbers of nearest, Lanczos, bilinear and bicubic: those that torchvision has, too.
_RESAMPLINGS = (0, 1, 2, 3)


def check_settings(settings: Mapping[str, Any]) -> None:
    """Refuse settings of crops that are invalid; None is the default of each.

    Args:
        settings: any of `crop_margin`, `size` (height and width), `image_size` (both), `resample`,
            `rescale_factor`, `image_mean`, `image_std` (three numbers each), `do_convert_rgb`,
            `do_resize`, `do_rescale`, `do_normalize`, and of a network `face_box`. Others are left
            alone.

    Raises:
        ValueError: naming the setting and its value.
    """
    for name, value in settings.items():
        if value is not None and name in _CHECKS:
            _CHECKS[name](name, value)


def check_number(name: str, value: Any, low: float, high: float) -> None:
    """Refuse anything but a number from `low` to `high`; true and false are not numbers here.

    Raises:
        ValueError: naming it and its value.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high:  # which refuses NaN
        raise ValueError(f"{name}={value!r:.80} must lie between {low:g} and {high:g}")


def check_whole(name: str, value: Any, low: int, high: int) -> None:
    """Refuse anything but a whole number from `low` to `high`.

    Raises:
        ValueError: naming it and its value.
    """
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{name}={value!r:.80} must lie between {low} and {high}, and be whole")


def _check_image_size(name: str, value: Any) -> None:
    check_whole(name, value, MIN_IMAGE_SIZE, MAX_IMAGE_SIZE)


def _check_size(name: str, value: Any) -> None:
    """transformers takes much: one side alone, the shortest edge. Crops are squares."""
    if type(value) is int:
        return _check_image_size(name, value)
    try:  # its own class of sizes is not a mapping
        sides = {side: number for side, number in dict(value).items() if number is not None}
    except (TypeError, ValueError):
        sides = {}
    if sides.keys() != {"height", "width"}:
        raise ValueError(f'{name}={value!r:.80} must be {{"height": …, "width": …}}')
    for side, number in sides.items():
        _check_image_size(f"{name}.{side}", number)


def _check_channels(low: float, high: float) -> Callable[[str, Any], None]:
    def check(name: str, value: Any) -> None:
        if not isinstance(value, list | tuple) or len(value) != 3:
            raise ValueError(f"{name}={value!r:.80} must be three numbers, of red, green and blue")
        for number in value:
            check_number(name, number, low, high)

    return check


def _check_face_box(name: str, value: Any) -> None:
    if not isinstance(value, list | tuple) or len(value) != 4:
        raise ValueError(f"{name}={value!r:.80} must be four numbers x0, y0, x1, y1")
    for number in value:
        check_number(name, number, -10, 10)
    if min(value[2] - value[0], value[3] - value[1]) < 0.01:
        raise ValueError(f"{name}={value!r:.80}: x1 must exceed x0 and y1 exceed y0, by 0.01")


def _check_resample(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value not in _RESAMPLINGS:
        raise ValueError(
            f"{name}={value!r:.80} must be 0 (nearest), 1 (Lanczos), 2 (bilinear) or 3 (bicubic)"
        )


def _check_switch(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"{name}={value!r:.80} must be true or false")


_CHECKS: dict[str, Callable[[str, Any], None]] = {
    "crop_margin": lambda name, value: check_number(name, value, 0.1, 10),
    "size": _check_size,
    "image_size": _check_image_size,
    "face_box": _check_face_box,
    "resample": _check_resample,
    "rescale_factor": lambda name, value: check_number(name, value, 1e-6, 1),
    "image_mean": _check_channels(-1000, 1000),
    # Less would blow up rounding errors, and overflow float16.
    "image_std": _check_channels(1e-3, 1000),
    "do_convert_rgb": _check_switch,
    "do_resize": _check_switch,
    "do_rescale": _check_switch,
    "do_normalize": _check_switch,
}
PROCESSOR_SETTINGS = frozenset(_CHECKS) - {"image_size", "face_box"}
"""All that is taken from a `preprocessor_config.json`."""
