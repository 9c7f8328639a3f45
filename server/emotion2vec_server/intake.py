"""What has been sent but not decoded: the part of the work that no batcher's bounds see.

A body may be a thousand times the size of what is known before it. So a call is counted before its
body is read, and gRPC's flow control leaves the bytes of a refused one with the caller; and a body
that has come in counts by its bytes until it is decoded, so that they can't pile up where decoding
is what the server is short of.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable

from emotion2vec_server.errors import DeadlineExceededError, OverloadedError

_LEARN = 0.1
_SOONEST_RETRY = 0.1


class Intake:
    """Bounds the bodies that are on their way in."""

    def __init__(self, *, max_bodies: int, max_bytes: int, max_seconds: float) -> None:
        """
        Args:
            max_bodies: how many may arrive or wait to be decoded at once.
            max_bytes: of those that wait to be decoded; one body is taken whatever its size.
            max_seconds: in which a body must have arrived.
        """
        self._max_bodies = max_bodies
        self._max_bytes = max_bytes
        self._max_seconds = max_seconds
        self._bodies = 0
        self._bytes = 0
        self._usual_seconds = _SOONEST_RETRY

    def open(self) -> Body:
        """Room for one body, to be entered before it is read.

        Raises:
            OverloadedError: there is none.
        """
        if self._bodies >= self._max_bodies or self._bytes >= self._max_bytes:
            raise self._full()
        return Body(self)

    def _full(self) -> OverloadedError:
        seconds = max(_SOONEST_RETRY, self._usual_seconds)
        return OverloadedError(
            f"too many requests are being received; try again in {seconds:.2g} s", seconds
        )


class Body:
    """One body on its way in; it takes room until the context ends, when it should be decoded."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._began = 0.0
        self._bytes = 0

    def __enter__(self) -> Body:
        self._began = time.monotonic()
        self._intake._bodies += 1
        return self

    def __exit__(self, *_: object) -> None:
        intake, seconds = self._intake, time.monotonic() - self._began
        intake._bodies -= 1
        intake._bytes -= self._bytes
        intake._usual_seconds += _LEARN * (seconds - intake._usual_seconds)

    async def receive(self, body: Awaitable[bytes]) -> bytes:
        """The bytes, which from now on count.

        Raises:
            DeadlineExceededError: they did not come in time.
            OverloadedError: with them, too many would wait to be decoded.
        """
        intake = self._intake
        try:
            async with asyncio.timeout(intake._max_seconds):
                data = await body
        except TimeoutError as error:
            raise DeadlineExceededError(
                f"the request did not arrive within {intake._max_seconds:g} s; "
                "send it faster, or in smaller parts"
            ) from error
        if intake._bytes and intake._bytes + len(data) > intake._max_bytes:
            raise intake._full()
        intake._bytes += len(data)
        self._bytes = len(data)
        return data
