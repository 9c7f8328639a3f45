"""One client's connection: between its socket and its calls."""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import Any, Protocol, cast

import grpc

from emotion2vec_server import http2
from emotion2vec_server.rpc import ending, head
from emotion2vec_server.rpc.call import Call
from emotion2vec_server.rpc.faults import CallError, HttpError
from emotion2vec_server.rpc.handling import handle
from emotion2vec_server.rpc.limits import Limits
from emotion2vec_server.rpc.liveness import Liveness, Verdict
from emotion2vec_server.rpc.routes import Routes
from emotion2vec_server.rpc.stalls import Stalls

_WRITE_BUFFER = 2**18
"""Bytes that the transport holds before the peer counts as one that doesn't read."""
_LINGER_SECONDS = 1.0
"""To read what a peer still sends: a socket closed over unread bytes would lose our last words."""
_log = logging.getLogger(__name__)


class Host(Protocol):
    """The server that a connection belongs to."""

    routes: Routes
    limits: Limits
    buffer: memoryview
    """Where bytes are received, by all connections in turn: they are done with them at once."""

    def join(self, peer: Peer) -> bool:
        """A connection begins. False where there is no room for it."""

    def part(self, peer: Peer) -> None:
        """A connection has ended, with all its calls."""

    def settle(self) -> None:
        """A connection that is leaving has ended a call."""


class Peer(asyncio.BufferedProtocol):
    """One connection; the `http2.Application` on it, and the `Caller` of its calls."""

    def __init__(self, host: Host) -> None:
        self.name = ""
        self.calls: set[Call] = set()
        self._host = host
        self._buffer = host.buffer
        self._loop = asyncio.get_running_loop()
        self._http2 = http2.Connection(self, host.limits.http2)
        self._liveness = Liveness(host.limits.patience, self._loop.time())
        self._stalls = Stalls(host.limits.patience.stall)
        self._heard = False
        self._transport: asyncio.Transport | None = None
        self._is_full = False
        self._is_receiving = False
        self._is_due = False
        self._is_ending = False
        self._is_closed = False

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.name = _name(transport.get_extra_info("peername"))
        if not (_speaks_http2(transport) and self._host.join(self)):
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=_WRITE_BUFFER)
        self._flush()

    def get_buffer(self, _sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._heard = True
        self._is_receiving = True
        self._http2.receive(self._buffer[:nbytes])
        self._is_receiving = False
        self._flush()

    def pause_writing(self) -> None:
        """The peer doesn't read. So we don't either: it could make us answer without end."""
        self._is_full = True
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._is_full = False
        self._heard = True
        if self._transport is not None:
            self._transport.resume_reading()
        self._flush()

    def connection_lost(self, _exc: Exception | None) -> None:
        self._transport = None
        self._http2.lose()
        if not self.calls:
            self._host.part(self)

    # What HTTP/2 calls.

    def on_request(self, stream: http2.Stream, headers: http2.Headers) -> None:
        limits = self._host.limits
        try:
            beginning = head.read(headers, limits.http2.max_header_list_bytes)
        except HttpError as error:
            self._refuse(stream, http2.response_block(error.status, ()))
        except CallError as error:
            self._refuse(stream, ending.trailers(error.code, str(error), (), alone=True))
        else:
            call = Call(self, stream, headers, beginning, limits.max_message_bytes)
            stream.receiver = call
            self.calls.add(call)
            call.start(handle(call, self._host.routes, limits.patience.request))

    # What calls call.

    def send(
        self,
        stream: http2.Stream,
        headers: bytes,
        data: bytes = b"",
        trailers: bytes | None = None,
    ) -> None:
        self._http2.send(stream, headers, data, trailers)
        self._flush()

    def consume(self, stream: http2.Stream, count: int) -> None:
        self._http2.consume(stream, count)
        self._flush()

    def forget(self, call: Call) -> None:
        self.calls.discard(call)
        self._http2.release()
        if self._http2.leaving:
            self._host.settle()
        if self._transport is None and not self.calls:
            self._host.part(self)

    # What the server calls.

    def check(self, now: float) -> None:
        """Asks for a sign of life, ends the connection, or answers that nobody takes, when that is
        due."""
        for stream in self._stalls.check(now, self._http2.streams.values()):
            _log.debug("answer not taken", extra={"peer": self.name})
            self._http2.reset(stream, http2.ErrorCode.CANCEL)
        verdict = self._liveness.check(
            now,
            heard=self._heard,
            is_greeted=self._http2.is_greeted,
            is_busy=not self.is_quiet,
        )
        self._heard = False
        match verdict:
            case Verdict.PING:
                self._http2.ping()
            case Verdict.LEAVE:
                self._http2.leave()
            case Verdict.DROP:
                _log.debug("no sign of life", extra={"peer": self.name})
                self.abort()
        self._flush()

    @property
    def is_quiet(self) -> bool:
        """No call is under way, and all answers have been written."""
        return not (self.calls or self._http2.streams)

    @property
    def has_unsent(self) -> bool:
        """Some answer waits for the caller to take it."""
        return any(stream.outbox for stream in self._http2.streams.values())

    def leave(self) -> None:
        """Takes no more calls, and closes when those under way have ended."""
        self._http2.leave()
        self._flush()

    def close(self) -> None:
        """Closes as soon as what has been written is sent."""
        self._write()
        self._is_closed = True
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Closes now."""
        self._is_closed = True
        if self._transport is not None:
            self._transport.abort()

    def end_calls(self, code: grpc.StatusCode, details: str) -> None:
        """Ends what is under way."""
        for call in tuple(self.calls):
            call.fail(code, details)

    def _refuse(self, stream: http2.Stream, trailers: bytes) -> None:
        self._http2.send(stream, b"", b"", trailers)
        self._http2.release()

    def _flush(self) -> None:
        """Writes what there is to say: at once for a call alone, else at the end of the event
        loop's turn, so that the answers of a batch go out in one system call."""
        if self._is_receiving or self._is_due:
            return
        if len(self.calls) < 2:
            self._write()
        else:
            self._is_due = True
            self._loop.call_soon(self._write)

    def _write(self) -> None:
        self._is_due = False
        if self._is_closed or self._transport is None:
            return
        while not self._is_full and (data := self._http2.take()):
            self._transport.write(data)
        if self._http2.leaving:
            self._host.settle()
        if self._http2.is_over and not self._is_ending:
            self._is_ending = True
            if self._http2.failure is not None:
                _log.debug(
                    "connection ended",
                    extra={"peer": self.name, "reason": str(self._http2.failure)},
                )
            self._loop.call_later(_LINGER_SECONDS, self.abort)


def _speaks_http2(transport: asyncio.BaseTransport) -> bool:
    """Over TLS, a client says so beforehand (ALPN)."""
    tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    return tls is None or tls.selected_alpn_protocol() == "h2"


def _name(address: Any) -> str:
    """A socket's address as gRPC writes it."""
    if not isinstance(address, tuple):
        return "unknown"
    host, port = address[0], address[1]
    if host.startswith("::ffff:"):
        host = host.removeprefix("::ffff:")
    return f"ipv6:%5B{host}%5D:{port}" if ":" in host else f"ipv4:{host}:{port}"
