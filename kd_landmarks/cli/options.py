"""Options that several commands have."""

import math
from typing import Annotated, Any

import typer


def finite(value: float | None) -> float | None:
    """Refuse what typer's own limits let through: nan is not below any, inf not above none."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number.")
    return value


def _from_0_to_1(text: str) -> Any:
    return typer.Option(min=0, max=1, callback=finite, help=text)


def not_empty(value: str | None) -> str | None:
    """Refuse the empty text, as an unset variable of a shell gives it."""
    if value is not None and not value.strip():
        raise typer.BadParameter("it is empty: give a name, or leave the option out.")
    return value


Model = Annotated[
    str | None,
    typer.Option(
        callback=not_empty,
        help="Checkpoint folder or Hub id. Default: the package's own detector.",
    ),
]
MinScore = Annotated[float, _from_0_to_1("Least score of the face detector; lower finds more.")]
MinConfidence = Annotated[
    float, _from_0_to_1("Leave out detected faces with less confidence; 0 keeps all.")
]
Measures = Annotated[
    bool,
    typer.Option(
        "--measures",
        help="Also report how open the eyes and the mouth are, and the head's yaw, pitch and roll "
        "in degrees.",
    ),
]
Split = Annotated[
    str | None, typer.Option(help="Part of the data; needed where there are several.")
]
AllowOutside = Annotated[
    bool,
    typer.Option(
        "--allow-outside",
        help="Also read pictures outside the data folder. Use it only for data from a source that "
        "you trust: data can name any picture on this machine.",
    ),
]
Orientation = Annotated[
    str,
    typer.Option(
        help="Which form of a photo the landmarks of JSON lines, .pts files and labeling tools "
        "refer to: upright (as viewers show it) or stored (before its EXIF orientation is applied)."
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        help="cpu, or with PyTorch (extra train) cuda, mps, … Default: the CPU for a model that "
        "has an ONNX file, such as the package's own; otherwise the first accelerator."
    ),
]
Steadiness = Annotated[
    float,
    typer.Option(
        min=0,
        callback=finite,
        help="Seconds over which a resting face is averaged; 0 for none.",
    ),
]
Follow = Annotated[
    float,
    typer.Option(
        min=0,
        callback=finite,
        help="How soon averaging gives way to motion; higher lags less.",
    ),
]
