"""Which handler a call gets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, TypeAlias

import grpc

from emotion2vec_server.http2 import Headers
from emotion2vec_server.rpc import metadata

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class Details:
    """What interceptors and generic handlers are told of a call: `grpc.HandlerCallDetails`."""

    def __init__(self, method: str, headers: Headers) -> None:
        self.method = method
        self._headers = headers

    @cached_property
    def invocation_metadata(self) -> Any:
        """The request's metadata, once somebody asks for it."""
        return metadata.read(self._headers)


# Of the details of a call, whose metadata mypy won't have made when it is asked for.
_Find: TypeAlias = "Callable[[Any], Awaitable[Handler | None]]"


class Routes:
    """The methods of a server, and the interceptors that stand before them."""

    def __init__(self, interceptors: Sequence[grpc.aio.ServerInterceptor] = ()) -> None:
        """The first interceptor is the outermost."""
        self._registered: dict[str, Handler] = {}
        self._generic: list[grpc.GenericRpcHandler] = []
        self.find: _Find = self._find
        """The handler of a call, as the interceptors let it through; None where there is none."""
        for interceptor in reversed(interceptors):
            self.find = partial(interceptor.intercept_service, self.find)

    def register(self, service: str, handlers: Mapping[str, Handler]) -> None:
        """Methods of a service by name."""
        self._registered |= {f"/{service}/{name}": handlers[name] for name in handlers}

    def add(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Handlers that are asked, in order, for what is not registered."""
        self._generic += handlers

    async def _find(self, details: grpc.HandlerCallDetails) -> Handler | None:
        if (handler := self._registered.get(details.method)) is not None:
            return handler
        found = (generic.service(details) for generic in self._generic)
        return next((handler for handler in found if handler is not None), None)
