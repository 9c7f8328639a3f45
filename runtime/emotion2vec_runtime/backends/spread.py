"""Several backends of one model, one a card, as one."""

from __future__ import annotations

from collections.abc import Sequence
from queue import SimpleQueue

from emotion2vec_runtime.arrays import Float32, Int64
from emotion2vec_runtime.backends.base import Backend, Outputs


class Spread:
    """Gives each batch to a backend that is idle. All have the same provider and precision."""

    def __init__(self, backends: Sequence[Backend], instances: int) -> None:
        """`instances` batches may run at once, shared out over the backends."""
        self._first = backends[0]
        self._idle: SimpleQueue[Backend] = SimpleQueue()
        for instance in range(instances):
            self._idle.put(backends[instance % len(backends)])

    @property
    def provider(self) -> str:
        return self._first.provider

    @property
    def precision(self) -> str:
        return self._first.precision

    @property
    def runtime(self) -> str:
        return self._first.runtime

    def run(self, waveforms: Float32, lengths: Int64, *, frame_embeddings: bool = False) -> Outputs:
        """See `Backend.run`."""
        backend = self._idle.get()
        try:
            return backend.run(waveforms, lengths, frame_embeddings=frame_embeddings)
        finally:
            self._idle.put(backend)
