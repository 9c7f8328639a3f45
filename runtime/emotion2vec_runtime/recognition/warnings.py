"""What a careful listener would say of the audio and of the result."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple, Protocol

from emotion2vec_runtime.audio import SAMPLE_RATE, Loss, Mix
from emotion2vec_runtime.recognition.emotion import Emotion

# emotion2vec+ was trained on utterances; its authors advise 3 to 10 s, and call results on less
# than 1 s or more than 30 s doubtful.
SHORT_SECONDS = 1.0
LONG_SECONDS = 30.0
LOW_CONFIDENCE = 0.6
"""Below it a result is doubtful, unless told otherwise: a rule of thumb."""


class WarningCode(Enum):
    """Names as on the wire, without the enum's prefix."""

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


class RecognitionWarning(NamedTuple):
    """One warning: its code, a sentence for the caller, and what it says in numbers.

    Attributes:
        loss: of TRUNCATED and DAMAGED.
        silent_share: of MOSTLY_SILENT, 0 to 1.
    """

    code: WarningCode
    message: str
    loss: Loss | None = None
    silent_share: float | None = None


class Source(Protocol):
    """What is known of a recording as it came."""

    @property
    def source_rate(self) -> int:
        """Hz; 0 while it isn't known."""
        ...
    @property
    def source_channels(self) -> int: ...
    @property
    def losses(self) -> tuple[Loss, ...]: ...
    @property
    def mix(self) -> Mix | None: ...


class Loudness(Protocol):
    """What is known of the level of what the model hears."""

    @property
    def is_clipped(self) -> bool: ...
    @property
    def is_silent(self) -> bool: ...


def about_source(source: Source, *, is_mixed: bool = True) -> Iterator[RecognitionWarning]:
    """What is doubtful about the recording as it came; `is_mixed` if its channels were averaged."""
    if is_mixed and source.source_channels > 1:
        yield RecognitionWarning(
            WarningCode.DOWNMIXED, f"{source.source_channels} channels were averaged into one"
        )
        if source.mix is not None:
            yield from _about_mix(source.mix)
    if 0 < source.source_rate < SAMPLE_RATE:
        yield RecognitionWarning(
            WarningCode.UPSAMPLED,
            f"recorded at {source.source_rate} Hz: the model expects speech recorded at "
            f"{SAMPLE_RATE} Hz or more",
        )
    for loss in source.losses:
        yield RecognitionWarning(WarningCode(loss.kind.value), loss.message, loss=loss)


def _about_mix(mix: Mix) -> Iterator[RecognitionWarning]:
    if mix.cancels:
        yield RecognitionWarning(
            WarningCode.CHANNELS_DIFFER,
            "the channels cancel each other, so little is left of them in their mix: ask for each "
            "channel by itself",
        )
    elif mix.channels_differ:
        yield RecognitionWarning(
            WarningCode.CHANNELS_DIFFER,
            "the channels are unlike each other, such as two speakers, and the result is of their "
            "mix: ask for each channel by itself",
        )


def about_level(level: Loudness, silent_share: float | None = None) -> Iterator[RecognitionWarning]:
    """What is doubtful about what is to be heard; `silent_share` where most of it is silence."""
    if level.is_clipped:
        yield RecognitionWarning(
            WarningCode.CLIPPED, "samples stand at full scale: record at a lower level"
        )
    if level.is_silent:
        yield RecognitionWarning(
            WarningCode.SILENT, "nothing is to be heard: the result means nothing"
        )
    elif silent_share is not None:
        yield RecognitionWarning(
            WarningCode.MOSTLY_SILENT,
            f"{silent_share:.0%} of the audio is silence, which takes part in the result: cut it "
            "off, or ask for the speech only",
            silent_share=silent_share,
        )


def about_speech(heard_speech: bool | None, level: Loudness) -> Iterator[RecognitionWarning]:
    """What voice activity found of an utterance; None stands for where nobody looked."""
    if heard_speech is False and not level.is_silent:
        yield RecognitionWarning(
            WarningCode.SILENT, "no speech was heard: the result means nothing"
        )


def about_length(seconds: float) -> Iterator[RecognitionWarning]:
    """What is doubtful about the length of an utterance."""
    if seconds < SHORT_SECONDS:
        yield RecognitionWarning(
            WarningCode.TOO_SHORT, f"{seconds:.2f} s is very short: 3 to 10 s work best"
        )
    if seconds > LONG_SECONDS:
        yield RecognitionWarning(
            WarningCode.TOO_LONG,
            f"{seconds:.0f} s in one result hides the changes within: see the segments, or cut it "
            "into utterances of 3 to 10 s",
        )


def about_emotion(emotion: Emotion | None, low_confidence: float) -> Iterator[RecognitionWarning]:
    """What is doubtful about the result; None stands for a model without a classifier."""
    if emotion is None:
        yield RecognitionWarning(
            WarningCode.EMBEDDING_ONLY, "this model has no classifier: it gives embeddings only"
        )
    elif emotion.confidence < low_confidence:
        yield RecognitionWarning(
            WarningCode.LOW_CONFIDENCE,
            f"{emotion.label} has only {emotion.confidence:.0%}: mixed emotion, poor audio, "
            "several speakers or an unfamiliar accent",
        )
