"""One row of the table, and how the rows of a recording follow from its recognition."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
from emotion2vec_client import (
    Frames,
    Recognition,
    RecognitionWarning,
    Segment,
    WarningCode,
)
from emotion2vec_client.readings import Alert, LabelReading, Stretch, read, stretches

from emotion2vec_archive.recording import Recording


class Per(StrEnum):
    """What has a row of its own."""

    RECORDING = "recording"
    CHANNEL = "channel"
    """Each channel is recognised by itself, as for calls with a speaker a channel."""
    SEGMENT = "segment"
    """The windows that long audio is recognised in; a short recording is one."""
    UTTERANCE = "utterance"
    """What is said between two pauses, recognised by itself."""


@dataclass(frozen=True, slots=True, eq=False)
class Utterance:
    """One utterance of a recording, and what is known of it, with its frames. Seconds from the
    recording's beginning."""

    start: float
    end: float
    ended_by: str
    """"silence", "longest" or "audio"."""
    recognition: Recognition


@dataclass(frozen=True, slots=True, eq=False)
class Utterances:
    """A recording utterance by utterance; empty where nobody speaks."""

    model: str
    model_version: str
    utterances: tuple[Utterance, ...]
    losses: tuple[RecognitionWarning, ...]
    """What of the recording could not be heard."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row; `schema` says what its values mean. What does not apply is None or empty."""

    path: str
    bytes: int | None
    channel: int | None = None
    segment: int | None = None
    start: float | None = None
    end: float | None = None
    duration: float | None = None
    sample_rate: int | None = None
    channels: int | None = None
    label: str | None = None
    confidence: float | None = None
    scores: dict[str, float] = field(default_factory=dict)
    readings: dict[str, LabelReading] = field(default_factory=dict)
    alerts: tuple[Alert, ...] = ()
    stretches: tuple[Stretch, ...] = ()
    mostly_silent: bool | None = None
    warnings: tuple[tuple[str, str], ...] = ()
    """Code and message of each."""
    error_code: str | None = None
    error: str | None = None
    model: str | None = None
    model_version: str | None = None
    precision: str | None = None
    utterance: int | None = None
    ended_by: str | None = None


def failed(recording: Recording, code: str, message: str) -> Row:
    """The row of a recording that could not be scored."""
    return Row(recording.path, recording.size, error_code=code, error=message)


def rows_of(recording: Recording, found: Recognition | Utterances, per: Per) -> Iterator[Row]:
    """The rows of a recording: one, or one for each of its channels, segments or utterances.

    Args:
        recording: what was recognised.
        found: with frames, from which peaks, shares and alerts are read; with channels, or as
            utterances, where `per` asks for them.
        per: what has a row.
    """
    if isinstance(found, Utterances):
        yield from _of_utterances(recording, found)
        return
    recognition = found
    tracks: Sequence[Recognition] = recognition.channels or (recognition,)
    for number, track in enumerate(tracks):
        row = _of_track(recording, recognition, track)
        if per is Per.CHANNEL:
            row = replace(row, channel=number)
        if per is Per.SEGMENT:
            yield from _of_segments(row, track)
        else:
            yield row


def _of_track(recording: Recording, recognition: Recognition, track: Recognition) -> Row:
    metadata = recognition.metadata
    # Of channels some warnings are about one, others about the recording.
    warnings = dict.fromkeys((*track.warnings, *recognition.warnings))
    row = Row(
        path=recording.path,
        bytes=recording.size,
        start=0.0,
        end=metadata.audio_duration,
        duration=metadata.audio_duration,
        sample_rate=metadata.sample_rate or None,
        channels=metadata.channel_count or None,
        mostly_silent=_is_mostly_silent(warnings),
        warnings=_noted(warnings),
        model=metadata.model,
        model_version=metadata.model_version,
        precision=metadata.precision,
    )
    return _with_emotion(row, track)


def _of_utterances(recording: Recording, found: Utterances) -> Iterator[Row]:
    lost = _noted(found.losses)
    for number, one in enumerate(found.utterances):
        row = _of_track(recording, one.recognition, one.recognition)
        yield replace(
            row,
            warnings=tuple(dict.fromkeys((*row.warnings, *lost))),
            start=one.start,
            end=one.end,
            duration=None,
            utterance=number,
            ended_by=one.ended_by,
        )
    if not found.utterances:
        # Nobody speaks in it; it was heard all the same.
        yield Row(
            recording.path,
            recording.size,
            mostly_silent=True,
            warnings=lost,
            model=found.model,
            model_version=found.model_version,
        )


def _noted(warnings: Iterable[RecognitionWarning]) -> tuple[tuple[str, str], ...]:
    return tuple((warning.code.value, warning.message) for warning in warnings)


def _is_mostly_silent(warnings: dict[RecognitionWarning, None]) -> bool:
    silent = (WarningCode.SILENT, WarningCode.MOSTLY_SILENT)
    return any(warning.code in silent for warning in warnings)


def _of_segments(row: Row, track: Recognition) -> Iterator[Row]:
    duration = track.metadata.audio_duration
    segments = track.segments or (Segment(0.0, duration, track.emotion),)
    for number, segment in enumerate(segments):
        frames = _cut(track.frames, segment)
        part = replace(track, emotion=segment.emotion, frames=frames, segments=(segment,))
        placed = replace(row, segment=number, start=segment.start, end=segment.end)
        yield _with_emotion(placed, part)


def _cut(frames: Frames | None, segment: Segment) -> Frames | None:
    """The frames that begin within a segment."""
    if frames is None:
        return None
    first, last = np.searchsorted(frames.times, [segment.start, segment.end]).tolist()
    return replace(
        frames,
        probabilities=frames.probabilities[first:last],
        first_index=frames.first_index + first,
        start=frames.start + first * frames.hop,
    )


def _with_emotion(row: Row, track: Recognition) -> Row:
    emotion, readings = track.emotion, read(track)
    scores = emotion.scores if emotion else ()
    return replace(
        row,
        label=emotion.label if emotion else None,
        confidence=emotion.confidence if emotion else None,
        scores={score.label: score.probability for score in scores},
        readings={reading.label: reading for reading in readings.labels},
        alerts=readings.alerts or (),
        stretches=tuple(stretches(track.frames)) if track.frames else (),
    )
