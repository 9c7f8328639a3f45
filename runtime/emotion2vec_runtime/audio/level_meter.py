"""How loud audio is that comes piece by piece: `Level` for recordings of any length."""

from __future__ import annotations

import math

import numpy as np

from emotion2vec_runtime.arrays import Float32
from emotion2vec_runtime.audio.level import CLIPPED_SHARE, FULL_SCALE, SILENT_RMS


class LevelMeter:
    """Sums of what has come; all 0 for nothing."""

    def __init__(self) -> None:
        self._count = 0
        self._loud = 0
        self._sum = 0.0
        self._energy = 0.0

    def add(self, samples: Float32) -> None:
        """Takes finite samples [n] in."""
        self._count += samples.size
        self._loud += int(np.count_nonzero(np.abs(samples) >= FULL_SCALE))
        self._sum += float(np.add.reduce(samples, dtype=np.float64))
        self._energy += float(np.add.reduce(np.square(samples), dtype=np.float64))

    @property
    def is_clipped(self) -> bool:
        """As `Level.is_clipped`."""
        return self._loud > CLIPPED_SHARE * self._count

    @property
    def is_silent(self) -> bool:
        """As `Level.is_silent`."""
        if not self._count:
            return True
        variance = self._energy / self._count - (self._sum / self._count) ** 2
        return math.sqrt(max(0.0, variance)) < SILENT_RMS
