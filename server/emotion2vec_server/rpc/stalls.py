"""Answers that their callers don't take.

A caller may hold its window shut for ever, and so keep an answer and its place while its connection
looks alive. One that has taken next to nothing of an answer for a while wants no more of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from emotion2vec_server.http2 import Stream

_LEAST_PROGRESS = 2**14
"""Bytes: one at a time would hold on to an answer for ever."""


class _Wait(NamedTuple):
    sent: int
    since: float


class Stalls:
    """The waiting answers of one connection. To be checked now and then."""

    def __init__(self, seconds: float) -> None:
        """`seconds` is how long an answer may stand still."""
        self._seconds = seconds
        self._waiting: dict[Stream, _Wait] = {}

    def check(self, now: float, streams: Iterable[Stream]) -> list[Stream]:
        """Those of the connection's streams that have stood still for too long."""
        self._waiting = {stream: self._renewed(stream, now) for stream in streams if stream.outbox}
        return [
            stream for stream, wait in self._waiting.items() if now - wait.since >= self._seconds
        ]

    def _renewed(self, stream: Stream, now: float) -> _Wait:
        known = self._waiting.get(stream)
        if known is not None and stream.sent - known.sent < _LEAST_PROGRESS:
            return known
        return _Wait(stream.sent, now)
