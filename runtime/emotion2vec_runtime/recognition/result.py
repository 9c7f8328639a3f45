"""From what the model says to what its user asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from emotion2vec_runtime.arrays import Float32, Samples
from emotion2vec_runtime.bundle import Manifest
from emotion2vec_runtime.recognition.emotion import Classes, Emotion
from emotion2vec_runtime.recognition.recognition import Recognition
from emotion2vec_runtime.recognition.warnings import (
    LOW_CONFIDENCE,
    RecognitionWarning,
    about_emotion,
    about_length,
)


@dataclass(frozen=True, slots=True)
class Options:
    """What a user wants to know of the audio: `classes` to score, and which parts of a result."""

    classes: Classes
    frames: bool = True
    embedding: bool = True
    frame_embeddings: bool = False
    processed_audio: bool = False
    separate: bool = False
    """Each channel by itself instead of their mix."""
    speech_only: bool = False
    """Pool over the frames with speech."""


@dataclass(frozen=True, slots=True)
class EmotionSegment:
    """The emotion of one window of long audio, from `start` to `end` in seconds."""

    start: float
    end: float
    emotion: Emotion


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What was recognised; parts that nobody asked for, or that the model lacks, are None.

    Attributes:
        audio_seconds: length of the audio.
        emotion: of all of it; None without a classifier, or of less than one frame.
        frames: [T, C] probabilities of each 20 ms frame, columns as in `emotion.classes`.
        embedding: [D], the mean of the frame embeddings.
        frame_embeddings: [T, D].
        segments: one a window, only for audio longer than one.
        processed_audio: [S], what the model heard: 16 kHz mono.
        warnings: why the result may be less dependable than it looks.
        channels: one result each, where they were asked for; what is about one channel is then
            there and not here.
        source_rate: sample rate of the recording as it came, Hz; 0 where that is not known.
        source_channels: its channels; 0 where that is not known.
    """

    audio_seconds: float
    emotion: Emotion | None
    frames: Float32 | None
    embedding: Float32 | None
    frame_embeddings: Float32 | None
    segments: tuple[EmotionSegment, ...]
    processed_audio: Samples | None
    warnings: tuple[RecognitionWarning, ...]
    channels: tuple[Result, ...] = ()
    source_rate: int = 0
    source_channels: int = 0


def interpret(
    recognition: Recognition | None,
    seconds: float,
    options: Options,
    manifest: Manifest,
    *,
    samples: Samples | None = None,
    warnings: Iterable[RecognitionWarning] = (),
    low_confidence: float = LOW_CONFIDENCE,
    start_seconds: float = 0.0,
) -> Result:
    """The result for audio of so many seconds, of which the model said `recognition`.

    Args:
        recognition: None for audio shorter than one frame, of which no model can say anything.
        seconds: its length.
        options: what is asked for.
        manifest: of the model.
        samples: what the model heard, where that may be asked for.
        warnings: what is known of the audio already.
        low_confidence: warn below it.
        start_seconds: where in a longer recording or stream the audio begins: segments count on.
    """
    logits = recognition.logits if recognition else None
    emotion = None if logits is None else options.classes.emotion(logits)
    doubts = [*warnings, *about_length(seconds)]
    if recognition is not None:
        doubts += about_emotion(emotion, low_confidence)
    frame_logits = recognition.frame_logits if recognition and options.frames else None
    return Result(
        audio_seconds=seconds,
        emotion=emotion,
        frames=None if frame_logits is None else options.classes.probabilities(frame_logits),
        embedding=recognition.embedding if recognition and options.embedding else None,
        frame_embeddings=recognition.frame_embeddings
        if recognition and options.frame_embeddings
        else None,
        segments=_segments(recognition, options.classes, manifest.sample_rate, start_seconds),
        processed_audio=samples if options.processed_audio else None,
        warnings=tuple(doubts),
    )


def of_channels(
    channels: Sequence[Result], seconds: float, warnings: Iterable[RecognitionWarning]
) -> Result:
    """The result for a recording whose channels were recognised each by itself; the warnings are
    about the recording."""
    return Result(
        audio_seconds=seconds,
        emotion=None,
        frames=None,
        embedding=None,
        frame_embeddings=None,
        segments=(),
        processed_audio=None,
        warnings=tuple(warnings),
        channels=tuple(channels),
    )


def _segments(
    recognition: Recognition | None, classes: Classes, rate: int, start_seconds: float
) -> tuple[EmotionSegment, ...]:
    return tuple(
        EmotionSegment(
            start_seconds + part.start / rate,
            start_seconds + part.stop / rate,
            classes.emotion(part.logits),
        )
        for part in (recognition.segments if recognition else ())
    )
