"""Bearer tokens: who may call."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc

from emotion2vec_server.errors import ConfigError, UnauthenticatedError
from emotion2vec_server.status import Context, abort

# A load balancer's probes carry no token.
_OPEN_SERVICES = ("/grpc.health.v1.Health/",)


def read_tokens(path: Path) -> tuple[bytes, ...]:
    """The tokens in `path`, one a line; blank lines do not count.

    Raises:
        ConfigError: the file can't be read, holds no token, or a token that is not ASCII.
    """
    try:
        tokens = tuple(
            line.strip().encode("ascii") for line in path.read_text().splitlines() if line.strip()
        )
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"--token-file: can't read {path}: {error}") from error
    if not tokens:
        raise ConfigError(f"--token-file: {path} holds no token; write one a line")
    return tokens


class TokenInterceptor(grpc.aio.ServerInterceptor):
    """Refuses calls, unary and streaming, whose `authorization` is not `Bearer` and a token."""

    def __init__(self, tokens: tuple[bytes, ...]) -> None:
        self._tokens = tokens

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        handler = await continuation(handler_call_details)
        is_open = handler_call_details.method.startswith(_OPEN_SERVICES)
        if handler is None or is_open or self._accepts(handler_call_details):
            return handler
        return _refusal(handler)

    def _accepts(self, details: grpc.HandlerCallDetails) -> bool:
        given = dict(details.invocation_metadata or ()).get("authorization", "")
        scheme, _, token = str(given).partition(" ")
        candidate = token.strip().encode()
        # Every token is compared, in constant time: how long it takes tells nothing.
        matches = [hmac.compare_digest(candidate, known) for known in self._tokens]
        return scheme.lower() == "bearer" and any(matches)


def _refusal(handler: grpc.RpcMethodHandler[Any, Any]) -> grpc.RpcMethodHandler[Any, Any]:
    """A handler of the same shape that answers UNAUTHENTICATED."""

    error = UnauthenticatedError("send a valid token as metadata: authorization: Bearer TOKEN")

    async def refuse(_request: object, context: Context) -> None:
        await abort(context, error)

    make = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[bool(handler.request_streaming), bool(handler.response_streaming)]
    return make(refuse)
