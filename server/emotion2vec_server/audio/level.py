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
    """Sums over samples; `+` joins those of parts that follow each other."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    peak: float = 0.0
    """Highest magnitude."""
    at_full_scale: int = 0
    """Samples of a magnitude of `FULL_SCALE` or more."""

    @classmethod
    def of(cls, samples: Float32) -> Self:
        """The level of finite samples, which may be none."""
        if samples.size == 0:
            return cls()
        magnitudes = np.abs(samples)
        wide = samples.astype(np.float64)
        return cls(
            samples.size,
            float(wide.sum()),
            float(wide @ wide),
            float(magnitudes.max()),
            int(np.count_nonzero(magnitudes >= FULL_SCALE)),
        )

    def __add__(self, other: Level) -> Level:
        return Level(
            self.count + other.count,
            self.total + other.total,
            self.squares + other.squares,
            max(self.peak, other.peak),
            self.at_full_scale + other.at_full_scale,
        )

    @property
    def rms(self) -> float:
        """Root mean square about the mean, so that a constant offset is silence; 0 of nothing."""
        if self.count == 0:
            return 0.0
        mean = self.total / self.count
        return math.sqrt(max(0.0, self.squares / self.count - mean * mean))

    @property
    def is_silent(self) -> bool:
        return self.rms < SILENT_RMS

    @property
    def is_clipped(self) -> bool:
        return self.at_full_scale > CLIPPED_SHARE * self.count
