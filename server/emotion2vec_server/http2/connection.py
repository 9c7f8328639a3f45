"""The server's side of one HTTP/2 connection, without I/O.

    bytes in  -> receive -> FrameReader -> on_data, on_content, on_frame
                                              |  HEADERS   -> a Stream, Application.on_request
                                              |  DATA      -> its Receiver
                                              |  the rest  -> windows, answers to be sent
    bytes out <- take    <- what was answered, then the streams' outboxes in turn

Who holds whom back. A peer may send what our windows allow; `consume` gives credit back, and what
nobody consumes is never asked for again. We send what the peer's windows allow; the rest waits in
its stream's outbox, and `take` gives out one frame a stream and turn, so that no answer waits for
the whole of another. While the transport is full, neither `take` nor `receive` is to be called: so
what we would have to say to a peer that doesn't listen can't pile up.

What goes wrong. A fault of a stream ends the stream. A fault of the connection ends it: GOAWAY with
its code is the last thing to be sent, `failure` says why, and whatever still comes is ignored.

What is not there: pushes, priorities (RFC 9113 deprecates them), CONNECT, checks of content-length.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from emotion2vec_server.http2 import frames, settings
from emotion2vec_server.http2.allowance import Allowance
from emotion2vec_server.http2.block_reader import MAX_BYTES, Block, BlockReader
from emotion2vec_server.http2.faults import ErrorCode, PeerError
from emotion2vec_server.http2.frame_reader import FrameReader
from emotion2vec_server.http2.headers import HeaderDecoder, Headers
from emotion2vec_server.http2.outbound import Outbound
from emotion2vec_server.http2.settings import Limits
from emotion2vec_server.http2.stream import Receiver, ReceiveWindow, Stream
from emotion2vec_server.http2.stream_ids import StreamIds

# The burst and rate of stream resets and of "glitches" that nghttp2 allows, the rate of resets
# raised: where deadlines are short and the server is late, every call may end in one.
_RESETS = (1000, 500)
_NUISANCES = (10_000, 330)
_SETTINGS_COST = 20


class Application(Protocol):
    """What answers the requests."""

    def on_request(self, stream: Stream, headers: Headers) -> None:
        """A request begins. Sets the stream's receiver."""


