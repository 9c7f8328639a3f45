"""Several backends of one model, one a card, as one."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from emotion2vec_runtime.arrays import Float32, Int64
from emotion2vec_runtime.backends.base import Backend, Outputs


class Spread:
    """Gives each batch to the backend that runs the fewest. All have the same provider and
    precision."""

    def __init__(self, backends: Sequence[Backend], instances: int) -> None:
        """`instances` batches may run at once, shared out over the backends."""
        self._first = backends[0]
        self._backends = backends
        self._running = [0] * len(backends)
        self._change = threading.Lock()
        self._instances = threading.BoundedSemaphore(instances)

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
        with self._least_busy() as backend:
            return backend.run(waveforms, lengths, frame_embeddings=frame_embeddings)

    @contextmanager
    def _least_busy(self) -> Iterator[Backend]:
        with self._instances:
            with self._change:
                number = self._running.index(min(self._running))
                self._running[number] += 1
            try:
                yield self._backends[number]
            finally:
                with self._change:
                    self._running[number] -= 1
