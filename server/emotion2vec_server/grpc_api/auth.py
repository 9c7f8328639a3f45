"""Bearer tokens in metadata."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from emotion2vec_server.errors import UnauthenticatedError
from emotion2vec_server.grpc_api.edge import address_of, authorization
from emotion2vec_server.grpc_api.status import Context, abort
from emotion2vec_server.serving.tokens import Tokens

# A load balancer's probes carry no token.
_OPEN_SERVICES = ("/grpc.health.v1.Health/",)
_log = logging.getLogger(__name__)


class TokenInterceptor(grpc.aio.ServerInterceptor):
    """Refuses calls, unary and streaming, that carry no accepted token, before they are read."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        handler = await continuation(handler_call_details)
        if handler is None or handler_call_details.method.startswith(_OPEN_SERVICES):
            return handler
        try:
            self._tokens.holder(authorization(handler_call_details.invocation_metadata))
        except UnauthenticatedError as error:
            return _refusal(handler, error, handler_call_details.method)
        return handler


def _refusal(
    handler: grpc.RpcMethodHandler[Any, Any], error: UnauthenticatedError, method: str
) -> grpc.RpcMethodHandler[Any, Any]:
    """A handler of the same shape that answers UNAUTHENTICATED."""

    async def refuse(_request: object, context: Context) -> None:
        caller = address_of(context.peer())
        _log.warning("no valid token", extra={"method": method, "caller": caller})
        await abort(context, error)

    make = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[bool(handler.request_streaming), bool(handler.response_streaming)]
    return make(refuse)
