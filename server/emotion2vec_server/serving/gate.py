"""What every call goes through, by whatever door it comes: who makes it, and how it ends."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from emotion2vec_runtime.errors import RequestError

from emotion2vec_server.errors import CallerLeftError, UnforeseenError
from emotion2vec_server.serving.caller import Caller
from emotion2vec_server.serving.calls import Calls
from emotion2vec_server.serving.observer import Observer
from emotion2vec_server.serving.tokens import Tokens

T = TypeVar("T")
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Call:
    """One call, as far as it is known."""

    door: str
    """By which protocol it came: "grpc" or "http"."""
    method: str
    caller: Caller
    request_id: str = ""
    """What the caller calls it; known when the request is parsed."""


class Gate:
    """Lets calls in, counts them, and sees to how they end."""

    def __init__(self, calls: Calls, observer: Observer, tokens: Tokens | None) -> None:
        self._calls = calls
        self._observer = observer
        self._tokens = tokens

    @property
    def wants_token(self) -> bool:
        return self._tokens is not None

    async def run(self, call: Call, authorization: str, work: Callable[[Call], Awaitable[T]]) -> T:
        """Does the work of a call; its result may leave when this returns.

        Args:
            call: whose caller is known by address; from here on by its token, where there are any.
            authorization: the header or metadata of that name; empty where there is none.
            work: what the call is for.

        Raises:
            RequestError: the call can't be served. An error that nobody foresaw becomes one too,
                with a plain sentence; its traceback goes to the log.
        """
        began = time.monotonic()
        status = "OK"
        try:
            if self._tokens is not None:
                holder = self._tokens.holder(authorization)
                call.caller = replace(call.caller, name=holder)
            with self._calls.under_way(call.caller.name):
                result = await work(call)
                await self._calls.may_answer(call.caller.deadline)
                return result
        except RequestError as error:
            status = error.status
            _log_refusal(call, error)
            raise
        except asyncio.CancelledError:
            deadline = call.caller.deadline
            is_late = deadline is not None and time.monotonic() >= deadline
            status = "DEADLINE_EXCEEDED" if is_late else "CANCELLED"
            raise
        except Exception as error:
            status = UnforeseenError.status
            _log.exception("unforeseen error in a request", extra=_fields(call))
            raise UnforeseenError from error
        finally:
            self._observer.ended(call.door, call.method, status, time.monotonic() - began)


def name_of(host: str) -> str:
    """What the callers at an IP address are called: "ipv4:10.0.0.7", "ipv6:2001:db8::/64".

    Of IPv6 the first 64 bits, which are what one subscriber has.
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return f"ipv4:{address}"
    if address.ipv4_mapped is not None:
        return f"ipv4:{address.ipv4_mapped}"
    return f"ipv6:{ipaddress.IPv6Network((address, 64), strict=False)}"


def _log_refusal(call: Call, error: RequestError) -> None:
    # Refusals of an overload come by the thousand, and metrics count them; to leave is no refusal.
    is_usual = error.retry_after is not None or isinstance(error, CallerLeftError)
    level = logging.DEBUG if is_usual else logging.INFO
    extra = {**_fields(call), "status": error.status, "reason": str(error)}
    _log.log(level, "refused", extra=extra)


def _fields(call: Call) -> dict[str, object]:
    return {"method": call.method, "caller": call.caller.name, "request_id": call.request_id}
