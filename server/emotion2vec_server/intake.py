"""What has been sent but not decoded: the part of the work that no batcher's bounds see.

A body may be a thousand times the size of what is known before it. So a call is counted before its
body is read, and gRPC's flow control leaves the bytes of a refused one with the caller; and a body
that has come in counts by its bytes until it is decoded, so that they can't pile up where decoding
is what the server is short of.

More bodies at once than the server can receive would all come too late, and it would do nothing
else than receive them. So their number is a window as TCP has it, which every body that comes
widens and every one that doesn't narrows: up to one failure in a hundred leaves it wide open, one
in ten keeps it at ninety.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from types import TracebackType

from emotion2vec_server.errors import DeadlineExceededError, OverloadedError

_LEARN = 0.1
_SOONEST_RETRY = 0.1
_WIDEN = 1.0
_NARROW = 0.9
_FEWEST = 64
"""Bodies that may always be on their way: a large batch of them."""
_CALLER_SHARE = 4
"""A caller may have this many times the places on their way that are left: alone four fifths."""


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
        self._window = float(max_bodies)
        self._max_bytes = max_bytes
        self._max_seconds = max_seconds
        self._refused = refused
        self._bodies = 0
        self._bytes = 0
        self._coming: Counter[str] = Counter()
        """Of each caller, the bodies that have not arrived."""
        self._usual_seconds = 0.0

    def receive(self, caller: str, read: Callable[[], Awaitable[bytes]]) -> _Body:
        """A context that reads a body, which takes room until it ends: by then it is decoded.

        Raises:
            DeadlineExceededError: it did not arrive in time.
            OverloadedError: there is no room. `read` was not called, unless it is the body's size
                that is too much for now.
        """
        return _Body(self, caller, read)

    async def take(self, caller: str, read: Callable[[], Awaitable[bytes]]) -> bytes:
        """Reads a body; `give_back` is due when it is decoded. Raises as `receive` does."""
        room = self._window - self._bodies
        if room <= 0 or self._bytes >= self._max_bytes:
            raise self._full()
        if self._coming[caller] > _CALLER_SHARE * room:
            raise self._full()
        self._bodies += 1
        self._coming[caller] += 1
        try:
            data = await self._receive(read)
            if self._bytes and self._bytes + len(data) > self._max_bytes:
                raise self._full()
        except BaseException:
            self._bodies -= 1
            raise
        finally:
            self._coming[caller] -= 1
            if not self._coming[caller]:
                del self._coming[caller]
        self._bytes += len(data)
        return data

    def give_back(self, size: int, seconds: float) -> None:
        """A body of so many bytes is decoded, so many seconds after it was asked for."""
        self._bodies -= 1
        self._bytes -= size
        self._usual_seconds += _LEARN * (seconds - self._usual_seconds)

    async def _receive(self, read: Callable[[], Awaitable[bytes]]) -> bytes:
        try:
            data = await self._in_time(read)
        except BaseException:
            # Too late, mostly: its caller's deadline or ours has passed.
            self._window = max(self._window * _NARROW, min(self._max_bodies, _FEWEST))
            raise
        self._window = min(self._window + _WIDEN, self._max_bodies)
        return data

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


class _Body:
    """One body, from before it is read until it is decoded.

    A class and not a generator: this is on every request's way, and costs a fifth.
    """

    __slots__ = ("_began", "_caller", "_intake", "_read", "_size")

    def __init__(self, intake: Intake, caller: str, read: Callable[[], Awaitable[bytes]]) -> None:
        self._intake = intake
        self._caller = caller
        self._read = read

    async def __aenter__(self) -> bytes:
        self._began = time.monotonic()
        data = await self._intake.take(self._caller, self._read)
        self._size = len(data)
        return data

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._intake.give_back(self._size, time.monotonic() - self._began)
