"""The numbers of a connection's streams (RFC 9113, section 5.1.1).

A stream is forgotten when it is gone. What is kept tells how to take a frame that comes after it:
whether its stream was opened at all, and whether the peer can know by now that it has ended.
"""

from __future__ import annotations

from emotion2vec_server.http2.faults import ErrorCode, PeerError

_MAX_ABANDONED = 4096
"""By when a peer knows of the oldest."""


class StreamIds:
    """Those that the peer has used, which only rise."""

    def __init__(self) -> None:
        self._last = 0
        self._named: int | None = None
        self._abandoned: dict[int, None] = {}

    @property
    def last_served(self) -> int:
        """The last one that we see to, for GOAWAY; once named it may not rise (section 6.8)."""
        return self._last if self._named is None else self._named

    def freeze(self) -> None:
        """`last_served` is being named."""
        self._named = self.last_served

    def open(self, stream_id: int) -> bool:
        """The peer opens a stream. False where it has used the number, or left it out, before."""
        if stream_id <= self._last:
            return False
        self._last = stream_id
        return True

    def abandon(self, stream_id: int) -> None:
        """We have ended a stream while the peer had not: it may send on until it knows."""
        self._abandoned[stream_id] = None
        if len(self._abandoned) > _MAX_ABANDONED:
            del self._abandoned[next(iter(self._abandoned))]

    def check_opened(self, stream_id: int) -> None:
        """Raises PeerError for a frame on a stream that was never opened."""
        if stream_id % 2 == 0 or stream_id > self._last:
            raise PeerError(ErrorCode.PROTOCOL_ERROR, "a frame on a stream that was never opened")

    def check_late(self, stream_id: int) -> None:
        """Raises PeerError for a frame on a stream that is gone, where the peer knows that."""
        self.check_opened(stream_id)
        if stream_id not in self._abandoned:
            raise PeerError(ErrorCode.STREAM_CLOSED, "a frame on a stream that has ended")
