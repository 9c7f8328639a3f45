"""Stream events as they are shown: JSON lines, or lines for people and log files."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

import numpy as np

from emotion2vec_client.command.terminal import Terminal
from emotion2vec_client.events import (
    StreamAlert,
    StreamEvent,
    StreamFinal,
    StreamFrames,
    StreamInterim,
    StreamSpeech,
    StreamStarted,
    StreamWarning,
)
from emotion2vec_client.results import Emotion, Frames

_LABEL = 10


class View(Protocol):
    """Shows the events of one stream; a context manager for its time."""

    def show(self, event: StreamEvent) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class _PlainView:
    """A view that needs no setting up."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass


class JsonView(_PlainView):
    """Every event as one line of JSON."""

    def show(self, event: StreamEvent) -> None:
        self._terminal.print_json(event.to_dict())


class LineView(_PlainView):
    """One line for each event that a person cares about."""

    def show(self, event: StreamEvent) -> None:
        line = self._line(event)
        if line:
            self._terminal.print(line)

    def _line(self, event: StreamEvent) -> str | None:
        match event:
            case StreamStarted():
                return (
                    f"started  {event.model}, window {event.window:g} s, hop {event.hop:g} s, "
                    f"lookahead {event.lookahead:g} s"
                )
            case StreamFrames() if event.frames.is_final and len(event.frames.probabilities):
                return self._frames(event.frames)
            case StreamInterim():
                return self._emotion("interim", event.start, event.end, event.emotion)
            case StreamFinal():
                lines = [
                    self._emotion("final", event.start, event.end, event.recognition.emotion),
                    *(
                        f"         {warning.code.value}: {warning.message}"
                        for warning in event.recognition.warnings
                    ),
                ]
                return "\n".join(lines)
            case StreamSpeech():
                return f"speech   {event.offset:7.2f} s {event.edge.value}"
            case StreamAlert():
                span = f"alert    {event.start:7.2f} - {event.end:.2f} s"
                label = self._terminal.paint(f"{event.label:<{_LABEL}}", event.label, 0)
                state = "has ended" if event.has_ended else "lasts"
                return f"{span}  {label} {event.probability:6.1%}  {state}"
            case StreamWarning():
                return f"warning  {event.warning.code.value}: {event.warning.message}"
        return None

    def _frames(self, frames: Frames) -> str:
        mean = frames.probabilities.mean(axis=0)
        best = int(np.argmax(mean))
        end = frames.start + len(frames.probabilities) * frames.hop
        label = self._terminal.paint(f"{frames.labels[best]:<{_LABEL}}", frames.labels[best], best)
        return f"frames   {frames.start:7.2f} - {end:.2f} s  {label} {mean[best]:6.1%}"

    def _emotion(self, kind: str, start: float, end: float, emotion: Emotion | None) -> str:
        span = f"{kind:<8} {start:7.2f} - {end:.2f} s"
        if emotion is None:
            return f"{span}  no scores"
        names = [score.label for score in emotion.scores]
        label = self._terminal.paint(
            f"{emotion.label:<{_LABEL}}", emotion.label, names.index(emotion.label)
        )
        return f"{span}  {label} {emotion.confidence:6.1%}"
