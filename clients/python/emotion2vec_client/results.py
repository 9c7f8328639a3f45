"""What a call returns. All of it is immutable; times are seconds from the beginning of the audio.

`to_dict()` gives what json.dumps takes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


class WarningCode(StrEnum):
    """Why a result may be less dependable than it looks."""

    UNKNOWN = "UNKNOWN"
    """A newer server's code; the message still tells."""
    TOO_SHORT = "TOO_SHORT"
    TOO_LONG = "TOO_LONG"
    LOW_CONFIDENCE = "LOW_CONFIDENCE"
    CLIPPED = "CLIPPED"
    SILENT = "SILENT"
    UPSAMPLED = "UPSAMPLED"
    DOWNMIXED = "DOWNMIXED"
    DEGRADED = "DEGRADED"
    EMBEDDING_ONLY = "EMBEDDING_ONLY"
    TRUNCATED = "TRUNCATED"
    DAMAGED = "DAMAGED"
    CHANNELS_DIFFER = "CHANNELS_DIFFER"
    MOSTLY_SILENT = "MOSTLY_SILENT"


@dataclass(frozen=True, slots=True)
class AudioLoss:
    """What of a recording was not heard, in seconds."""

    stated: float | None
    """What the recording says that it holds; None where it says nothing."""
    heard: float
    """What was heard of it, silence in the place of holes included."""
    lost: float | None
    """Holes within it, which were filled with silence; None where that can't be known."""


@dataclass(frozen=True, slots=True)
class RecognitionWarning:
    """Something to know about a result."""

    code: WarningCode
    message: str
    loss: AudioLoss | None = None
    """With TRUNCATED and DAMAGED."""
    silent_share: float | None = None
    """With MOSTLY_SILENT: 0 to 1."""

    def to_dict(self) -> dict[str, Any]:
        fields = asdict(self)
        return {key: value for key, value in fields.items() if value is not None}


@dataclass(frozen=True, slots=True)
class EmotionScore:
    """The probability of one label, 0 to 1."""

    label: str
    native_label: str
    """The label in the language of the model's authors; may be empty."""
    probability: float


