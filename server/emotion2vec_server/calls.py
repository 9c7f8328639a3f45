"""The edge of every call: whatever happens within becomes a status, and is counted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from emotion2vec_server.errors import RequestError
from emotion2vec_server.metrics import Metrics
from emotion2vec_server.status import Context, abort

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

    @asynccontextmanager
    async def handle(self, context: Context, method: str) -> AsyncIterator[None]:
        """Runs a handler's body.

        An error that nobody foresaw becomes INTERNAL with a plain sentence; its traceback goes to
        the log and never onto the wire.
        """
        self._under_way += 1
        self._idle.clear()
        with self._metrics.call(method) as ended:
            try:
                yield
                ended("OK")
            except RequestError as error:
                ended(error.status)
                _log.debug("refused", extra={"status": error.status, "reason": str(error)})
                await abort(context, error)
            except asyncio.CancelledError:
                ended("CANCELLED")
                raise
            except Exception:  # noqa: BLE001 (the edge: nothing passes it but a status)
                ended("INTERNAL")
                _log.exception("unforeseen error in a request")
                await context.abort(
                    grpc.StatusCode.INTERNAL, "internal error; the server's log has more"
                )
            finally:
                self._under_way -= 1
                if not self._under_way:
                    self._idle.set()
