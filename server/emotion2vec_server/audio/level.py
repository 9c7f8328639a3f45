"""How loud audio is, for the warnings CLIPPED and SILENT."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from emotion2vec_server.audio.samples import Float32

FULL_SCALE = 0.98
"""From here on a sample counts as standing at full scale. G.711's highest values are 0.9803
(mu-law) and 0.9844 (A-law), and resampling rounds the corners of what was clipped before it."""
CLIPPED_SHARE = 0.001
"""Share of samples at full scale above which audio is called clipped. Speech whose peaks were
normalised to full scale reaches it at a handful of samples a second, not at 16."""
SILENT_RMS = 10 ** (-70 / 20)
"""-70 dB of full scale: the absolute gate of ITU-R BS.1770-5, below which a programme counts as
silence. A-law's code for silence lies at -72 dB, room noise near -60 dB."""


@dataclass(frozen=True, slots=True)
class Level:
    """How loud some samples are; all 0 for none."""

    rms: float
    """Root mean square about the mean, so that a constant offset is silence."""
    peak: float
    """Highest magnitude."""
    share_at_full_scale: float
    """Of the samples: those of a magnitude of `FULL_SCALE` or more."""

    @classmethod
    def of(cls, samples: Float32) -> Self:
        """The level of finite samples, in as few passes as will do: every request pays for it."""
        if samples.size == 0:
            return cls(0.0, 0.0, 0.0)
        peak = max(float(samples.max()), -float(samples.min()))
        centred = samples - samples.mean()
        # Not centred @ centred: BLAS would wake all its threads for it, and they would go on
        # spinning beside the model's.
        np.square(centred, out=centred)
        loud = np.count_nonzero(np.abs(samples) >= FULL_SCALE) if peak >= FULL_SCALE else 0
        return cls(math.sqrt(float(centred.mean())), peak, loud / samples.size)

    @property
    def is_silent(self) -> bool:
        return self.rms < SILENT_RMS

    @property
    def is_clipped(self) -> bool:
        return self.share_at_full_scale > CLIPPED_SHARE
