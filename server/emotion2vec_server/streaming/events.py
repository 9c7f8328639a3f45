"""What a live stream says, in order. Samples and offsets count from the beginning of the stream."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from emotion2vec_runtime.arrays import Float32
from emotion2vec_runtime.recognition.recognition import Recognition

from emotion2vec_server.batching.batcher import Completed
from emotion2vec_server.streaming.windows import Framing


class Closing(Enum):
    """Why an utterance was closed."""

    END_UTTERANCE = "the caller said so"
    HALF_CLOSE = "the caller has sent all"
    SILENCE = "nobody has spoken for a while"
    TOO_LONG = "it reached the longest length of an utterance; the next one goes on seamlessly"
    IDLE = "no audio came for too long"
    EXPIRED = "the stream reached the end of its life"
    DRAINED = "the server shuts down"


@dataclass(frozen=True, slots=True)
class Started:
    """First event: the settings in force."""

    framing: Framing


@dataclass(frozen=True, slots=True)
class Frames:
    """Logits [T, C] of consecutive frames; the first is frame `first_frame` of its utterance."""

    utterance: int
    first_frame: int
    start_sample: int
    logits: Float32
    is_final: bool


@dataclass(frozen=True, slots=True)
class Interim:
    """The utterance so far: mean logits [C] of the frames in which somebody was to be heard."""

    utterance: int
    start_sample: int
    end_sample: int
    logits: Float32


@dataclass(frozen=True, slots=True)
class Final:
    """A whole utterance: samples [start, end) of the stream, and what Recognize says of them.

    Attributes:
        samples: what the model heard, float32 [end - start].
        completed: what the model said of all of it; None where it is shorter than one frame.
        closing: why it ended.
        heard_speech: whether voice activity found any; None where it is off.
    """

    utterance: int
    start_sample: int
    end_sample: int
    samples: Float32
    completed: Completed[Recognition] | None
    closing: Closing
    heard_speech: bool | None


@dataclass(frozen=True, slots=True)
class Speech:
    """Speech began, or ended, at `sample`."""

    utterance: int
    begins: bool
    sample: int


@dataclass(frozen=True, slots=True)
class Alert:
    """Some labels have lasted, over samples [start, end) so far; or do so no longer.

    Attributes:
        label: the most probable of them.
        probability: mean of them together, 0 to 1.
    """

    utterance: int
    start_sample: int
    end_sample: int
    label: str
    probability: float
    has_ended: bool


@dataclass(frozen=True, slots=True)
class HopChanged:
    """The server can't keep up and runs the model every `hop` frames; or it can again."""

    utterance: int
    hop: int
    degraded: bool


Event = Started | Frames | Interim | Final | Speech | Alert | HopChanged
