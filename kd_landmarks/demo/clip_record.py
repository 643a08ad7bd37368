"""What is known of the faces of a clip: tables, files, and what smoothing does to them."""

import csv
import io
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..inference.measures import measured
from ..inference.results import SURENESS, Face, table_columns
from ..inference.video.frames import VideoFrame
from ..schemes import LandmarkScheme
from .bars import BARS, measure_bars
from .overlay import legend, notice, table

CHARTS = ("left_eye_aspect_ratio", "mouth_aspect_ratio", "yaw")
WIDTH, HEIGHT = 300, 56
"""Of a chart, in its own units."""


@dataclass
class Seen:
    """A face that was followed: when, how surely, and its points as found and smoothed."""

    times: list[float] = field(default_factory=list)
    sure: list[float] = field(default_factory=list)
    found: list[NDArray[np.float64]] = field(default_factory=list)
    smoothed: list[NDArray[np.float64]] = field(default_factory=list)


class ClipRecord:
    """Collects the faces of a clip, frame by frame.

    Args:
        scheme: of their landmarks.
    """

    def __init__(self, scheme: LandmarkScheme) -> None:
        self._scheme = scheme
        self.seen: dict[int, Seen] = {}
        self._lines: list[str] = []
        self._rows: list[list[Any]] = []

    def add(
        self, frame: VideoFrame, shown: list[Face], found: list[Face], smoothed: list[Face]
    ) -> None:
        """Note a frame.

        Args:
            frame: with its number and time.
            shown: the faces that are written into files.
            found: the same as found.
            smoothed: the same after smoothing.
        """
        self._lines.append(frame.line(shown))
        for face in shown:
            plain = face.to_dict()
            told = [frame.number, round(frame.time, 4), face["track"], plain["face_confidence"]]
            self._rows.append([*told, *plain["box"], *chain(*plain["keypoints"])])
        for before, after in zip(found, smoothed, strict=True):
            one = self.seen.setdefault(before["track"], Seen())
            one.times.append(frame.time)
            one.found.append(np.asarray(before["keypoints"], dtype=np.float64))
            one.smoothed.append(np.asarray(after["keypoints"], dtype=np.float64))
            if before["face_confidence"] is not None:
                one.sure.append(before["face_confidence"])

    def json_lines(self) -> bytes:
        """The frames as JSON lines."""
        return "".join(self._lines).encode()

    def csv(self) -> bytes:
        """The faces of all frames as CSV."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        told = ["frame", "time", "track", "face_confidence"]
        columns = [name for name in table_columns(self._scheme) if name not in SURENESS]
        writer.writerow([*told, *columns])
        writer.writerows(self._rows)
        return text.getvalue().encode()

    def table(self) -> str:
        """The faces as an HTML table."""
        if not self.seen:
            return notice("No face was found in any frame.")
        rows = [
            (
                number + 1,
                len(one.times),
                f"{one.times[0]:.2f} s",
                f"{one.times[-1]:.2f} s",
                f"{np.mean(one.sure):.0%}" if one.sure else "",
            )
            for number, one in self.seen.items()
        ]
        return table(("face", "frames", "from", "to", "confidence"), rows, "Faces of the clip")

    def measures(self) -> str:
        """Bars and curves of the face that was followed longest, as HTML; "" without faces."""
        if not self.seen:
            return ""
        number, one = max(self.seen.items(), key=lambda pair: len(pair[1].times))
        before, after = (
            [measured(points, self._scheme) for points in way] for way in (one.found, one.smoothed)
        )
        frames = [
            [round(time, 3), *(values[name] for name in BARS)]
            for time, values in zip(one.times, after, strict=True)
        ]
        charts = [
            _chart(name, one.times, [values[name] for values in before], [v[name] for v in after])
            for name in CHARTS
        ]
        return (
            f'<p class="kd-summary"><strong>Face {number + 1}</strong>: bars follow the clip.</p>'
            f"{measure_bars(after[0], frames)}"
            f"{legend({'as found': 'var(--kd-reference)', 'smoothed': 'var(--kd-accent)'})}"
            f"{''.join(charts)}{_trembling(one)}"
        )


def _trembling(one: Seen) -> str:
    """How much the points shake before and after smoothing, in words."""
    if len(one.times) < 3:
        return ""
    before, after = (
        float(np.linalg.norm(np.diff(np.stack(way), n=2, axis=0), axis=-1).mean())
        for way in (one.found, one.smoothed)
    )
    return (
        '<p class="kd-summary">Jitter (mean change of motion from frame to frame): '
        f"<strong>{before:.2f}</strong> pixels as found, <strong>{after:.2f}</strong> smoothed.</p>"
    )


def _chart(
    name: str, times: list[float], before: list[float | None], after: list[float | None]
) -> str:
    """Two curves of a measure over time."""
    known = [value for value in (*before, *after) if value is not None]
    if not known or times[-1] <= times[0]:
        return ""
    low, high = min(known), max(known)
    spread = max(high - low, 1e-6)
    lines = []
    for kind, values in (("kd-found", before), ("kd-smoothed", after)):
        corners = " ".join(
            f"{WIDTH * (time - times[0]) / (times[-1] - times[0]):.1f},"
            f"{2 + (HEIGHT - 4) * (high - value) / spread:.1f}"
            for time, value in zip(times, values, strict=True)
            if value is not None
        )
        lines.append(f'<polyline class="{kind}" points="{corners}"/>')
    bar = BARS[name]
    told = f"{bar.title}, {bar.told(low)} to {bar.told(high)}"
    return (
        f'<figure class="kd-chart"><figcaption>{told}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{told}, over time">{"".join(lines)}'
        f'<line class="kd-now" data-width="{WIDTH}" y2="{HEIGHT}"/></svg></figure>'
    )
