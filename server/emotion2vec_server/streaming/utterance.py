"""One utterance of a live stream, without I/O: its audio, its windows, its scores so far."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from emotion2vec_runtime.arrays import Float32
from emotion2vec_runtime.audio.voice import FRAME, HANGOVER, Change, VoiceActivity
from numpy.typing import NDArray

from emotion2vec_server.streaming.alerts import AlertRule, Alerts, Span
from emotion2vec_server.streaming.ends import Ends
from emotion2vec_server.streaming.events import Alert, Frames, Interim, Speech
from emotion2vec_server.streaming.sample_buffer import SampleBuffer
from emotion2vec_server.streaming.windows import Framing, Window, Windower


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """What the caller of a stream asked for.

    `frames`: send frame scores. `interim_results`: send running results and, with `frames`, frames
    before they are final. `frame_embeddings`: with the final result. `voice_activity`: find speech.
    `streamed_final`: the final result is the mean of the streamed frames. `speech_only`: pool the
    final result over the frames with speech. `ends`: what ends utterances
    beside the caller. `alerts`: what is to be alerted of.
    """

    framing: Framing
    frames: bool = True
    interim_results: bool = False
    voice_activity: bool = True
    frame_embeddings: bool = False
    streamed_final: bool = False
    speech_only: bool = False
    ends: Ends | None = None
    alerts: AlertRule | None = None

    @property
    def is_scored(self) -> bool:
        """Whether windows need to be run before the utterance ends."""
        return self.needs_all_frames or self.interim_results

    @property
    def needs_all_frames(self) -> bool:
        """Whether the frames behind the last hop are run too."""
        return self.frames or self.streamed_final or self.alerts is not None


class RunningMean:
    """Mean of the frame logits that count so far: the utterance's logits, in the making."""

    def __init__(self) -> None:
        self._sum: NDArray[np.float64] | float = 0.0
        self._count = 0

    def add(self, logits: Float32) -> None:
        """Counts final frames [T, C] in."""
        self._sum = self._sum + logits.sum(axis=0, dtype=np.float64)
        self._count += len(logits)

    def with_provisional(self, logits: Float32) -> Float32 | None:
        """The mean [C] if frames [T, C] counted too; None while nothing counts."""
        count = self._count + len(logits)
        if not count:
            return None
        total: NDArray[np.float64] = self._sum + logits.sum(axis=0, dtype=np.float64)
        return (total / count).astype(np.float32)


class Update(NamedTuple):
    """What became known by new audio."""

    speech: list[Speech]
    windows: list[Window]


