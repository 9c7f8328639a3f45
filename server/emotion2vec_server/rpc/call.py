"""One call: its messages come in, its answer goes out.

It ends once, by whoever is first: the handler, with its answer or an error; the deadline; the
caller, who gives it up or is gone; a message that can't be taken. Whoever it is, the handler's task
ends with it, and the rest of the request is not wanted any more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, Protocol

import grpc

from emotion2vec_server.http2 import Field, Headers, Stream
from emotion2vec_server.rpc import ending, metadata
from emotion2vec_server.rpc.encoding import inflate, inflate_small
from emotion2vec_server.rpc.faults import CallError
from emotion2vec_server.rpc.head import Head
from emotion2vec_server.rpc.inbox import PREFIX_BYTES, Compressed, Inbox, prefixed
from emotion2vec_server.rpc.routes import Details, Handler

_QUICK_TO_INFLATE = 2**16
"""Bytes that are made in less time than it takes to ask another thread."""


class Caller(Protocol):
    """The connection that a call came by."""

    name: str
    """As gRPC names a peer: "ipv4:127.0.0.1:50000"."""

    def send(
        self, stream: Stream, headers: bytes, data: bytes = b"", trailers: bytes | None = None
    ) -> None:
        """Sends parts of the response."""

    def consume(self, stream: Stream, count: int) -> None:
        """So many bytes of the request may be followed by as many more."""

    def forget(self, call: Call) -> None:
        """The call's handler has ended."""


