"""Whether to wait a moment for the callers of the last batch, who are about to ask again.

Callers in a closed loop send their next request as soon as they have an answer. An instance that is
idle right after a batch finds the first of them back, runs it alone, and just misses the others:
from then on the N callers travel in two groups, and take t(N/2) + t(N/2) where t(N) would do. To
wait for all of them takes R(N), the time in which so many come back. So waiting pays when

    R(N) + t(N) < 2 t(N/2)

Both sides are measured: t by the cost model, R(N) = first + (N - 1) x each by the arrivals after
each batch. A lone caller waits for nobody; where batches save nothing, or callers think before they
ask again, there is no wait; and none is longer than what it could save, so that even in vain it at
most doubles the time of a batch (the ski-rental bound).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

_LEARN = 0.1
_LONGEST_RETURN = 2.0
"""How much longer than usual the callers may take."""
_TICK = 5e-5
"""Seconds; a shorter wait costs more than it can bring."""


class Wait(NamedTuple):
    """Wait for so many seconds, or until so many requests have arrived."""

    seconds: float
    requests: int


class Gather:
    """Learns how soon callers come back, and says how long to wait for them."""

    def __init__(self) -> None:
        self._rows = 0
        self._back = 0
        self._returned_in_time = 0
        self._since = 0.0
        self._last = 0.0
        self._first = 0.0
        self._each = 0.0
        self._return_rate = 1.0

    def finished(self, rows: int, now: float) -> None:
        """A batch ended: so many callers have their answers."""
        if self._rows:
            self._return_rate += _LEARN * (self._returned_in_time / self._rows - self._return_rate)
        self._rows, self._back, self._returned_in_time = rows, 0, 0
        self._since = self._last = now

    def arrived(self, now: float) -> None:
        if self._back == self._rows:
            return
        gap, self._last = now - self._last, now
        if self._back == 0:
            self._first += _LEARN * (gap - self._first)
        else:
            self._each += _LEARN * (gap - self._each)
        self._back += 1
        self._returned_in_time += now - self._since <= _LONGEST_RETURN * self._return(self._rows)

    def wait(
        self, now: float, queued: int, room: int, seconds: Callable[[int], float]
    ) -> Wait | None:
        """The wait that pays, or None.

        Args:
            now: monotonic seconds.
            queued: requests that could run at once.
            room: rows of the largest batch.
            seconds: of a batch of so many rows.
        """
        away = round(self._return_rate * self._rows) - self._back
        rows = queued + away
        if away < 1 or rows > room:
            return None
        half = rows // 2
        saving = seconds(half) + seconds(rows - half) - seconds(rows)
        usual = self._return(rows)
        if usual >= saving:
            return None
        left = self._since + min(saving, _LONGEST_RETURN * usual) - now
        return Wait(left, away) if left > _TICK else None

    def _return(self, rows: int) -> float:
        """Seconds until so many callers are usually back."""
        return self._first + (rows - 1) * self._each
