"""What has been sent but not decoded: the part of the work that no batcher's bounds see.

A body may be a thousand times the size of what is known before it, and nobody can see how much of
it has come. So a call waits for room before its body is read, and flow control leaves the bytes
with its caller meanwhile. One that is on its way counts as the largest there may be, inflated; one
that has come counts by its bytes until it is decoded.

Nobody keeps the others out, whether by many uploads, by slow ones, or by none that ever end:

- Room is given in turns over callers, and none takes more than its share of it, or of the places
  to wait in.
- Where one waits all the same, the upload that has been on its way the longest gives its room up,
  if it had `_GRACE_SECONDS`: of the caller that has the most of them.
- None may take longer than `max_seconds`, whoever waits.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from emotion2vec_server.errors import DeadlineExceededError, OverloadedError

_GRACE_SECONDS = 5.0
"""In which 160 KB, 5 s of speech, arrive from nearly everywhere: at 32 KB/s."""
_RETRY_SECONDS = 1.0
_CALLER_SHARE = 4
"""A caller may have this many times what is left, of room and of places: alone four fifths (dynamic
thresholds: Choudhury and Hahne, 1998)."""


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
            max_body_bytes: of the largest body.
            max_seconds: in which a body must have arrived.
            refused: called for each body that is refused for want of room.
        """
        self._max_uploads = max_uploads
        self._max_bytes = max_bytes
        self._max_body_bytes = max_body_bytes
        self._max_seconds = max_seconds
        self._refused = refused
        self._bytes: Counter[str] = Counter()
        """Of each caller, the bytes that arrive or wait to be decoded."""
        self._calls: Counter[str] = Counter()
        """Of each caller, the bodies that wait, arrive or are decoded."""
        self._arriving: dict[_Arrival, None] = {}
        """Oldest first."""
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        """Of each caller in turn."""
        self._pressing: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def receive(
        self, caller: str, read: Callable[[], Awaitable[bytes]]
    ) -> AsyncIterator[bytes]:
        """A body, read when there is room for it. By the end of the block it is decoded.

        Raises:
            DeadlineExceededError: it did not arrive in time.
            OverloadedError: there is no place to wait, or it was too slow while others waited.
        """
        places = self._max_uploads - self._calls.total()
        if places < 1 or self._calls[caller] > _CALLER_SHARE * places:
            raise self._overloaded("too many requests are on their way in")
        self._calls[caller] += 1
        try:
            await self._room(caller)
            size = self._max_body_bytes
            try:
                body = await self._read(caller, read)
                self._release(caller, size - len(body))
                size = len(body)
                yield body
            finally:
                self._release(caller, size)
        finally:
            _take_off(self._calls, caller, 1)

    async def _room(self, caller: str) -> None:
        """Returns when the room for a body of any size has been taken."""
        if self._has_room(caller) and not self._waiting:
            self._bytes[caller] += self._max_body_bytes
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(caller, deque()).append(turn)
        self._give_room()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._leave(caller, turn)
            else:
                self._release(caller, self._max_body_bytes)
            raise

    def _release(self, caller: str, size: int) -> None:
        _take_off(self._bytes, caller, size)
        self._give_room()

    async def _read(self, caller: str, read: Callable[[], Awaitable[bytes]]) -> bytes:
        now = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._max_seconds) as timeout:
                arrival = _Arrival(caller, now, timeout)
                self._arriving[arrival] = None
                self._press()
                try:
                    return await read()
                finally:
                    del self._arriving[arrival]
        except TimeoutError as error:
            if arrival.gave_way:
                raise self._overloaded(
                    "the request came too slowly while others waited; send it faster"
                ) from error
            raise DeadlineExceededError(
                f"the request did not arrive within {self._max_seconds:g} s; "
                "send it faster, or less at once"
            ) from error

    def _has_room(self, caller: str) -> bool:
        held = self._bytes.total()
        left = self._max_bytes - held
        return not held or (
            self._max_body_bytes <= left and self._bytes[caller] <= _CALLER_SHARE * left
        )

    def _give_room(self) -> None:
        """Lets those in whose turn it is, one of each caller after the other."""
        while (caller := next(filter(self._has_room, self._waiting), None)) is not None:
            turns = self._waiting[caller]
            turn = turns.popleft()
            self._waiting.move_to_end(caller)
            if not turns:
                del self._waiting[caller]
            if not turn.done():
                self._bytes[caller] += self._max_body_bytes
                turn.set_result(None)
        self._press()

    def _leave(self, caller: str, turn: asyncio.Future[None]) -> None:
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
            slowest.give_way()
        else:
            self._press()

    def _slowest(self) -> _Arrival | None:
        """The upload that has been on its way the longest, of the caller that has most of them."""
        arriving = [arrival for arrival in self._arriving if not arrival.gave_way]
        if not arriving:
            return None
        held = Counter(arrival.caller for arrival in arriving)
        most = max(held.values())
        return next(arrival for arrival in arriving if held[arrival.caller] == most)

    def _overloaded(self, problem: str) -> OverloadedError:
        self._refused()
        return OverloadedError(f"{problem}; try again in {_RETRY_SECONDS:g} s", _RETRY_SECONDS)


def _take_off(counter: Counter[str], caller: str, count: int) -> None:
    """Less by `count`; who has nothing is forgotten."""
    counter[caller] -= count
    if not counter[caller]:
        del counter[caller]


class _Arrival:
    """A body on its way."""

    def __init__(self, caller: str, began: float, timeout: asyncio.Timeout) -> None:
        self.caller = caller
        self.began = began
        self.gave_way = False
        self._timeout = timeout

    def give_way(self) -> None:
        """Ends it now."""
        self.gave_way = True
        self._timeout.reschedule(asyncio.get_running_loop().time())