class Call:
    """One call; the `http2.Receiver` of its stream, and what its `Context` acts on."""

    __slots__ = (
        "_callbacks",
        "_caller",
        "_complete",
        "_deadline",
        "_encoding",
        "_has_headers",
        "_inbox",
        "_is_refused",
        "_is_running",
        "_max_message_bytes",
        "_news",
        "_room",
        "_stream",
        "_task",
        "_timer",
        "_trailing",
        "code",
        "details",
        "handler",
        "head",
        "is_cancelled",
        "is_over",
    )

    def __init__(
        self, caller: Caller, stream: Stream, headers: Headers, head: Head, max_message_bytes: int
    ) -> None:
        """`max_message_bytes` bounds each message of the request, as it is when not compressed."""
        self.head = Details(head.method, headers)
        self.code = grpc.StatusCode.OK
        self.details = ""
        self.is_over = False
        self.is_cancelled = False
        self._caller = caller
        self._stream = stream
        self._encoding = head.encoding
        self._max_message_bytes = max_message_bytes
        self._inbox = Inbox(max_message_bytes)
        self._complete = False
        self._has_headers = False
        self._trailing: list[Field] = []
        self._news: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self.handler: Handler | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_refused = False
        self._is_running = False
        self._callbacks: list[Callable[[], None]] = []
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        if head.timeout is not None:
            self._deadline = time.monotonic() + head.timeout
            self._timer = asyncio.get_running_loop().call_later(head.timeout, self._expire)

    def end(self, code: grpc.StatusCode, details: str, trailing: list[Field] | None = None) -> None:
        """Ends the call for its caller, with its trailing metadata or another; the handler is left
        to itself."""
        if not self.is_over:
            fields = self._trailing if trailing is None else trailing
            self.code = code
            self._close()
            trailers = ending.trailers(code, details, fields, alone=not self._has_headers)
            self._caller.send(self._stream, b"", b"", trailers)

    def fail(self, code: grpc.StatusCode, details: str) -> None:
        """Ends the call from outside, and its handler."""
        self.end(code, details)
        self._stop()

    # What comes in.

    def on_data(self, content: memoryview) -> None:
        if self.is_over or self._is_refused:
            return
        try:
            self._inbox.add(content)
        except CallError as error:
            # When the handler has begun, which may be due now: it sees all calls that have come.
            self._is_refused = True
            asyncio.get_running_loop().call_soon(self.fail, error.code, str(error))
            return
        if self._news is not None:
            if self._inbox.messages:
                _wake(self._news)
            else:
                # Somebody waits for the rest: it may come, however large the message is.
                self._caller.consume(self._stream, self._stream.unread)

    def on_end(self) -> None:
        if self._is_refused:
            return
        self._complete = True
        if not self._inbox.is_between_messages:
            self.fail(grpc.StatusCode.INTERNAL, "the request ends within a message")
        elif self._news is not None:
            _wake(self._news)

    def on_reset(self, _code: int) -> None:
        self.is_cancelled = True
        self._close()
        self._stop()

    def on_room(self) -> None:
        if self._room is not None:
            _wake(self._room)

    # What the handler asks for, through its context.

    @property
    def peer(self) -> str:
        return self._caller.name

    async def read(self) -> Any:
        """The next message; `grpc.aio.EOF` after the last."""
        message = await self._next_message()
        if message is None:
            return grpc.aio.EOF
        deserialize = self.handler and self.handler.request_deserializer
        if not deserialize:
            return message
        try:
            return deserialize(message)
        except Exception as error:
            raise CallError(
                grpc.StatusCode.INTERNAL, "the request is no message of the method's type"
            ) from error

    async def write(self, message: Any) -> None:
        """Sends a message, and waits while the caller doesn't take it."""
        if self.is_over:
            raise grpc.aio.UsageError("the call is over")
        headers = b"" if self._has_headers else ending.HEADERS
        self._has_headers = True
        self._caller.send(self._stream, headers, prefixed(self._serialize(message)))
        while self._stream.outbox:
            self._room = asyncio.get_running_loop().create_future()
            try:
                await self._room
            finally:
                self._room = None

    def send_headers(self, initial: metadata.Metadata) -> None:
        """Sends initial metadata, before the first message.

        Raises:
            grpc.aio.UsageError: they have been sent.
            ValueError: it can't be metadata.
        """
        if self.is_over or self._has_headers:
            raise grpc.aio.UsageError("the initial metadata has been sent")
        headers = ending.headers(metadata.fields(initial))
        self._has_headers = True
        self._caller.send(self._stream, headers)

    def set_trailing(self, trailing: metadata.Metadata) -> None:
        """Raises ValueError where it can't be metadata."""
        self._trailing = metadata.fields(trailing)

    def abort(self, code: grpc.StatusCode, details: str, trailing: metadata.Metadata) -> NoReturn:
        """Ends the call and its handler; `trailing`, if any, in place of what was set."""
        if code is grpc.StatusCode.OK:
            raise ValueError("a call can't be aborted with OK")
        self.end(code, details, metadata.fields(trailing) if trailing else None)
        raise grpc.aio.AbortError("the call has been ended by its handler")

    def time_remaining(self) -> float | None:
        """Seconds until the deadline, 0 at least; None without one."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def when_done(self, callback: Callable[[], None]) -> None:
        """Calls back when the handler has ended."""
        self._callbacks.append(callback)

    # The handler's task.

    def start(self, handling: Coroutine[Any, Any, None]) -> None:
        """Runs what handles the call, as a task that ends with it."""
        self._task = asyncio.get_running_loop().create_task(handling)

    def begin(self) -> bool:
        """The task has begun. False where the call was over, or too late, before."""
        if self.time_remaining() == 0:
            self._expire()
        self._is_running = not self.is_over
        return self._is_running

    def finish(self) -> None:
        """The task has ended."""
        self._is_running = False
        self._caller.forget(self)
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def reply(self, message: Any) -> None:
        """Ends the call with its only message, in one write."""
        data = self._serialize(message)
        if self.is_over:
            return
        if self.code is not grpc.StatusCode.OK:
            self.end(self.code, self.details)
            return
        self._close()
        headers = b"" if self._has_headers else ending.HEADERS
        trailers = ending.OK
        if self._trailing or self.details:
            trailers = ending.trailers(self.code, self.details, self._trailing, alone=False)
        self._caller.send(self._stream, headers, prefixed(data), trailers)

    def _serialize(self, message: Any) -> bytes:
        serialize = self.handler and self.handler.response_serializer
        data = serialize(message) if serialize and message is not None else message
        if isinstance(data, bytes):
            return data
        if self.is_over or self.code is not grpc.StatusCode.OK:
            return b""
        raise TypeError(f"a handler must answer with a message, not {type(message).__name__}")

    async def _next_message(self) -> bytes | None:
        inbox = self._inbox
        while not inbox.messages:
            if self._complete:
                return None
            if not inbox.is_between_messages:
                self._caller.consume(self._stream, self._stream.unread)
            self._news = asyncio.get_running_loop().create_future()
            try:
                await self._news
            finally:
                self._news = None
        message = inbox.messages.popleft()
        if isinstance(message, Compressed):
            self._caller.consume(self._stream, len(message.data) + PREFIX_BYTES)
            return await self._inflate(message.data)
        self._caller.consume(self._stream, len(message) + PREFIX_BYTES)
        return message

    async def _inflate(self, data: bytes) -> bytes:
        try:
            limit = self._max_message_bytes
            if len(data) <= _QUICK_TO_INFLATE:
                # Though they may hold a thousand times as many.
                most = min(limit, _QUICK_TO_INFLATE)
                if (content := inflate_small(data, self._encoding, most)) is not None:
                    return content
            return await asyncio.to_thread(inflate, data, self._encoding, limit)
        except CallError as error:
            # As with a message that is too large as it comes: the handler has no say in it, and is
            # cancelled where it waits next.
            self.fail(error.code, str(error))
            await asyncio.sleep(0)
            raise

    def _expire(self) -> None:
        self.fail(grpc.StatusCode.DEADLINE_EXCEEDED, "the deadline has passed")

    def _close(self) -> None:
        self.is_over = True
        if self._timer is not None:
            self._timer.cancel()

    def _stop(self) -> None:
        if self._is_running and self._task is not None:
            self._task.cancel()


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
