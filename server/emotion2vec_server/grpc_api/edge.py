"""The edge of every call: who makes it, and whatever happens within becomes a status."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import grpc
from emotion2vec_runtime.errors import RequestError

from emotion2vec_server.grpc_api.status import Context, abort
from emotion2vec_server.serving.caller import Caller
from emotion2vec_server.serving.calls import Calls
from emotion2vec_server.serving.observer import Observer
from emotion2vec_server.serving.tokens import Tokens

T = TypeVar("T")
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Call:
    """One call, as far as it is known."""

    method: str
    caller: Caller
    request_id: str = ""
    """What the caller calls it; known when the request is parsed."""


class Edge:
    """Runs what handlers do."""

    def __init__(self, calls: Calls, observer: Observer, tokens: Tokens | None) -> None:
        self._calls = calls
        self._observer = observer
        self._tokens = tokens

    async def run(self, context: Context, method: str, work: Callable[[Call], Awaitable[T]]) -> T:
        """Does a handler's work; its result may leave when this returns.

        An error that nobody foresaw becomes INTERNAL with a plain sentence; its traceback goes to
        the log and never onto the wire.
        """
        began = time.monotonic()
        call = Call(method, Caller(address_of(context.peer()), _deadline(context, began)))
        status = "OK"
        try:
            if self._tokens is not None:
                holder = self._tokens.holder(authorization(context.invocation_metadata()))
                call.caller = replace(call.caller, name=holder)
            with self._calls.under_way(call.caller.name):
                result = await work(call)
                await self._calls.may_answer()
                return result
        except RequestError as error:
            status = error.status
            _log_refusal(call, error)
            await abort(context, error)
        except asyncio.CancelledError:
            deadline = call.caller.deadline
            is_late = deadline is not None and time.monotonic() >= deadline
            status = "DEADLINE_EXCEEDED" if is_late else "CANCELLED"
            raise
        except Exception:  # noqa: BLE001 (the edge: nothing passes it but a status)
            status = "INTERNAL"
            _log.exception("unforeseen error in a request", extra=_fields(call))
            await context.abort(
                grpc.StatusCode.INTERNAL, "internal error; the server's log has more"
            )
        finally:
            self._observer.ended(method, status, time.monotonic() - began)


def authorization(metadata: object) -> str:
    """The `authorization` of a call's metadata; empty where there is none."""
    for key, value in metadata or ():  # type: ignore[attr-defined]
        if key == "authorization":
            return str(value)
    return ""


def address_of(peer: str) -> str:
    """Whose the address of a peer is, as gRPC names it: "ipv4:10.0.0.7:50312", or
    "ipv6:%5B::1%5D:50312".

    Without its port, which is another one a connection; and of IPv6 the first 64 bits, which are
    what one subscriber has.
    """
    kind, _, rest = peer.partition(":")
    host = rest.rpartition(":")[0].removeprefix("%5B").removesuffix("%5D").partition("%25")[0]
    if kind == "ipv6":
        address = ipaddress.IPv6Address(host)
        if address.ipv4_mapped is not None:
            return f"ipv4:{address.ipv4_mapped}"
        return f"ipv6:{ipaddress.IPv6Network((address, 64), strict=False)}"
    return f"ipv4:{host}" if kind == "ipv4" else peer


def _deadline(context: Context, now: float) -> float | None:
    """The caller's deadline on the clock of `time.monotonic`."""
    remaining = context.time_remaining()
    return None if remaining is None else now + remaining


def _log_refusal(call: Call, error: RequestError) -> None:
    # Refusals of an overload come by the thousand, and metrics count them.
    level = logging.INFO if error.retry_after is None else logging.DEBUG
    extra = {**_fields(call), "status": error.status, "reason": str(error)}
    _log.log(level, "refused", extra=extra)


def _fields(call: Call) -> dict[str, object]:
    return {"method": call.method, "caller": call.caller.name, "request_id": call.request_id}
