"""What goes out on a connection: frames in order, DATA as the peer's windows and its turn allow."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from emotion2vec_server.http2 import frames
from emotion2vec_server.http2.stream import Stream, widened

_TURN_BYTES = 2**18
"""Taken out at once, DATA at least: enough for a system call to pay, too little to be felt."""
_MAX_FRAME_BYTES = 2**16
"""Whatever the peer would take: a longer frame would hold up the others."""
_UPDATE_BYTES = 2**11
"""A WINDOW_UPDATE for so much is no nuisance; Go sends two, of stream and connection, for 4 KiB."""
_FORGET_TABLE = b"\x20"
"""A dynamic table of no size (RFC 7541, section 6.3). We use none; but a peer whose
SETTINGS_HEADER_TABLE_SIZE is smaller than the default must be told so before any field, and this
says it for all sizes."""


class Outbound:
    """The sending half of a connection."""

    def __init__(self, on_sent: Callable[[Stream], None]) -> None:
        """`on_sent` is called when a stream's end is among what goes out."""
        self._on_sent = on_sent
        self._out: list[bytes | memoryview] = []
        self._out_bytes = 0
        self._waiting: dict[Stream, None] = {}
        """Streams with an outbox and a window for some of it, by turn."""
        self._sendable = frames.DEFAULT_WINDOW
        self._frame_limit = frames.SMALLEST_FRAME_LIMIT
        self.initial_window = frames.DEFAULT_WINDOW
        self._before_headers = _FORGET_TABLE
        self._updates = 0

    def write(self, frame: bytes) -> None:
        """Sends a frame that no window holds back."""
        self._out.append(frame)
        self._out_bytes += len(frame)

    def send(self, stream: Stream, headers: bytes, data: bytes, trailers: bytes | None) -> None:
        """Sends parts of a response: blocks of header sections, and body in between. Trailers end
        it."""
        if headers:
            self._write_headers(stream, headers)
        size = len(data)
        # Without data there is nothing that a window could hold back.
        if stream.outbox or (size and size > self._room(stream)):
            if size:
                stream.outbox.append(memoryview(data))
            stream.trailers = trailers
            self._queue(stream)
            return
        if size:
            self._write_data(stream, data)
        if trailers is not None:
            self._end(stream, trailers)

    def take(self) -> bytes:
        """What to send next; empty where there is nothing, or nothing that may be sent."""
        while self._waiting and self._out_bytes < _TURN_BYTES and self._sendable > 0:
            self._give_turn(next(iter(self._waiting)))
        if not self._out:
            return b""
        out = b"".join(self._out)
        self._out.clear()
        self._out_bytes = 0
        return out

    def take_updates(self) -> int:
        """How many WINDOW_UPDATEs the DATA given out since the last call may bring."""
        count, self._updates = self._updates, 0
        return count

    def forget(self, stream: Stream) -> None:
        """Sends nothing more of a stream."""
        self._waiting.pop(stream, None)
        stream.outbox.clear()
        stream.trailers = None

    def limit_frames(self, limit: int) -> None:
        """The peer's SETTINGS_MAX_FRAME_SIZE."""
        self._frame_limit = min(limit, _MAX_FRAME_BYTES)

    def resize(self, initial_window: int, streams: Iterable[Stream]) -> bool:
        """The peer's SETTINGS_INITIAL_WINDOW_SIZE, which changes every stream's window. False where
        one outgrows what it can be."""
        change = initial_window - self.initial_window
        self.initial_window = initial_window
        results = [self.widen_stream(stream, change) for stream in streams]
        return all(results)

    def widen(self, increment: int) -> bool:
        """WINDOW_UPDATE for the connection. False where its window outgrows what it can be."""
        window = widened(self._sendable, increment)
        self._sendable = window or self._sendable
        return window is not None

    def widen_stream(self, stream: Stream, increment: int) -> bool:
        """The same for a stream, with an `increment` of any sign."""
        window = widened(stream.sendable, increment)
        if window is None:
            return False
        stream.sendable = window
        self._queue(stream)
        return True

    def _room(self, stream: Stream) -> int:
        """Bytes of DATA that may go out at once, in one frame."""
        room = min(self._sendable, stream.sendable, self._frame_limit)
        return room if self._out_bytes < _TURN_BYTES else 0

    def _queue(self, stream: Stream) -> None:
        """Gives a stream its place among those that wait, or takes it."""
        if stream.outbox and stream.sendable > 0:
            self._waiting[stream] = None
        else:
            self._waiting.pop(stream, None)

    def _give_turn(self, stream: Stream) -> None:
        del self._waiting[stream]
        limit = min(self._sendable, stream.sendable, self._frame_limit)
        self._write_data(stream, stream.next_part(limit))
        if stream.outbox:
            self._queue(stream)
        elif stream.trailers is not None:
            self._end(stream, stream.trailers)
        else:
            stream.receiver.on_room()

    def _write_data(self, stream: Stream, data: bytes | memoryview) -> None:
        size = len(data)
        self._sendable -= size
        stream.sendable -= size
        stream.sent += size
        self._updates += 2 + size // _UPDATE_BYTES
        self._out_bytes += size
        self._out += (frames.head(frames.DATA, 0, stream.id, size), data)

    def _end(self, stream: Stream, trailers: bytes) -> None:
        self._write_headers(stream, trailers, end=True)
        self._on_sent(stream)

    def _write_headers(self, stream: Stream, block: bytes, *, end: bool = False) -> None:
        if self._before_headers:
            block, self._before_headers = self._before_headers + block, b""
        self.write(frames.headers(stream.id, block, self._frame_limit, end=end))
