"""The calls under way in one server, and how it stops without losing one.

gRPC's own shutdown cancels what reaches it after it has begun and before its clients have heard of
it. So the server becomes quiet first: answers are held back for a moment, until no new call comes,
as callers who wait for an answer send nothing. Then the listeners close and GOAWAY goes out, and
the answers after it.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager

from emotion2vec_server.errors import OverloadedError

_RETRY_SECONDS = 1.0
_log = logging.getLogger(__name__)


class Calls:
    """Counts and bounds the calls; to be made within the event loop that runs it."""

    def __init__(self, most: int = 8192) -> None:
        """`most` may be under way at once, streams among them: each that waits may hold 64 KiB that
        its caller has sent."""
        self._most = most
        self._under_way = 0
        self._latest = -math.inf
        """When a call began or ended last, on the event loop's clock."""
        self._idle = asyncio.Event()
        self._idle.set()
        self._answers = asyncio.Event()
        self._answers.set()

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """A call, from its beginning to its end.

        Raises:
            OverloadedError: too many are under way.
        """
        if self._under_way >= self._most:
            raise OverloadedError(
                f"{self._most} calls are under way; try again in {_RETRY_SECONDS:g} s",
                _RETRY_SECONDS,
            )
        loop = asyncio.get_running_loop()
        self._under_way += 1
        self._latest = loop.time()
        self._idle.clear()
        try:
            yield
        finally:
            self._under_way -= 1
            self._latest = loop.time()
            if not self._under_way:
                self._idle.set()

    async def may_answer(self) -> None:
        """Returns when an answer may leave."""
        if not self._answers.is_set():
            await self._answers.wait()

    async def quiet(self, pause: float, most: float) -> None:
        """Holds answers back, and returns when no call has begun or ended for `pause` seconds.

        Callers who don't wait for answers never become quiet: after `most` seconds it returns all
        the same.
        """
        self._answers.clear()
        loop = asyncio.get_running_loop()
        end = loop.time() + most
        while (quiet_at := min(self._latest + pause, end)) > loop.time():  # noqa: ASYNC110
            await asyncio.sleep(quiet_at - loop.time())

    def release(self) -> None:
        """Answers leave again."""
        self._answers.set()

    async def ended(self, seconds: float) -> None:
        """Returns when no call is under way, or after so many seconds."""
        try:
            await asyncio.wait_for(self._idle.wait(), seconds)
        except TimeoutError:
            _log.warning("calls are still under way", extra={"calls": self._under_way})
