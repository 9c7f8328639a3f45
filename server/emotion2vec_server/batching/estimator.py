"""What runs really take: the measured cost model, corrected by what was seen since.

A queue is as long as its requests' work: what each of them costs as part of a full batch of its own
length. Frames would not do. Where a batch shares most of its cost, ten short clips take longer than
one that is ten times as long.

No estimate can latch. Where nothing runs because of one, `doubt` makes the next one milder, until a
request is tried and its run tells the truth. And the pace slows down only by runs that left a
backlog, since other runs are small for want of requests, while it quickens by any run that was
faster.
"""

from __future__ import annotations

from typing import Protocol

_LEARN = 0.3
"""Weight of the newest run in the moving averages."""
_LEARN_PACE = 0.1
"""The same for the pace, by which waits of many runs are foreseen; the first runs weigh more."""
_DOUBT = 0.9


class Cost(Protocol):
    """What the batcher asks of a cost model."""

    def seconds(self, batch: int, frames: int) -> float:
        """Seconds of a padded batch of `batch` rows of `frames` frames each; more than 0."""
        ...


class Estimator:
    """Time of a batch, and of working off a queue."""

    def __init__(self, cost: Cost, rows: int, max_frames: int, instances: int) -> None:
        self._cost = cost
        self._max_rows = rows
        self._max_frames = max_frames
        self._instances = instances
        self.correction = 1.0
        """Of the cost model's times, to what runs take now."""
        self._rows = 1.0
        self._pace = 1.0
        """Seconds that a second of work takes."""
        self._paced = 0

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

    def work(self, frames: int) -> float:
        """Seconds that a request adds where the batches are as large as can be, if that pays."""
        rows = max(1, min(self._max_rows, self._max_frames // frames))
        return min(self._cost.seconds(1, frames), self._cost.seconds(rows, frames) / rows)

    def worthwhile(self, frames: int) -> int:
        """Rows of the smallest batch that costs at most twice what a full one does for each row."""
        rows = max(1, min(self._max_rows, self._max_frames // frames))
        limit = 2 * self.work(frames)
        while rows > 1 and self._cost.seconds(rows // 2, frames) <= limit * (rows // 2):
            rows //= 2
        return rows

    def drain_seconds(self, work: float) -> float:
        """Time to do so many seconds of waiting work, at the pace of late."""
        return work * self._pace / self._instances

    def doubt(self) -> None:
        self.correction *= _DOUBT

    def learn(self, rows: int, work: float, longest: int, seconds: float, *, backlog: bool) -> None:
        """A batch of `rows` rows, with so much work in all, took `seconds`."""
        observed = seconds / self._cost.seconds(rows, longest)
        self.correction += _LEARN * (observed - self.correction)
        self._rows += _LEARN * (rows - self._rows)
        pace = seconds / work
        if backlog or pace < self._pace:
            self._paced += 1
            self._pace += max(_LEARN_PACE, 1 / self._paced) * (pace - self._pace)
