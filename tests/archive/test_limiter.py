"""As many recordings at once as keep the server busy, and no more."""

from __future__ import annotations

import asyncio

import pytest
from emotion2vec_archive.limiter import Limiter

RUN = 0.002


class BatchingServer:
    """Runs one batch of what waits at a time, each in the same time, as a GPU does."""

    def __init__(self, batch: int) -> None:
        self._batch = batch
        self._waiting: list[tuple[float, asyncio.Future[tuple[float, float]]]] = []
        self.batches: list[int] = []
        self.most = 0

    async def recognize(self) -> tuple[float, float]:
        """Seconds of waiting and running."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[tuple[float, float]] = loop.create_future()
        self._waiting.append((loop.time(), answer))
        self.most = max(self.most, len(self._waiting))
        return await answer

    async def serve(self) -> None:
        while True:
            batch, self._waiting = self._waiting[: self._batch], self._waiting[self._batch :]
            began = asyncio.get_running_loop().time()
            await asyncio.sleep(RUN)
            ran = asyncio.get_running_loop().time() - began
            if batch:
                self.batches.append(len(batch))
            for asked, answer in batch:
                answer.set_result((began - asked, ran))


@pytest.mark.parametrize("batch", [1, 32])
async def test_the_server_is_kept_full_and_not_flooded(batch: int) -> None:
    server, limiter = BatchingServer(batch), Limiter()

    async def one() -> None:
        async with limiter:
            limiter.answered(*await server.recognize())

    serving = asyncio.create_task(server.serve())
    await asyncio.gather(*(one() for _ in range(batch * 100)))
    serving.cancel()
    # The last batch may be what was left.
    late = server.batches[len(server.batches) // 2 : -1]
    assert sum(late) / len(late) > 0.9 * batch
    assert server.most <= max(6 * batch, 8)
