"""`Pump` as a task: one that waits for the caller's next chunk must not be cancelled with a call,
which would end the caller's own generator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from emotion2vec.v1.service_pb2 import StreamRecognizeRequest

from emotion2vec_client.reconnect.resumption import Resumption


class AsyncPump:
    """Feeds one stream; `messages` are its caller's, behind the config. To be closed."""

    def __init__(self, messages: AsyncIterator[StreamRecognizeRequest], stream: Resumption) -> None:
        self._messages = messages
        self._stream = stream
        self._change = asyncio.Condition()
        self._wanted = 0
        """Number of the message that is waited for; no further one is asked of the caller."""
        self._has_ended = False
        self._task = asyncio.create_task(self._run())

    async def call(self) -> AsyncIterator[StreamRecognizeRequest]:
        """The messages of the next call; gRPC cancels who reads them when the call ends."""
        number = self._stream.resume()
        while (message := await self._next(number)) is not None:
            yield message
            number += 1

    async def close(self) -> None:
        """Nothing more is to be sent."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _next(self, number: int) -> StreamRecognizeRequest | None:
        async with self._change:
            self._wanted = number
            self._change.notify_all()
            await self._change.wait_for(lambda: self._has_ended or number < self._stream.end)
            return self._stream.message(number) if number < self._stream.end else None

    async def _run(self) -> None:
        async for message in self._messages:
            async with self._change:
                self._stream.add(message)
                self._change.notify_all()
                await self._change.wait_for(lambda: self._wanted >= self._stream.end)
        async with self._change:
            self._has_ended = True
            self._change.notify_all()
