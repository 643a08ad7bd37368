"""What a face does, as bars: open eyes, an open mouth, how the head is turned."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple


class Bar(NamedTuple):
    """A measure on the page.

    Attributes:
        title: what it is called there.
        low: value at the left end; bars of values that may be negative begin in the middle.
        high: at the right end.
        unit: behind the value.
    """

    title: str
    low: float
    high: float
    unit: str

    def told(self, value: float) -> str:
        """A value in words."""
        return f"{round(value)}{self.unit}" if self.unit else f"{value:.2f}"


BARS = {
    "left_eye_aspect_ratio": Bar("Left eye open", 0, 0.5, ""),
    "right_eye_aspect_ratio": Bar("Right eye open", 0, 0.5, ""),
    "mouth_aspect_ratio": Bar("Mouth open", 0, 1, ""),
    "yaw": Bar("Head yaw", -90, 90, "°"),
    "pitch": Bar("Head pitch", -90, 90, "°"),
    "roll": Bar("Head roll", -180, 180, "°"),
}
"""By the names of `inference.measures.MEASURES`."""


def measure_bars(
    measures: Mapping[str, float | None], frames: Sequence[Sequence[float | None]] = ()
) -> str:
    """Bars as HTML; left and right are those of the picture.

    Args:
        measures: values by the names of `BARS`.
        frames: of a clip: a time in seconds and the values, in the order of `BARS`, of each frame.
            page.js moves the bars with the clip.
    """
    rows = []
    for name, bar in BARS.items():
        value = measures.get(name)
        start, width = (0.0, 0.0) if value is None else _span(bar, value)
        hidden = ' hidden=""' if value is None else ""
        told = "–" if value is None else bar.told(value)
        rows.append(
            f'<div data-low="{bar.low}" data-high="{bar.high}" data-unit="{bar.unit}">'
            f"<dt>{bar.title}</dt><dd><span><i{hidden} "
            f'style="left:{start:.1f}%;width:{width:.1f}%"></i></span><b>{told}</b></dd></div>'
        )
    followed = f' data-frames="{escape(json.dumps(frames))}"' if frames else ""
    return f'<dl class="kd-bars"{followed}>{"".join(rows)}</dl>'


def _span(bar: Bar, value: float) -> tuple[float, float]:
    """Where a bar begins, and how long it is, in percent."""
    ends = [
        100 * (min(max(end, bar.low), bar.high) - bar.low) / (bar.high - bar.low)
        for end in (0, value)
    ]
    return min(ends), max(ends) - min(ends)
