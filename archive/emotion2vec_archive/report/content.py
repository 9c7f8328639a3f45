"""What a report says, laid out for its page: numbers as they are shown, nothing of HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from emotion2vec_archive.report.statistics import EmotionSpread, Group, Histogram
from emotion2vec_archive.report.words import long_span

Shown = TypeVar("Shown")
_LEAST_OPACITY = 0.2


@dataclass(frozen=True, slots=True)
class Listing(Generic[Shown]):
    """The first of many, and how many were left out."""

    shown: Sequence[Shown]
    more: int


@dataclass(frozen=True, slots=True)
class PathName:
    """What a row is called: its file's folder with the slash, which may be empty, and name, and
    which part of it the row is, if it is one."""

    folder: str
    name: str
    part: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A part of a time line: left edge and width in thousandths, and what it says."""

    left: float
    width: float
    said: str
    label: int = -1
    """Its label's place; -1 of alerts."""
    opacity: float = 1.0
    """How probable, as far as it shows."""

    def colored(self, label: int, probability: float) -> Mark:
        """The same in a label's colour, the stronger the more probable."""
        opacity = _LEAST_OPACITY + (1 - _LEAST_OPACITY) * min(1.0, max(0.0, probability))
        return replace(self, label=label, opacity=round(opacity, 2))


@dataclass(frozen=True, slots=True)
class TopRow:
    """A row that leads by some label and measure."""

    path: PathName
    values: dict[str, list[float]]
    """By measure, then by label."""
    rank: int
    """By what is shown first, from 1; 0 if it is not among those."""
    value: str
    leading: str
    length: str
    spoken: str
    spans: Sequence[Mark]
    alerts: Sequence[Mark]


@dataclass(frozen=True, slots=True)
class AlertRow:
    """One alert. Seconds from the beginning of the audio."""

    path: PathName
    start: float
    end: float
    label: str
    probability: float


@dataclass(frozen=True, slots=True)
class Kind:
    """Errors or warnings of one code."""

    code: str
    example: str
    """What the first of them says."""
    count: int
    paths: Sequence[PathName]
    """The first of them."""


@dataclass(frozen=True, slots=True)
class Content:
    """Everything on the page, from top to bottom."""

    title: str
    row_names: tuple[str, str]
    """What a row is, in the singular and in the plural."""
    models: Sequence[str]
    is_demo: bool
    date: str
    scored: int
    seconds: float
    labels: Sequence[str]
    has_peaks: bool
    alerted: int
    doubtful: int
    failed: int
    shares: Sequence[float]
    emotions: Sequence[EmotionSpread]
    lengths: Histogram
    confidences: Histogram | None
    measures: dict[str, str]
    first_label: int
    count: int
    top: Sequence[TopRow]
    alerts: Listing[AlertRow]
    by: str
    groups: Listing[Group]
    failures: Sequence[Kind]
    warnings: Sequence[Kind]
    notes: Sequence[tuple[str, str]]

    @property
    def summary(self) -> str:
        """In one line."""
        nouns, span = self.nouns(self.scored), long_span(self.seconds)
        return f"{self.scored:,} {nouns}, {span} of audio, {self.failed:,} failed"

    def nouns(self, count: int) -> str:
        """The word for so many rows."""
        return self.row_names[count != 1]
