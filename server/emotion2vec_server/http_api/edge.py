"""The edge of every HTTP request: who makes it and until when, whether anybody still listens, and
how it ends on the wire."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from emotion2vec_runtime.errors import InvalidRequestError, RequestError
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from emotion2vec_server.errors import CallerLeftError, DeadlineExceededError
from emotion2vec_server.http_api.problem import problem_response
from emotion2vec_server.serving.caller import Caller
from emotion2vec_server.serving.gate import Call, Gate, name_of

TIMEOUT_HEADER = "x-request-timeout"
"""Seconds: the deadline, which gRPC has of its own."""
_PREFIXES = ("config.", "audio_config.")
"""Of fields that messages nest, and parameters don't."""

T = TypeVar("T")


class Edge:
    """Runs what handlers do."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def respond(
        self, request: Request, method: str, work: Callable[[Call], Awaitable[Response]]
    ) -> Response:
        """Does a handler's work; any error becomes a problem."""
        try:
            return await self.run(request, method, work)
        except RequestError as error:
            return problem_response(flat(error))

    async def run(
        self, request: HTTPConnection, method: str, work: Callable[[Call], Awaitable[T]]
    ) -> T:
        """Does the work of a call.

        Raises:
            RequestError: it can't be done, or not in time.
        """
        seconds = _timeout(request)
        deadline = None if seconds is None else time.monotonic() + seconds
        call = Call("http", method, Caller(caller_of(request), deadline))
        try:
            async with asyncio.timeout(seconds):
                return await self._gate.run(call, request.headers.get("authorization", ""), work)
        except TimeoutError as error:
            raise DeadlineExceededError(
                f"the request took longer than the {seconds:g} s of its {TIMEOUT_HEADER}"
            ) from error


def caller_of(connection: HTTPConnection) -> str:
    """What the caller is called by address."""
    return name_of(connection.client.host) if connection.client else ""


def flat(error: RequestError) -> RequestError:
    """The error, with the field's name as HTTP has it."""
    if isinstance(error, InvalidRequestError):
        for prefix in _PREFIXES:
            error.field = error.field.removeprefix(prefix)
    return error


class Presence:
    """Ends the work of a request whose caller has left. `watch` it once the body has been read:
    before, reading tells."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._watching: asyncio.Task[None] | None = None
        self._worker = asyncio.current_task()
        self.has_left = False

    @property
    def has_sent_all(self) -> bool:
        """Whether the body has been read."""
        return self._watching is not None

    def watch(self) -> None:
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self.has_left = True
        if self._worker is not None:
            self._worker.cancel()

    def end(self) -> None:
        if self._watching is not None:
            self._watching.cancel()


@asynccontextmanager
async def presence(request: Request) -> AsyncIterator[Presence]:
    """Within it the caller is known to be there.

    Raises:
        CallerLeftError: it is no longer.
    """
    present = Presence(request)
    try:
        yield present
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if not present.has_left or task is None or task.uncancel():
            raise
        raise CallerLeftError from None
    finally:
        present.end()


def _timeout(request: HTTPConnection) -> float | None:
    text = request.headers.get(TIMEOUT_HEADER)
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e9:
        raise InvalidRequestError(TIMEOUT_HEADER, f"{text!r} is no number of seconds above 0")
    return seconds
