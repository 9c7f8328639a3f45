"""One stream over several calls: what is sent again, and what its caller has already. No I/O.

A call that breaks off leaves an utterance without its final result. The next call gets the audio
from the beginning of that utterance, as a final result is about the whole of one, and the caller
gets what it has not had: every final frame once, and sequence, utterances and times as if there had
been one call. Of the frames that follow, those of a stream in steps may be scored a little
otherwise than without the break, as speech before the utterance is not heard again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

from emotion2vec.v1.service_pb2 import StreamRecognizeRequest

from emotion2vec_client.audio import RawFormat, StreamFormat
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
    UtteranceEnd,
)
from emotion2vec_client.reconnect.tape import Tape
from emotion2vec_client.results import AudioLoss, RecognitionWarning, WarningCode

KEPT_SECONDS = 330.0
"""Of audio: a server's longest utterance (300 s unless set otherwise), and what is on the way."""
_NEAR = 0.1
"""Seconds: speech that is heard again may begin and end so much elsewhere."""

Timed = TypeVar("Timed", StreamInterim, StreamFinal, StreamAlert)


def resumption_of(audio: StreamFormat, *, awaits_speech: bool) -> Resumption:
    """For one stream.

    Raises:
        ValueError: it is of a file, in whose middle nobody can begin to read.
    """
    if not isinstance(audio, RawFormat):
        raise ValueError("reconnect needs raw samples: decode the file, and name the sample_rate")
    return Resumption(audio, awaits_speech=awaits_speech)


class Resumption:
    """What of a stream has been sent, and what has come of it."""

    def __init__(
        self, audio: RawFormat, *, awaits_speech: bool, kept_seconds: float = KEPT_SECONDS
    ) -> None:
        """`awaits_speech`: silence between utterances belongs to none."""
        self._awaits_speech = awaits_speech
        self._rate = audio.bytes_per_second
        frame = audio.bytes_per_second // audio.sample_rate
        self._tape = Tape(frame, round(kept_seconds * self._rate))
        self._sequence = 0
        self._settings: dict[str, Any] | None = None
        self._settled = (0, 0.0)
        """Behind the last final result: bytes, and the server's seconds."""
        self._utterances = 0
        """That have a final result."""
        self._utterance_start: float | None = None
        """Of the one that has not, once frames of it have come."""
        self._offset, self._first_utterance = 0.0, 0
        """Of the call, in the stream."""
        self._horizon = 0.0
        """What had been told before the call."""
        self._frames_until = self._interim_until = self._speech_until = self._alert_until = 0.0
        self._is_speech = self._is_alert = False
        self._lost: StreamWarning | None = None

    @property
    def end(self) -> int:
        """Number of the message that the stream's caller is to give next."""
        return self._tape.end

    def add(self, message: StreamRecognizeRequest) -> None:
        """A message of the stream's caller, behind the config."""
        self._tape.add(message)

    def message(self, number: int) -> StreamRecognizeRequest:
        return self._tape[number]

    def resume(self) -> int:
        """A call begins: number of the first message to send."""
        position, seconds = self._settled
        if self._utterance_start is not None:
            position += round((self._utterance_start - seconds) * self._rate)
            seconds = self._utterance_start
        self._tape.forget(position)
        lost = (self._tape.position - position) / self._rate
        if lost > 0:
            was_silence = self._awaits_speech and not (self._is_speech or self._utterance_start)
            self._lost = None if was_silence else self._warning(seconds, lost)
            seconds += lost
            self._settled = (self._tape.position, seconds)
            self._utterance_start = None
        self._offset, self._first_utterance = seconds, self._utterances
        self._horizon = max(
            self._frames_until, self._interim_until, self._speech_until, self._alert_until
        )
        return self._tape.begin

    def take(self, event: StreamEvent) -> Iterator[StreamEvent]:
        """An event of the call, as one of the stream; nothing where the caller has had it."""
        event = replace(event, utterance=self._first_utterance + event.utterance)
        if isinstance(event, StreamStarted) and self._lost is not None:
            yield self._numbered(self._lost)
            self._lost = None
        takers: dict[type, Callable[[Any], StreamEvent | None]] = {
            StreamStarted: self._started,
            StreamFrames: self._frames,
            StreamInterim: self._interim,
            StreamFinal: self._final,
            StreamSpeech: self._speech,
            StreamAlert: self._alert,
        }
        taker = takers.get(type(event))
        taken = event if taker is None else taker(event)
        if taken is not None:
            yield self._numbered(taken)

    def _numbered(self, event: StreamEvent) -> StreamEvent:
        self._sequence += 1
        return replace(event, sequence=self._sequence - 1)

    def _warning(self, start: float, lost: float) -> StreamWarning:
        text = (
            f"{lost:.1f} s of audio from {start:.1f} s on are lost: the server was away for longer "
            "than is kept"
        )
        loss = AudioLoss(stated=None, heard=start, lost=lost)
        warning = RecognitionWarning(WarningCode.TRUNCATED, text, loss)
        return StreamWarning(0, self._utterances, warning)

    def _started(self, event: StreamStarted) -> StreamStarted | None:
        settings = {**event.to_dict(), "sequence": 0, "utterance": 0}
        if self._settings == settings:
            return None
        self._settings = settings
        return event

    def _frames(self, event: StreamFrames) -> StreamFrames | None:
        frames = replace(event.frames, start=self._offset + event.frames.start)
        if event.utterance == self._utterances:
            self._utterance_start = frames.start - frames.first_index * frames.hop
        known = max(0, round((self._frames_until - frames.start) / frames.hop))
        if known >= len(frames.probabilities):
            return None
        if frames.is_final:
            self._frames_until = frames.start + len(frames.probabilities) * frames.hop
        new = replace(
            frames,
            probabilities=frames.probabilities[known:],
            first_index=frames.first_index + known,
            start=frames.start + known * frames.hop,
        )
        return replace(event, frames=new)

    def _interim(self, event: StreamInterim) -> StreamInterim | None:
        event = self._shifted(event)
        if event.end <= self._interim_until:
            return None
        self._interim_until = event.end
        return event

    def _final(self, event: StreamFinal) -> StreamFinal:
        event = self._shifted(event)
        segments = tuple(
            replace(one, start=self._offset + one.start, end=self._offset + one.end)
            for one in event.recognition.segments
        )
        position, seconds = self._settled
        self._tape.forget(position)
        if event.ended_by is UtteranceEnd.CALLER:
            self._tape.forget_utterance()
            position = self._tape.position
        else:
            position += round((event.end - seconds) * self._rate)
            self._tape.forget(position)
        self._settled = (position, event.end)
        self._utterances = event.utterance + 1
        self._utterance_start = None
        return replace(event, recognition=replace(event.recognition, segments=segments))

    def _speech(self, event: StreamSpeech) -> StreamSpeech | None:
        event = replace(event, offset=self._offset + event.offset)
        is_told = event.offset < self._horizon and event.offset <= self._speech_until + _NEAR
        if is_told or self._is_speech == (event.edge is SpeechEdge.START):
            return None
        self._is_speech, self._speech_until = event.edge is SpeechEdge.START, event.offset
        return event

    def _alert(self, event: StreamAlert) -> StreamAlert | None:
        event = self._shifted(event)
        if event.end <= self._alert_until or self._is_alert != event.has_ended:
            return None
        self._is_alert, self._alert_until = not event.has_ended, event.end
        return event

    def _shifted(self, event: Timed) -> Timed:
        return replace(event, start=self._offset + event.start, end=self._offset + event.end)
