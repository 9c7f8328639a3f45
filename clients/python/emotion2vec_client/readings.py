"""What the scores mean to a person: mixed emotion, stability, sustained anger. Pure functions.

The thresholds are rules of thumb for a first look, not properties of the model; who needs others
has the scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotion2vec_client.results import Emotion, EmotionScore, Frames, Recognition

MIXED_MARGIN = 0.15
"""Two labels whose probabilities lie closer than this are both there."""
SMOOTHING = 0.25
"""Seconds over which frames are averaged first, and below which no stretch of them stands by
itself: shorter flicker is not a change of emotion."""
STEADY = 0.5
"""Changes of the leading label a second, up to which speech counts as steady."""
ALERT_LABELS = ("angry", "disgusted")
ALERT_PROBABILITY = 0.5
"""Of the alert labels together."""
ALERT_SECONDS = 2.0
"""How long they must last."""

_CHANGES = {0: "never changes", 1: "changes once", 2: "changes twice"}
_LONG = 60.0
"""Seconds, beyond which a count of changes says less than how many come in a minute."""


@dataclass(frozen=True, slots=True)
class Stability:
    """How often the leading label changes over the frames."""

    seconds: float
    """What the frames cover."""
    switches: int
    switches_per_second: float
    steady: bool


@dataclass(frozen=True, slots=True)
class Alert:
    """Anger or disgust that lasts. Seconds from the beginning of the audio."""

    start: float
    end: float
    label: str
    """The more probable of the alert labels over this time."""
    probability: float
    """Mean of the alert labels together."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive frames with the same leading label. Seconds from the beginning of the audio."""

    label: str
    start: float
    end: float
    probability: float
    """Mean over the stretch."""


@dataclass(frozen=True, slots=True)
class LabelReading:
    """How much of one label there is over the frames, where the clip's mean may hide it."""

    label: str
    peak: float
    """Highest probability, averaged over SMOOTHING seconds."""
    share: float
    """Share of the time in which it leads, 0 to 1."""
    longest: float
    """Seconds of the longest stretch in which it leads."""


