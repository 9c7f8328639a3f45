"""What a run came to: counts, what is to be looked at, and the top recordings."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from emotion2vec_client.command.inputs import LeftOut
from emotion2vec_client.command.terminal import shown

from emotion2vec_archive.row import Row

MEASURES = ("peak", "share", "longest")
_EXAMPLES = 3
"""Of a failure's recordings."""


@dataclass(frozen=True, slots=True, order=True)
class Top:
    """A row that stands high by the label and measure that were asked for."""

    value: float
    path: str
    place: str
    """Its channel, segment or utterance in words; may be empty."""


@dataclass(slots=True)
class Summary:
    """Of a table; rows are shown to `see` as they are written."""

    label: str
    """By which the top is told."""
    measure: str
    count: int
    """How many the top holds."""
    rows: int = 0
    seconds: float = 0.0
    """Of audio; recordings with several rows count with each."""
    labels: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    alerts: int = 0
    """Rows with one or more."""
    _examples: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    _top: list[Top] = field(default_factory=list)

    def see(self, row: Row) -> None:
        """Counts a row."""
        self.rows += 1
        if row.error_code is not None:
            self.failures[row.error_code] += 1
            examples = self._examples.setdefault(row.error_code, [])
            if len(examples) < _EXAMPLES:
                examples.append((row.path, row.error or ""))
            return
        self.seconds += (row.end or 0.0) - (row.start or 0.0)
        if row.label is not None:
            self.labels[row.label] += 1
        self.warnings.update({code for code, _ in row.warnings})
        self.alerts += bool(row.alerts)
        self._rank(row)

    def _rank(self, row: Row) -> None:
        reading = row.readings.get(self.label)
        if reading is None or not self.count:
            return
        top = Top(getattr(reading, self.measure), row.path, _place(row))
        if len(self._top) < self.count:
            heapq.heappush(self._top, top)
        else:
            heapq.heappushpop(self._top, top)

    @property
    def top(self) -> list[Top]:
        """The highest first."""
        return sorted(self._top, reverse=True)

    def sentences(self, left_out: LeftOut) -> Iterator[str]:
        """Lines for a person."""
        hours = f"{self.seconds / 3600:.1f} h" if self.seconds >= 3600 else f"{self.seconds:.0f} s"
        yield f"{self.rows - self.failures.total()} rows, {hours} of audio"
        if self.labels:
            total = self.labels.total()
            yield "labels: " + ", ".join(
                f"{label} {count} ({count / total:.0%})"
                for label, count in self.labels.most_common()
            )
        if self.alerts:
            yield f"alerts: {self.alerts} rows have one"
        if self.warnings:
            yield "warnings: " + _counts(self.warnings)
        if self.failures:
            yield f"failed: {_counts(self.failures)}"
            for code, count in self.failures.most_common():
                examples = self._examples[code]
                yield from (f"  {shown(path)}: {message}" for path, message in examples)
                if count > len(examples):
                    yield f"  and {count - len(examples)} more with error_code {code}"
        if left_out:
            yield str(left_out)
        if self._top:
            yield f"top {len(self._top)} by {self.measure} of {self.label}:"
            yield from (f"  {self._value(top)}  {shown(top.path)}{top.place}" for top in self.top)

    def _value(self, top: Top) -> str:
        return f"{top.value:6.1f} s" if self.measure == "longest" else f"{top.value:6.1%}"

    def to_dict(self, left_out: LeftOut) -> dict[str, Any]:
        """The same for a program."""
        return {
            "rows": self.rows,
            "audio_seconds": round(self.seconds, 3),
            "labels": dict(self.labels),
            "rows_with_alerts": self.alerts,
            "warnings": dict(self.warnings),
            "failures": dict(self.failures),
            "left_out": dict(left_out.reasons),
            "top": [
                {"path": top.path, "place": top.place.strip(), self.measure: top.value}
                for top in self.top
            ],
        }


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counter.most_common())


def _place(row: Row) -> str:
    if row.segment is not None or row.utterance is not None:
        return f" {row.start or 0:.0f}-{row.end or 0:.0f} s"
    return "" if row.channel is None else f" channel {row.channel}"
