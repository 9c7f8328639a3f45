"""By how much more than expected a wait may be, learned from how it went.

Waits are expected as averages: like lengths overtake, a batch formed with time to spare is larger,
and a busy machine is now fast, now slow. So what is promised to a deadline is the expected wait
times a factor. It rises with every batch that was late for somebody, and falls with every other:
about one late batch in twenty holds it where it is. No model of the machine is needed.
"""

from __future__ import annotations

_LEAST = 5.0
"""What the first second of an overload needs, before anybody was late: refusing takes from the same
cores, and halves what the model gets of a small machine."""
_MOST = 12.0
_RISE = 1.2
_FALL = 0.99


class Caution:
    """The factor on a wait that a deadline depends on."""

    def __init__(self) -> None:
        self.factor = _LEAST

    def late(self) -> None:
        """Somebody who had been accepted was too late."""
        self.factor = min(_MOST, self.factor * _RISE)

    def in_time(self) -> None:
        """A batch was in time for all."""
        self.factor = max(_LEAST, self.factor * _FALL)

    def forget(self) -> None:
        """Nothing is left that could show whether so much is still needed."""
        self.factor = _LEAST
