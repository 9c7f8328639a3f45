"""What runs really take: the measured cost model, corrected by what was seen since.

No estimate can latch. Where nothing runs because of one, `doubt` makes the next one milder, until a
request is tried and its run tells the truth. And the drain rate falls only by runs that left a
backlog, since other runs are small for want of requests, while it rises by any run that was faster.
"""

from __future__ import annotations

from typing import Protocol

_LEARN = 0.3
"""Weight of the newest run in the moving averages."""
_DOUBT = 0.9
_USUAL_FRAMES = 250
"""5 s of audio, for a first guess."""


class Cost(Protocol):
    """What the batcher asks of a cost model."""

    def seconds(self, batch: int, frames: int) -> float:
        """Seconds of a padded batch of `batch` rows of `frames` frames each; more than 0."""
        ...


class Estimator:
    """Time of a batch, and of working off a queue."""

    def __init__(self, cost: Cost, rows: int, max_frames: int, workers: int) -> None:
        self._cost = cost
        self._workers = workers
        self.correction = 1.0
        """Of the cost model's times, to what runs take now."""
        self._rows = 1.0
        frames = min(_USUAL_FRAMES, max_frames)
        counts = range(1, max(1, min(rows, max_frames // frames)) + 1)
        self._rate = max(count * frames / cost.seconds(count, frames) for count in counts)

    @property
    def usual_rows(self) -> float:
        """Rows of a batch, lately."""
        return self._rows

    def nominal(self, batch: int, frames: int) -> float:
        """Seconds of a padded batch as measured at first: for comparing batches."""
        return self._cost.seconds(batch, frames)

    def seconds(self, batch: int, frames: int) -> float:
        """Seconds of a padded batch as it would take now."""
        return self._cost.seconds(batch, frames) * self.correction

    def drain_seconds(self, frames: float) -> float:
        """Time to work off so many waiting frames, at the measured rate."""
        return frames / (self._rate * self._workers)

    def doubt(self) -> None:
        self.correction *= _DOUBT

    def learn(self, rows: int, frames: int, longest: int, seconds: float, *, backlog: bool) -> None:
        """A batch of `rows` rows, `frames` true frames in all, took `seconds`."""
        observed = seconds / self._cost.seconds(rows, longest)
        self.correction += _LEARN * (observed - self.correction)
        self._rows += _LEARN * (rows - self._rows)
        rate = frames / seconds
        if backlog or rate > self._rate:
            self._rate += _LEARN * (rate - self._rate)
