"""Who wants to know what the batcher does: metrics and health."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class BatchRun(NamedTuple):
    """One successful run of `execute`."""

    rows: int
    frames: int
    padded_frames: int
    run_seconds: float
    queue_seconds: tuple[float, ...]
    """Of each row."""


class Observer(Protocol):
    """Who wants to know what the batcher does. Called on the event loop, and must not block."""

    def ran(self, run: BatchRun) -> None: ...

    def rejected(self, reason: str) -> None:
        """A request got no result: a `scheduler.Reason`, or "cancelled", "late", "draining",
        "failed" (the model raised) or "out_of_memory"."""
        ...

    def failing(self, reason: str | None) -> None:
        """Nothing of the last few batches succeeded, and why; None once something does again."""
        ...


class NullObserver:
    """Nobody wants to know."""

    def ran(self, run: BatchRun) -> None: ...
    def rejected(self, reason: str) -> None: ...
    def failing(self, reason: str | None) -> None: ...
