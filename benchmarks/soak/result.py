"""What a soak does, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

from benchmarks.machine import Machine
from benchmarks.soak.crowd import Outcome

VICTIM_GROUPS = 2
"""Processes at once that will be killed."""
MOST_GROWTH = 0.05
"""Of the median of memory, from the second quarter to the last one, where it counts as flat."""
SETTLED_SECONDS = 600.0
"""Before that a server still fills its pools, and growth means nothing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Times are in seconds."""

    streams: int
    seconds: float
    life: tuple[float, float] = (5.0, 60.0)
    """Of a stream that leaves."""
    utterance: tuple[float, float] = (1.0, 12.0)
    victims_life: tuple[float, float] = (15.0, 45.0)
    between: float = 5.0
    """Two looks at the server, and at who is to be killed."""
    seed: int = 0

    @property
    def victims(self) -> int:
        """Streams of a process that is killed; there are `VICTIM_GROUPS` such at once."""
        return self.streams // (5 * VICTIM_GROUPS)

    @property
    def staying(self) -> int:
        return self.streams // 2

    @property
    def coming(self) -> int:
        return self.streams - self.staying - VICTIM_GROUPS * self.victims


@dataclass(frozen=True, slots=True)
class Look:
    """The server at one moment."""

    second: float
    resident: int
    """Bytes."""
    files: int
    """Descriptors that it has open."""
    active: int
    """Streams, as it says."""


@dataclass(slots=True)
class Soak:
    """What came of it."""

    plan: Plan
    machine: Machine
    idle: Look | None = None
    """Before the first stream."""
    looks: list[Look] = field(default_factory=list)
    """While all streams are there; times are from when they had come."""
    killed: int = 0
    """Streams whose process was killed."""
    outcome: Outcome = field(default_factory=Outcome)
    """Of all streams that were not killed."""
    cpu_seconds: float = 0.0
    """Of the server, while looked at."""
    stop_seconds: float = 0.0
    """From SIGTERM to the server's end."""

    @property
    def growth(self) -> float:
        """Of the median of memory, from the second quarter to the last one."""
        quarter = len(self.looks) // 4
        second, last = self.looks[quarter : 2 * quarter], self.looks[-quarter:]
        if not quarter:
            return 0.0
        return median(look.resident for look in last) / median(look.resident for look in second) - 1

    @property
    def most_active(self) -> int:
        """Streams that the server had open at once, at most."""
        return max((look.active for look in self.looks), default=0)

    def faults(self) -> list[str]:
        """All that is not as it should be."""
        found = list(self.outcome.faults)
        if self.plan.seconds >= SETTLED_SECONDS and self.growth > MOST_GROWTH:
            found.append(f"memory grew by {self.growth:.1%} in the second half")
        if self.most_active > self.plan.streams:
            found.append(
                f"{self.most_active} streams were open at once, where {self.plan.streams} lived"
            )
        if self.outcome.drained < self.plan.staying:
            found.append(f"{self.outcome.drained} streams got their final result while it stopped")
        return found
