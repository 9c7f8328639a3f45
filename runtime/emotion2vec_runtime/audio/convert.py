"""Blocks at the source's rate and channels to 16 kHz, mixed or each channel by itself."""

from __future__ import annotations

import numpy as np

from emotion2vec_runtime.arrays import Float32, Samples
from emotion2vec_runtime.audio.mix import Mix, mix_down, require_finite
from emotion2vec_runtime.audio.resample import Resampler
from emotion2vec_runtime.audio.samples import as_float


class Converter:
    """One recording's; its outputs in a row do not depend on how the input is cut."""

    def __init__(self, sample_rate: int, channels: int, *, separate: bool = False) -> None:
        """`separate` keeps the channels apart; else they are averaged."""
        self.sample_rate = sample_rate
        self.channels = channels
        self.mix = Mix(channels)
        rows = channels if separate else 1
        self._separate = separate
        self._resamplers = [Resampler(sample_rate) for _ in range(rows)]

    def push(self, block: Samples) -> Samples:
        """What can be said after [channels, n] more samples: [1, m], or [channels, m] separate.

        Raises:
            InvalidRequestError: a sample is NaN, infinite or absurdly large.
        """
        if self.channels > 1:
            block = as_float(block)
            self.mix.add(block)
        rows = block if self._separate else mix_down(block)[np.newaxis]
        return self._checked(
            [resampler.push(row) for resampler, row in zip(self._resamplers, rows, strict=True)]
        )

    def finish(self) -> Float32:
        """The rest, shaped as `push` does; the converter is spent afterwards."""
        return as_float(self._checked([resampler.finish() for resampler in self._resamplers]))

    @staticmethod
    def _checked(rows: list[Samples]) -> Samples:
        stacked = rows[0][np.newaxis] if len(rows) == 1 else np.stack([as_float(r) for r in rows])
        require_finite(stacked)
        return stacked
