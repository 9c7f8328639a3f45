"""Any rate to 16 kHz: the one door to soxr.

The resampler changes a model's result (ddlBoJack/emotion2vec #61), so there is one, at one
quality: soxr HQ (linear phase, 20 bits, passband to 0.91 of the lower Nyquist frequency). libsoxr
buffers its input in blocks of its own, so its output does not depend on how the input is cut: it is
the same to the bit in one piece or a sample at a time.

soxr removes the delay of its filter: output sample i stands at the time of input sample
i * rate / 16000. Output appears once the filter's right half and a block have been heard: 20 to
165 ms behind, by rate; the rest comes with `finish`.
"""

from __future__ import annotations

import numpy as np
import soxr

from emotion2vec_runtime.arrays import Float32, Samples
from emotion2vec_runtime.audio.samples import as_float
from emotion2vec_runtime.audio.spec import SAMPLE_RATE

QUALITY = "HQ"


class Resampler:
    """Mono audio of `rate` Hz in pieces of any size, out at 16 kHz; at 16 kHz it passes through.

    n samples in are n * 16000 / rate samples out, to within one.
    """

    def __init__(self, rate: int) -> None:
        self._stream = (
            None
            if rate == SAMPLE_RATE
            else soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality=QUALITY)
        )

    def push(self, samples: Samples) -> Samples:
        """What can be said after [n] more samples: [m], m may be 0."""
        if self._stream is None:
            return samples
        resampled: Float32 = self._stream.resample_chunk(as_float(samples))
        return resampled

    def finish(self) -> Float32:
        """The rest; the resampler is spent afterwards."""
        nothing = np.empty(0, np.float32)
        if self._stream is None:
            return nothing
        rest: Float32 = self._stream.resample_chunk(nothing, last=True)
        return rest
