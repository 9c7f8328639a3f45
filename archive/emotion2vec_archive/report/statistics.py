"""Numbers of a report: how emotions, lengths and confidences are spread, and what leads a label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotion2vec_archive.report.scores import Scores

Float64 = NDArray[np.float64]

PEAK_BINS = 25
HIGH = 0.5
"""Probability from which an emotion is there, whatever the rest of a row sounds like."""
_LENGTHS = (
    (1.0, "<1 s"),
    (3.0, "1–3 s"),
    (10.0, "3–10 s"),
    (30.0, "10–30 s"),
    (60.0, "30–60 s"),
    (180.0, "1–3 min"),
    (600.0, "3–10 min"),
    (1800.0, "10–30 min"),
    (3600.0, "30–60 min"),
    (np.inf, ">1 h"),
)
"""Where a bin of lengths ends, in seconds, and its name."""


@dataclass(frozen=True, slots=True)
class Bin:
    """How many rows lie in one range of a quantity."""

    name: str
    count: int


@dataclass(frozen=True, slots=True)
class Histogram:
    """Neighbouring bins, without the empty ones at both ends."""

    bins: tuple[Bin, ...]

    @property
    def most(self) -> int:
        """The highest count, at least 1."""
        return max((bin_.count for bin_ in self.bins), default=0) or 1


@dataclass(frozen=True, slots=True)
class EmotionSpread:
    """One label over all rows."""

    label: int
    """Its place among the labels."""
    share: float
    """Of the audio, 0 to 1."""
    leads: int
    """Rows whose label it is."""
    high: int
    """Rows whose peak is HIGH or more."""
    peaks: tuple[float, ...]
    """[PEAK_BINS]: the height of a bar for the rows whose peak lies in each bin from 0 to 1: the
    root of their count, divided by the highest, so that few beside many are seen."""


@dataclass(frozen=True, slots=True)
class Group:
    """The rows that have one value in a column, such as those of one folder."""

    name: str
    rows: int
    seconds: float
    shares: tuple[float, ...]
    alerted: int
    failed: int


def shares_of(scores: Scores, rows: NDArray[np.bool_] | slice = slice(None)) -> Float64:
    """[C]: each label's share of the audio of some rows, by their lengths; 0 without any."""
    seconds = scores.seconds[rows]
    shares = scores.shares[rows]
    known = np.isfinite(seconds) & np.isfinite(shares).all(axis=1)
    weights = seconds[known]
    if not weights.sum() > 0:
        return np.zeros(len(scores.labels))
    mean: Float64 = weights @ shares[known] / weights.sum()
    return mean


def emotions(scores: Scores) -> list[EmotionSpread]:
    """The labels, those with the largest share first."""
    shares = shares_of(scores)
    peaks = scores.measures.get("peak")
    spreads = [
        EmotionSpread(
            label=label,
            share=float(shares[label]),
            leads=int((scores.leading == label).sum()),
            high=0 if peaks is None else int((peaks[:, label] >= HIGH).sum()),
            peaks=() if peaks is None else _peaks(peaks[:, label]),
        )
        for label in range(len(scores.labels))
    ]
    return sorted(spreads, key=lambda spread: (-spread.share, -spread.leads, spread.label))


def _peaks(values: Float64) -> tuple[float, ...]:
    counts, _ = np.histogram(values[np.isfinite(values)], bins=PEAK_BINS, range=(0.0, 1.0))
    return tuple(np.sqrt(counts / max(1, counts.max())).tolist())


def lengths(scores: Scores) -> Histogram:
    """Rows by the length of their audio."""
    ends = [end for end, _ in _LENGTHS]
    places = np.searchsorted(ends, scores.seconds[np.isfinite(scores.seconds)], side="right")
    counts = np.bincount(places, minlength=len(ends))
    return _histogram([name for _, name in _LENGTHS], counts)


def confidences(scores: Scores) -> Histogram | None:
    """Rows by the probability of their label, in tenths; None where no row has a label."""
    values = scores.confidences[np.isfinite(scores.confidences)]
    if not len(values):
        return None
    counts, _ = np.histogram(values, bins=10, range=(0.0, 1.0))
    return _histogram([f"{10 * n}–{10 * n + 10}" for n in range(10)], counts)


def _histogram(names: Sequence[str], counts: NDArray[np.intp]) -> Histogram:
    filled = np.flatnonzero(counts)
    if not len(filled):
        return Histogram(())
    first, last = int(filled[0]), int(filled[-1]) + 1
    bins = zip(names[first:last], counts[first:last].tolist(), strict=True)
    return Histogram(tuple(Bin(name, count) for name, count in bins))


def groups(scores: Scores, names: Sequence[str]) -> list[Group]:
    """The rows by their names [R], the largest group first."""
    unique, places = np.unique(np.array(names, dtype=object), return_inverse=True)
    alerted = np.array([bool(alerts) for alerts in scores.alerts], dtype=bool)
    found = []
    for place, name in enumerate(unique):
        rows = places == place
        found.append(
            Group(
                name=str(name),
                rows=int(rows.sum()),
                seconds=float(np.nansum(scores.seconds[rows])),
                shares=tuple(shares_of(scores, rows).tolist()),
                alerted=int((alerted & rows).sum()),
                failed=int((scores.is_failed & rows).sum()),
            )
        )
    return sorted(found, key=lambda group: (-group.rows, group.name))


def leaders(values: Float64, count: int) -> list[int]:
    """Rows with the highest of the values [R], highest first; those without any are left out."""
    order = np.argsort(-np.nan_to_num(values, nan=-1.0), kind="stable")[:count]
    return [int(row) for row in order if values[row] > 0]
