"""What has been sent but not decoded: the part of the work that no batcher's bounds see.

A body may be a thousand times the size of what is known before it. So a call is counted before its
body is read, and gRPC's flow control leaves the bytes of a refused one with the caller; and a body
that has come in counts by its bytes until it is decoded, so that they can't pile up where decoding
is what the server is short of.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from emotion2vec_server.errors import DeadlineExceededError, OverloadedError

_LEARN = 0.1
_SOONEST_RETRY = 0.1


class Intake:
    """Bounds the bodies that are on their way in."""

    def __init__(
        self,
        *,
        max_bodies: int,
        max_bytes: int,
        max_seconds: float,
        refused: Callable[[], object],
    ) -> None:
        """Empty.

        Args:
            max_bodies: how many may arrive or wait to be decoded at once.
            max_bytes: of those that wait to be decoded; one body is taken whatever its size.
            max_seconds: in which a body must have arrived.
            refused: called for each body that is refused for want of room.
        """
        self._max_bodies = max_bodies
        self._max_bytes = max_bytes
        self._max_seconds = max_seconds
        self._refused = refused
        self._bodies = 0
        self._bytes = 0
        self._usual_seconds = 0.0

    @asynccontextmanager
    async def receive(self, read: Callable[[], Awaitable[bytes]]) -> AsyncIterator[bytes]:
        """Reads a body, which takes room until the context ends: by then it should be decoded.

        Raises:
            DeadlineExceededError: it did not arrive in time.
            OverloadedError: there is no room. `read` was not called, unless it is the body's size
                that is too much for now.
        """
        if self._bodies >= self._max_bodies or self._bytes >= self._max_bytes:
            raise self._full()
        began, size = time.monotonic(), 0
        self._bodies += 1
        try:
            data = await self._in_time(read)
            if self._bytes and self._bytes + len(data) > self._max_bytes:
                raise self._full()
            size = len(data)
            self._bytes += size
            yield data
        finally:
            self._bodies -= 1
            self._bytes -= size
            self._usual_seconds += _LEARN * (time.monotonic() - began - self._usual_seconds)

    async def _in_time(self, read: Callable[[], Awaitable[bytes]]) -> bytes:
        try:
            async with asyncio.timeout(self._max_seconds):
                return await read()
        except TimeoutError as error:
            raise DeadlineExceededError(
                f"the request did not arrive within {self._max_seconds:g} s; "
                "send it faster, or less at once"
            ) from error

    def _full(self) -> OverloadedError:
        self._refused()
        seconds = max(_SOONEST_RETRY, self._usual_seconds)
        return OverloadedError(
            f"too many requests are on their way in; try again in {seconds:.2g} s", seconds
        )
