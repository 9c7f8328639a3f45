"""How a run gets on: a live bar, a line now and then, or JSON lines."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from emotion2vec_client.command.clock import clock
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from emotion2vec_archive.entry import Entry

_LINE_SECONDS = 30.0
_JSON_SECONDS = 5.0


class Shown(StrEnum):
    """How progress is told."""

    AUTO = "auto"
    """A bar on a terminal, else lines."""
    BAR = "bar"
    LINES = "lines"
    JSON = "json"
    NONE = "none"


@dataclass(slots=True)
class Tally:
    """What has been done in this run."""

    total: int
    total_bytes: int
    """Of the recordings whose size is known."""
    done: int = 0
    failed: int = 0
    bytes: int = 0
    audio_seconds: float = 0.0
    began: float = field(default_factory=time.monotonic)

    def count(self, done: int, failed: int, size: int, audio_seconds: float) -> None:
        """So many more recordings, of which some failed; their bytes and seconds of audio."""
        self.done += done
        self.failed += failed
        self.bytes += size
        self.audio_seconds += audio_seconds

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return max(time.monotonic() - self.began, 1e-9)

    @property
    def speed(self) -> float:
        """Seconds of audio a second."""
        return self.audio_seconds / self.seconds

    @property
    def seconds_left(self) -> float | None:
        """By the bytes that are left, or by count where sizes aren't known; None before the first
        is done."""
        share = self.bytes / self.total_bytes if self.total_bytes else self.done / (self.total or 1)
        return self.seconds * (1 - share) / share if share else None

    def to_dict(self) -> dict[str, Any]:
        left = self.seconds_left
        return {
            "done": self.done,
            "failed": self.failed,
            "total": self.total,
            "audio_seconds": round(self.audio_seconds, 1),
            "seconds": round(self.seconds, 1),
            "audio_seconds_per_second": round(self.speed, 2),
            "seconds_left": None if left is None else round(left, 1),
        }

    def __str__(self) -> str:
        text = f"{self.done}/{self.total}  {self.speed / 3600:.2f} h of audio/s"
        if self.speed < 360:
            text = f"{self.done}/{self.total}  {self.speed:.0f} s of audio/s"
        if self.failed:
            text += f"  {self.failed} failed"
        return text if self.seconds_left is None else f"{text}  {clock(self.seconds_left)} left"


class Display(Protocol):
    """Shows a tally when it has changed."""

    def show(self, tally: Tally) -> None: ...


class _Lines:
    """One line now and then on standard error."""

    def __init__(self, *, as_json: bool) -> None:
        self._json = as_json
        self._pause = _JSON_SECONDS if as_json else _LINE_SECONDS
        self._next = time.monotonic() + self._pause

    def show(self, tally: Tally) -> None:
        now = time.monotonic()
        if now >= self._next or tally.done == tally.total:
            self._next = now + self._pause
            text = json.dumps(tally.to_dict()) if self._json else f"emotion2vec: {tally}"
            print(text, file=sys.stderr, flush=True)  # noqa: T201 - this is what it is for


class _Nothing:
    def show(self, tally: Tally) -> None:
        pass


class _Bar:
    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=total)

    def show(self, tally: Tally) -> None:
        self._progress.update(self._task, completed=tally.done, description=str(tally))


class Watch:
    """Counts what is scored, and shows it."""

    def __init__(self, tally: Tally, display: Display) -> None:
        self.tally = tally
        self._display = display

    def scored(self, entry: Entry) -> None:
        seconds = next((row.duration or 0.0 for row in entry.rows), 0.0)
        self.count(1, int(entry.has_failed), entry.recording.size or 0, seconds)

    def count(self, done: int, failed: int, size: int, audio_seconds: float) -> None:
        """As `Tally.count`."""
        self.tally.count(done, failed, size, audio_seconds)
        self._display.show(self.tally)


@contextmanager
def watching(shown: Shown, tally: Tally) -> Iterator[Watch]:
    """Shows the progress of a run while it lasts."""
    if shown is Shown.AUTO:
        shown = Shown.BAR if sys.stderr.isatty() else Shown.LINES
    if shown is not Shown.BAR:
        as_lines = shown in (Shown.LINES, Shown.JSON)
        yield Watch(tally, _Lines(as_json=shown is Shown.JSON) if as_lines else _Nothing())
        return
    columns = (SpinnerColumn(), BarColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield Watch(tally, _Bar(progress, tally.total))
