"""From the bytes of a live stream to its samples."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Protocol

from emotion2vec_runtime.arrays import Float32

_SLICE_BYTES = 8192
"""Decoded at once, on the event loop: at most 1 s of audio. See docs/streaming.md for its cost."""


class Decoding(Protocol):
    """The decoding of one stream; the samples of all iterators in a row are the stream's."""

    def feed(self, data: bytes) -> AsyncGenerator[Float32, None]:
        """What the next bytes complete, in pieces."""
        ...

    def end_utterance(self) -> AsyncGenerator[Float32, None]:
        """What belongs to the utterance that ends here."""
        ...

    def finish(self) -> AsyncGenerator[Float32, None]:
        """What is left at the end.

        Raises:
            InvalidRequestError: the bytes end within a sample.
        """
        ...

    async def close(self) -> None:
        """Frees what it holds, finished or not."""


class Decoder(Protocol):
    """Raw bytes to float32 samples at 16 kHz, mono; one an utterance."""

    def push(self, data: bytes) -> Float32:
        """The samples that these bytes complete; a sample may lie across two calls."""
        ...

    def finish(self) -> Float32:
        """What is left in the resampler.

        Raises:
            InvalidRequestError: the bytes end within a sample.
        """
        ...


class RawDecoding:
    """Bare samples, decoded on the event loop; each utterance by itself, as Recognize would."""

    def __init__(self, new_decoder: Callable[[], Decoder]) -> None:
        self._new_decoder = new_decoder
        self._decoder = new_decoder()

    async def feed(self, data: bytes) -> AsyncGenerator[Float32, None]:
        for begin in range(0, len(data), _SLICE_BYTES):
            yield self._decoder.push(data[begin : begin + _SLICE_BYTES])
            # A large message must not hold up the other streams.
            await asyncio.sleep(0)

    async def end_utterance(self) -> AsyncGenerator[Float32, None]:
        yield self._decoder.finish()
        self._decoder = self._new_decoder()

    async def finish(self) -> AsyncGenerator[Float32, None]:
        yield self._decoder.finish()

    async def close(self) -> None:
        pass
