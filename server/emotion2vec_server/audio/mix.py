"""Channels to one, and the check that what came out are numbers."""

from __future__ import annotations

import numpy as np

from emotion2vec_server.audio.samples import Float32
from emotion2vec_server.errors import InvalidRequestError


def mix_down(block: Float32) -> Float32:
    """The mean over channels of [channels, n]: [n]. One channel is not copied."""
    if len(block) == 1:
        return np.ascontiguousarray(block[0])
    with np.errstate(over="ignore", invalid="ignore"):
        total: Float32 = block[0] + block[1]
        for channel in block[2:]:
            total += channel
        total /= np.float32(len(block))
    return total


def require_finite(samples: Float32) -> None:
    """Checked behind the resampler: it spreads a NaN over its neighbours, it never hides one.

    Raises:
        InvalidRequestError: a sample is NaN or infinite, or so large that mixing or resampling it
            overflowed.
    """
    if not np.isfinite(samples).all():
        raise InvalidRequestError(
            "audio", "the audio holds NaN or infinite samples: full scale is -1 to 1"
        )
