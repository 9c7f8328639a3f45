"""What grpc.health.v1 says of the server: loading, serving, failing or draining."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import numpy as np
from grpc_health.v1 import health, health_pb2

from emotion2vec_server.backends.base import Float32
from emotion2vec_server.catalog import Catalog
from emotion2vec_server.errors import RequestError
from emotion2vec_server.recognizer import Recognizer

SERVICE_NAME = health.SERVICE_NAME
_PROBE_SECONDS = 5.0
_log = logging.getLogger(__name__)


class Health:
    """Follows the models: where one fails on everything, the server should get no more calls.

    It then gets none that could show that the model works again, so it tries for itself.
    """

    def __init__(self, catalog: Catalog, services: Sequence[str]) -> None:
        """`services` are the names whose health is the server's. NOT_SERVING until `serve`."""
        self.servicer = health.aio.HealthServicer()
        self._catalog = catalog
        self._services = ("", *services)
        self._probes: dict[str, asyncio.Task[None]] = {}
        self._failing: set[str] = set()

    async def wait(self) -> None:
        """The server listens, but can't serve yet."""
        await self._set(health_pb2.HealthCheckResponse.NOT_SERVING)

    async def serve(self) -> None:
        await self._set(health_pb2.HealthCheckResponse.SERVING)

    async def drain(self) -> None:
        """NOT_SERVING from now on, whatever the models do."""
        for probe in self._probes.values():
            probe.cancel()
        await self.servicer.enter_graceful_shutdown()

    def model(self, name: str, reason: str | None) -> None:
        """A model fails on everything, and why; or it works again (None). On the event loop."""
        if reason is None:
            _log.info("model works again", extra={"model": name})
        else:
            _log.error("model fails on everything", extra={"model": name, "reason": reason})
            if name not in self._probes:
                self._probes[name] = asyncio.create_task(self._probe(name))

    async def _probe(self, name: str) -> None:
        """Takes the server out while the model fails on a second of silence.

        Only then is it the model: what callers sent may have been to blame.
        """
        model = self._catalog.get(name)
        second = np.zeros(model.manifest.sample_rate, np.float32)
        while not await _works(model, second):
            self._failing.add(name)
            await self.wait()
            await asyncio.sleep(_PROBE_SECONDS)
        self._failing.discard(name)
        del self._probes[name]
        if not self._failing:
            await self.serve()

    async def _set(self, status: int) -> None:
        for name in self._services:
            await self.servicer.set(name, status)


async def _works(model: Recognizer, samples: Float32) -> bool:
    try:
        await model.infer(samples, urgent=True)
    except RequestError:
        return False
    return True
