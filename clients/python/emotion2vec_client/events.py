"""What a stream yields. Times are seconds from the beginning of the stream.

Every event has `sequence` (0, 1, 2, ... within the stream) and `utterance` (0, 1, 2, ...: which
utterance it is about). `to_dict()` gives what json.dumps takes, with the kind under "event".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from emotion2vec_client.results import Emotion, Frames, Recognition, RecognitionWarning

StreamMode = Literal["incremental", "windowed"]
"""Whether the model runs over new audio alone, or over a whole window each time."""

FinalMode = Literal["whole", "streamed"]
"""Whether the final result is what `recognize` says of the utterance, or the mean of its frames as
they were streamed, which costs nothing."""


class EndUtterance(Enum):
    """The type of END_UTTERANCE."""

    MARK = "end_utterance"


END_UTTERANCE = EndUtterance.MARK
"""Among the chunks of a stream: closes the utterance; what follows begins the next one."""


class KeepAlive(Enum):
    """The type of KEEP_ALIVE."""

    MARK = "keep_alive"


KEEP_ALIVE = KeepAlive.MARK
"""Among the chunks of a stream: a sign of life, where no audio is to be sent for a while."""


@dataclass(frozen=True, slots=True)
class EndOfUtterance:
    """Has the server end utterances by silence, as a voice agent wants it; needs voice activity
    detection. The silence between two utterances belongs to none, and is not scored."""

    silence: float | None = None
    """Seconds that nobody must have spoken; 0.5 if None, which is also the least."""
    longest: float | None = None
    """Seconds of the longest utterance; 15 if None. Speech goes on in the next one."""


@dataclass(frozen=True, slots=True)
class AlertRule:
    """Has the server tell when some labels last. A frame counts with those around it, averaged over
    0.25 s."""

    labels: Sequence[str] = ()
    """Of those that the stream scores; angry and disgusted if empty."""
    probability: float | None = None
    """Of these labels together; 0.5 if None."""
    duration: float | None = None
    """Seconds that they must last; 2 if None."""


class UtteranceEnd(Enum):
    """What ended an utterance."""

    CALLER = "caller"
    """END_UTTERANCE."""
    AUDIO = "audio"
    """All chunks were sent."""
    SILENCE = "silence"
    LONGEST = "longest"
    STREAM = "stream"
    """The server ends the stream; the error that follows says why."""
    UNKNOWN = "unknown"
    """An older server does not say."""


@dataclass(frozen=True, slots=True, eq=False)
class StreamStarted:
    """The first event: the settings in force."""

    sequence: int
    utterance: int
    request_id: str
    model: str
    model_version: str
    window: float
    hop: float
    lookahead: float
    frame_hop: float
    mode: StreamMode | None
    """None where an older server does not say."""

    def to_dict(self) -> dict[str, Any]:
        return {
            **_head("started", self),
            "request_id": self.request_id,
            "model": self.model,
            "model_version": self.model_version,
            "window": self.window,
            "hop": self.hop,
            "lookahead": self.lookahead,
            "frame_hop": self.frame_hop,
            "mode": self.mode,
        }


@dataclass(frozen=True, slots=True, eq=False)
class StreamFrames:
    """Scores of the next frames; each frame comes exactly once, in order, with `is_final`."""

    sequence: int
    utterance: int
    frames: Frames

    def to_dict(self) -> dict[str, Any]:
        return {**_head("frames", self), **self.frames.to_dict()}


@dataclass(frozen=True, slots=True, eq=False)
class StreamInterim:
    """The utterance so far."""

    sequence: int
    utterance: int
    start: float
    end: float
    emotion: Emotion

    def to_dict(self) -> dict[str, Any]:
        span = {"start": self.start, "end": self.end}
        return {**_head("interim", self), **span, **self.emotion.to_dict()}


@dataclass(frozen=True, slots=True, eq=False)
class StreamFinal:
    """The whole utterance: the same as `recognize` on its samples, or, with `final="streamed"`, the
    mean of its frames."""

    sequence: int
    utterance: int
    start: float
    end: float
    recognition: Recognition
    ended_by: UtteranceEnd

    def to_dict(self) -> dict[str, Any]:
        span = {"start": self.start, "end": self.end, "ended_by": self.ended_by.value}
        return {**_head("final", self), **span, **self.recognition.to_dict()}


class SpeechEdge(Enum):
    """Which end of a piece of speech."""

    START = "start"
    END = "end"


@dataclass(frozen=True, slots=True, eq=False)
class StreamSpeech:
    """Speech begins or ends."""

    sequence: int
    utterance: int
    edge: SpeechEdge
    offset: float

    def to_dict(self) -> dict[str, Any]:
        return {**_head("speech", self), "edge": self.edge.value, "offset": self.offset}


@dataclass(frozen=True, slots=True, eq=False)
class StreamAlert:
    """The labels of the stream's AlertRule have lasted: told as soon as that is so, and once more
    when it is no longer so, or the utterance has ended."""

    sequence: int
    utterance: int
    start: float
    end: float
    """Where they reached the rule's probability so far."""
    label: str
    """The most probable of them."""
    probability: float
    """Mean of them together."""
    has_ended: bool

    def to_dict(self) -> dict[str, Any]:
        return {
            **_head("alert", self),
            "start": self.start,
            "end": self.end,
            "label": self.label,
            "probability": self.probability,
            "has_ended": self.has_ended,
        }


@dataclass(frozen=True, slots=True, eq=False)
class StreamWarning:
    """Something to know about the stream, such as that the server can't keep up."""

    sequence: int
    utterance: int
    warning: RecognitionWarning

    def to_dict(self) -> dict[str, Any]:
        return {**_head("warning", self), **self.warning.to_dict()}


StreamEvent = (
    StreamStarted
    | StreamFrames
    | StreamInterim
    | StreamFinal
    | StreamSpeech
    | StreamAlert
    | StreamWarning
)


def _head(kind: str, event: StreamEvent) -> dict[str, Any]:
    return {"event": kind, "sequence": event.sequence, "utterance": event.utterance}
