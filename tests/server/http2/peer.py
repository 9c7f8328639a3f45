"""A client by hand: frames to send, and what of the answers a test looks at."""

from __future__ import annotations

import struct
from typing import NamedTuple

from emotion2vec_server.http2 import Connection, Headers, Limits, Stream, frames
from hpack import Encoder

REQUEST = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/a.B/C"),
    (":authority", "here"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
]
GREETING = frames.PREFACE + frames.settings({})


class Frame(NamedTuple):
    """One frame as it came."""

    kind: int
    flags: int
    stream_id: int
    payload: bytes


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    return frames.head(kind, flags, stream_id, len(payload)) + payload


def request(stream_id: int = 1, *, end: bool = False, fields: object = REQUEST) -> bytes:
    """HEADERS that no table compresses."""
    block = Encoder().encode(fields, huffman=False) if fields is not None else b""
    return headers(stream_id, block, end=end)


def headers(stream_id: int, block: bytes, *, end: bool = False) -> bytes:
    flags = frames.END_HEADERS | (frames.END_STREAM if end else 0)
    return frame(frames.HEADERS, flags, stream_id, block)


def data(stream_id: int, content: bytes, *, end: bool = False) -> bytes:
    return frame(frames.DATA, frames.END_STREAM if end else 0, stream_id, content)


def parse(output: bytes) -> list[Frame]:
    """All frames of an output, which must be whole."""
    found = []
    while output:
        length_and_kind, flags, stream_id = frames.HEAD.unpack_from(output)
        end = frames.HEAD_BYTES + (length_and_kind >> 8)
        assert len(output) >= end
        found.append(
            Frame(length_and_kind & 0xFF, flags, stream_id, output[frames.HEAD_BYTES : end])
        )
        output = output[end:]
    return found


class Recorder:
    """An application that notes what happens, a line an event; and the receiver of all streams."""

    def __init__(self, *, consume: bool = True) -> None:
        self.connection: Connection | None = None
        self.streams: dict[int, Stream] = {}
        self.events: list[tuple[object, ...]] = []
        self._consume = consume

    def on_request(self, stream: Stream, headers: Headers) -> None:
        self.streams[stream.id] = stream
        self.events.append(("request", stream.id, tuple(headers)))
        stream.receiver = _Receiver(self, stream)

    def received(self, stream: Stream, content: bytes) -> None:
        """Pieces of a body count as one."""
        last = self.events[-1] if self.events else ()
        if last[:2] == ("data", stream.id):
            self.events[-1] = ("data", stream.id, bytes(last[2]) + content)  # type: ignore[call-overload]
        else:
            self.events.append(("data", stream.id, content))
        if self._consume and self.connection is not None:
            self.connection.consume(stream, len(content))


class _Receiver:
    def __init__(self, recorder: Recorder, stream: Stream) -> None:
        self._recorder = recorder
        self._stream = stream

    def on_data(self, content: memoryview) -> None:
        self._recorder.received(self._stream, bytes(content))

    def on_end(self) -> None:
        self._recorder.events.append(("end", self._stream.id))

    def on_reset(self, code: int) -> None:
        self._recorder.events.append(("reset", self._stream.id, int(code)))
        assert self._recorder.connection is not None
        self._recorder.connection.release()

    def on_room(self) -> None:
        self._recorder.events.append(("room", self._stream.id))


class Clock:
    """Time under the test's control."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Client:
    """A connection under test, and the side that talks to it."""

    def __init__(
        self, limits: Limits | None = None, *, consume: bool = True, greet: bool = True
    ) -> None:
        self.clock = Clock()
        self.recorder = Recorder(consume=consume)
        self.connection = Connection(self.recorder, limits or Limits(), self.clock)
        self.recorder.connection = self.connection
        if greet:
            self.send(GREETING)
            self.answers()

    def send(self, *parts: bytes) -> None:
        self.connection.receive(memoryview(b"".join(parts)))

    def answers(self) -> list[Frame]:
        """What the server has sent since the last call."""
        output = b""
        while part := self.connection.take():
            output += part
        return parse(output)

    @property
    def events(self) -> list[tuple[object, ...]]:
        return self.recorder.events

    def stream(self, stream_id: int = 1) -> Stream:
        return self.recorder.streams[stream_id]

    def goaway(self) -> int | None:
        """The code of the GOAWAY among the answers, which must be the last of them."""
        answers = self.answers()
        if not any(answer.kind == frames.GOAWAY for answer in answers):
            return None
        assert answers[-1].kind == frames.GOAWAY
        assert self.connection.failure is not None
        code: int = struct.unpack_from(">II", answers[-1].payload)[1]
        return code

    def reset(self) -> tuple[int, int] | None:
        """The stream and code of the only RST_STREAM among the answers."""
        found = [answer for answer in self.answers() if answer.kind == frames.RST_STREAM]
        return (found[0].stream_id, int.from_bytes(found[0].payload)) if found else None
