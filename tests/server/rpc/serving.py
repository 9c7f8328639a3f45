"""The same handlers on grpc.aio's server and on ours, called by grpcio's clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from emotion2vec_server import rpc

KINDS = ["grpc.aio", "ours"]
MAX_MESSAGE_BYTES = 16 * 2**20
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
SERVICE = "test.Service"

Serve = Callable[..., Awaitable[str]]


async def start(
    kind: str,
    *others: Callable[[Any], None],
    interceptors: tuple[grpc.aio.ServerInterceptor, ...] = (),
    **methods: grpc.RpcMethodHandler[Any, Any],
) -> tuple[Any, str]:
    """A server of that kind with these methods, and its address; `others` add servicers to it."""
    if kind == "ours":
        limits = rpc.Limits(max_message_bytes=MAX_MESSAGE_BYTES)
        server: Any = rpc.Server(interceptors, limits)
        port = server.listen("127.0.0.1", 0)
    else:
        limit = ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES)
        server = grpc.aio.server(
            interceptors=interceptors, options=[("grpc.max_send_message_length", -1), limit]
        )
        port = server.add_insecure_port("127.0.0.1:0")
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    for add in others:
        add(server)
    await server.start()
    return server, f"127.0.0.1:{port}"


@asynccontextmanager
async def calling(address: str, **options: Any) -> AsyncIterator[grpc.aio.Channel]:
    """grpcio's own client, with a connection of its own."""
    alone = [*UNLIMITED, ("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(address, options=alone, **options) as channel:
        yield channel


def path(method: str) -> str:
    return f"/{SERVICE}/{method}"


async def failure(call: Awaitable[Any]) -> tuple[grpc.StatusCode, str]:
    """The status and details that a call ends with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asyncio.wait_for(call, 20)
    return caught.value.code(), caught.value.details() or ""
