"""What has been sent but not decoded: the part of the work that no batcher's bounds see.

Of a gRPC message nobody can see how long it is before all of it has come. So a call waits for room
before its body is read, and flow control leaves the bytes with its caller meanwhile. One that is on
its way counts as what HTTP says of it, or as the largest there may be, inflated; one that has come
counts by its bytes until it is decoded. The pieces of streams and long recordings are small: they
never wait, and count while they are decoded.

Nobody keeps the others out, whether by many uploads, by slow ones, or by none that ever end:

- Room is given in turns over callers, and none takes more than its share of it, or of the places
  to wait in. Of one caller's, the newest comes first: who asked long ago may have given up.
- Where one waits all the same, the upload that has been on its way the longest gives its room up,
  if it had `_GRACE_SECONDS`: of the caller that has the most of them.
- None may wait and take longer than `max_seconds`, whoever else waits.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import NamedTuple, TypeVar

from emotion2vec_runtime.errors import RequestError

from emotion2vec_server.errors import (
    RETRY_SECONDS,
    DeadlineExceededError,
    OverloadedError,
    stopping,
)
from emotion2vec_server.serving.places import SHARE, Places

_GRACE_SECONDS = 3.0
"""In which 160 KB, 5 s of speech, arrive from nearly everywhere: at 53 KB/s."""

P = TypeVar("P")
R = TypeVar("R")


class Uploads:
    """Bounds the bodies that are on their way in, and shares the room for them out."""

    def __init__(
        self,
        *,
        max_uploads: int,
        max_bytes: int,
        max_body_bytes: int,
        max_seconds: float,
        refused: Callable[[], object],
    ) -> None:
        """Empty.

        Args:
            max_uploads: how many may wait, arrive or be decoded at once.
            max_bytes: of all that arrive or wait to be decoded; one is taken whatever its size.
            max_body_bytes: of the largest body whose size is not known before it has come.
            max_seconds: in which a body must have arrived.
            refused: called for each body that is refused for want of room.
        """
        self._max_bytes = max_bytes
        self._max_body_bytes = max_body_bytes
        self._max_seconds = max_seconds
        self._refused = refused
        self._bytes: Counter[str] = Counter()
        """Of each caller, the bodies that arrive or wait to be decoded."""
        self._held = 0
        """Bytes of all of them."""
        self._places = Places(max_uploads)
        self._arriving: dict[_Arrival, None] = {}
        """Oldest first."""
        self._waiting: OrderedDict[str, list[_Turn]] = OrderedDict()
        """Of each caller in turn, the newest last."""
        self._pressing: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def receive(
        self,
        caller: str,
        read: Callable[[], Awaitable[bytes]],
        parse: Callable[[bytes], R],
        size: int | None = None,
    ) -> AsyncIterator[R]:
        """A body, read when there is room for it, and parsed. It counts to the end of the block:
        by then it is decoded.

        Args:
            caller: whose it is.
            read: reads it.
            parse: makes of it what the block gets.
            size: bytes that it can't exceed, where that is known.

        Raises:
            DeadlineExceededError: it did not arrive in time.
            OverloadedError: there is no place to wait, or it was too slow while others waited.
            UnavailableError: it was on its way too long when the server began to stop.
            RequestError: whatever `parse` raises.
        """
        if not self._places.take(caller):
            raise self._overloaded("too many requests are on their way in")
        try:
            body = await self._receive(caller, read, size or self._max_body_bytes)
            held = len(body)
            try:
                parsed = parse(body)
                # What is parsed holds a copy of what is needed of it.
                del body
                yield parsed
            finally:
                self._release(caller, held)
        finally:
            self._places.give_back(caller)

    @contextmanager
    def count(self, caller: str, pieces: AsyncIterator[P]) -> Iterator[AsyncIterator[P]]:
        """The pieces of a stream or a long recording: each counts until the next one is asked for,
        the last one to the end of the block."""
        counted = _Counted(pieces, partial(self._take, caller), partial(self._release, caller))
        try:
            yield counted
        finally:
            counted.close()

    def drain(self) -> None:
        """The server is to stop: uploads have their grace, and no more."""
        for arrival in self._arriving:
            arrival.end(arrival.began + _GRACE_SECONDS, stopping())

    async def _room(self, caller: str, size: int) -> None:
        """Returns when the room for a body has been taken."""
        if not self._waiting and self._is_within_share(caller) and self._fits(size):
            self._take(caller, size)
            return
        turn = _Turn(size, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(caller, []).append(turn)
        self._give_room()
        try:
            await turn.given
        except asyncio.CancelledError:
            if turn.given.cancelled():
                self._leave(caller, turn)
            else:
                self._release(caller, size)
            raise

    def _take(self, caller: str, size: int) -> None:
        self._bytes[caller] += size
        self._held += size

    def _release(self, caller: str, size: int) -> None:
        self._held -= size
        self._bytes[caller] -= size
        if not self._bytes[caller]:
            del self._bytes[caller]
        self._give_room()

    async def _receive(self, caller: str, read: Callable[[], Awaitable[bytes]], most: int) -> bytes:
        """The body, of at most so many bytes; it takes room of its own size from now on."""
        arrival = None
        try:
            async with asyncio.timeout(self._max_seconds) as timeout:
                await self._room(caller, most)
                arrival = _Arrival(caller, asyncio.get_running_loop().time(), timeout)
                size = 0
                try:
                    body = await self._read(arrival, read)
                    size = len(body)
                    return body
                finally:
                    self._release(caller, most - size)
        except TimeoutError as error:
            if arrival is not None and arrival.ending is not None:
                raise arrival.ending from error
            raise DeadlineExceededError(
                f"the request did not arrive within {self._max_seconds:g} s; "
                "send it faster, or less at once"
            ) from error

    async def _read(self, arrival: _Arrival, read: Callable[[], Awaitable[bytes]]) -> bytes:
        self._arriving[arrival] = None
        self._press()
        try:
            return await read()
        finally:
            del self._arriving[arrival]

    def _fits(self, size: int) -> bool:
        """Whether there is room for a body, whoever's."""
        return not self._held or self._held + size <= self._max_bytes

    def _is_within_share(self, caller: str) -> bool:
        return not self._held or self._bytes[caller] <= SHARE * (self._max_bytes - self._held)

    def _give_room(self) -> None:
        """Lets those in whose turn it is, one of each caller after the other. A large one is waited
        for: others that would fit must not pass it for ever."""
        while (caller := next(filter(self._is_within_share, self._waiting), None)) is not None:
            turns = self._waiting[caller]
            turn = turns[-1]
            if not turn.given.done():
                if not self._fits(turn.size):
                    break
                self._take(caller, turn.size)
                turn.given.set_result(None)
                self._waiting.move_to_end(caller)
            self._leave(caller, turn)
        self._press()

    def _leave(self, caller: str, turn: _Turn) -> None:
        turns = self._waiting.get(caller)
        if turns is not None and turn in turns:
            turns.remove(turn)
            if not turns:
                del self._waiting[caller]

    def _press(self) -> None:
        """Where somebody waits for room, the slowest upload has its grace and no more."""
        if self._pressing is None and self._waiting and (slowest := self._slowest()):
            when = slowest.began + _GRACE_SECONDS
            self._pressing = asyncio.get_running_loop().call_at(when, self._end_slowest)

    def _end_slowest(self) -> None:
        self._pressing = None
        slowest = self._slowest()
        if not self._waiting or slowest is None:
            return
        if slowest.began + _GRACE_SECONDS <= asyncio.get_running_loop().time():
            # The room that it leaves goes to the one who waits; then the next one is looked at.
            problem = "the request came too slowly while others waited; send it faster"
            slowest.end(slowest.began, self._overloaded(problem))
        else:
            self._press()

    def _slowest(self) -> _Arrival | None:
        """The upload that has been on its way the longest, of the caller that has most of them."""
        arriving = [arrival for arrival in self._arriving if arrival.ending is None]
        if not arriving:
            return None
        held = Counter(arrival.caller for arrival in arriving)
        most = max(held.values())
        return next(arrival for arrival in arriving if held[arrival.caller] == most)

    def _overloaded(self, problem: str) -> OverloadedError:
        self._refused()
        return OverloadedError(f"{problem}; try again in {RETRY_SECONDS:g} s", RETRY_SECONDS)


