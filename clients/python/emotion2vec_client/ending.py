"""How an asyncio stream really ended.

When a server ends a stream (to refuse it, say) while the client still writes, grpc.aio may put its
own "Internal error from Core" in the place of the status that the server sent:
https://github.com/grpc/grpc/issues/36066. Its done callbacks see both, one after the other, in
either order; here the server's is kept. Delete this file when the lowest grpcio that we take has
the fix.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

import grpc

_IMPOSTOR = "Internal error from Core"
_PATIENCE = 1.0  # seconds for the server's status to come in after the other one

Value = TypeVar("Value")


class Ending:
    """Watches one call; ask `of` about the error that it raised."""

    def __init__(self, call: grpc.aio.StreamStreamCall[Any, Any]) -> None:
        self._error: asyncio.Future[grpc.aio.AioRpcError | None]
        self._error = asyncio.get_running_loop().create_future()
        call.add_done_callback(self._note)

    async def of(self, error: grpc.aio.AioRpcError) -> grpc.aio.AioRpcError | None:
        """The error with the server's own status; None if the server was content."""
        if error.details() != _IMPOSTOR:
            return error
        done, _ = await asyncio.wait([self._error], timeout=_PATIENCE)
        return self._error.result() if done else error

    def _note(self, done_call: object) -> None:
        call = cast("grpc.aio.StreamStreamCall[Any, Any]", done_call)
        code, details = _value(call.code()), _value(call.details())
        if details == _IMPOSTOR or self._error.done():
            return
        error = None
        if code is not grpc.StatusCode.OK:
            trailers = _value(call.trailing_metadata())
            error = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailers, details)
        self._error.set_result(error)


def _value(coroutine: Coroutine[Any, Any, Value]) -> Value:
    """What a coroutine returns that has nothing left to wait for: the call is done."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return cast(Value, stop.value)
    raise RuntimeError("a finished call made its callback wait")
