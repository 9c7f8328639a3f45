"""How far the event loop lags behind: how long it may keep what it is handed waiting.

An upper bound that is hardly ever too low, as TCP makes one for its timeouts (Jacobson, Congestion
Avoidance and Control, 1988; RFC 6298): moving averages of the wait and of its deviation.
"""

from __future__ import annotations

_LEARN = 1 / 16
_DEVIATIONS = 3.0
"""Mean deviations on top of the mean: 99% of a normal distribution."""


class Lag:
    """Learns from the waits of what was handed to the loop."""

    def __init__(self) -> None:
        self._mean = 0.0
        self._deviation = 0.0

    def learn(self, seconds: float) -> None:
        """Something waited for so long."""
        self._deviation += _LEARN * (abs(seconds - self._mean) - self._deviation)
        self._mean += _LEARN * (seconds - self._mean)

    @property
    def seconds(self) -> float:
        """What the next one should expect to wait at most."""
        return self._mean + _DEVIATIONS * self._deviation
