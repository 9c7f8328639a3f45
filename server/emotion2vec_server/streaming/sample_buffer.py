"""A growing run of samples of which the oldest can be forgotten."""

from __future__ import annotations

import numpy as np
from emotion2vec_runtime.arrays import Float32

_INITIAL = 16_000


class SampleBuffer:
    """Samples by their index since the beginning; memory follows what is kept, not what came.

    Appending costs the same per sample however small the pieces are.
    """

    def __init__(self) -> None:
        self._store: Float32 = np.empty(_INITIAL, dtype=np.float32)
        self._begin = 0
        """Index of the oldest sample kept, which lies at `_store[_offset]`."""
        self._offset = 0
        self._kept = 0

    @property
    def end(self) -> int:
        """Samples appended so far: the index of the next one."""
        return self._begin + self._kept

    def append(self, samples: Float32) -> None:
        """Adds float32 samples [n] behind the others."""
        if self._offset + self._kept + len(samples) > len(self._store):
            self._make_room(len(samples))
        tail = self._offset + self._kept
        self._store[tail : tail + len(samples)] = samples
        self._kept += len(samples)

    def forget(self, begin: int) -> None:
        """Drops the samples before index `begin`."""
        dropped = min(max(begin - self._begin, 0), self._kept)
        self._begin += dropped
        self._offset += dropped
        self._kept -= dropped

    def view(self, begin: int, end: int) -> Float32:
        """Samples [begin, end), valid until the next `append`.

        Raises:
            IndexError: some of them have been forgotten, or have not come.
        """
        if not self._begin <= begin <= end <= self.end:
            raise IndexError(f"samples {begin} to {end} of {self._begin} to {self.end}")
        first = self._offset + begin - self._begin
        return self._store[first : first + end - begin]

    def _make_room(self, more: int) -> None:
        kept = self._store[self._offset : self._offset + self._kept]
        # Moving happens once in as many samples as are moved, so it costs O(1) a sample.
        target = self._store
        if 2 * (self._kept + more) > len(self._store):
            target = np.empty(2 * (self._kept + more), dtype=np.float32)
        target[: self._kept] = kept
        self._store = target
        self._offset = 0
