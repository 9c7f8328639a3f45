"""The live view of a stream, drawn by rich: bars for now, a strip for the last seconds."""

from __future__ import annotations

import math
import threading
from collections import deque
from types import TracebackType
from typing import Self

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from emotion2vec_client.command.clock import clock
from emotion2vec_client.command.colors import color_of
from emotion2vec_client.events import (
    SpeechEdge,
    StreamAlert,
    StreamEvent,
    StreamFinal,
    StreamFrames,
    StreamInterim,
    StreamSpeech,
    StreamStarted,
    StreamWarning,
)
from emotion2vec_client.results import Float32, Frames

_NOW_SECONDS = 1.0
_STRIP_SECONDS = 20.0
_REDRAWS_PER_SECOND = 12
_BAR = 40
_LEVELS = "▁▂▃▄▅▆▇█"
_TICK = 5  # seconds between two marks of the strip


class LiveView:
    """A picture that is drawn again and again; what is final scrolls away above it."""

    def __init__(self, name: str, console: Console | None = None) -> None:
        self._name = name
        self._console = Console(highlight=False) if console is None else console
        self._history = History()
        self._speaking = False
        self._about = "connecting"
        self._note = ""
        self._alert = ""
        self._lock = threading.Lock()  # the picture is drawn by a thread of Live
        self._live = Live(
            get_renderable=self.picture,
            console=self._console,
            refresh_per_second=_REDRAWS_PER_SECOND,
            transient=True,
        )

    def show(self, event: StreamEvent) -> None:
        if isinstance(event, StreamFinal):
            self._print_final(event)
        with self._lock:
            self._take(event)

    def _take(self, event: StreamEvent) -> None:
        match event:
            case StreamStarted():
                self._about = event.model
            case StreamFrames():
                self._history.add(event.frames)
            case StreamSpeech():
                self._speaking = event.edge is SpeechEdge.START
            case StreamAlert():
                self._alert = "" if event.has_ended else event.label
            case StreamWarning():
                self._note = f"{event.warning.code.value}: {event.warning.message}"
            case StreamFinal():
                self._speaking = False
            case StreamInterim():
                pass

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()

    def picture(self) -> RenderableType:
        """What is shown now."""
        with self._lock:
            return self._picture(self._console.width)

    def _picture(self, width: int) -> RenderableType:
        dot = "[bold red]●[/]" if self._speaking else "[dim]○[/]"
        state = "speech" if self._speaking else "listening"
        title = Text.from_markup(
            f"{dot} [bold]{escape(self._name)}[/]  {self._history.end:6.1f} s  "
            f"[dim]{state}, {escape(self._about)}[/]"
        )
        parts: list[RenderableType] = [title, Text(), self._bars(), Text(), *self._strip(width)]
        if self._alert:
            parts.append(Text(f"  {self._alert} lasts", style="bold red"))
        if self._note:
            parts.append(Text(self._note, style="yellow"))
        return Group(*parts)

    def _bars(self) -> RenderableType:
        table = Table.grid(padding=(0, 1))
        scores = self._history.now()
        for index, label in enumerate(self._history.labels):
            share = float(scores[index])
            color = color_of(label, index)
            style = f"bold {color}" if share == scores.max() else color
            filled = round(share * _BAR)
            bar = Text("━" * filled, style=color) + Text("┄" * (_BAR - filled), style="grey30")
            table.add_row(Text(f"  {label}", style=style), bar, Text(f"{share:4.0%}", style=style))
        return table

    def _strip(self, width: int) -> list[RenderableType]:
        """The last seconds: the colour is the leading emotion, the height its probability."""
        columns = max(10, width - 4)
        strip = Text("  ")
        seconds = _STRIP_SECONDS / columns
        begin = max(0.0, self._history.end - _STRIP_SECONDS)
        for column in range(columns):
            start = begin + column * seconds
            scores = self._history.between(start, start + seconds)
            if scores is None:
                strip.append(" ")
            else:
                best = int(scores.argmax())
                level = _LEVELS[min(int(scores[best] * len(_LEVELS)), len(_LEVELS) - 1)]
                strip.append(level, style=color_of(self._history.labels[best], best))
        marks = Text(f"  {scale(begin, columns)}", style="dim")
        return [strip, marks, Text(f"  the last {_STRIP_SECONDS:g} s", style="dim")]

    def _print_final(self, event: StreamFinal) -> None:
        emotion = event.recognition.emotion
        line = Text(f"{event.start:7.2f} - {event.end:.2f} s  ")
        if emotion is None:
            line.append("no scores")
        else:
            index = [score.label for score in emotion.scores].index(emotion.label)
            line.append(
                f"{emotion.label} {emotion.confidence:.0%}",
                style=f"bold {color_of(emotion.label, index)}",
            )
            second = emotion.ranked[1:2]
            line.append(
                "".join(f"  {score.label} {score.probability:.0%}" for score in second), "dim"
            )
        for warning in event.recognition.warnings:
            line.append(f"  {warning.code.value}", style="yellow")
        self._console.print(line)


def scale(begin: float, columns: int) -> str:
    """The marks below a strip of so many columns that begins after `begin` seconds.

    A mark stands under the column in which its second begins, its time beside it where that fits.
    """
    line = [" "] * columns
    per_second = columns / _STRIP_SECONDS
    # Less a little: what sums of floats come to may lie just behind the mark that is meant.
    first = math.ceil((begin - 1e-6) / _TICK) * _TICK
    for second in range(first, first + int(_STRIP_SECONDS) + 1, _TICK):
        column = int((second - begin) * per_second)
        text = f"╵{clock(second)}"
        if column + len(text) > columns or len(text) >= _TICK * per_second:
            text = "╵"
        if column < columns:
            line[column : column + len(text)] = text
    return "".join(line)


class History:
    """The frames of the last seconds; final ones replace the early ones of the same time."""

    def __init__(self) -> None:
        self.labels: tuple[str, ...] = ()
        self.end = 0.0
        self._frames: deque[tuple[float, Float32]] = deque()

    def add(self, frames: Frames) -> None:
        if not len(frames.probabilities):
            return
        self.labels = frames.labels
        while self._frames and self._frames[-1][0] >= frames.start - frames.hop / 2:
            self._frames.pop()
        self._frames.extend(zip(frames.times.tolist(), frames.probabilities, strict=True))
        self.end = self._frames[-1][0] + frames.hop
        while self._frames[0][0] < self.end - _STRIP_SECONDS - 1:
            self._frames.popleft()

    def now(self) -> Float32:
        """[C]: the mean of the last moment."""
        scores = self.between(self.end - _NOW_SECONDS, self.end)
        return np.zeros(len(self.labels), np.float32) if scores is None else scores

    def between(self, start: float, end: float) -> Float32 | None:
        """[C]: the mean of the frames that begin from `start` to before `end`; None without any."""
        inside = [scores for begin, scores in self._frames if start <= begin < end]
        return np.mean(inside, axis=0, dtype=np.float32) if inside else None