class Utterance:
    """From its first sample, number `start_sample` of the stream, to its last."""

    def __init__(
        self,
        index: int,
        start_sample: int,
        options: StreamOptions,
        *,
        hop: int,
        voice: VoiceActivity | None,
    ) -> None:
        """`hop` is the one in force, in frames; `voice` is None where voice activity is off."""
        self.index = index
        self.start_sample = start_sample
        self._options = options
        self._windower = Windower(options.framing, early=options.interim_results)
        self._windower.hop = hop
        self._voice = voice
        if voice is not None:
            voice.begin()
        self._audio = SampleBuffer()
        self._mean = RunningMean()
        self._streamed: list[Float32] = []
        """Logits [T, C] of final frames, where the final result is their mean."""
        self._alerts = None if options.alerts is None else Alerts(options.alerts)
        self._has_ended = False
        self._awaits_speech = options.ends is not None

    @property
    def length(self) -> int:
        """Samples heard so far."""
        return self._audio.end

    @property
    def samples(self) -> Float32:
        """All of them; valid until more is heard."""
        return self._audio.view(0, self.length)

    @property
    def heard_speech(self) -> bool | None:
        """None where voice activity is off."""
        return None if self._voice is None else self._voice.heard_speech

    @property
    def awaits_speech(self) -> bool:
        """Whether it is to begin with speech, and none has come: it is no utterance yet."""
        return self._awaits_speech

    @property
    def is_lead_full(self) -> bool:
        """Whether it still awaits speech, and holds as much as it may until then."""
        ends = self._options.ends
        return self._awaits_speech and ends is not None and self.length >= ends.most_lead

    @property
    def until_end(self) -> int | None:
        """Samples that may be heard before it is asked again: until silence may have ended it, at
        the earliest; 0 where it has. None where only the caller ends it."""
        ends, voice = self._options.ends, self._voice
        if ends is None or voice is None:
            return None
        if self._awaits_speech:
            # A short sound must not begin and end within one piece.
            return min(ends.most_lead - self.length, HANGOVER * FRAME)
        return voice.lasts if voice.quiet is None else max(0, ends.silence - voice.quiet)

    def stretch(self, hop: int) -> None:
        """From the next one on, windows are `hop` frames apart."""
        self._windower.hop = hop

    def hear(self, samples: Float32) -> Update:
        """Takes float32 samples [n] in."""
        self._audio.append(samples)
        changes = [] if self._voice is None else self._voice.push(samples)
        if self._awaits_speech:
            if not changes:
                return Update([], [])
            self._awaits_speech = False
            samples = self.samples
        windows = self._windower.push(samples) if self._options.is_scored else []
        return Update(self._speech(changes), windows)

    def finish(self) -> Update:
        """No more is to come."""
        self._has_ended = True
        changes = [] if self._voice is None else self._voice.end(self.length)
        last = self._windower.finish() if self._options.needs_all_frames else None
        return Update(self._speech(changes), [] if last is None else [last])

    def scored(self, window: Window, logits: Float32) -> Iterator[Frames | Interim | Alert]:
        """What the model's logits [T, C] for a window of ours make known."""
        final = window.final_begin - window.first_frame
        provisional = window.final_end - window.first_frame
        if self._options.streamed_final:
            self._streamed.append(logits[final:provisional])
        if self._options.frames:
            yield from self._frames(window.final_begin, logits[final:provisional], is_final=True)
        if self._alerts is not None:
            yield from map(self._alert, self._alerts.push(logits[final:provisional]))
        # The last window's running result would be followed by the final one at once.
        if self._options.interim_results and not self._has_ended:
            if self._options.frames:
                yield from self._frames(window.final_end, logits[provisional:], is_final=False)
            yield from self._interim(window, logits[final:provisional], logits[provisional:])

    def closed(self) -> Iterator[Alert]:
        """What becomes known when all windows have been scored and no more are to come."""
        if self._alerts is not None:
            yield from map(self._alert, self._alerts.finish())

    def pooled(self) -> Float32:
        """The mean logits [C] of the final frames; of those with speech where that is asked for and
        there are any."""
        logits = np.concatenate(self._streamed)
        if self._options.speech_only:
            speech = self._counts(0, len(logits))
            logits = logits[speech] if speech.any() else logits
        mean: Float32 = logits.mean(axis=0, dtype=np.float64).astype(np.float32)
        return mean

    def _alert(self, span: Span) -> Alert:
        first, last = (frame * self._options.framing.frame_hop for frame in (span.first, span.last))
        return Alert(
            self.index,
            self.start_sample + first,
            self.start_sample + last,
            span.label,
            span.probability,
            span.has_ended,
        )

    def _frames(self, first: int, logits: Float32, *, is_final: bool) -> Iterator[Frames]:
        if len(logits):
            start = self.start_sample + first * self._options.framing.frame_hop
            yield Frames(self.index, first, start, logits, is_final)

    def _interim(self, window: Window, final: Float32, provisional: Float32) -> Iterator[Interim]:
        counts_final = self._counts(window.final_begin, window.final_end)
        counts_provisional = self._counts(window.final_end, window.frame_end)
        self._mean.add(final[counts_final])
        logits = self._mean.with_provisional(provisional[counts_provisional])
        if logits is not None and (counts_final.any() or counts_provisional.any()):
            end = self.start_sample + window.end_sample
            yield Interim(self.index, self.start_sample, end, logits)

    def _counts(self, first: int, last: int) -> NDArray[np.bool_]:
        """Which of frames [first, last) count towards the running result."""
        if self._voice is None:
            return np.ones(last - first, dtype=np.bool_)
        return self._voice.in_speech(first, last)

    def _speech(self, changes: list[Change]) -> list[Speech]:
        return [
            Speech(self.index, change.begins, self.start_sample + change.sample)
            for change in changes
        ]