class _Turn(NamedTuple):
    """A body that waits for room."""

    size: int
    given: asyncio.Future[None]


class _Counted(AsyncIterator[P]):
    """Has each piece counted for as long as it is being worked on."""

    def __init__(
        self,
        pieces: AsyncIterator[P],
        take: Callable[[int], None],
        release: Callable[[int], None],
    ) -> None:
        self._pieces = pieces
        self._take = take
        self._release = release
        self._size = 0
        self._is_closed = False

    async def __anext__(self) -> P:
        self._give_back()
        piece = await anext(self._pieces)
        if isinstance(piece, bytes) and not self._is_closed:
            self._size = len(piece)
            self._take(self._size)
        return piece

    def close(self) -> None:
        self._is_closed = True
        self._give_back()

    def _give_back(self) -> None:
        size, self._size = self._size, 0
        if size:
            self._release(size)


class _Arrival:
    """A body on its way."""

    def __init__(self, caller: str, began: float, timeout: asyncio.Timeout) -> None:
        self.caller = caller
        self.began = began
        self.ending: RequestError | None = None
        """What its caller is told, where it is ended before its own time."""
        self._timeout = timeout

    def end(self, when: float, ending: RequestError) -> None:
        """Ends it at that time of the event loop's clock, if it has not arrived by then."""
        limit = self._timeout.when()
        # One that is about to end by itself can't be moved.
        if limit is None or when >= limit or self._timeout.expired():
            return
        self.ending = ending
        self._timeout.reschedule(max(when, asyncio.get_running_loop().time()))
