"""Decoders that block, used from the event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Executor
from typing import TypeVar

from emotion2vec_runtime.arrays import Float32
from emotion2vec_runtime.audio import RecordingDecoder

R = TypeVar("R")


class ContainerDecoding:
    """One recording or live container: each step in a thread, one after the other.

    Of a stream it is one for all utterances: an end of utterance is a place between two of its
    samples.
    """

    def __init__(self, decoder: RecordingDecoder, executor: Executor) -> None:
        self.decoder = decoder
        self.seconds = 0.0
        """That decoding took so far."""
        self._executor = executor
        self._busy = threading.Lock()

    async def feed(self, data: bytes) -> AsyncGenerator[Float32, None]:
        """As `RecordingDecoder.feed`, of one track."""
        async for block in self.each(self.decoder.feed(data), _first):
            yield block

    async def end_utterance(self) -> AsyncGenerator[Float32, None]:
        """Nothing: what has not come out yet belongs to the next one."""
        nothing: tuple[Float32, ...] = ()
        for samples in nothing:
            yield samples

    async def finish(self) -> AsyncGenerator[Float32, None]:
        """As `RecordingDecoder.rest`, of one track."""
        async for block in self.each(self.decoder.rest(), _first):
            yield block

    async def each(
        self, blocks: Iterator[Float32], use: Callable[[Float32], R]
    ) -> AsyncGenerator[R, None]:
        """What `use` makes of each block [tracks, n], in the thread that decodes it."""
        while (made := await self._off_loop(lambda: self._step(blocks, use))) is not None:
            yield made

    async def close(self) -> None:
        """Frees the decoder, when it is at rest: a thread outlives whoever waited for it."""
        await self._off_loop(self._close)

    def _step(self, blocks: Iterator[Float32], use: Callable[[Float32], R]) -> R | None:
        with self._busy:
            began = time.perf_counter()
            block = next(blocks, None)
            self.seconds += time.perf_counter() - began
            return None if block is None else use(block)

    def _close(self) -> None:
        with self._busy:
            self.decoder.close()

    async def _off_loop(self, work: Callable[[], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)


def _first(block: Float32) -> Float32:
    samples: Float32 = block[0]
    return samples
