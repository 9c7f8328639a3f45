"""One result as a picture, drawn by matplotlib."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from emotion2vec_client.command.clock import clock
from emotion2vec_client.command.colors import color_of
from emotion2vec_client.command.timeline import Timeline, timeline
from emotion2vec_client.readings import Alert, read
from emotion2vec_client.results import Emotion, Recognition

_INK = "#22303c"
_FAINT = "#8a97a3"
_GRID = "#e6eaee"
_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _INK,
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _FAINT,
    "ytick.color": _INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    # File names may hold a "$", which is no formula.
    "text.parse_math": False,
}
_AUDIO_RATE = 16000
_COLUMNS = 1200
_MINUTE = 60.0
_STEPS = (10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)  # seconds between two ticks
_TICKS = 10
_ALERT = "#b3261e"
_ROW = 0.86  # height of a row of curves, of the 1 from one row to the next


def draw(recognition: Recognition, title: str, path: Path) -> None:
    """Writes a PNG of a recognition that has scores.

    Raises:
        OSError: the file can't be written.
    """
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # A name in a script that no font here has is drawn as boxes; that is no failure.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        picture(recognition, title).savefig(path, dpi=160, facecolor="white")


def picture(recognition: Recognition, title: str) -> Figure:
    """Bars of the scores; with frames or segments, the waveform and the scores over time too."""
    over_time = timeline(recognition)
    figure = _with_times(recognition, over_time) if over_time else _scores_only(recognition)
    _head(figure, recognition, title)
    return figure


def _scores_only(recognition: Recognition) -> Figure:
    figure = Figure(figsize=(7, 4.2))
    axes = figure.add_axes((0.18, 0.07, 0.68, 0.69))
    _bars(axes, recognition.emotion)
    return figure


def _with_times(recognition: Recognition, over_time: Timeline) -> Figure:
    figure = Figure(figsize=(12, 5.6))
    bars = figure.add_axes((0.095, 0.11, 0.21, 0.72))
    _bars(bars, recognition.emotion)
    wave = figure.add_axes((0.43, 0.70, 0.545, 0.13))
    strip = figure.add_axes((0.43, 0.655, 0.545, 0.025))
    curves = figure.add_axes((0.43, 0.11, 0.545, 0.53))
    _waveform(wave, recognition)
    _leading(strip, over_time)
    _curves(curves, over_time)
    _alerts(wave, curves, read(recognition).alerts or ())
    for axes in (wave, strip, curves):
        axes.set_xlim(over_time.edges[0], over_time.edges[-1])
    _time_axis(curves, float(over_time.edges[-1]))
    return figure


def _head(figure: Figure, recognition: Recognition, title: str) -> None:
    width, height = figure.get_size_inches()
    left, top = 0.35 / width, 1 - 0.32 / height
    figure.text(left, top, title, size=14, weight="bold", va="top")
    metadata, emotion = recognition.metadata, recognition.emotion
    found = f"{emotion.label} {emotion.confidence:.0%}, " if emotion else "no classifier, "
    about = f"{found}{metadata.audio_duration:.1f} s, {metadata.model} ({metadata.precision})"
    figure.text(left, top - 0.29 / height, about, size=10, color=_FAINT, va="top")


def _bars(axes: Axes, emotion: Emotion | None) -> None:
    scores = emotion.scores if emotion else ()
    place = {score.label: index for index, score in enumerate(scores)}
    ranked = sorted(scores, key=lambda score: score.probability)
    for row, score in enumerate(ranked):
        color = color_of(score.label, place[score.label])
        axes.barh(row, 1, height=0.62, color=_GRID, alpha=0.6)
        axes.barh(row, score.probability, height=0.62, color=color)
        weight = "bold" if row == len(ranked) - 1 else "normal"
        axes.text(
            1.02, row, f"{score.probability:.1%}", va="center", size=9, weight=weight, clip_on=False
        )
    axes.set_yticks(range(len(ranked)), [score.label for score in ranked])
    axes.set_xlim(0, 1)
    axes.set_xticks([])
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)


def _waveform(axes: Axes, recognition: Recognition) -> None:
    axes.axis("off")
    samples = recognition.processed_audio
    if samples is None or not len(samples):
        return
    columns = np.array_split(samples.astype(np.float32) / 32768, min(_COLUMNS, len(samples)))
    low = np.array([column.min() for column in columns])
    high = np.array([column.max() for column in columns])
    times = np.linspace(0, len(samples) / _AUDIO_RATE, len(columns))
    axes.fill_between(times, low, high, color=_FAINT, linewidth=0.4)
    limit = max(float(np.abs(samples.astype(np.int32)).max()) / 32768, 0.01)
    axes.set_ylim(-limit, limit)


def _leading(axes: Axes, over_time: Timeline) -> None:
    """A ribbon in the colour of the leading emotion."""
    axes.axis("off")
    for stretch in over_time.stretches:
        color = color_of(stretch.label, over_time.labels.index(stretch.label))
        axes.axvspan(stretch.start, stretch.end, color=color, linewidth=0)


def _curves(axes: Axes, over_time: Timeline) -> None:
    """One row a label: an area as high as its probability, full height for 1."""
    count = len(over_time.labels)
    for row, label in enumerate(over_time.labels):
        floor = count - 1.0 - row
        scores = floor + over_time.probabilities[:, row] * _ROW
        steps = np.append(scores, scores[-1:])
        color = color_of(label, row)
        axes.axhspan(floor, floor + _ROW, color=_GRID, alpha=0.45, linewidth=0)
        axes.fill_between(
            over_time.edges, floor, steps, step="post", color=color, alpha=0.85, linewidth=0
        )
        axes.plot(over_time.edges, steps, drawstyle="steps-post", color=color, linewidth=0.8)
    axes.set_yticks(np.arange(count)[::-1] + _ROW / 2, over_time.labels)
    axes.set_ylim(0, count - 1 + _ROW)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _alerts(wave: Axes, curves: Axes, alerts: Sequence[Alert]) -> None:
    """Shades anger and disgust that last, and names them above the waveform."""
    for alert in alerts:
        for axes in (wave, curves):
            axes.axvspan(alert.start, alert.end, color=_ALERT, alpha=0.12, linewidth=0, zorder=0)
        wave.axvline(alert.start, color=_ALERT, linewidth=1)
        wave.text(
            alert.start,
            1.02,
            "alert",
            transform=wave.get_xaxis_transform(),
            size=8,
            color=_ALERT,
            va="bottom",
        )


def _time_axis(axes: Axes, end: float) -> None:
    """Seconds, or minutes and seconds where there is more than a minute."""
    if end <= _MINUTE:
        axes.set_xlabel("seconds")
        return
    step = next((step for step in _STEPS if end / step <= _TICKS), _STEPS[-1])
    ticks = np.arange(0, end, step)
    axes.set_xticks(ticks, [clock(tick) for tick in ticks.tolist()])
    axes.set_xlabel("minutes:seconds" if end < 60 * _MINUTE else "hours:minutes:seconds")
