"""Memory in which clips become a batch, used again for each one.

Clips are laid out as bytes, and all of them scaled in one go. A numpy operation on each of them
would be as fast in itself, but gives up the interpreter each time, and then waits until the event
loop lets go of it: beside a busy loop that took five times as long as the model of a light batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emotion2vec_runtime.arrays import Float32, Samples
from emotion2vec_runtime.audio.samples import as_float

_SCALE = np.float32(2.0**-15)
_ZEROS = memoryview(bytes(1 << 20))


class Workspace:
    """For one thread: a batch is valid until the next."""

    def __init__(self) -> None:
        self._floats: Float32 = np.empty(0, np.float32)
        self._integers: NDArray[np.int16] = np.empty(0, np.int16)

    def pad(self, clips: Sequence[Samples], longest: int) -> Float32:
        """Clips as one array [B, longest] of full scale 1, with zeros behind the shorter ones."""
        count = len(clips) * longest
        if self._floats.size < count:
            self._floats = np.empty(count, np.float32)
        floats = self._floats[:count].reshape(len(clips), longest)
        if any(clip.dtype != np.int16 for clip in clips):
            _lay_out([as_float(clip) for clip in clips], floats)
            return floats
        if self._integers.size < count:
            self._integers = np.empty(count, np.int16)
        integers = self._integers[:count].reshape(floats.shape)
        _lay_out(clips, integers)
        np.multiply(integers, _SCALE, out=floats)
        return floats


def _lay_out(clips: Sequence[Samples], batch: Samples) -> None:
    """Copies clips of the batch's own type into its rows."""
    rows = batch.data.cast("B")
    width = batch.shape[1] * batch.itemsize
    for index, clip in enumerate(clips):
        start, end = index * width, (index + 1) * width
        filled = start + clip.nbytes
        rows[start:filled] = clip.data.cast("B")
        while filled < end:
            size = min(end - filled, len(_ZEROS))
            rows[filled : filled + size] = _ZEROS[:size]
            filled += size
