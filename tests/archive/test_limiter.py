"""As many recordings at once as keep the server busy, and no more."""

from __future__ import annotations

import asyncio

import pytest
from emotion2vec_archive.limiter import FIRST, Limiter

_TURNS = 10
"""Of the event loop, in which answers are taken and others sent in their place."""


class BatchingServer:
    """Runs one batch of what waits at a time, each in one unit of a clock of its own."""

    def __init__(self, batch: int) -> None:
        self._batch = batch
        self._now = 0.0
        self._arrived = asyncio.Event()
        self._waiting: list[tuple[float, asyncio.Future[tuple[float, float]]]] = []
        self.batches: list[int] = []
        self.most = 0

    async def recognize(self) -> tuple[float, float]:
        """The times that it waited and ran."""
        answer: asyncio.Future[tuple[float, float]] = asyncio.get_running_loop().create_future()
        self._waiting.append((self._now, answer))
        self.most = max(self.most, len(self._waiting))
        self._arrived.set()
        return await answer

    async def serve(self) -> None:
        while True:
            await self._arrived.wait()
            batch, self._waiting = self._waiting[: self._batch], self._waiting[self._batch :]
            if not self._waiting:
                self._arrived.clear()
            began, self._now = self._now, self._now + 0.5
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            self._now += 0.5
            self.batches.append(len(batch))
            for asked, answer in batch:
                answer.set_result((began - asked, 1.0))


@pytest.mark.parametrize("batch", [1, 32])
async def test_the_server_is_kept_full_and_not_flooded(batch: int) -> None:
    server, limiter = BatchingServer(batch), Limiter()

    async def one() -> None:
        async with limiter:
            limiter.answered(*await server.recognize())

    serving = asyncio.create_task(server.serve())
    await asyncio.gather(*(one() for _ in range(batch * 60)))
    serving.cancel()
    # The last batch may be what was left.
    late = server.batches[len(server.batches) // 2 : -1]
    assert sum(late) / len(late) > 0.9 * batch
    assert server.most <= 6 * batch + FIRST
