"""Several backends of one model, one a card, as one."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence

from emotion2vec_runtime.arrays import Float32, Int64
from emotion2vec_runtime.backends.base import Backend, Outputs
from emotion2vec_runtime.errors import InferenceError

_REST_SECONDS = 60.0
"""For a card that fails at once is always the one that runs the fewest."""
_log = logging.getLogger(__name__)


class Spread:
    """Gives each batch to the card that runs the fewest, and of those to the one that has begun the
    fewest. A card that fails on what another one can run rests for a while. All have the same
    provider and precision."""

    def __init__(
        self,
        backends: Sequence[Backend],
        instances: int,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`instances` batches may run at once, shared out over the backends; `clock` in seconds."""
        self._first = backends[0]
        self._backends = backends
        self._running = [0] * len(backends)
        self._begun = [0] * len(backends)
        self._rests_until = [clock()] * len(backends)
        self._clock = clock
        self._change = threading.Lock()
        self._instances = threading.BoundedSemaphore(instances)

    @property
    def provider(self) -> str:
        return self._first.provider

    @property
    def precision(self) -> str:
        return self._first.precision

    @property
    def cards(self) -> int:
        return len(self._backends)

    def run(self, waveforms: Float32, lengths: Int64, *, frame_embeddings: bool = False) -> Outputs:
        """See `Backend.run`. What no card can run has failed."""
        failed: dict[int, InferenceError] = {}
        with self._instances:
            while True:
                number = self._begin(failed)
                try:
                    outputs = self._backends[number].run(
                        waveforms, lengths, frame_embeddings=frame_embeddings
                    )
                except InferenceError as error:
                    failed[number] = error
                    if len(failed) == len(self._backends):
                        raise
                else:
                    for other, why in failed.items():
                        self._rest(other, why)
                    return outputs
                finally:
                    with self._change:
                        self._running[number] -= 1

    def _begin(self, failed: Collection[int]) -> int:
        with self._change:
            now = self._clock()

            def order(number: int) -> tuple[bool, float, int, int]:
                rests_until = max(now, self._rests_until[number])
                return number in failed, rests_until, self._running[number], self._begun[number]

            number = min(range(len(self._backends)), key=order)
            self._running[number] += 1
            self._begun[number] += 1
            return number

    def _rest(self, number: int, error: InferenceError) -> None:
        with self._change:
            self._rests_until[number] = self._clock() + _REST_SECONDS
        _log.warning(
            f"card {number} failed on what another one could run, and rests for "
            f"{_REST_SECONDS:g} s: {error}"
        )
