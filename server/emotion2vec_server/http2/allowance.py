"""How much a peer may ask for nothing: frames that cost us work and bring no call forward.

A bucket of so many, refilled with time and by what is useful. A well-behaved client is never near
its end; a flood is, within a second, and costs its peer the connection.
"""

from __future__ import annotations

from collections.abc import Callable

from emotion2vec_server.http2.faults import ErrorCode, PeerError


class Allowance:
    """One bucket."""

    def __init__(self, most: int, per_second: float, clock: Callable[[], float]) -> None:
        """Full: `most` at once, and `per_second` on average. `clock` is in seconds."""
        self._most = most
        self._per_second = per_second
        self._clock = clock
        self._left = float(most)
        self._since = clock()

    def spend(self, what: str, cost: float = 1) -> None:
        """Takes one, or what it costs.

        Raises:
            PeerError: there is not enough left; `what` says of what there were too many.
        """
        if self._left < cost:
            now = self._clock()
            self.earn((now - self._since) * self._per_second)
            self._since = now
            if self._left < cost:
                raise PeerError(ErrorCode.ENHANCE_YOUR_CALM, f"too many {what}")
        self._left -= cost

    def earn(self, count: float) -> None:
        """Puts some back."""
        self._left = min(self._most, self._left + count)
