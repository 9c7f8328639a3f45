"""The edge of every gRPC call: who makes it and until when, and how it ends on the wire."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from emotion2vec_runtime.errors import InvalidRequestError, RequestError

from emotion2vec_server.grpc_api.status import Context, abort
from emotion2vec_server.serving.caller import Caller
from emotion2vec_server.serving.gate import Call, Gate, name_of

T = TypeVar("T")


class Edge:
    """Runs what handlers do."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def run(self, context: Context, method: str, work: Callable[[Call], Awaitable[T]]) -> T:
        """Does a handler's work; its result may leave when this returns. Any error ends the call
        with its status."""
        call = Call("grpc", method, Caller(address_of(context.peer()), _deadline(context)))
        try:
            return await self._gate.run(call, authorization(context.invocation_metadata()), work)
        except RequestError as error:
            await abort(context, error)


def authorization(metadata: object) -> str:
    """The `authorization` of a call's metadata; empty where there is none."""
    for key, value in metadata or ():  # type: ignore[attr-defined]
        if key == "authorization":
            return str(value)
    return ""


def address_of(peer: str) -> str:
    """Who calls from a peer, as gRPC names it: "ipv4:10.0.0.7:50312", or "ipv6:%5B::1%5D:50312".

    Without its port, which is another one a connection.
    """
    kind, _, rest = peer.partition(":")
    if kind not in ("ipv4", "ipv6"):
        return peer
    host = rest.rpartition(":")[0].removeprefix("%5B").removesuffix("%5D")
    return name_of(host.partition("%25")[0])


async def read_message(context: Context) -> bytes:
    """The only message of a call, serialized.

    Raises:
        InvalidRequestError: none comes.
    """
    data: object = await context.read()
    if isinstance(data, bytes):
        return data
    # Where it was too large, gRPC has told its caller that, and tells us no more than this.
    raise InvalidRequestError("", "the call carries no request, or one that is too large; send one")


def _deadline(context: Context) -> float | None:
    """The caller's deadline on the clock of `time.monotonic`."""
    remaining = context.time_remaining()
    return None if remaining is None else time.monotonic() + remaining