class Connection:
    """One connection, from its preface on."""

    def __init__(
        self,
        application: Application,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock`, in seconds, is what floods are measured by."""
        self._application = application
        self._limits = limits = limits or Limits()
        self.streams: dict[int, Stream] = {}
        self.failure: PeerError | None = None
        self.is_greeted = False
        """The peer speaks HTTP/2: its preface and first SETTINGS have come."""
        self.leaving = False
        """GOAWAY has been sent."""
        self._reader = FrameReader(self, max_data=limits.max_frame_bytes, max_headers=MAX_BYTES)
        self._decoder = HeaderDecoder(MAX_BYTES)
        self._window = ReceiveWindow(limits.connection_window)
        self._outbound = Outbound(self._on_sent)
        self._resets = Allowance(*_RESETS, clock)
        self._nuisances = Allowance(*_NUISANCES, clock)
        self._blocks = BlockReader()
        self._incoming: Stream | None = None
        self._ids = StreamIds()
        self._calls = 0
        self._on_kind: dict[int, Callable[[int, int, bytes], None]] = {
            frames.HEADERS: self._on_headers,
            frames.PRIORITY: self._on_priority,
            frames.RST_STREAM: self._on_reset,
            frames.SETTINGS: self._on_settings,
            frames.PUSH_PROMISE: self._on_push,
            frames.PING: self._on_ping,
            frames.GOAWAY: self._on_goaway,
            frames.WINDOW_UPDATE: self._on_window_update,
            frames.CONTINUATION: self._on_continuation,
        }
        self._outbound.write(settings.greeting(limits))

    @property
    def is_over(self) -> bool:
        """Nothing more will be asked or answered."""
        return self.failure is not None or (self.leaving and not self.streams)

    def receive(self, data: memoryview) -> None:
        """Takes bytes as they came, `data` valid during the call only."""
        if self.failure is not None:
            return
        try:
            self._reader.read(data)
        except PeerError as fault:
            self._fail(fault)

    def take(self) -> bytes:
        """What to send next, some hundred KiB at most; empty where there is nothing.

        Call it again until it is, or until the transport is full.
        """
        return self._outbound.take()

    def send(
        self, stream: Stream, headers: bytes, data: bytes = b"", trailers: bytes | None = None
    ) -> None:
        """Sends parts of a response, in this order: blocks of header sections, and body in between.

        Trailers end the stream; one that is gone is sent nothing.
        """
        if not stream.gone:
            self._outbound.send(stream, headers, data, trailers)

    def reset(self, stream: Stream, code: ErrorCode) -> None:
        """Ends a stream without an answer, or without the rest of it."""
        if not stream.gone:
            self._drop(stream, code).on_reset(code)

    def consume(self, stream: Stream, count: int) -> None:
        """The application has done with so many bytes of the request's body, if as many came in:
        the peer may send as many more."""
        count = min(count, stream.unread)
        stream.unread -= count
        self._credit(count)
        increment = stream.window.consume(count)
        if increment and not (stream.peer_ended or stream.gone):
            self._outbound.write(frames.window_update(stream.id, increment))

    def release(self) -> None:
        """The application has done with a request that it was given.

        Until then the request counts against the peer's limit of streams, even where the peer has
        given it up: else opening and resetting would start any number (CVE-2023-44487).
        """
        self._calls -= 1

    def ping(self) -> None:
        """Asks the peer for a sign of life."""
        self._outbound.write(frames.ping(bytes(8)))

    def leave(self) -> None:
        """Takes no more requests; those under way go on."""
        if not self.leaving and self.failure is None:
            self.leaving = True
            self._ids.freeze()
            self._outbound.write(frames.goaway(self._ids.last_served, ErrorCode.NO_ERROR, ""))

    def lose(self) -> None:
        """The transport is gone."""
        streams, self.streams = list(self.streams.values()), {}
        for stream in streams:
            self._outbound.forget(stream)
            stream.leave().on_reset(ErrorCode.CANCEL)

    # What FrameReader finds.

    def on_data(self, stream_id: int, content: int, padding: int) -> None:
        """A DATA frame begins."""
        if self._blocks.is_within_block:
            raise _protocol_error("DATA within headers")
        if not self._window.take(content + padding):
            raise PeerError(ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the window")
        if padding:
            self._credit(padding)
        stream = self.streams.get(stream_id)
        if stream is None:
            self._ids.check_late(stream_id)
        elif stream.peer_ended:
            self._break(stream, ErrorCode.STREAM_CLOSED)
            stream = None
        elif not stream.window.take(content + padding):
            self._break(stream, ErrorCode.FLOW_CONTROL_ERROR)
            stream = None
        elif padding and (increment := stream.window.consume(padding)):
            self._outbound.write(frames.window_update(stream_id, increment))
        self._incoming = stream

    def on_content(self, content: memoryview, *, last: bool, end: bool) -> None:
        """More of the DATA frame that began."""
        stream, size = self._incoming, len(content)
        if stream is None or stream.gone:
            self._credit(size)
            return
        if size:
            stream.unread += size
            stream.receiver.on_data(content)
        elif not end:
            self._nuisances.spend("empty DATA frames")
        if end:
            self._end_of_request(stream)
        if last:
            self._incoming = None

    def on_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """Any other frame."""
        if self._blocks.is_within_block and kind != frames.CONTINUATION:
            raise _protocol_error("a frame within headers")
        if not self.is_greeted and kind != frames.SETTINGS:
            raise _protocol_error("no SETTINGS first")
        self._on_kind[kind](flags, stream_id, payload)

    def on_unknown(self) -> None:
        """A frame of a kind that HTTP/2 does not define."""
        if self._blocks.is_within_block:
            raise _protocol_error("a frame within headers")
        self._nuisances.spend("unknown frames")

    # Frames by kind.

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id % 2 == 0:
            raise _protocol_error("HEADERS on a stream that no client opens")
        if (block := self._blocks.begin(flags, stream_id, payload)) is not None:
            self._on_block(block)

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        if (block := self._blocks.go_on(flags, stream_id, payload)) is not None:
            self._on_block(block)

    def _on_priority(self, _flags: int, stream_id: int, _payload: bytes) -> None:
        if not stream_id:
            raise _protocol_error("PRIORITY on stream 0")
        self._nuisances.spend("PRIORITY frames")

    def _on_reset(self, _flags: int, stream_id: int, payload: bytes) -> None:
        self._ids.check_opened(stream_id)
        stream = self.streams.get(stream_id)
        if stream is None:
            self._nuisances.spend("resets of ended streams")
            return
        self._resets.spend("resets")
        self._remove(stream).on_reset(int.from_bytes(payload))

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise _protocol_error("SETTINGS on a stream")
        self._nuisances.spend("SETTINGS frames", _SETTINGS_COST)
        if flags & frames.ACK:
            if payload:
                raise PeerError(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS ACK of a wrong size")
            if not self.is_greeted:
                raise _protocol_error("no SETTINGS first")
            return
        values = settings.read(payload)
        self.is_greeted = True
        if frames.MAX_FRAME_SIZE in values:
            self._outbound.limit_frames(values[frames.MAX_FRAME_SIZE])
        if frames.INITIAL_WINDOW_SIZE in values:
            window, streams = values[frames.INITIAL_WINDOW_SIZE], self.streams.values()
            if not self._outbound.resize(window, streams):
                raise PeerError(ErrorCode.FLOW_CONTROL_ERROR, "a window too large")
        self._outbound.write(frames.SETTINGS_ACK)

    def _on_push(self, _flags: int, _stream_id: int, _payload: bytes) -> None:
        raise _protocol_error("PUSH_PROMISE from a client")

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise _protocol_error("PING on a stream")
        self._nuisances.spend("PING frames")
        if not flags & frames.ACK:
            self._outbound.write(frames.ping(payload, ack=True))

    def _on_goaway(self, _flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise _protocol_error("GOAWAY on a stream")
        if len(payload) < 8:
            raise PeerError(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY too short")
        self._nuisances.spend("GOAWAY frames")

    def _on_window_update(self, _flags: int, stream_id: int, payload: bytes) -> None:
        self._nuisances.earn(self._outbound.take_updates())
        self._nuisances.spend("WINDOW_UPDATE frames")
        increment = int.from_bytes(payload) & frames.LARGEST_WINDOW
        if not stream_id:
            if not increment:
                raise _protocol_error("WINDOW_UPDATE by 0")
            if not self._outbound.widen(increment):
                raise PeerError(ErrorCode.FLOW_CONTROL_ERROR, "window too large")
            return
        self._ids.check_opened(stream_id)
        stream = self.streams.get(stream_id)
        if stream is None:
            return
        if not increment:
            self._break(stream, ErrorCode.PROTOCOL_ERROR)
        elif not self._outbound.widen_stream(stream, increment):
            self._break(stream, ErrorCode.FLOW_CONTROL_ERROR)

    # Requests.

    def _on_block(self, block: Block) -> None:
        headers = self._decoder.decode(block.content)
        stream = self.streams.get(block.stream_id)
        if stream is not None:
            self._on_trailers(stream, headers, block.end)
        elif self._ids.open(block.stream_id):
            self._on_request(block, headers)
        else:
            self._ids.check_late(block.stream_id)

    def _on_request(self, block: Block, headers: Headers) -> None:
        if self.leaving:
            # GOAWAY has told that we don't see to it.
            self._ids.abandon(block.stream_id)
            return
        stream = Stream(block.stream_id, self._limits.stream_window, self._outbound.initial_window)
        self.streams[stream.id] = stream
        self._calls += 1
        if max(self._calls, len(self.streams)) > self._limits.max_streams:
            self._calls -= 1
            self._break(stream, ErrorCode.REFUSED_STREAM)
        elif headers.fault_of_request is not None:
            self._calls -= 1
            self._break(stream, ErrorCode.PROTOCOL_ERROR)
        else:
            # Before it is answered, perhaps at once: then nothing is left to be reset.
            stream.peer_ended = block.end
            self._application.on_request(stream, headers)
            if block.end:
                self._end_of_request(stream)

    def _on_trailers(self, stream: Stream, headers: Headers, end: bool) -> None:
        if stream.peer_ended:
            self._break(stream, ErrorCode.STREAM_CLOSED)
        elif not end or headers.fault_of_trailers is not None:
            self._break(stream, ErrorCode.PROTOCOL_ERROR)
        else:
            self._end_of_request(stream)

    def _end_of_request(self, stream: Stream) -> None:
        if not stream.gone:
            stream.peer_ended = True
            stream.receiver.on_end()

    # The ends of streams.

    def _on_sent(self, stream: Stream) -> None:
        """A response is complete. Where the request isn't, its rest is not wanted."""
        self._resets.earn(1)
        self._nuisances.earn(4)
        if stream.peer_ended:
            self._remove(stream)
        else:
            self._drop(stream, ErrorCode.NO_ERROR)

    def _break(self, stream: Stream, code: ErrorCode) -> None:
        """Ends a stream through the peer's fault, and so at its cost (CVE-2025-8671)."""
        self._resets.spend("faults")
        self._drop(stream, code).on_reset(code)

    def _drop(self, stream: Stream, code: ErrorCode) -> Receiver:
        self._outbound.write(frames.reset(stream.id, code))
        if not stream.peer_ended:
            self._ids.abandon(stream.id)
        return self._remove(stream)

    def _remove(self, stream: Stream) -> Receiver:
        """Lets go of a stream; returns who may have to be told."""
        del self.streams[stream.id]
        self._outbound.forget(stream)
        if stream.unread:
            self._credit(stream.unread)
            stream.unread = 0
        return stream.leave()

    # The connection as a whole.

    def _credit(self, count: int) -> None:
        if increment := self._window.consume(count):
            self._outbound.write(frames.window_update(0, increment))

    def _fail(self, fault: PeerError) -> None:
        self.failure = fault
        self._outbound.write(frames.goaway(self._ids.last_served, fault.code, str(fault)))
        self.lose()


def _protocol_error(reason: str) -> PeerError:
    return PeerError(ErrorCode.PROTOCOL_ERROR, reason)
