"""The reading half of a live stream: takes requests, decodes them, fills the inbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from enum import Enum

from emotion2vec_runtime.errors import InvalidRequestError, RequestError

from emotion2vec_server.errors import RETRY_SECONDS, UnavailableError, stopping
from emotion2vec_server.streaming.decoding import Decoding
from emotion2vec_server.streaming.events import Closing
from emotion2vec_server.streaming.inbox import Inbox, Mark


class EndUtterance:
    """Request: closes the utterance."""


class KeepAlive:
    """Request: a sign of life, and nothing else."""


Request = bytes | EndUtterance | KeepAlive


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
                return UnavailableError(
                    f"nothing came for {limits.idle:g} s: send audio as it is recorded or "
                    "keep_alive, or close the stream",
                    RETRY_SECONDS,
                )
            case Ending.EXPIRED:
                return UnavailableError(
                    f"the stream is {limits.life:g} s old, the longest that this server allows: "
                    "open a new one",
                    RETRY_SECONDS,
                )
            case Ending.DRAINED:
                return stopping()


class Reader:
    """Reads one stream until the caller has sent all, or `end` is called."""

    def __init__(self, inbox: Inbox, decoding: Decoding, limits: StreamLimits) -> None:
        self._inbox = inbox
        self._decoding = decoding
        self._limits = limits
        self._ending: Ending | None = None
        self._waiting: asyncio.Timeout | None = None
        """For the caller's next request."""

    def end(self, ending: Ending) -> None:
        """Reads no further request. Without effect once the stream has ended."""
        if self._ending is None:
            self._ending = ending
            if self._waiting is not None and not self._waiting.expired():
                self._waiting.reschedule(asyncio.get_running_loop().time())

    async def read(self, requests: AsyncIterator[Request]) -> Ending:
        """Fills the inbox, closes it, and tells how the stream ended.

        Raises:
            InvalidRequestError: the bytes end within a sample.
            RequestError: whatever `requests` raises.
        """
        expiry = asyncio.get_running_loop().call_later(self._limits.life, self.end, Ending.EXPIRED)
        try:
            while not isinstance(request := await self._next(requests), Ending):
                if isinstance(request, EndUtterance):
                    async for samples in self._decoding.end_utterance():
                        await self._inbox.put(samples)
                    await self._inbox.put(Mark.END_UTTERANCE)
                elif isinstance(request, bytes):
                    await self._decode(request)
            await self._flush(request)
            return request
        finally:
            expiry.cancel()
            self._inbox.close()
            await self._decoding.close()

    async def _next(self, requests: AsyncIterator[Request]) -> Request | Ending:
        """The next request, or how the stream ends. Only waiting for the caller counts as idle."""
        if self._ending is not None:  # However much more has come.
            return self._ending
        try:
            async with asyncio.timeout(self._limits.idle) as waiting:
                self._waiting = waiting
                return await anext(requests, Ending.HALF_CLOSED)
        except TimeoutError:
            if not waiting.expired():
                raise
            return self._ending or Ending.IDLE
        finally:
            self._waiting = None

    async def _decode(self, data: bytes) -> None:
        async with aclosing(self._decoding.feed(data)) as pieces:
            async for samples in pieces:
                await self._inbox.put(samples)
                if self._ending is not None:
                    return

    async def _flush(self, ending: Ending) -> None:
        try:
            async for samples in self._decoding.finish():
                await self._inbox.put(samples)
        except InvalidRequestError:
            # Half a sample is the caller's mistake only where the caller chose the end.
            if ending is Ending.HALF_CLOSED:
                raise
