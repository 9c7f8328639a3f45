"""Health follows the models, not what callers send them."""

from __future__ import annotations

import asyncio
from typing import cast

import numpy as np
import pytest
from emotion2vec_server import health
from emotion2vec_server.bundle import Manifest
from emotion2vec_server.catalog import Catalog
from emotion2vec_server.errors import InferenceError
from emotion2vec_server.health import Health
from emotion2vec_server.recognizer import Recognizer
from grpc_health.v1 import health_pb2

STATUS = health_pb2.HealthCheckResponse


class Model:
    """Fails while it is `broken`."""

    manifest = Manifest.model_construct(name="model", sample_rate=16000)

    def __init__(self) -> None:
        self.broken = True
        self.tried = asyncio.Event()

    async def infer(self, samples: np.ndarray, *, urgent: bool) -> None:
        self.tried.set()
        await asyncio.sleep(0)
        if self.broken:
            raise InferenceError("no")


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    monkeypatch.setattr(health, "_PROBE_SECONDS", 0.01)
    return Model()


async def serving(model: Model) -> Health:
    catalog = Catalog()
    catalog.open([cast(Recognizer, model)])
    watched = Health(catalog, ["service"])
    await watched.wait()
    await watched.serve()
    return watched


async def status(watched: Health) -> set[int]:
    request = health_pb2.HealthCheckRequest
    return {
        (await watched.servicer.Check(request(service=name), None)).status
        for name in ("", "service")
    }


async def becomes(watched: Health, expected: int) -> None:
    async with asyncio.timeout(30):
        while await status(watched) != {expected}:  # noqa: ASYNC110 (gRPC has no event for it)
            await asyncio.sleep(0.001)


async def test_a_model_that_fails_takes_the_server_out_until_it_works(model: Model) -> None:
    watched = await serving(model)
    watched.model("model", "it is broken")
    await becomes(watched, STATUS.NOT_SERVING)
    model.tried.clear()
    await model.tried.wait()
    assert await status(watched) == {STATUS.NOT_SERVING}
    model.broken = False
    await becomes(watched, STATUS.SERVING)


async def test_a_model_that_works_on_silence_stays_in(model: Model) -> None:
    model.broken = False
    watched = await serving(model)
    watched.model("model", "what callers sent was to blame")
    await model.tried.wait()
    for _ in range(10):
        await asyncio.sleep(0)
        assert await status(watched) == {STATUS.SERVING}


async def test_a_draining_server_stays_out(model: Model) -> None:
    watched = await serving(model)
    watched.model("model", "it is broken")
    await becomes(watched, STATUS.NOT_SERVING)
    await watched.drain()
    model.broken = False
    for _ in range(10):
        await asyncio.sleep(0.01)
        assert await status(watched) == {STATUS.NOT_SERVING}
