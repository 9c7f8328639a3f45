"""A table of scores as a report needs it: its columns as arrays, its lists row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
_MEASURES = ("share", "peak", "longest")


class ReportError(Exception):
    """A table can't be reported on; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Alert:
    """Seconds from the beginning of the audio."""

    start: float
    end: float
    label: str
    probability: float


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive frames with one leading label. Seconds from the beginning of the audio."""

    start: float
    end: float
    label: int
    probability: float


class Scores:
    """R rows, of C labels. Numbers that a row does not have are NaN."""

    def __init__(self, title: str, table: pa.Table) -> None:
        """Args:
        title: what the table is called.
        table: with the columns of `emotion2vec_archive.schema`.
        """
        self.title = title
        self._table = table
        self.labels = tuple(
            name.removeprefix("score_") for name in table.column_names if name.startswith("score_")
        )
        self.paths: list[str] = table["path"].to_pylist()
        self.starts = _floats(table, "start")
        self.seconds = _floats(table, "end") - self.starts
        self.confidences = _floats(table, "confidence")
        self.errors = [
            (code, message or "") if code else None
            for code, message in zip(
                table["error_code"].to_pylist(), table["error"].to_pylist(), strict=True
            )
        ]
        self.is_failed = np.array([error is not None for error in self.errors], dtype=bool)
        self.warnings = [
            [(note["code"], note["message"]) for note in notes or ()]
            for notes in table["warnings"].to_pylist()
        ]
        # A row is part of a recording where it has a number within it.
        self._within = next(
            (
                name
                for name in ("utterance", "segment", "channel")
                if name in table.column_names and table[name].null_count < len(table)
            ),
            None,
        )

    @property
    def row_names(self) -> tuple[str, str]:
        """What a row is, in the singular and in the plural."""
        name = self._within or "recording"
        return name, f"{name}s"

    @cached_property
    def numbers(self) -> list[int | None]:
        """[R]: of the channel, segment or utterance that a row is; None where it is a recording."""
        if self._within is None:
            return [None] * len(self.paths)
        numbers: list[int | None] = self._table[self._within].to_pylist()
        return numbers

    @cached_property
    def models(self) -> list[str]:
        """Name, version and precision of each model that made rows."""
        columns = [
            self._table[name].to_pylist() for name in ("model", "model_version", "precision")
        ]
        found = dict.fromkeys(zip(*columns, strict=True))
        return [" ".join(filter(None, parts)) for parts in found if parts[0]]

    @cached_property
    def leading(self) -> NDArray[np.intp]:
        """[R]: the place of each row's label; -1 without one."""
        places = {label: place for place, label in enumerate(self.labels)}
        labels = self._table["label"].to_pylist()
        return np.array([places.get(label, -1) for label in labels], dtype=np.intp)

    @cached_property
    def measures(self) -> dict[str, Float64]:
        """[R, C] each: share (of the time, 0 to 1), peak (0 to 1), longest (seconds), as far as the
        table has them."""
        found = {name: self._by_label(name) for name in _MEASURES}
        return {name: values for name, values in found.items() if values is not None}

    @property
    def shares(self) -> Float64:
        """[R, C]: each label's share of the time, or its score where the table has no shares."""
        shares = self.measures.get("share")
        scores = self._by_label("score")
        if scores is None:
            scores = np.full((len(self.paths), 0), np.nan)
        return scores if shares is None else np.where(np.isnan(shares), scores, shares)

    @cached_property
    def alerts(self) -> list[list[Alert]]:
        """Of each row."""
        return [
            [Alert(**alert) for alert in alerts or ()]
            for alerts in self._table["alerts"].to_pylist()
        ]

    def stretches(self, rows: Sequence[int]) -> Iterator[list[Stretch]]:
        """The time lines of some rows."""
        places = {label: place for place, label in enumerate(self.labels)}
        column = self._table["stretches"]
        for row in rows:
            yield [
                Stretch(part["start"], part["end"], places[part["label"]], part["probability"])
                for part in column[row].as_py() or ()
            ]

    def column(self, name: str) -> list[str]:
        """A column's values as text.

        Raises:
            ReportError: there is none of this name, or it holds lists.
        """
        if name not in self._table.column_names:
            of_labels = tuple(f"{kind}_" for kind in ("score", *_MEASURES))
            others = [name for name in self._table.column_names if not name.startswith(of_labels)]
            raise ReportError(f"the table has no column {name!r}; it has {', '.join(others)}")
        values: list[Any] = self._table[name].to_pylist()
        return ["" if value is None else str(value) for value in values]

    def _by_label(self, name: str) -> Float64 | None:
        """[R, C]; None if the table lacks the columns."""
        columns = [f"{name}_{label}" for label in self.labels]
        if not columns or not set(columns) <= set(self._table.column_names):
            return None
        return np.stack([_floats(self._table, column) for column in columns], axis=1)


def _floats(table: pa.Table, name: str) -> Float64:
    """[R]: NaN for null."""
    values: Float64 = table[name].cast(pa.float64()).to_numpy()
    return values
