"""How far an estimate may be off: what to add to it, so that it is hardly ever too low.

As TCP does for its timeouts (Jacobson, Congestion Avoidance and Control, 1988; RFC 6298): moving
averages of the error and of its deviation.
"""

from __future__ import annotations

_LEARN = 1 / 16
_DEVIATIONS = 3.0
"""Mean deviations on top of the mean: 99% of a normal distribution."""


class Margin:
    """Learns from the errors of one estimate."""

    def __init__(self) -> None:
        self._mean = 0.0
        self._deviation = 0.0

    def learn(self, error: float) -> None:
        """It took `error` seconds more than estimated, or less where that is negative."""
        self._deviation += _LEARN * (abs(error - self._mean) - self._deviation)
        self._mean += _LEARN * (error - self._mean)

    @property
    def seconds(self) -> float:
        """What to add; 0 or more."""
        return max(0.0, self._mean + _DEVIATIONS * self._deviation)
