"""Whether the server should get calls: loading, serving, failing or draining."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import numpy as np
from emotion2vec_runtime.arrays import Float32
from emotion2vec_runtime.errors import InferenceError, RequestError

from emotion2vec_server.errors import OutOfMemoryForOneError
from emotion2vec_server.serving.catalog import Catalog
from emotion2vec_server.serving.served_model import ServedModel

_PROBE_SECONDS = 5.0
_log = logging.getLogger(__name__)


class Health:
    """Follows the models: where one fails on everything, the server should get no more calls.

    It then gets none that could show that the model works again, so it tries for itself.
    """

    def __init__(self, catalog: Catalog, show: Callable[[bool], Awaitable[None]]) -> None:
        """`show` tells the world whether the server serves."""
        self._catalog = catalog
        self._show = show
        self._probes: dict[str, asyncio.Task[None]] = {}
        self._failing: set[str] = set()
        self._is_draining = False
        self.is_serving = False
        """Whether the server should get calls."""

    async def wait(self) -> None:
        """The server listens, but can't serve yet."""
        await self._say(False)

    async def serve(self) -> None:
        if not self._is_draining:
            await self._say(True)

    async def drain(self) -> None:
        """It takes no new calls from now on, whatever the models do."""
        self._is_draining = True
        for probe in self._probes.values():
            probe.cancel()
        await self._say(False)

    def model(self, name: str, reason: str | None) -> None:
        """A model fails on everything, and why; or it works again (None). On the event loop."""
        if self._is_draining:
            return
        if reason is None:
            _log.info("model works again", extra={"model": name})
        else:
            _log.error("model fails on everything", extra={"model": name, "reason": reason})
            if name not in self._probes:
                self._probes[name] = asyncio.create_task(self._probe(name))

    async def _say(self, is_serving: bool) -> None:
        self.is_serving = is_serving
        await self._show(is_serving)

    async def _probe(self, name: str) -> None:
        """Takes the server out while the model fails on a second of silence.

        Only then is it the model: what callers sent may have been to blame.
        """
        model = self._catalog.get(name)
        second = np.zeros(model.manifest.sample_rate, np.float32)
        try:
            while (works := await _works(model, second)) is not True:
                if works is False:
                    self._failing.add(name)
                    await self._say(False)
                await asyncio.sleep(_PROBE_SECONDS)
        finally:
            del self._probes[name]
        self._failing.discard(name)
        if not self._failing:
            await self.serve()


async def _works(model: ServedModel, samples: Float32) -> bool | None:
    """Whether the model answers; None where it was not asked, because too many others ask."""
    try:
        await model.infer(samples, urgent=True)
    except (InferenceError, OutOfMemoryForOneError):
        return False
    except RequestError:
        return None
    return True
