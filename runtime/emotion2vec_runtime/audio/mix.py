"""Channels to one, and the check that what came out are numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotion2vec_runtime.arrays import Float32, Samples
from emotion2vec_runtime.audio.samples import as_float
from emotion2vec_runtime.errors import InvalidRequestError

_LARGEST = 1e15
"""The mean square of minutes of such samples still is a float32."""


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


def require_finite(samples: Samples) -> None:
    """Checked behind the resampler: it spreads a NaN over its neighbours, it never hides one.

    Raises:
        InvalidRequestError: a sample is NaN, infinite, or so large that its square would overflow.
    """
    if samples.dtype == np.int16 or not len(samples):
        return
    if not (samples.min() >= -_LARGEST and samples.max() <= _LARGEST):
        raise InvalidRequestError(
            "audio",
            f"the audio holds samples that are NaN, infinite or beyond {_LARGEST:g}: "
            "full scale is -1 to 1",
        )
