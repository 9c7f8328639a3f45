"""The reading half of a live stream: takes requests, decodes them, fills the inbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from emotion2vec_runtime.arrays import Float32
from emotion2vec_runtime.errors import InvalidRequestError, RequestError, TooLargeError

from emotion2vec_server.errors import DeadlineExceededError, stopping
from emotion2vec_server.streaming.events import Closing
from emotion2vec_server.streaming.inbox import Inbox, Mark

_SLICE_BYTES = 8192
"""Decoded at once, on the event loop: at most 1 s of audio. See docs/streaming.md for its cost."""


class EndUtterance:
    """Request: closes the utterance."""


Request = bytes | EndUtterance


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


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """What a stream may cost, in seconds.

    `idle`: between two requests. `life`: of the stream. `utterance`: audio of one. `read_ahead`:
    audio read but not yet handled. `overload`: waiting for room in a full queue.
    """

    idle: float = 30.0
    life: float = 3600.0
    utterance: float = 300.0
    read_ahead: float = 4.0
    overload: float = 10.0


class Ending(Enum):
    """How a stream ends; the value is how that closes its last utterance."""

    HALF_CLOSED = Closing.HALF_CLOSE
    IDLE = Closing.IDLE
    EXPIRED = Closing.EXPIRED
    DRAINED = Closing.DRAINED

    def error(self, limits: StreamLimits) -> RequestError | None:
        """What the caller gets after the last result; None is a good end."""
        match self:
            case Ending.HALF_CLOSED:
                return None
            case Ending.IDLE:
                return DeadlineExceededError(
                    f"nothing came for {limits.idle:g} s: send audio as it is recorded, or close "
                    "the stream"
                )
            case Ending.EXPIRED:
                return TooLargeError(
                    f"the stream is {limits.life:g} s old, the longest that this server allows: "
                    "open a new one"
                )
            case Ending.DRAINED:
                return stopping()


class Reader:
    """Reads one stream until the caller has sent all, or `end` is called."""

    def __init__(
        self, inbox: Inbox, new_decoder: Callable[[], Decoder], limits: StreamLimits
    ) -> None:
        """To be made within the event loop that runs it."""
        self._inbox = inbox
        self._new_decoder = new_decoder
        self._limits = limits
        self._stop: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()

    def end(self, ending: Ending) -> None:
        """Reads no further request. Without effect once the stream has ended."""
        if not self._stop.done():
            self._stop.set_result(ending)

    async def read(self, requests: AsyncIterator[Request]) -> Ending:
        """Fills the inbox, closes it, and tells how the stream ended.

        Raises:
            InvalidRequestError: the bytes end within a sample.
            RequestError: whatever `requests` raises.
        """
        expiry = asyncio.get_running_loop().call_later(self._limits.life, self.end, Ending.EXPIRED)
        try:
            decoder = self._new_decoder()
            while not isinstance(request := await self._next(requests), Ending):
                if isinstance(request, EndUtterance):
                    await self._inbox.put(decoder.finish())
                    await self._inbox.put(Mark.END_UTTERANCE)
                    decoder = self._new_decoder()
                else:
                    await self._decode(decoder, request)
            await self._flush(decoder, request)
            return request
        finally:
            expiry.cancel()
            self._inbox.close()

    async def _next(self, requests: AsyncIterator[Request]) -> Request | Ending:
        """The next request, or how the stream ends. Only waiting for the caller counts as idle."""
        if self._stop.done():  # However much more has come.
            return self._stop.result()
        arrival = asyncio.create_task(_next_of(requests))
        ending = self._stop
        try:
            await asyncio.wait(
                (arrival, ending), timeout=self._limits.idle, return_when=asyncio.FIRST_COMPLETED
            )
            if arrival.done():
                return arrival.result()
            return ending.result() if ending.done() else Ending.IDLE
        finally:
            arrival.cancel()

    async def _decode(self, decoder: Decoder, data: bytes) -> None:
        for begin in range(0, len(data), _SLICE_BYTES):
            if self._stop.done():
                return
            await self._inbox.put(decoder.push(data[begin : begin + _SLICE_BYTES]))
            # A large message must not hold up the other streams.
            await asyncio.sleep(0)

    async def _flush(self, decoder: Decoder, ending: Ending) -> None:
        try:
            await self._inbox.put(decoder.finish())
        except InvalidRequestError:
            # Half a sample is the caller's mistake only where the caller chose the end.
            if ending is Ending.HALF_CLOSED:
                raise


async def _next_of(requests: AsyncIterator[Request]) -> Request | Ending:
    return await anext(requests, Ending.HALF_CLOSED)