@dataclass(frozen=True, slots=True)
class Emotion:
    """The scores of one piece of audio."""

    label: str
    """Of the highest score."""
    confidence: float
    """The highest score."""
    scores: tuple[EmotionScore, ...]
    """In the model's order; they sum to 1."""
    margin: float
    """Highest score less the second highest: small means mixed emotion."""
    entropy: float
    """0 is certain, 1 is a blind guess."""

    @property
    def ranked(self) -> tuple[EmotionScore, ...]:
        """The scores, highest first."""
        return tuple(sorted(self.scores, key=lambda score: -score.probability))

    def to_dict(self) -> dict[str, Any]:
        return {
            "emotion": self.label,
            "confidence": self.confidence,
            "scores": {score.label: score.probability for score in self.scores},
            "native_labels": {score.label: score.native_label for score in self.scores},
            "margin": self.margin,
            "entropy": self.entropy,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """Scores of T consecutive frames."""

    labels: tuple[str, ...]
    """The C columns of `probabilities`."""
    probabilities: Float32
    """[T, C]; each row sums to 1."""
    first_index: int
    """Index of the first row within its utterance."""
    start: float
    """When the first frame begins."""
    hop: float
    """Seconds from one frame to the next."""
    is_final: bool = True
    """False in a stream's early frames, which come again when more has been heard."""

    @property
    def times(self) -> NDArray[np.float64]:
        """[T]: when each frame begins."""
        index = np.arange(len(self.probabilities), dtype=np.float64)
        return index * self.hop + self.start

    def to_dict(self) -> dict[str, Any]:
        return {
            "labels": list(self.labels),
            "first_index": self.first_index,
            "start": self.start,
            "hop": self.hop,
            "is_final": self.is_final,
            "probabilities": self.probabilities.tolist(),
        }


@dataclass(frozen=True, slots=True)
class Segment:
    """One window of audio that is longer than the model takes at once."""

    start: float
    end: float
    emotion: Emotion | None

    def to_dict(self) -> dict[str, Any]:
        emotion = self.emotion.to_dict() if self.emotion else {}
        emotion.pop("native_labels", None)
        return {"start": self.start, "end": self.end, **emotion}


@dataclass(frozen=True, slots=True)
class Metadata:
    """How a result came about. Durations are seconds."""

    model: str
    model_version: str
    precision: str
    provider: str
    audio_duration: float
    decode_duration: float
    queue_duration: float
    inference_duration: float
    batch_size: int
    """Of the largest batch that this audio was part of."""
    server_version: str = ""
    """Release of the server; empty where it is older than this field."""
    sample_rate: int = 0
    """Of the recording as it was sent, Hz; 0 where the server does not say."""
    channel_count: int = 0
    """The same of its channels."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class Recognition:
    """The answer to one `recognize`, or the final result of a streamed utterance."""

    request_id: str
    emotion: Emotion | None
    """None where the model has no classifier and gives embeddings only."""
    frames: Frames | None
    embedding: Float32 | None
    """[D]: the mean of the frame embeddings."""
    frame_embeddings: Float32 | None
    """[T, D]"""
    segments: tuple[Segment, ...]
    """Empty unless the audio is longer than the model's longest window."""
    processed_audio: NDArray[np.int16] | None
    """[S]: what the model heard, 16 kHz mono."""
    warnings: tuple[RecognitionWarning, ...]
    metadata: Metadata
    processed_audio_scale: float = 1.0
    """What the model heard is `processed_audio` times this: 1, unless 16 bits can't hold it."""
    channels: tuple[Recognition, ...] = ()
    """One a channel, where they were asked for: what is about one channel is there and not here."""

    def to_dict(self) -> dict[str, Any]:
        """All but `processed_audio`; what was not asked for is left out."""
        optional = {
            "frames": self.frames and self.frames.to_dict(),
            "embedding": _list(self.embedding),
            "frame_embeddings": _list(self.frame_embeddings),
            "segments": [segment.to_dict() for segment in self.segments] or None,
        }
        return {
            "request_id": self.request_id,
            **(self.emotion.to_dict() if self.emotion else {"emotion": None}),
            **{key: value for key, value in optional.items() if value is not None},
            "warnings": [warning.to_dict() for warning in self.warnings],
            **({"channels": [_of_channel(one) for one in self.channels]} if self.channels else {}),
            "metadata": self.metadata.to_dict(),
        }


@dataclass(frozen=True, slots=True, eq=False)
class RecordingPart:
    """What one window of a long recording settles; the parts of a channel tile it."""

    channel: int
    """0, 1, 2, ...; 0 unless the channels were asked for."""
    segment: Segment
    """Where it lies, which is how far the recognition is, and its emotion."""
    frames: Frames | None
    frame_embeddings: Float32 | None
    """[T, D]"""
    processed_audio: NDArray[np.int16] | None
    processed_audio_scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Label:
    """One class of a model."""

    name: str
    native_name: str


@dataclass(frozen=True, slots=True)
class Model:
    """A served model. Durations are seconds."""

    name: str
    version: str
    source: str
    is_default: bool
    is_demo: bool
    labels: tuple[Label, ...]
    """In class order; empty for a model that gives embeddings only."""
    embedding_size: int
    sample_rate: int
    frame_hop: float
    frame_field: float
    max_window: float
    max_audio_duration: float
    precision: str
    provider: str
    max_recording_duration: float = 0.0
    """Longest audio that is taken in pieces; 0 where the server is older than that."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Health(StrEnum):
    """What grpc.health.v1 says of a server."""

    UNKNOWN = "UNKNOWN"
    SERVING = "SERVING"
    NOT_SERVING = "NOT_SERVING"
    SERVICE_UNKNOWN = "SERVICE_UNKNOWN"


def _list(array: Float32 | None) -> list[Any] | None:
    return None if array is None else array.tolist()


def _of_channel(recognition: Recognition) -> dict[str, Any]:
    fields = recognition.to_dict()
    del fields["request_id"], fields["metadata"]
    return fields
