"""How many recordings are with the server at once.

The server answers how long each waited for the model and how long it ran. What waits no longer than
one run was in the next batch, which may have had room for more: so more are sent. What waits for
several runs makes the queue longer and nothing faster: so fewer are. (TCP Vegas sets its window by
the same sign; doi:10.1145/190314.190317.)
"""

from __future__ import annotations

import asyncio
from typing import Self

FIRST = 8
MOST = 192
_FULL = 1.5
"""Waiting over running, above which more waits than the next batch holds."""
_OVERFULL = 4.0


class Limiter:
    """A lock that as many hold at once as the server has use for."""

    def __init__(self, first: int = FIRST, most: int = MOST) -> None:
        self.limit = first
        self._most = most
        self._held = 0
        self._since_lowered = 0
        self._change = asyncio.Condition()

    async def __aenter__(self) -> Self:
        async with self._change:
            await self._change.wait_for(lambda: self._held < self.limit)
            self._held += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self._held -= 1
        async with self._change:
            # In the place of this one, and where its answer has raised the limit by one.
            self._change.notify(2)

    def answered(self, queue_seconds: float, run_seconds: float) -> None:
        """Takes in what one answer says; ones without a run say nothing."""
        if run_seconds <= 0:
            return
        self._since_lowered += 1
        if queue_seconds < _FULL * run_seconds:
            # Not where it is the reading that holds more back.
            if 2 * self._held >= self.limit:
                self.limit = min(self.limit + 1, self._most)
        elif queue_seconds > _OVERFULL * run_seconds and self._since_lowered > self.limit:
            # Once a round: all that are under way were sent by the old limit.
            self.limit = max(self.limit * 3 // 4, 2)
            self._since_lowered = 0

    def refused(self) -> None:
        """The server had no room, or gave no answer in time."""
        self.limit = max(self.limit // 2, 1)
        self._since_lowered = 0
