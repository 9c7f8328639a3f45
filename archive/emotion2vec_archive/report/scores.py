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

_ROW_NAMES = {
    "recording": ("recording", "recordings"),
    "channel": ("channel", "channels"),
    "segment": ("segment", "segments"),
    "utterance": ("utterance", "utterances"),
}


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
        self.title = title
        self._table = table
        names = table.column_names
        self.labels = tuple(
            name.removeprefix("score_") for name in names if name.startswith("score_")
        )
        self.row_names = _ROW_NAMES["recording"]
        self.paths: list[str] = table["path"].to_pylist()
        self.seconds = _floats(table, "duration")
        self.confidences = _floats(table, "confidence")
        self.errors = [
            (code, message or "") if code else None
            for code, message in zip(
                table["error_code"].to_pylist(), table["error_message"].to_pylist(), strict=True
            )
        ]
        self.is_failed = np.array([error is not None for error in self.errors], dtype=bool)
        self.warnings = [
            [(note["code"], note["message"]) for note in notes or ()]
            for notes in table["warnings"].to_pylist()
        ]

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
        names = ("share", "peak", "longest")
        found = {name: self._by_label(name) for name in names}
        return {name: values for name, values in found.items() if values is not None}

    @property
    def shares(self) -> Float64:
        """[R, C]: each label's share of the time, or its score where the table has no shares."""
        shares = self.measures.get("share")
        scores = self._by_label("score")
        if scores is None:
            scores = np.full((len(self.paths), 0), np.nan)
        return scores if shares is None else np.where(np.isnan(shares), scores, shares)

    @property
    def has_alerts(self) -> bool:
        return "alerts" in self._table.column_names

    @cached_property
    def alerts(self) -> list[list[Alert]]:
        """Of each row."""
        if not self.has_alerts:
            return [[] for _ in self.paths]
        return [
            [Alert(**alert) for alert in alerts or ()]
            for alerts in self._table["alerts"].to_pylist()
        ]

    def stretches(self, rows: Sequence[int]) -> Iterator[list[Stretch]]:
        """The time lines of some rows; empty where the table has none."""
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
            raise ReportError(
                f"the table has no column {name!r}; it has {', '.join(self._table.column_names)}"
            )
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
