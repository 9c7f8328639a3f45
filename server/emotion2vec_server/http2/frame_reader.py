"""Bytes to frames, whatever pieces the bytes come in.

The content of DATA is handed on as it arrives: it may be large, and is not ours to keep. Any other
frame is kept until it is complete, so its size is bounded before it is: by what its kind can need,
far below the frame size that DATA is allowed. Frames of kinds that HTTP/2 does not define are
skipped (RFC 9113, section 5.5).
"""

from __future__ import annotations

from typing import Protocol

from emotion2vec_server.http2 import frames
from emotion2vec_server.http2.faults import ErrorCode, PeerError

_EXACT_BYTES = {frames.PRIORITY: 5, frames.RST_STREAM: 4, frames.PING: 8, frames.WINDOW_UPDATE: 4}
_MOST_BYTES = 16_384
"""Of SETTINGS and GOAWAY: what every peer may send (RFC 9113, section 4.2)."""
_NOTHING = memoryview(b"")


class Frames(Protocol):
    """What takes the frames. What it raises ends the reading."""

    def on_data(self, stream_id: int, content: int, padding: int) -> None:
        """A DATA frame begins: so many bytes of content, and of padding with its length."""

    def on_content(self, content: memoryview, *, last: bool, end: bool) -> None:
        """More of the DATA frame that began, valid during the call only; `last` of it; `end` of
        the stream with it."""

    def on_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """Any other frame of a kind that HTTP/2 defines."""

    def on_unknown(self) -> None:
        """A frame of another kind begins."""


class FrameReader:
    """Reads one connection."""

    def __init__(self, receiver: Frames, *, max_data: int, max_headers: int) -> None:
        """`max_data` and `max_headers` are the most bytes in a DATA and in a HEADERS frame."""
        self._receiver = receiver
        self._max_data = max_data
        self._max_headers = max_headers
        self._preface = frames.PREFACE
        self._rest: bytes = b""
        # Of the frame under way, what is still to come.
        self._content = 0
        self._skipped = 0
        self._end = False

    def read(self, data: memoryview) -> None:
        """Takes the next bytes.

        Raises:
            PeerError: the preface is another, or a frame has the wrong size.
        """
        if self._preface:
            data = self._read_preface(data)
        view = memoryview(self._rest + data) if self._rest else data
        self._rest = b""
        at = 0
        while (begin := self._read_frame(view, at)) > at:
            at = begin
        if at < len(view):
            self._rest = bytes(view[at:])

    def _read_preface(self, data: memoryview) -> memoryview:
        """What a client says before its first frame; returns the rest."""
        begin = bytes(data[: len(self._preface)])
        if not self._preface.startswith(begin):
            raise PeerError(ErrorCode.PROTOCOL_ERROR, "no HTTP/2 preface")
        self._preface = self._preface[len(begin) :]
        return data[len(begin) :]

    def _read_frame(self, view: memoryview, at: int) -> int:
        """Reads a frame, or what has come of its content; returns where it ends, or `at` where more
        is needed."""
        if self._content:
            return self._take(view, at)
        size = len(view)
        if self._skipped:
            return self._skip(at, size)
        begin: int = at + frames.HEAD_BYTES
        if begin > size:
            return at
        length_and_kind, flags, stream_id = frames.HEAD.unpack_from(view, at)
        kind, length = length_and_kind & 0xFF, length_and_kind >> 8
        stream_id &= frames.STREAM_MASK
        if kind == frames.DATA:
            if not flags & frames.PADDED:
                self._begin_data(flags, stream_id, length, 0)
                return begin
            if begin == size:
                return at
            self._begin_data(flags, stream_id, length - 1, view[begin])
            return begin + 1
        if kind > frames.CONTINUATION:
            self._begin_unknown(length)
            return begin
        self._check(kind, length)
        end: int = begin + length
        if end > size:
            return at
        self._receiver.on_frame(kind, flags, stream_id, bytes(view[begin:end]))
        return end

    def _begin_data(self, flags: int, stream_id: int, length: int, padding: int) -> None:
        if length > self._max_data:
            raise _wrong_size("DATA", length)
        if padding > length:
            raise PeerError(ErrorCode.PROTOCOL_ERROR, "more padding than DATA")
        self._content, self._skipped = length - padding, padding
        self._end = bool(flags & frames.END_STREAM)
        overhead = padding + 1 if flags & frames.PADDED else 0
        self._receiver.on_data(stream_id, self._content, overhead)
        if not self._content:
            self._receiver.on_content(_NOTHING, last=True, end=self._end)

    def _take(self, view: memoryview, at: int) -> int:
        content = view[at : at + self._content]
        if not len(content):
            return at
        self._content -= len(content)
        last = not self._content
        self._receiver.on_content(content, last=last, end=last and self._end)
        return at + len(content)

    def _skip(self, at: int, size: int) -> int:
        skipped = min(self._skipped, size - at)
        self._skipped -= skipped
        return at + skipped

    def _begin_unknown(self, length: int) -> None:
        if length > self._max_data:
            raise _wrong_size("a frame", length)
        self._receiver.on_unknown()
        self._skipped = length

    def _check(self, kind: int, length: int) -> None:
        if kind in _EXACT_BYTES:
            if length != _EXACT_BYTES[kind]:
                raise _wrong_size("a control frame", length)
        elif kind in (frames.HEADERS, frames.CONTINUATION):
            if length > self._max_headers:
                raise PeerError(ErrorCode.ENHANCE_YOUR_CALM, "headers too large")
        elif length > _MOST_BYTES:
            raise _wrong_size("a control frame", length)


def _wrong_size(what: str, length: int) -> PeerError:
    return PeerError(ErrorCode.FRAME_SIZE_ERROR, f"{what} of {length} bytes")
