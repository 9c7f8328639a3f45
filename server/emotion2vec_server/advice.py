"""What a careful listener would say of the audio and of the result: the warnings of a reply."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from emotion2vec_server.audio import SAMPLE_RATE, DecodedAudio, Level
from emotion2vec_server.emotion import Emotion

# emotion2vec+ was trained on utterances; its authors advise 3 to 10 s, and call results on less
# than 1 s or more than 30 s doubtful.
SHORT_SECONDS = 1.0
LONG_SECONDS = 30.0


class Code(Enum):
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


class Advice(NamedTuple):
    """One warning: its code, and a sentence for the caller."""

    code: Code
    message: str


def about_audio(audio: DecodedAudio, level: Level) -> Iterator[Advice]:
    """What is doubtful about the recording as it came."""
    if audio.source_channels > 1:
        yield Advice(Code.DOWNMIXED, f"{audio.source_channels} channels were averaged into one")
    if audio.source_rate < SAMPLE_RATE:
        yield Advice(
            Code.UPSAMPLED,
            f"recorded at {audio.source_rate} Hz: the model expects speech recorded at "
            f"{SAMPLE_RATE} Hz or more",
        )
    if level.is_clipped:
        yield Advice(Code.CLIPPED, "samples stand at full scale: record at a lower level")
    if level.is_silent:
        yield Advice(Code.SILENT, "nothing is to be heard: the result means nothing")


def about_length(seconds: float) -> Iterator[Advice]:
    """What is doubtful about the length of an utterance."""
    if seconds < SHORT_SECONDS:
        yield Advice(Code.TOO_SHORT, f"{seconds:.2f} s is very short: 3 to 10 s work best")
    if seconds > LONG_SECONDS:
        yield Advice(
            Code.TOO_LONG,
            f"{seconds:.0f} s in one result hides the changes within: see the segments, or cut it "
            "into utterances of 3 to 10 s",
        )


def about_emotion(emotion: Emotion | None, low_confidence: float) -> Iterator[Advice]:
    """What is doubtful about the result; None stands for a model without a classifier."""
    if emotion is None:
        yield Advice(Code.EMBEDDING_ONLY, "this model has no classifier: it gives embeddings only")
    elif emotion.confidence < low_confidence:
        yield Advice(
            Code.LOW_CONFIDENCE,
            f"{emotion.label} has only {emotion.confidence:.0%}: mixed emotion, poor audio, "
            "several speakers or an unfamiliar accent",
        )
