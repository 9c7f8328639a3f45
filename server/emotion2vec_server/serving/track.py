"""One channel of a recording of any length, on its way through the model. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from emotion2vec_runtime.arrays import Float32
from emotion2vec_runtime.audio.level_meter import LevelMeter
from emotion2vec_runtime.audio.voice import FRAME, HANGOVER, MOSTLY, Speech, VoiceActivity
from emotion2vec_runtime.bundle import Manifest
from emotion2vec_runtime.recognition.long_audio import Cut, Cutter, Part, Pool
from emotion2vec_runtime.recognition.recognition import Recognition, require_a_frame
from emotion2vec_runtime.recognition.result import Options
from emotion2vec_runtime.recognition.runner import ClipOutput

from emotion2vec_server.streaming.sample_buffer import SampleBuffer

_UNJUDGED = HANGOVER * FRAME
"""Samples at the end of which voice activity may still change its mind."""


class Window(NamedTuple):
    """Audio to run the model on: samples [cut.start, cut.stop) of its channel.

    `speech`: for each kept frame whether it lies in speech; None where all of them count.
    """

    channel: int
    cut: Cut
    samples: Float32
    speech: Speech | None

    @property
    def wants_embeddings(self) -> bool:
        """Whether the model's own mean is not the one that is wanted."""
        return not self.cut.is_whole or self.speech is not None


class PartOfTrack(NamedTuple):
    """What a window settled, and the samples that it covers."""

    channel: int
    part: Part
    samples: Float32


class Track:
    """`push` samples as they come, `finish` once, and `add` what the model says of each window, in
    their order. Memory follows the window, not the recording."""

    def __init__(self, channel: int, manifest: Manifest, cutter: Cutter, options: Options) -> None:
        self._channel = channel
        self._manifest = manifest
        self._cutter = cutter
        self._speech_only = options.speech_only
        self._pool = Pool(manifest, keep_parts=False)
        self._audio = SampleBuffer()
        self._voice = VoiceActivity()
        self.level = LevelMeter()

    @property
    def seconds(self) -> float:
        """Heard so far."""
        return self._audio.end / self._manifest.sample_rate

    @property
    def silent_share(self) -> float | None:
        """Of silence, where most of it is; else None."""
        share = self._voice.silent_share
        return share if share > MOSTLY else None

    @property
    def recognition(self) -> Recognition:
        """Of all windows that were added, without their frames."""
        return self._pool.recognition()

    def push(self, samples: Float32) -> list[Window]:
        """The windows that float32 samples [n] complete."""
        self._audio.append(samples)
        self._voice.push(samples)
        self.level.add(samples)
        # Half a second later, what is speech in a window is what it will be in the whole.
        windows = list(self._windows(self._cutter.push(self._audio.end - _UNJUDGED)))
        self._audio.forget(self._cutter.needed)
        return windows

    def finish(self) -> list[Window]:
        """The last windows.

        Raises:
            InvalidRequestError: all of it is shorter than one frame.
        """
        end = self._audio.end
        require_a_frame(end, self._manifest)
        return list(self._windows(self._cutter.cut(end)))

    def add(self, window: Window, output: ClipOutput) -> PartOfTrack:
        """What the model says of a window of this track."""
        part = self._pool.add(window.cut, output, window.speech)
        offset = window.cut.start
        samples = window.samples[part.start - offset : part.stop - offset]
        return PartOfTrack(window.channel, part, samples)

    def _windows(self, cuts: Iterator[Cut] | list[Cut]) -> Iterator[Window]:
        for cut in cuts:
            speech = None
            if self._speech_only:
                speech = self._voice.in_speech(cut.first, cut.last)
            samples = self._audio.view(cut.start, cut.stop).copy()
            yield Window(self._channel, cut, samples, speech)