@dataclass(frozen=True, slots=True)
class Readings:
    """All that can be read from one recognition; what can't be told is None or empty."""

    mixed: tuple[EmotionScore, EmotionScore] | None
    """The two leading labels, where they are close together."""
    stability: Stability | None
    """None without frames."""
    alerts: tuple[Alert, ...] | None
    """None without frames: nothing was looked for then."""
    labels: tuple[LabelReading, ...]
    """One for each label, in the model's order; empty without frames."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "mixed": [score.label for score in self.mixed] if self.mixed else None,
            "stability": asdict(self.stability) if self.stability else None,
            "alerts": None if self.alerts is None else [asdict(alert) for alert in self.alerts],
            "labels": {reading.label: _values(reading) for reading in self.labels} or None,
        }

    def sentences(self) -> Iterator[str]:
        """One line for each finding."""
        if self.mixed:
            first, second = self.mixed
            yield (
                f"mixed: {first.label} {first.probability:.0%} "
                f"and {second.label} {second.probability:.0%} are close together"
            )
        if self.stability:
            word = "steady" if self.stability.steady else "unsteady"
            yield f"{word}: the leading emotion {_changes(self.stability)}"
        for alert in self.alerts or ():
            yield (
                f"alert: {' or '.join(ALERT_LABELS)} from {alert.start:.1f} s to {alert.end:.1f} s "
                f"({alert.probability:.0%})"
            )


def read(recognition: Recognition) -> Readings:
    """The readings of one recognition."""
    frames = recognition.frames
    if frames is not None and len(frames.probabilities):
        smooth = _smooth(frames)
        leading = _leading(smooth, frames.hop)
        return Readings(
            mixed=_mixed(recognition.emotion),
            stability=_stability(leading, frames.hop),
            alerts=tuple(_frame_alerts(frames, smooth)),
            labels=tuple(_label_readings(frames, smooth, leading)),
        )
    return Readings(
        mixed=_mixed(recognition.emotion),
        stability=None,
        alerts=None,
        labels=(),
    )


def stretches(frames: Frames) -> Iterator[Stretch]:
    """The leading labels over time, without flicker."""
    if not len(frames.probabilities):
        return
    smooth = _smooth(frames)
    leading = _leading(smooth, frames.hop)
    for first, last in pairwise(_edges(leading)):
        column = int(leading[first])
        yield Stretch(
            label=frames.labels[column],
            start=frames.start + first * frames.hop,
            end=frames.start + last * frames.hop,
            probability=float(smooth[first:last, column].mean()),
        )


def _mixed(emotion: Emotion | None) -> tuple[EmotionScore, EmotionScore] | None:
    if emotion is None or len(emotion.scores) < 2 or emotion.margin >= MIXED_MARGIN:
        return None
    first, second, *_ = emotion.ranked
    return first, second


def _values(reading: LabelReading) -> dict[str, float]:
    return {"peak": reading.peak, "share": reading.share, "longest": reading.longest}


def _label_readings(
    frames: Frames, smooth: NDArray[np.float64], leading: NDArray[np.intp]
) -> Iterator[LabelReading]:
    edges = _edges(leading)
    longest = np.zeros(len(frames.labels), np.intp)
    np.maximum.at(longest, leading[edges[:-1]], np.diff(edges))
    counts = np.bincount(leading, minlength=len(frames.labels))
    for column, label in enumerate(frames.labels):
        yield LabelReading(
            label=label,
            peak=float(smooth[:, column].max()),
            share=float(counts[column] / len(leading)),
            longest=float(longest[column] * frames.hop),
        )


def _stability(leading: NDArray[np.intp], hop: float) -> Stability:
    switches = len(_edges(leading)) - 2
    seconds = len(leading) * hop
    per_second = switches / seconds if seconds else 0.0
    return Stability(seconds, switches, per_second, steady=per_second <= STEADY)


def _changes(stability: Stability) -> str:
    if stability.seconds > _LONG and stability.switches > max(_CHANGES):
        return f"changes {60 * stability.switches_per_second:.1f} times a minute"
    return _CHANGES.get(stability.switches, f"changes {stability.switches} times")


def _width(hop: float) -> int:
    """Frames in SMOOTHING seconds."""
    return max(1, round(SMOOTHING / hop)) if hop else 1


def _smooth(frames: Frames) -> NDArray[np.float64]:
    """[T, C]: each frame averaged with those around it, fewer of them at the ends."""
    width = _width(frames.hop)
    count = len(frames.probabilities)
    sums = np.vstack([np.zeros(len(frames.labels)), frames.probabilities.cumsum(0, np.float64)])
    index = np.arange(count)
    first = np.maximum(index - width // 2, 0)
    last = np.minimum(index + (width + 1) // 2, count)
    mean: NDArray[np.float64] = (sums[last] - sums[first]) / (last - first)[:, None]
    return mean


def _leading(smooth: NDArray[np.float64], hop: float) -> NDArray[np.intp]:
    """[T]: the column of each frame's leading label, in stretches that are not brief.

    Brief ones in a row are one, of the label that is the most probable over them; it goes to the
    neighbour that is the more probable there if it is brief itself.
    """
    leading: NDArray[np.intp] = smooth.argmax(axis=1)
    shortest = _width(hop)
    lengths = np.diff(_edges(leading))
    for first, last in _runs(np.repeat(lengths < shortest, lengths)):
        sums = smooth[first:last].sum(axis=0)
        around = [leading[frame] for frame in (first - 1, last) if 0 <= frame < len(leading)]
        if last - first < shortest and around:
            leading[first:last] = max(around, key=lambda column: sums[column])
        else:
            leading[first:last] = sums.argmax()
    return leading


def _edges(leading: NDArray[np.intp]) -> list[int]:
    """Where the leading label changes, and both ends."""
    return [0, *(np.flatnonzero(np.diff(leading)) + 1).tolist(), len(leading)]


def _frame_alerts(frames: Frames, smooth: NDArray[np.float64]) -> Iterator[Alert]:
    columns = [frames.labels.index(label) for label in ALERT_LABELS if label in frames.labels]
    if not columns:
        return
    scores = smooth[:, columns]
    labels = [frames.labels[column] for column in columns]
    for first, last in _runs(scores.sum(axis=1) >= ALERT_PROBABILITY):
        if (last - first) * frames.hop >= ALERT_SECONDS:
            start, end = frames.start + first * frames.hop, frames.start + last * frames.hop
            yield _alert(start, end, labels, scores[first:last])


def _alert(start: float, end: float, labels: Sequence[str], scores: NDArray[np.float64]) -> Alert:
    """`scores` [T, labels] are those of the alert's time."""
    sums = scores.sum(axis=0)
    probability = float(sums.sum() / len(scores))
    return Alert(start, end, labels[int(sums.argmax())], probability)


def _runs(flags: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Half-open ranges of consecutive true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    for first, last in edges.reshape(-1, 2):
        yield int(first), int(last)
