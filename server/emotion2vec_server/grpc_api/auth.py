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

_GUARDED_SERVICES = ("/grpc.reflection.",)
"""The others guard themselves (`edge`), or are open: a load balancer's probes carry no token."""
_log = logging.getLogger(__name__)


class TokenInterceptor(grpc.aio.ServerInterceptor):
    """Refuses calls of reflection that carry no accepted token."""

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
        if handler is None or not handler_call_details.method.startswith(_GUARDED_SERVICES):
            return handler
        try:
            self._tokens.holder(authorization(handler_call_details.invocation_metadata))
        except UnauthenticatedError as error:
            return _refusal(error, handler_call_details.method)
        return handler


def _refusal(error: UnauthenticatedError, method: str) -> grpc.RpcMethodHandler[Any, Any]:
    """A handler that answers UNAUTHENTICATED, and reads nothing."""

    async def refuse(_requests: object, context: Context) -> None:
        caller = address_of(context.peer())
        _log.info("refused", extra={"method": method, "caller": caller, "reason": str(error)})
        await abort(context, error)

    return grpc.stream_stream_rpc_method_handler(refuse)
