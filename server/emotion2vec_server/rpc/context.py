"""What a handler is given to know its call and to act on it: the interface of grpc.aio."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

import grpc

from emotion2vec_server.rpc.call import Call


class Context(grpc.aio.ServicerContext[Any, Any]):
    """The context of one call.

    Responses are never compressed, so what asks for it has no effect. Peers have no identities:
    who may connect is settled by TLS, before there is a call.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self._trailing: Any = ()

    async def read(self) -> Any:
        return await self._call.read()

    async def write(self, message: Any) -> None:
        await self._call.write(message)

    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()
    ) -> NoReturn:
        self._call.abort(code, details, trailing_metadata)

    async def abort_with_status(self, status: grpc.Status) -> NoReturn:
        await self.abort(status.code, status.details or "", status.trailing_metadata or ())

    async def send_initial_metadata(self, initial_metadata: Any) -> None:
        self._call.send_headers(initial_metadata)

    def set_trailing_metadata(self, trailing_metadata: Any) -> None:
        self._call.set_trailing(trailing_metadata)
        self._trailing = trailing_metadata

    def trailing_metadata(self) -> Any:
        return self._trailing

    def invocation_metadata(self) -> Any:
        return self._call.head.invocation_metadata

    def set_code(self, code: grpc.StatusCode) -> None:
        self._call.code = code

    def code(self) -> grpc.StatusCode:
        return self._call.code

    def set_details(self, details: str) -> None:
        self._call.details = details

    def details(self) -> str:
        return self._call.details

    def peer(self) -> str:
        return self._call.peer

    def time_remaining(self) -> Any:
        return self._call.time_remaining()

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        self._call.when_done(lambda: callback(self))

    def cancelled(self) -> bool:
        return self._call.is_cancelled

    def done(self) -> bool:
        return self._call.is_over

    def set_compression(self, compression: grpc.Compression) -> None: ...

    def disable_next_message_compression(self) -> None: ...

    def peer_identities(self) -> Iterable[bytes] | None:
        return None

    def peer_identity_key(self) -> str | None:
        return None

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        return {}
