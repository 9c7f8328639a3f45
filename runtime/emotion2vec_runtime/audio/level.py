"""How loud audio is, for the warnings CLIPPED and SILENT."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np

from emotion2vec_runtime.arrays import Samples
from emotion2vec_runtime.audio.samples import as_float

FULL_SCALE = 0.98
"""From here on a sample counts as standing at full scale. G.711's highest values are 0.9803
(mu-law) and 0.9844 (A-law), and resampling rounds the corners of what was clipped before it."""
CLIPPED_SHARE = 0.001
"""Share of samples at full scale above which audio is called clipped. Speech whose peaks were
normalised to full scale reaches it at a handful of samples a second, not at 16."""
SILENT_RMS = 10 ** (-70 / 20)
"""-70 dB of full scale: the absolute gate of ITU-R BS.1770-5, below which a programme counts as
silence. A-law's code for silence lies at -72 dB, room noise near -60 dB."""

_FIRST_PART = 480
"""Samples, 30 ms; each further part is as long as all before it. From 500 on, numpy lets go of the
interpreter for each operation, and must then wait for its turn."""


class Level:
    """How loud finite samples [S] are; all 0 for none.

    Every request is asked for both warnings, so each answer is found by the least work that proves
    it: a fifth of what measuring everything takes.
    """

    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    @cached_property
    def peak(self) -> float:
        """Highest magnitude, full scale being 1."""
        if not self._samples.size:
            return 0.0
        highest = max(
            float(np.maximum.reduce(self._samples)), -float(np.minimum.reduce(self._samples))
        )
        return highest / 32768 if self._samples.dtype == np.int16 else highest

    @property
    def rms(self) -> float:
        """Root mean square about the mean, so that a constant offset is silence."""
        if not self._samples.size:
            return 0.0
        return math.sqrt(_energy(self._samples) / self._samples.size)

    @property
    def share_at_full_scale(self) -> float:
        """Of the samples: those of a magnitude of `FULL_SCALE` or more."""
        if self.peak < FULL_SCALE:
            return 0.0
        loud = np.count_nonzero(np.abs(as_float(self._samples)) >= FULL_SCALE)
        return loud / self._samples.size

    @property
    def is_silent(self) -> bool:
        """Whether `rms` is below `SILENT_RMS`.

        The energy of a part about its own mean is at most its energy about any other; so as soon
        as the parts so far have enough for the whole, it is not silent. Of speech, the first part.
        """
        enough = self._samples.size * SILENT_RMS**2
        energy, end = 0.0, 0
        while end < self._samples.size:
            start, end = end, 2 * end + _FIRST_PART
            energy += _energy(self._samples[start:end])
            if energy >= enough:
                return False
        return self.rms < SILENT_RMS

    @property
    def is_clipped(self) -> bool:
        return self.share_at_full_scale > CLIPPED_SHARE


def _energy(samples: Samples) -> float:
    """Sum of squares about the mean."""
    floats = as_float(samples)
    centred = floats - np.add.reduce(floats) / np.float32(max(1, floats.size))
    # Not centred @ centred: BLAS would wake all its threads for it, and they would go on spinning
    # beside the model's.
    np.square(centred, out=centred)
    return float(np.add.reduce(centred))
