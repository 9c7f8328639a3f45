"""One request and its response on a connection: what is open, and how much may go either way.

A stream is born with the request's headers, so of RFC 9113's states (section 5.1) only three are
left: open, half-closed by the peer (`peer_ended`), and gone. It is gone as soon as we have sent our
end, whether or not the peer has: a server that answers early wants no more of the request.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from emotion2vec_server.http2 import frames


class Receiver(Protocol):
    """What a stream's events go to. To be set in `Application.on_request`."""

    def on_data(self, content: memoryview) -> None:
        """More of the request's body, valid during the call only."""

    def on_end(self) -> None:
        """The request is complete."""

    def on_reset(self, code: int) -> None:
        """The stream is gone: the peer gave it up, broke it, or closed the connection."""

    def on_room(self) -> None:
        """All that was given to `send` is on its way, and the response is not complete."""


class _Nobody:
    """The receiver of a stream that nobody took."""

    def on_data(self, content: memoryview) -> None: ...
    def on_end(self) -> None: ...
    def on_reset(self, code: int) -> None: ...
    def on_room(self) -> None: ...


NOBODY = _Nobody()


class ReceiveWindow:
    """What the peer may send before we have consumed some of it (RFC 9113, section 5.2)."""

    __slots__ = ("_consumed", "_left", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._left = size
        self._consumed = 0

    def take(self, count: int) -> bool:
        """The peer has sent so many bytes. False where it wasn't allowed to."""
        self._left -= count
        return self._left >= 0

    def consume(self, count: int) -> int:
        """We have done with so many bytes. Returns the increment to announce: it is worth a frame
        once it is half the window, and 0 until then."""
        self._consumed += count
        if self._consumed * 2 < self._size:
            return 0
        increment, self._consumed = self._consumed, 0
        self._left += increment
        return increment


class Stream:
    """One stream, until both sides are done with it."""

    __slots__ = (
        "gone",
        "id",
        "outbox",
        "peer_ended",
        "receiver",
        "sendable",
        "sent",
        "trailers",
        "unread",
        "window",
    )

    def __init__(self, stream_id: int, receivable: int, sendable: int) -> None:
        """`receivable` and `sendable` are the windows, in bytes."""
        self.id = stream_id
        self.receiver: Receiver = NOBODY
        self.window = ReceiveWindow(receivable)
        self.unread = 0
        """Bytes of the request that have come in and are not consumed."""
        self.sendable = sendable
        """What the peer takes now; below 0 after it has made its windows smaller."""
        self.sent = 0
        """Bytes of the response's body that have gone out."""
        self.outbox: deque[memoryview] = deque()
        """What waits for the peer's window, or for the transport."""
        self.trailers: bytes | None = None
        """The block that goes after the outbox, and ends the stream."""
        self.peer_ended = False
        self.gone = False

    def leave(self) -> Receiver:
        """The stream is gone. Returns its receiver, and lets go of it."""
        receiver, self.receiver = self.receiver, NOBODY
        self.gone = True
        return receiver

    def next_part(self, limit: int) -> memoryview:
        """Takes the next bytes of the outbox, `limit` at most."""
        part = self.outbox[0]
        if len(part) <= limit:
            return self.outbox.popleft()
        self.outbox[0] = part[limit:]
        return part[:limit]


def widened(window: int, increment: int) -> int | None:
    """A send window after an update; None where it outgrows what a window can be."""
    window += increment
    return window if window <= frames.LARGEST_WINDOW else None
