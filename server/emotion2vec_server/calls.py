"""The edge of every call: whatever happens within becomes a status, and is counted."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable
from typing import TypeVar

import grpc

from emotion2vec_server.errors import RequestError
from emotion2vec_server.metrics import Metrics
from emotion2vec_server.status import Context, abort

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Calls:
    """The calls under way in one server."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def ended(self, seconds: float) -> None:
        """Returns when no call is under way, or after so many seconds."""
        try:
            await asyncio.wait_for(self._idle.wait(), seconds)
        except TimeoutError:
            _log.warning("calls are still under way", extra={"calls": self._under_way})

    async def run(self, context: Context, method: str, work: Awaitable[T]) -> T:
        """Does a handler's work.

        An error that nobody foresaw becomes INTERNAL with a plain sentence; its traceback goes to
        the log and never onto the wire.
        """
        began = time.perf_counter()
        self._under_way += 1
        self._idle.clear()
        code = "OK"
        try:
            return await work
        except RequestError as error:
            code = error.status
            _log.debug("refused", extra={"status": code, "reason": str(error)})
            await abort(context, error)
        except asyncio.CancelledError:
            # By the caller, unless the server has ended the call: then its code says why.
            told = context.code()
            code = "CANCELLED" if told is grpc.StatusCode.OK else told.name
            raise
        except Exception:  # noqa: BLE001 (the edge: nothing passes it but a status)
            code = "INTERNAL"
            _log.exception("unforeseen error in a request")
            await context.abort(
                grpc.StatusCode.INTERNAL, "internal error; the server's log has more"
            )
        finally:
            self._metrics.ended(method, code, time.perf_counter() - began)
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()
