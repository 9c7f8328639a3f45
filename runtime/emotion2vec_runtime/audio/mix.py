"""Channels to one, what that did to them, and the check that what came out are numbers."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emotion2vec_runtime.arrays import Float32, Samples
from emotion2vec_runtime.audio.samples import as_float
from emotion2vec_runtime.errors import InvalidRequestError

_LARGEST = 1e15
"""The mean square of minutes of such samples still is a float32."""
_AUDIBLE: Final = 10 ** (-40 / 10)
"""Energy of a channel, as a share of the loudest channel's, below which it is no voice of its own:
crosstalk, hiss, an unused input."""
_UNLIKE: Final = 0.5
"""Correlation of two audible channels below which they hold different sounds. One room in two
microphones stays above it, as does music in stereo; two speakers, one a channel, are near 0."""
_CANCELLED: Final = 0.25
"""Energy of the mix, as a share of what channels without any likeness would leave, below which
channels cancel each other. For two channels alike in level that is a correlation of -0.75."""


def mix_down(block: Samples) -> Samples:
    """The mean over channels of [channels, n]: [n]. One channel is not copied."""
    if len(block) == 1:
        mono: NDArray[Any] = np.ascontiguousarray(block[0])
        return mono
    floats = as_float(block)
    with np.errstate(over="ignore", invalid="ignore"):
        total: Float32 = floats[0] + floats[1]
        for channel in floats[2:]:
            total += channel
        total /= np.float32(len(floats))
    return total


class Mix(NamedTuple):
    """How alike the channels of a recording are, and so what averaging them did."""

    channels_differ: bool
    """Whether two channels that can be heard hold different sounds: two speakers, perhaps."""
    cancels: bool
    """Whether channels are each other's opposite, so that little is left of them in the mix."""


class Likeness:
    """Measures a `Mix`: the covariance of the channels, summed up block by block."""

    def __init__(self, channels: int) -> None:
        self._count = 0
        self._sums = np.zeros(channels)
        self._products = np.zeros((channels, channels))

    def add(self, block: Samples) -> None:
        """Takes [channels, n] into account."""
        if len(block) < 2:
            return
        floats = as_float(block)
        self._count += floats.shape[1]
        with np.errstate(over="ignore", invalid="ignore"):
            self._sums += np.add.reduce(floats, axis=1, dtype=np.float32)
            # Not floats @ floats.T: BLAS would wake all its threads beside the model's.
            for i, row in enumerate(floats):
                for j in range(i, len(floats)):
                    product = np.add.reduce(row * floats[j])
                    self._products[i, j] += product
                    self._products[j, i] = self._products[i, j]

    @property
    def mix(self) -> Mix:
        covariance = self._covariance
        energy = np.diagonal(covariance)
        total = float(energy.sum())
        cancels = total > 0 and float(covariance.sum()) < _CANCELLED * total
        heard = energy > _AUDIBLE * energy.max()
        if np.count_nonzero(heard) < 2:
            return Mix(channels_differ=False, cancels=cancels)
        norm = np.sqrt(energy[heard])
        correlation = covariance[heard][:, heard] / np.outer(norm, norm)
        return Mix(bool(np.abs(correlation).min() < _UNLIKE), cancels)

    @property
    def _covariance(self) -> NDArray[np.float64]:
        """[channels, channels], times the number of samples."""
        return self._products - np.outer(self._sums, self._sums) / max(1, self._count)


def require_finite(samples: Samples) -> None:
    """Checked behind the resampler: it spreads a NaN over its neighbours, it never hides one.

    Raises:
        InvalidRequestError: a sample is NaN, infinite, or so large that its square would overflow.
    """
    if samples.dtype == np.int16 or not samples.size:
        return
    if not (samples.min() >= -_LARGEST and samples.max() <= _LARGEST):
        raise InvalidRequestError(
            "audio",
            f"the audio holds samples that are NaN, infinite or beyond {_LARGEST:g}: "
            "full scale is -1 to 1",
        )
