"""What a careful listener would say of the audio and of the result."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from emotion2vec_runtime.audio import SAMPLE_RATE, DecodedAudio, Level
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


class RecognitionWarning(NamedTuple):
    """One warning: its code, and a sentence for the caller."""

    code: WarningCode
    message: str


def about_audio(audio: DecodedAudio, level: Level) -> Iterator[RecognitionWarning]:
    """What is doubtful about the recording as it came."""
    if audio.source_channels > 1:
        yield RecognitionWarning(
            WarningCode.DOWNMIXED, f"{audio.source_channels} channels were averaged into one"
        )
    if audio.source_rate < SAMPLE_RATE:
        yield RecognitionWarning(
            WarningCode.UPSAMPLED,
            f"recorded at {audio.source_rate} Hz: the model expects speech recorded at "
            f"{SAMPLE_RATE} Hz or more",
        )
    if level.is_clipped:
        yield RecognitionWarning(
            WarningCode.CLIPPED, "samples stand at full scale: record at a lower level"
        )
    if level.is_silent:
        yield RecognitionWarning(
            WarningCode.SILENT, "nothing is to be heard: the result means nothing"
        )


def about_speech(heard_speech: bool | None, level: Level) -> Iterator[RecognitionWarning]:
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
