"""A call's handler, from how it is found to what becomes of what it returns or raises."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from typing import Any

import grpc

from emotion2vec_server.rpc.call import Call
from emotion2vec_server.rpc.context import Context
from emotion2vec_server.rpc.faults import CallError
from emotion2vec_server.rpc.routes import Handler, Routes

_log = logging.getLogger(__name__)


async def handle(call: Call, routes: Routes, patience: float) -> None:
    """Runs the handler of a call and ends the call by it: the task of the call.

    Where the handler takes one message, it must come within `patience` seconds.

    An exception that nobody foresaw becomes UNKNOWN, as with grpc.aio; its traceback and its text
    go to the log and never onto the wire.
    """
    try:
        if call.begin():
            await _answer(call, await _find(call, routes), patience)
    except CallError as error:
        call.end(error.code, str(error))
    except grpc.aio.AbortError:
        pass
    except asyncio.CancelledError:
        call.end(grpc.StatusCode.CANCELLED, "the handler was cancelled")
        raise
    except Exception:  # noqa: BLE001 (the edge: nothing passes it but a status)
        _log.exception("unforeseen error in a handler", extra={"method": call.head.method})
        code = grpc.StatusCode.UNKNOWN if call.code is grpc.StatusCode.OK else call.code
        call.end(code, call.details or "unforeseen error; the server's log has more")
    finally:
        call.finish()


async def _find(call: Call, routes: Routes) -> Handler:
    handler = await routes.find(call.head)
    if handler is None:
        raise CallError(grpc.StatusCode.UNIMPLEMENTED, f"unknown method {call.head.method[:200]}")
    return handler


async def _answer(call: Call, handler: Handler, patience: float) -> None:
    call.handler = handler
    context = Context(call)
    request = _Requests(call) if handler.request_streaming else await _only_message(call, patience)
    behaviour = _behaviour(handler)
    if not handler.response_streaming:
        call.reply(await behaviour(request, context))
        return
    responses = behaviour(request, context)
    if hasattr(responses, "__aiter__"):
        async with aclosing(responses):
            async for response in responses:
                await call.write(response)
    else:
        await responses
    call.end(call.code, call.details)


async def _only_message(call: Call, patience: float) -> Any:
    try:
        async with asyncio.timeout(patience):
            message = await call.read()
    except TimeoutError as error:
        raise CallError(
            grpc.StatusCode.DEADLINE_EXCEEDED, f"the request did not come within {patience:g} s"
        ) from error
    if message is grpc.aio.EOF:
        raise CallError(grpc.StatusCode.UNIMPLEMENTED, "the call carries no request")
    return message


class _Requests:
    """The messages of a call, for a handler that iterates over them."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def __aiter__(self) -> _Requests:
        return self

    async def __anext__(self) -> Any:
        message = await self._call.read()
        if message is grpc.aio.EOF:
            raise StopAsyncIteration
        return message


def _behaviour(handler: Handler) -> Any:
    """The function that serves the handler's shape."""
    if handler.request_streaming:
        return handler.stream_stream if handler.response_streaming else handler.stream_unary
    return handler.unary_stream if handler.response_streaming else handler.unary_unary
