"""Blocks at the source's rate and channels to 16 kHz, mixed or each channel by itself."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from emotion2vec_runtime.arrays import Samples
from emotion2vec_runtime.audio.mix import Likeness, Mix, mix_down, require_finite
from emotion2vec_runtime.audio.resample import Resampler
from emotion2vec_runtime.audio.samples import as_float
from emotion2vec_runtime.audio.source import Block, undecodable
from emotion2vec_runtime.errors import TooLargeError


class Converter:
    """Converts one recording; its outputs in a row do not depend on how the input is cut.

    Where the recording changes its rate or channels, what was before is finished and a new
    conversion begins.
    """

    def __init__(self, max_seconds: float, *, separate: bool = False) -> None:
        """`separate` keeps the channels apart; else they are averaged."""
        self.source_rate = 0
        """Hz, of the first block; 0 before it."""
        self.source_channels = 0
        """Of the first block; 0 before it."""
        self._max_seconds = max_seconds
        self._separate = separate
        self._seconds = 0.0
        self._part: _Part | None = None
        self._mixes: list[Mix] = []

    def push(self, block: Block) -> Iterator[Samples]:
        """What can be said after one more block: [1, m], or [channels, m] if separate.

        Raises:
            InvalidRequestError: a sample is NaN, infinite or absurdly large, or the number of
                channels that are to be kept apart changes.
            TooLargeError: it is longer than `max_seconds`.
        """
        channels = len(block.samples)
        if self._part is None or not self._part.fits(block):
            if not self.source_rate:
                self.source_rate, self.source_channels = block.sample_rate, channels
            if self._separate and channels != self.source_channels:
                raise undecodable(
                    f"the audio changes from {self.source_channels} to {channels} channels, which "
                    "can't be kept apart then: split it there, or let them be mixed"
                )
            yield from self.finish()
            self._part = _Part(block.sample_rate, channels, separate=self._separate)
        part = self._part
        part.count += block.samples.shape[1]
        if self._seconds + part.count / block.sample_rate > self._max_seconds:
            raise TooLargeError(f"the audio is longer than {self._max_seconds:g} s: split it")
        yield part.push(block.samples)

    def finish(self) -> Iterator[Samples]:
        """The rest, shaped as `push` does."""
        if self._part is not None:
            yield self._part.finish()
            self._mixes.append(self._part.likeness.mix)
            self._seconds += self._part.count / self._part.sample_rate
            self._part = None

    @property
    def mix(self) -> Mix:
        """Of everything so far that was finished."""
        return Mix(
            channels_differ=any(mix.channels_differ for mix in self._mixes),
            cancels=any(mix.cancels for mix in self._mixes),
        )


class _Part:
    """Audio of one rate and number of channels."""

    def __init__(self, sample_rate: int, channels: int, *, separate: bool) -> None:
        self.likeness = Likeness(channels)
        self.count = 0
        """Samples of a channel so far."""
        self.sample_rate = sample_rate
        self._channels = channels
        self._separate = separate
        rows = channels if separate else 1
        self._resamplers = [Resampler(sample_rate) for _ in range(rows)]

    def fits(self, block: Block) -> bool:
        return (block.sample_rate, len(block.samples)) == (self.sample_rate, self._channels)

    def push(self, samples: Samples) -> Samples:
        if self._channels > 1:
            samples = as_float(samples)
            self.likeness.add(samples)
        rows = samples if self._separate else mix_down(samples)[np.newaxis]
        return _stacked([r.push(row) for r, row in zip(self._resamplers, rows, strict=True)])

    def finish(self) -> Samples:
        return _stacked([resampler.finish() for resampler in self._resamplers])


def _stacked(rows: list[Samples]) -> Samples:
    stacked = rows[0][np.newaxis] if len(rows) == 1 else np.stack([as_float(r) for r in rows])
    require_finite(stacked)
    return stacked
