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
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from emotion2vec_server.errors import RETRY_SECONDS, OverloadedError
from emotion2vec_server.serving.places import Places

_log = logging.getLogger(__name__)


class Calls:
    """Counts and bounds the calls; to be made within the event loop that runs it."""

    def __init__(self, most: int = 8192) -> None:
        """`most` may be under way at once, streams among them: each that waits may hold 64 KiB that
        its caller has sent."""
        self._places = Places(most)
        self._latest = -math.inf
        """When a call began or ended last, on the event loop's clock."""
        self._idle = asyncio.Event()
        self._idle.set()
        self._answers = asyncio.Event()
        self._answers.set()

    @contextmanager
    def under_way(self, caller: str) -> Iterator[None]:
        """A caller's call, from its beginning to its end.

        Raises:
            OverloadedError: too many are under way, or too many of this caller's.
        """
        if not self._places.take(caller):
            raise OverloadedError(
                f"too many calls are under way; try again in {RETRY_SECONDS:g} s", RETRY_SECONDS
            )
        loop = asyncio.get_running_loop()
        self._latest = loop.time()
        self._idle.clear()
        try:
            yield
        finally:
            self._places.give_back(caller)
            self._latest = loop.time()
            if not self._places.taken:
                self._idle.set()

    async def may_answer(self, deadline: float | None = None) -> None:
        """Returns when an answer may leave, and halfway to its caller's deadline at the latest.

        Args:
            deadline: on the clock of `time.monotonic`; None for a caller who waits for ever.
        """
        if self._answers.is_set():
            return
        longest = None if deadline is None else (deadline - time.monotonic()) / 2
        with suppress(TimeoutError):
            await asyncio.wait_for(self._answers.wait(), longest)

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
            _log.warning("calls are still under way", extra={"calls": self._places.taken})
